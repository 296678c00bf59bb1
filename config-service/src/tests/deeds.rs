//! What somebody does on the pages: asked about first, done with a reason, in the name of the token they signed in with.

use super::pages::{get, header, send, sign_in, status};
use super::{harness::*, stage::*};
use http::Method;
use serde_json::json;
use shared::wire::admin::{EventList, Plan, PlanState, PodStatus, RebalanceStatus};
use shared::wire::handoff::MoveState;

/// Somebody with a browser that has signed in.
struct Person<'a> {
    node: &'a Node,
    pass: String,
}

impl<'a> Person<'a> {
    async fn with(node: &'a Node, token: &str) -> Self {
        let answer = sign_in(node, token).await;
        let pass = header(&answer, "set-cookie").split(';').next().expect("a pair").to_owned();
        assert!(pass.starts_with("berth_page="), "{answer}");
        Self { node, pass }
    }

    async fn sees(&self, path: &str) -> String {
        send(self.node, &format!("GET {path}"), &[("Cookie", &self.pass)], "").await
    }

    /// Sends the form of a page.
    async fn does(&self, path: &str, body: &str) -> String {
        let origin = format!("http://{}", self.node.address);
        send(self.node, &format!("POST {path}"), &[("Cookie", &self.pass), ("Origin", &origin)], body).await
    }
}

async fn audit(stage: &Stage, action: &str) -> Vec<String> {
    let list: EventList = stage.get(&format!("/v1/events?kind={action}")).await;
    list.events.iter().map(|event| format!("{} {}: {}", event.actor, event.subject, event.reason)).collect()
}

