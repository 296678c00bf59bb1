//! The page in a real browser: every state it can be in, without a fault in either theme, on a phone or a desk.

use berth_tests::{
    Cluster, Setup,
    browser::{Browser, Visit},
    eventually,
    postgres::Postgres,
    senders::telegram,
};
use serde_json::{Value, json};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// A pod that exists only as far as the control plane knows.
async fn register(cluster: &Cluster, pod: &str, zone: &str, version: &str) -> Value {
    let body = json!({
        "hello": {"min": 1, "max": 1}, "pod": pod, "incarnation": "0190163d-8694-739b-aea5-966c26f8ad42",
        "address": "127.0.0.1:1", "zone": zone, "capacity": 1.0, "schema": 1, "version": version, "highest_epoch": 0,
    });
    let reply = cluster.service_post("/v1/pods/register", &body).await.expect("answers");
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

async fn beat(cluster: &Cluster, pod: &str, registered: &Value) {
    let body = json!({
        "incarnation": "0190163d-8694-739b-aea5-966c26f8ad42", "lease_id": registered["lease_id"], "nonce": 1,
        "load": {"targets": 0, "events_per_second": 1234.5, "bytes": 9_876_543_210_u64}, "revision": 0,
    });
    let reply = cluster.service_post(&format!("/v1/pods/{pod}/heartbeat"), &body).await.expect("answers");
    assert_eq!(reply.status, 200, "{}", reply.text());
}

async fn place(cluster: &Cluster, targets: &[String]) {
    for some in targets.chunks(5_000) {
        let wanted: Vec<_> = some.iter().map(|target| json!({"target": target})).collect();
        let reply = cluster.service_post("/v1/targets/place", &json!({"targets": wanted})).await.expect("answers");
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
}

/// The page's text shows that it has come so far.
async fn says(cluster: &Cluster, text: &str) {
    eventually(&format!("the page says {text:?}"), 120 * SECOND, async || {
        let reply = cluster.client.get(&cluster.config.url("/")).await.ok()?;
        reply.text().contains(text).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_from_empty_to_broken_is_shown_without_a_fault() {
    let mut browser = Browser::start();
    // A pod that dies is to be seen while it is away, not when others have what it had.
    let mut cluster = Setup { gateways: 2, ..Setup::default() }.with("BERTH_FENCE_AFTER", "600s").prepare();
    cluster.config.ready().await;
    let overview = cluster.config.url("/");
    let seen = browser.visit(Visit::new("empty", overview.clone())).await;
    assert!(seen.text.contains("No pod has registered yet."), "{}", seen.text);
    cluster.launch_rest();
    cluster.all_ready().await;
    let hello = telegram::message(-1001, 1, "hello").to_string();
    cluster.post_until_taken(&telegram::signed(&cluster.keys, hello.as_bytes()), 20 * SECOND).await;
    let owner = cluster.owner("telegram:channel:-1001").await;
    let seen = browser.visit(Visit::new("healthy", overview.clone())).await;
    assert!(seen.text.contains("All 2 pods are ready and serve 1 target."), "{}", seen.text);
    // Somebody looks for a target: the form leads to the answer, and the answer to the target.
    let search = Visit::new("found", overview.clone()).fill("#q", "-1001").click(".search button");
    let seen = browser.visit(search).await;
    assert!(seen.text.contains(&format!("telegram:channel:-1001 is at {owner} since ")), "{}", seen.text);
    let target = Visit::new("target", overview.clone()).fill("#q", "-1001").click(".search button").click(".answer a");
    let seen = browser.visit(target).await;
    assert!(seen.title.starts_with(&format!("telegram:channel:-1001 at {owner}, ready")), "{}", seen.title);
    assert!(seen.text.contains("Events applied\n1"), "{}", seen.text);
    browser.visit(Visit::new("pod", cluster.config.url(&format!("/pods/{owner}")))).await;
    browser.visit(Visit::new("targets", cluster.config.url("/targets"))).await;
    browser.visit(Visit::new("plans", cluster.config.url("/plans"))).await;
    let gone = Visit::new("no-such-target", cluster.config.url("/targets/discord:guild:404")).status(404);
    browser.visit(gone).await;
    cluster.gateway(&owner).kill().await;
    says(&cluster, "is away, its lease is over").await;
    let seen = browser.visit(Visit::new("degraded", overview)).await;
    assert!(seen.text.contains("1 of 2 pods are ready; 1 of 1 target waits"), "{}", seen.text);
    let away = cluster.config.url("/targets/telegram:channel:-1001");
    let seen = browser.visit(Visit::new("target-away", away)).await;
    assert!(seen.text.contains("does not answer"), "{}", seen.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_names_and_ten_thousand_targets_are_shown_as_text_and_in_pages() {
    let mut browser = Browser::start();
    // These pods beat once; they are to stay ready while targets are placed.
    let setup = Setup { gateways: 0, routers: 0, ..Setup::default() };
    let mut cluster = setup.with("BERTH_HEARTBEAT", "60s").with("BERTH_LEASE", "300s").prepare();
    cluster.config.ready().await;
    let script = "<script>alert(1)</script>";
    let long = "x".repeat(128);
    for (pod, zone, version) in [
        ("gateway-0", script, "\"><img/src=x/onerror=alert(1)>"),
        ("gateway-1", "'\"--></style></title><svg/onload=alert(1)>", "${7*7}{{7*7}}%00&lt;"),
        ("gateway-10", long.as_str(), long.as_str()),
    ] {
        let registered = register(&cluster, pod, zone, version).await;
        beat(&cluster, pod, &registered).await;
    }
    let mut targets: Vec<_> = (0..10_000).map(|n| format!("discord:guild:{n:05}")).collect();
    targets.push(format!("webhook:key:{}", "y".repeat(128)));
    place(&cluster, &targets).await;
    let seen = browser.visit(Visit::new("ten-thousand", cluster.config.url("/"))).await;
    assert!(seen.text.contains(script) && seen.text.contains("10,001 targets"), "{}", seen.text);
    let long = cluster.config.url(&format!("/targets/webhook:key:{}", "y".repeat(128)));
    browser.visit(Visit::new("long-target", long)).await;
    let next = Visit::new("next-page", cluster.config.url("/targets")).click(".pages a").one_theme();
    let seen = browser.visit(next).await;
    assert!(seen.text.contains("From the beginning"), "{}", seen.text);
    // What may not run here is tried in the markup itself by config-service's own tests; these are seen by a browser.
    let asked = [
        "\"><script>alert(1)</script>",
        "' autofocus onfocus=alert(1) x='",
        "\u{202e}\u{2066}dliug:drocsid \u{5e9}\u{5dc}",
    ];
    for (n, asked) in asked.into_iter().enumerate() {
        let visit = Visit::new(&format!("hostile-{n}"), cluster.config.url("/")).fill("#q", asked).one_theme();
        let seen = browser.visit(visit.click(".search button")).await;
        assert!(seen.text.contains("No target and no pod"), "{asked}: {}", seen.text);
    }
    let name = "%3Cscript%3Ealert(1)%3C%2Fscript%3E";
    for place in ["targets", "pods"] {
        browser
            .visit(Visit::new("hostile-name", cluster.config.url(&format!("/{place}/{name}"))).status(404).one_theme())
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_without_a_token_is_asked_for_one_in_the_browser_too() {
    let mut browser = Browser::start();
    let setup = Setup { gateways: 0, routers: 0, ..Setup::default() };
    let mut cluster = setup.prepare();
    cluster.config.ready().await;
    cluster.config.stop().await;
    cluster.config.set("BERTH_OPEN_READS", "false");
    cluster.config.start_again();
    cluster.config.ready().await;
    let seen = browser.visit(Visit::new("sign-in", cluster.config.url("/targets"))).await;
    assert!(seen.title.starts_with("Sign in"), "{}", seen.title);
    let token = |name: &str, token: &str| {
        Visit::new(name, cluster.config.url("/targets")).fill("#token", token).click(".sign-in button")
    };
    let seen = browser.visit(token("wrong-token", "wrong").status(403)).await;
    assert!(seen.text.contains("This token is not valid here."), "{}", seen.text);
    let seen = browser.visit(token("signed-in", berth_tests::cluster::ADMIN_TOKEN)).await;
    assert!(seen.title.starts_with("Targets") && seen.text.contains("Sign out"), "{}", seen.text);
    let seen = browser.visit(token("signed-out", berth_tests::cluster::ADMIN_TOKEN).click("button.quiet")).await;
    assert!(seen.title.starts_with("Sign in"), "{}", seen.title);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_is_drained_in_the_browser_after_it_was_said_what_that_means() {
    let mut browser = Browser::start();
    let mut cluster = Setup { gateways: 2, ..Setup::default() }.prepare();
    cluster.config.ready().await;
    cluster.launch_rest();
    cluster.all_ready().await;
    let hello = telegram::message(-1001, 1, "hello").to_string();
    cluster.post_until_taken(&telegram::signed(&cluster.keys, hello.as_bytes()), 60 * SECOND).await;
    let owner = cluster.owner("telegram:channel:-1001").await;
    let pod = cluster.config.url(&format!("/pods/{owner}"));
    let seen = browser.visit(Visit::new("asks-for-sign-in", pod).click(".deeds a")).await;
    assert!(seen.text.contains("You cannot do this here: sign in with a token of role operator"), "{}", seen.text);
    let door = cluster.config.url(&format!("/sign-in?next=/do/pod/{owner}/drain"));
    let signed_in = |name: &str| {
        let visit = Visit::new(name, door.clone()).fill("#token", berth_tests::cluster::ADMIN_TOKEN);
        visit.click(".sign-in button")
    };
    let seen = browser.visit(signed_in("drain-asked")).await;
    assert!(seen.title.starts_with(&format!("Drain {owner}")), "{}", seen.title);
    assert!(seen.text.contains(&format!("Everything moves away from {owner}: 1 target.")), "{}", seen.text);
    assert!(seen.text.contains("Where 1 target would go"), "{}", seen.text);
    // Seen more than once, it is done more than once: a drain that stands is a drain.
    let drain = signed_in("drain-done").fill("#reason", "a story").click(".deed button").one_theme();
    let seen = browser.visit(drain).await;
    assert!(seen.title.starts_with(&owner), "{}", seen.title);
    eventually("it is drained", 180 * SECOND, async || {
        let status = cluster.admin(&format!("/v1/pods/{owner}")).await.ok()?.json();
        (status["state"] == "drained").then_some(())
    })
    .await;
    assert_ne!(cluster.owner("telegram:channel:-1001").await, owner);
    let audit = cluster.admin("/v1/events?kind=drain").await.expect("answers").json();
    assert_eq!((&audit["events"][0]["actor"], &audit["events"][0]["reason"]), (&json!("admin"), &json!("a story")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_and_a_silent_database_have_their_own_words() {
    let mut browser = Browser::start();
    let mut postgres = Postgres::start().await;
    let store = postgres.database().await;
    // On a busy machine a term of two seconds may end, and the two change places.
    let alone = Setup { gateways: 0, routers: 0, ..Setup::default() }.with("BERTH_LEADER_LEASE", "15s");
    let mut leader = Setup { store: Some(store.clone()), ..alone.clone() }.prepare();
    leader.config.ready().await;
    let follower = Setup { store: Some(store), ..alone.clone() }.prepare();
    says(&follower, "stands by").await;
    let seen = browser.visit(Visit::new("follower", follower.config.url("/"))).await;
    assert!(seen.text.contains(&format!("127.0.0.1:{} leads.", leader.config.port())), "{}", seen.text);
    // What only the leader knows is shown as the leader shows it.
    let seen = browser.visit(Visit::new("follower-targets", follower.config.url("/targets"))).await;
    assert!(seen.title.starts_with("Targets"), "{}", seen.title);
    postgres.halt();
    says(&leader, "The database does not answer").await;
    browser.visit(Visit::new("silent-database", leader.config.url("/"))).await;
    let nowhere = "postgres://berth@127.0.0.1:1/nowhere".to_owned();
    let lost = Setup { store: Some(nowhere), ..alone }.prepare();
    says(&lost, "the store cannot be reached").await;
    let seen = browser.visit(Visit::new("no-leader", lost.config.url("/")).status(503)).await;
    assert!(seen.title.starts_with("No leader"), "{}", seen.title);
    postgres.resume().await;
}
