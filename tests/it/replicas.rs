//! Several config-services on one PostgreSQL: one leads, the others follow, and any of them will do.

use berth_tests::{
    Cluster, Setup,
    cluster::{ADMIN_TOKEN, SERVICE_TOKEN},
    eventually,
    senders::telegram,
    wait::holds_for,
    workload::{Load, Poster},
};
use serde_json::{Value, json};
use shared::wire::admin::LeaderStatus;
use std::time::Duration;
use tokio::time::Instant;

mod database;

const SECOND: Duration = Duration::from_secs(1);

/// On a busy machine a term of two seconds may end by itself, and they change places.
fn three() -> Setup {
    Setup { gateways: 1, routers: 1, ..Setup::default() }.config_services(3).with("BERTH_LEADER_LEASE", "8s")
}

fn chat(n: i64) -> String {
    format!("telegram:channel:{n}")
}

/// Gives a target its home through the config-service `at`. Returns the status; 0 when no answer came, 1 when there is no
/// home to be had.
async fn place(cluster: &Cluster, at: usize, target: &str) -> u16 {
    let role = cluster.config_services().nth(at).expect("one of them");
    let headers = vec![
        ("authorization".to_owned(), format!("Bearer {SERVICE_TOKEN}")),
        ("content-type".to_owned(), "application/json".to_owned()),
    ];
    let body = json!({ "targets": [{ "target": target }] }).to_string();
    let client = cluster.client.clone().within(10 * SECOND);
    match client.call(http::Method::POST, &role.url("/v1/targets/place"), &headers, body).await {
        Ok(reply) if reply.status == 200 && reply.json()["assignments"][0].is_null() => 1,
        Ok(reply) => reply.status,
        Err(_) => 0,
    }
}

/// Reads from the config-service `at`.
async fn read(cluster: &Cluster, at: usize, path: &str) -> (u16, Value) {
    let role = cluster.config_services().nth(at).expect("one of them");
    let reply = cluster.admin_at(role, path).await.expect("it answers");
    (reply.status, reply.json())
}