#[tokio::test]
async fn a_pod_is_drained_from_its_page_after_it_was_said_where_its_targets_go() {
    let stage = Stage::of(3, 60, BY_HAND).await;
    let counts = stage.counts().await;
    let person = Person::with(&stage.node, "admin").await;
    let page = person.sees("/pods/gateway-1").await;
    assert!(page.contains(r#"href="/do/pod/gateway-1/drain""#) && page.contains("/do/pod/gateway-1/cordon"), "{page}");
    let asks = person.sees("/do/pod/gateway-1/drain").await;
    assert_eq!(status(&asks), "200", "{asks}");
    for says in [
        format!("Everything moves away from gateway-1: {} targets.", counts[1]),
        format!("Where {} targets would go", counts[1]),
        "/pods/gateway-0\">gateway-0</a>".to_owned(),
        "/pods/gateway-2\">gateway-2</a>".to_owned(),
        "removes the pod with the highest number, and that is gateway-2, not gateway-1".to_owned(),
        "berth pod drain gateway-1 --reason …".to_owned(),
        "<button type=\"submit\">Drain gateway-1</button>".to_owned(),
    ] {
        assert!(asks.contains(&says), "{says}: {asks}");
    }
    let highest = person.sees("/do/pod/gateway-2/drain").await;
    assert!(!highest.contains("highest number"), "{highest}");
    assert_eq!(stage.get::<PodStatus>("/v1/pods/gateway-1").await.drain, None, "nothing is done by asking");

    let path = "/do/pod/gateway-1/drain";
    let unsaid = person.does(path, "reason=+").await;
    assert!(status(&unsaid) == "400" && unsaid.contains("It was not done: ") && unsaid.contains("say why"), "{unsaid}");
    let done = person.does(path, "reason=kernel+update").await;
    assert_eq!((status(&done), header(&done, "location")), ("303", "/pods/gateway-1"), "{done}");
    assert!(stage.get::<PodStatus>("/v1/pods/gateway-1").await.drain.is_some());
    assert_eq!(audit(&stage, "drain").await, ["admin gateway-1: kernel update"]);
    eventually("its page says how far it is", async || {
        person.sees("/pods/gateway-1").await.contains("It is being drained: ")
    })
    .await;
    let page = person.sees("/pods/gateway-1").await;
    assert!(page.contains("/do/pod/gateway-1/undrain"), "{page}");
    assert_eq!(status(&person.does("/do/pod/gateway-1/undrain", "reason=not+now").await), "303");
    assert_eq!(stage.get::<PodStatus>("/v1/pods/gateway-1").await.drain, None);
    for verb in ["cordon", "uncordon"] {
        assert_eq!(status(&person.does(&format!("/do/pod/gateway-0/{verb}"), "reason=a+story").await), "303");
        assert_eq!(stage.get::<PodStatus>("/v1/pods/gateway-0").await.cordoned, verb == "cordon");
    }
}

#[tokio::test]
async fn nobody_does_anything_on_a_page_without_the_role_or_from_another_site() {
    let stage = Stage::of(2, 20, BY_HAND).await;
    let made = stage.post("/v1/tokens", json!({ "name": "viewer-1", "role": "viewer", "reason": "a story" })).await;
    let viewer = Person::with(&stage.node, made.json["secret"].as_str().expect("a secret")).await;
    let (service, admin) = (Person::with(&stage.node, "service").await, Person::with(&stage.node, "admin").await);
    let path = "/do/pod/gateway-1/drain";
    for (person, why) in [
        (&viewer, "viewer-1 has role viewer; this takes role operator"),
        (&service, "sign in with a token of role operator"),
    ] {
        let asks = person.sees(path).await;
        assert!(asks.contains(why) && asks.contains("<button type=\"submit\" disabled>"), "{asks}");
        let refused = person.does(path, "reason=a+story").await;
        assert!(status(&refused) == "403" && refused.contains(why), "{refused}");
    }
    for headers in [vec![], vec![("Origin", "http://evil.example")], vec![("Sec-Fetch-Site", "cross-site")]] {
        let headers: Vec<_> = headers.into_iter().chain([("Cookie", admin.pass.as_str())]).collect();
        let refused = send(&stage.node, &format!("POST {path}"), &headers, "reason=a+story").await;
        assert!(status(&refused) == "403" && refused.contains("not sent from this page"), "{refused}");
    }
    let body = json!({ "value": true, "reason": "a story" });
    let put = stage.node.call(Some("admin"), Method::PUT, "/v1/settings/read-only", &body).await;
    assert_eq!(put.status, 200, "{}", put.json);
    let refused = admin.does(path, "reason=a+story").await;
    assert!(status(&refused) == "409" && refused.contains("has made the cluster read-only"), "{refused}");
    assert_eq!(stage.get::<PodStatus>("/v1/pods/gateway-1").await.drain, None);
    assert_eq!(audit(&stage, "drain").await, [""; 0]);
    for unknown in ["/do/pod/gateway-9/drain", "/do/pod/gateway-1/eat", "/do/plan/9999/apply", "/do/rebalance/x/pause"]
    {
        assert_eq!(status(&admin.sees(unknown).await), "404", "{unknown}");
    }
    assert_eq!(status(&get(&stage.node, path).await), "303", "a stranger signs in first");
}

#[tokio::test]
async fn plans_moves_and_the_look_for_an_even_share_are_decided_on_their_pages() {
    let mut stage = Stage::of(2, 60, BY_HAND).await;
    stage.join().await;
    let (first, second) = (stage.rebalance().await, stage.rebalance().await);
    let person = Person::with(&stage.node, "admin").await;
    let page = person.sees(&format!("/plans/{}", first.head.id)).await;
    assert!(page.contains(&format!("/do/plan/{}/apply", first.head.id)), "{page}");

    let discard = format!("/do/plan/{}/discard", second.head.id);
    assert!(person.sees(&discard).await.contains("Nothing has moved by it, and nothing will."));
    assert_eq!(status(&person.does(&discard, "reason=no").await), "303");
    assert_eq!(stage.head(&second).await.state, PlanState::Discarded);

    let apply = format!("/do/plan/{}/apply", first.head.id);
    let asks = person.sees(&apply).await;
    let seen = format!(r#"name="revision" value="{}""#, first.head.revision);
    assert!(asks.contains(&seen) && asks.contains(&format!("{} targets move by it", first.moves.len())), "{asks}");
    let stale = person.does(&apply, &format!("reason=yes&revision={}", first.head.revision.0 + 1)).await;
    assert!(status(&stale) == "409" && stale.contains("It was not done: "), "{stale}");
    assert_eq!(status(&person.does(&apply, &format!("reason=yes&revision={}", first.head.revision)).await), "303");
    assert_eq!(stage.get::<Plan>(&format!("/v1/plans/{}", first.head.id)).await.head.state, PlanState::Applying);

    eventually("a move is under way", async || stage.moves().await.iter().any(|of| of.state == MoveState::Copying))
        .await;
    let of = stage.moves().await.into_iter().find(|of| of.state == MoveState::Copying).expect("nobody plays");
    let overview = person.sees("/").await;
    assert!(overview.contains("/cancel\">Call it off…</a>"), "{overview}");
    let cancel = format!("/do/move/{}/cancel", of.id);
    assert!(person.sees(&cancel).await.contains(&format!("{} stays at {}", of.target, of.from)));
    assert_eq!(status(&person.does(&cancel, "reason=not+this+one").await), "303");
    assert!(stage.moves().await.iter().any(|other| other.id == of.id && other.state == MoveState::Aborted));

    for (verb, other) in [("pause", "resume"), ("resume", "pause")] {
        let path = format!("/do/rebalance/all/{verb}");
        assert_eq!(status(&person.does(&path, "reason=event+tonight").await), "303");
        eventually("the page offers the other", async || {
            person.sees("/plans").await.contains(&format!("/do/rebalance/all/{other}"))
        })
        .await;
    }
    let status: RebalanceStatus = stage.get("/v1/rebalance").await;
    assert!(!status.why_not.is_some_and(|why| why.contains("has paused it")));
}