/// Waits until one of them leads that is not `but`; returns which, and its term.
async fn another_leads(cluster: &Cluster, but: Option<usize>) -> (usize, u64) {
    eventually("another one leads", 120 * SECOND, async || cluster.leader_but(but).await).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_replica_answers_reads_and_takes_changes() {
    let cluster = three().start().await;
    let (leader, _) = another_leads(&cluster, None).await;
    for at in 0..3 {
        let target = chat(-10 - at as i64);
        assert_eq!(place(&cluster, at, &target).await, 200);
        // Whoever has passed a change on knows it when it answers; the others hear of it.
        for other in 0..3 {
            eventually("every replica knows it", 60 * SECOND, async || {
                (read(&cluster, other, &format!("/v1/targets/{target}")).await.0 == 200).then_some(())
            })
            .await;
        }
    }
    let follower = (leader + 1) % 3;
    let role = |at: usize| cluster.config_services().nth(at).expect("one of them");
    let put = |at: usize| role(at).url("/v1/settings/placement-paused");
    let headers = vec![
        ("authorization".to_owned(), format!("Bearer {ADMIN_TOKEN}")),
        ("content-type".to_owned(), "application/json".to_owned()),
        ("idempotency-key".to_owned(), "pause-1".to_owned()),
        ("x-request-id".to_owned(), "story-1".to_owned()),
    ];
    let body = json!({ "value": true, "reason": "a story" }).to_string();
    let set = cluster.client.call(http::Method::PUT, &put(follower), &headers, body.clone()).await.expect("answers");
    assert_eq!((set.status, set.header("x-request-id")), (200, Some("story-1")), "{}", set.text());
    // The caller's own headers went along: under the same key it is answered again by any of them.
    let again = cluster.client.call(http::Method::PUT, &put((leader + 2) % 3), &headers, body).await.expect("answers");
    assert_eq!((again.status, again.header("idempotency-replayed")), (200, Some("true")), "{}", again.text());
    let (_, seen) = read(&cluster, follower, "/v1/settings/placement-paused").await;
    assert_eq!(seen["value"], true, "who passed it on reads it");
    let (_, events) = read(&cluster, follower, "/v1/events?kind=set-setting").await;
    assert_eq!(events["events"][0]["request_id"], "story-1");

    // A follower's first page says what it is; it has no facts of its own to show.
    let url = role(follower).url("/");
    let page = cluster.client.call(http::Method::GET, &url, &[], "").await.expect("a page").text();
    let says = format!(
        "This config-service stands by; {} leads.",
        role(leader).url("/").trim_matches('/').trim_start_matches("http://")
    );
    assert!(page.contains(&says), "{says}: {page}");
    // What only the leader knows comes from it, whoever is asked.
    let (status, pods) = read(&cluster, follower, "/v1/pods").await;
    assert_eq!((status, &pods["pods"][0]["state"]), (200, &json!("ready")));
    // One hop at most.
    let mut twice = headers.clone();
    twice.push(("berth-passed-on".to_owned(), "1".to_owned()));
    let url = role(follower).url("/v1/pods");
    let refused = cluster.client.call(http::Method::GET, &url, &twice, "").await.expect("answers");
    assert_eq!((refused.status, refused.json()["code"].clone()), (503, json!("not-leader")));
    // A bad request is judged by the leader as if it had been asked itself.
    let bad =
        cluster.client.call(http::Method::PUT, &put(follower), &headers[..2], "{".to_owned()).await.expect("answers");
    assert_eq!((bad.status, bad.json()["instance"].clone()), (400, json!("/v1/settings/placement-paused")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_counts_at_every_replica_and_a_revoked_one_at_none() {
    let cluster = three().with("BERTH_OPEN_READS", "false").start().await;
    let (leader, _) = another_leads(&cluster, None).await;
    let follower = (leader + 1) % 3;
    let role = |at: usize| cluster.config_services().nth(at).expect("one of them");
    let body = json!({ "name": "viewer-1", "role": "viewer", "reason": "a story" });
    let made = cluster.admin_post_at(role(follower), "/v1/tokens", &body).await.expect("answers").json();
    let (secret, id) = (made["secret"].as_str().expect("a secret"), made["token"]["id"].as_str().expect("an id"));
    let token = vec![("authorization".to_owned(), format!("Bearer {secret}"))];
    let ask = async |at: usize| {
        let reply = cluster.client.call(http::Method::GET, &role(at).url("/v1/targets"), &token, "").await;
        reply.expect("answers").status
    };
    for at in [follower, (leader + 2) % 3] {
        eventually("it counts everywhere", 60 * SECOND, async || (ask(at).await == 200).then_some(())).await;
    }
    // Only followers were asked since it was made, and the leader knows all the same that it is used.
    let admin = vec![("authorization".to_owned(), format!("Bearer {ADMIN_TOKEN}"))];
    let used = async || {
        let reply = cluster.client.call(http::Method::GET, &role(leader).url("/v1/tokens"), &admin, "").await.ok()?;
        reply.json()["tokens"].as_array()?.iter().find(|token| token["id"] == id)?["used_ms"].as_u64()
    };
    eventually("its use is noted", 60 * SECOND, async || {
        assert_eq!(ask(follower).await, 200);
        used().await
    })
    .await;
    assert_eq!(ask(leader).await, 200);
    let url = role(follower).url(&format!("/v1/tokens/{id}?reason=over"));
    let gone = cluster.client.call(http::Method::DELETE, &url, &admin, "").await.expect("answers");
    assert_eq!(gone.status, 200, "{}", gone.text());
    assert_eq!(
        (ask(leader).await, ask(follower).await),
        (401, 401),
        "at once where it was done and where it was asked"
    );
    eventually("it counts nowhere", 60 * SECOND, async || (ask((leader + 2) % 3).await == 401).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_killed_is_replaced_while_events_go_on() {
    let mut cluster = three().start().await;
    let load = Load::start(&Poster::new(&cluster), 0, 20);
    eventually("every target has its home", 60 * SECOND, async || (load.acknowledged() >= 40).then_some(())).await;
    let (leader, term) = another_leads(&cluster, None).await;
    let before = load.acknowledged();
    load.took();
    cluster.config_service(leader).kill().await;
    let killed = Instant::now();
    let (next, later) = another_leads(&cluster, Some(leader)).await;
    let took = killed.elapsed();
    eprintln!("a killed leader was replaced after {} ms", took.as_millis());
    assert!(next != leader && later > term);
    // First contacts are placed by the new one, through whoever is asked.
    let target = chat(-4_711);
    let other = (0..3).find(|at| *at != leader && *at != next).expect("a third one");
    eventually("a first contact", 60 * SECOND, async || (place(&cluster, other, &target).await == 200).then_some(()))
        .await;
    eventually("events go on", 60 * SECOND, async || (load.acknowledged() > before).then_some(())).await;
    let at_takeover = load.acknowledged();
    through_takeover(took, &load.took());
    let taken = load.finish().await;
    let mut total = 0;
    for (target, ids) in taken {
        let state = cluster_state(&cluster, next, &target).await;
        assert_eq!(state["applied"], ids.len(), "{target}: what was acknowledged was applied once");
        total += ids.len();
    }
    eprintln!("{total} events were acknowledged, {} of them until the takeover", at_takeover);
    // Back again, it follows.
    cluster.config_service(leader).start_again();
    cluster.config_service(leader).ready().await;
    assert_eq!(read(&cluster, leader, &format!("/v1/targets/{target}")).await.0, 200);
    assert_eq!(another_leads(&cluster, None).await, (next, later));
}

/// Prints how long events took while one leader followed another, and keeps that beside what the build keeps.
fn through_takeover(takeover: Duration, took: &[Duration]) {
    let ms =
        |at: usize| took.get(took.len().saturating_sub(1).min(took.len() * at / 100)).map_or(0, Duration::as_millis);
    let found = json!({
        "takeover_ms": takeover.as_millis(), "events": took.len(), "p50_ms": ms(50), "p99_ms": ms(99), "longest_ms": ms(100),
    });
    eprintln!("through a takeover: {found}");
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("takeover.json");
    std::fs::write(&file, found.to_string()).expect("the build's folder can be written");
}

async fn cluster_state(cluster: &Cluster, at: usize, target: &str) -> Value {
    eventually(&format!("the owner of {target} answers"), 60 * SECOND, async || {
        let (status, state) = read(cluster, at, &format!("/v1/targets/{target}/state")).await;
        (status == 200).then_some(state)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_was_paused_changes_nothing_when_it_wakes_up() {
    let mut cluster = three().start().await;
    let (old, term) = another_leads(&cluster, None).await;
    assert_eq!(place(&cluster, old, &chat(-20)).await, 200);
    cluster.config_service(old).pause();
    let paused = Instant::now();
    let (next, later) = another_leads(&cluster, Some(old)).await;
    eprintln!("a paused leader was replaced after {} ms", paused.elapsed().as_millis());
    assert!(later > term);
    let follower = (0..3).find(|at| *at != old && *at != next).expect("a third one");
    assert_eq!(cluster.leader_but(Some(old)).await, Some((next, later)));
    eventually("the new one works", 60 * SECOND, async || {
        (place(&cluster, follower, &chat(-21)).await == 200).then_some(())
    })
    .await;
    // It sleeps past every bound of its own.
    tokio::time::sleep_until(paused + 12 * SECOND).await;
    let url = cluster.config_services().nth(old).expect("it").url("/v1/watch");
    cluster.config_service(old).resume();
    // Asked at once, while it may still believe that it leads: it may know of no pod that is ready, it places nothing.
    let woken = place(&cluster, old, &chat(-22)).await;
    assert!(matches!(woken, 1 | 200 | 503), "{woken}");
    eventually("it follows", 60 * SECOND, async || {
        let status: LeaderStatus = serde_json::from_value(read(&cluster, old, "/v1/leader").await.1).ok()?;
        (status.role == "follower" && status.term.0 == later).then_some(())
    })
    .await;
    // It was told so, or cut off in the middle of what it did: either way it has read everything anew.
    eventually("it says so", 60 * SECOND, async || {
        let role = cluster.config_service(old);
        (role.logged("the term is over, another leads") || role.logged("reading everything anew")).then_some(())
    })
    .await;
    assert_eq!(another_leads(&cluster, None).await, (next, later), "nobody but the new one leads");
    // Whoever watches it hears of what the new one does.
    let mut watch = cluster.client.stream(&url).await.expect("a watch");
    eventually("it takes changes again, and passes them on", 60 * SECOND, async || {
        (place(&cluster, old, &chat(-23)).await == 200).then_some(())
    })
    .await;
    berth_tests::within("its watchers are told", 60 * SECOND, async {
        let mut seen = String::new();
        while !seen.contains(&chat(-23)) {
            seen.push_str(&watch.next().await.expect("the watch goes on"));
        }
    })
    .await;
    // One log, in which every target was placed once.
    for n in [-20, -21, -23] {
        let (_, history) = read(&cluster, next, &format!("/v1/targets/{}/history", chat(n))).await;
        assert_eq!(history["ownerships"].as_array().map(Vec::len), Some(1), "{history}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_steps_down_when_it_is_told_to() {
    let cluster = three().start().await;
    let (old, term) = another_leads(&cluster, None).await;
    let follower = cluster.config_services().nth((old + 1) % 3).expect("a follower");
    let body = json!({ "reason": "its machine is restarted" });
    let tried = cluster.admin_post_at(follower, "/v1/leader/step-down?dry_run=true", &body).await.expect("answers");
    assert_eq!((tried.status, tried.json()["dry_run"].clone()), (200, json!(true)), "{}", tried.text());
    assert_eq!(another_leads(&cluster, None).await, (old, term));
    let asked = Instant::now();
    let down = cluster.admin_post_at(follower, "/v1/leader/step-down", &body).await.expect("answers");
    assert_eq!((down.status, down.json()["term"].clone()), (200, json!(term)), "{}", down.text());
    let (next, later) = another_leads(&cluster, Some(old)).await;
    eprintln!("after a step-down another led within {} ms", asked.elapsed().as_millis());
    assert!(later > term);
    eventually("it follows the new one", 60 * SECOND, async || {
        let status = read(&cluster, old, "/v1/leader").await.1;
        (status["role"] == "follower" && status["term"] == later).then_some(())
    })
    .await;
    let (_, events) = read(&cluster, next, "/v1/events?kind=step-down").await;
    assert_eq!(events["events"][0]["reason"], "its machine is restarted");
    holds_for(3 * SECOND, async || match cluster.leader().await {
        Some(leader) if leader == (next, later) => Ok(()),
        // Nobody was quick enough to say so.
        None => Ok(()),
        other => Err(format!("{other:?} leads")),
    })
    .await;
    let hello = telegram::message(-30, 1, "hello").to_string();
    cluster.post_until_taken(&telegram::signed(&cluster.keys, hello.as_bytes()), 60 * SECOND).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_goes_on_watching_at_another_replica_from_where_it_was() {
    let mut cluster = three().start().await;
    assert_eq!(place(&cluster, 0, &chat(-40)).await, 200);
    // It watches one of them; nobody says which.
    for at in 0..3 {
        cluster.config_service(at).kill().await;
        another_leads(&cluster, Some(at)).await;
        let other = (at + 1) % 3;
        let target = chat(-50 - at as i64);
        eventually("a first contact", 60 * SECOND, async || {
            (place(&cluster, other, &target).await == 200).then_some(())
        })
        .await;
        // It hears of what happens at those that are left.
        let update = 100 + at as u64;
        let hello = telegram::message(-50 - at as i64, update, "hello").to_string();
        cluster.post_until_taken(&telegram::signed(&cluster.keys, hello.as_bytes()), 60 * SECOND).await;
        cluster.config_service(at).start_again();
        cluster.config_service(at).ready().await;
    }
    eventually("its watch went on", 60 * SECOND, async || {
        cluster.routers[0].logged("watching again, from where it was").then_some(())
    })
    .await;
}
