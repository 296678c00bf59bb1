//! What an operator decides about: events whose handler failed too often, calls that failed or whose outcome nobody knows.

use berth_tests::{
    Cluster, Setup, cluster::ADMIN_TOKEN, eventually, pod_data, role::Program, senders::standard, supervised,
};
use serde_json::{Value, json};
use std::{
    fs,
    process::Output,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
};

/// The machine may be busy with much else: nothing here is about how long something takes.
const LONG: Duration = Duration::from_secs(120);
const TARGET: &str = "webhook:key:shop.k";

fn with_story_bot() -> Setup {
    Setup { gateways: 1, bot: Program::StoryBot, ..Setup::default() }
        .with("BERTH_HANDLER_RETRY", "50ms")
        // An attempt fails because it is told to, and not because the machine stood still meanwhile.
        .with("BERTH_HANDLER_TIMEOUT", "20s")
        .with("BERTH_HANDLER_ATTEMPTS", "2")
}

/// What makes the story bot fail until [`mend`] is called.
fn failing(cluster: &Cluster) -> Value {
    json!({"do": "retry", "until": cluster.folder().join("mended")})
}

fn mend(cluster: &Cluster) {
    fs::write(cluster.folder().join("mended"), "").expect("written");
}

/// Tells the story bot what to do for a target of its own; returns the answer.
async fn tell(cluster: &Cluster, id: &str, name: &str, mut told: Value) -> Value {
    told["target"] = json!(name);
    let delivery = standard::signed(&cluster.keys, id, told.to_string().as_bytes());
    cluster.post_until_taken(&delivery, LONG).await.json()
}

async fn letters(cluster: &Cluster, query: &str) -> Value {
    let reply = cluster.admin(&format!("/v1/dead-letters?{query}")).await.expect("an answer");
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

fn berth(cluster: &Cluster, line: &[&str]) -> Output {
    supervised::run(&[line, &["--config-url", &cluster.config.url(""), "--token", ADMIN_TOKEN]].concat())
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_event_is_shown_runs_when_an_operator_says_so_and_the_audit_knows_who_and_why() {
    let mut cluster = with_story_bot().start().await;
    tell(&cluster, "1", "k", failing(&cluster)).await;
    assert_eq!(tell(&cluster, "2", "k", json!({"do": "nothing"})).await, json!({"handled": 1}), "the next one runs");
    let shown = berth(&cluster, &["event", "list", "--dead", "-o", "name"]);
    assert_eq!(out(&shown), format!("{TARGET}/events/1\n"), "{shown:?}");
    mend(&cluster);
    let path = format!("/v1/dead-letters/{TARGET}/events/1/retry");
    let tried =
        cluster.admin_post(&format!("{path}?dry_run=true"), &json!({"reason": "mended"})).await.expect("an answer");
    assert_eq!((tried.status, &tried.json()["state"]), (200, &json!("accepted")), "{}", tried.text());
    let nameless = cluster.admin_post(&path, &json!({"reason": " "})).await.expect("an answer");
    assert_eq!(nameless.status, 400, "who decides says why");
    let retried = berth(&cluster, &["event", "retry", &format!("{TARGET}/events/1"), "--reason", "mended"]);
    assert!(retried.status.success(), "{retried:?}");
    eventually("it is applied", LONG, async || (cluster.state(TARGET).await?.applied == 2).then_some(())).await;
    assert_eq!(letters(&cluster, "").await["items"], json!([]));
    let again = berth(&cluster, &["event", "retry", &format!("{TARGET}/events/1"), "--reason", "mended"]);
    assert_eq!(again.status.code(), Some(3), "{again:?}");
    let audit = cluster.admin("/v1/events?kind=retry-dead-letter").await.expect("an answer").json();
    let entry = &audit["events"][0];
    assert_eq!((&entry["actor"], &entry["reason"]), (&json!("admin"), &json!("mended")), "{audit}");
    assert_eq!(entry["subject"], format!("{TARGET}/events/1"));
    assert_eq!(audit["events"].as_array().map(Vec::len), Some(1), "what was refused or only tried is not in it");
    cluster.gateways[0].stop().await;
    assert_eq!(pod_data::journal(&cluster.pod_folder("gateway-0"))[TARGET], ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retried_event_that_kill_9_met_before_it_ran_runs_after_the_restart() {
    let mut cluster = with_story_bot().start().await;
    tell(&cluster, "1", "k", failing(&cluster)).await;
    cluster.gateways[0].set("BERTH_HANDLER_RETRY", "60s");
    cluster.gateways[0].kill().await;
    cluster.gateways[0].start_again();
    cluster.gateways[0].ready().await;
    let path = format!("/v1/dead-letters/{TARGET}/events/1/retry");
    eventually("it is retried, and fails once more", LONG, async || {
        let reply = cluster.admin_post(&path, &json!({"reason": "again"})).await.ok()?;
        (reply.status == 200).then_some(())
    })
    .await;
    cluster.gateways[0].kill().await;
    mend(&cluster);
    cluster.gateways[0].start_again();
    eventually("it is applied", LONG, async || {
        let reply = cluster.admin(&format!("/v1/targets/{TARGET}/state")).await.ok()?;
        (reply.json()["applied"] == 1).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_event_is_shown_no_more_and_its_repetition_stays_a_duplicate() {
    let cluster = with_story_bot().start().await;
    let told = failing(&cluster);
    tell(&cluster, "1", "k", told.clone()).await;
    let dropped =
        berth(&cluster, &["event", "drop", &format!("{TARGET}/events/1"), "--reason", "never mind", "-o", "json"]);
    assert!(out(&dropped).contains(r#""state": "dropped""#), "{dropped:?}");
    assert_eq!(letters(&cluster, "").await["items"], json!([]));
    tell(&cluster, "1", "k", told).await;
    let listed = berth(&cluster, &["event", "list", "--target", TARGET]);
    assert!(out(&listed).contains("dropped by admin: never mind"), "{}", out(&listed));
    let names = berth(&cluster, &["event", "list", "--target", TARGET, "-o", "name"]);
    assert_eq!(out(&names), format!("{TARGET}/events/1\n"), "what retry takes");
    assert_eq!(cluster.state(TARGET).await.map(|state| (state.applied, state.duplicates)), Some((0, 1)));
}

/// A host that takes what is sent and says nothing, the first time; later it answers.
async fn forgetful() -> (String, Arc<AtomicUsize>, JoinSet<()>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let host = listener.local_addr().expect("bound").to_string();
    let (seen, mut tasks) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
    let count = Arc::clone(&seen);
    tasks.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4_096];
            let _ = stream.read(&mut request).await;
            if count.fetch_add(1, Ordering::SeqCst) > 0 {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
            }
        }
    });
    (host, seen, tasks)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_of_unknown_outcome_is_made_again_only_when_an_operator_says_so() {
    let (host, seen, _tasks) = forgetful().await;
    let cluster = with_story_bot().with("BERTH_OUTBOX_HOSTS", &host).with("BERTH_OUTBOX_PRIVATE", "true").start().await;
    let call = json!({"id": "greet", "method": "POST", "url": format!("http://{host}/greet"), "body": "hello"});
    tell(&cluster, "1", "k", json!({"do": "call-once", "call": call})).await;
    let letter = eventually("the call is put aside", LONG, async || {
        letters(&cluster, "kind=call").await["items"].get(0).cloned()
    })
    .await;
    assert_eq!(
        (&letter["state"], &letter["id"], &letter["pod"]),
        (&json!("uncertain"), &json!("greet"), &json!("gateway-0"))
    );
    assert_eq!(seen.load(Ordering::SeqCst), 1);
    let retried = berth(&cluster, &["event", "retry", &format!("{TARGET}/calls/1"), "--reason", "nobody was greeted"]);
    assert!(out(&retried).contains("also when it was made before"), "{retried:?}");
    eventually("it is made again", LONG, async || (seen.load(Ordering::SeqCst) == 2).then_some(())).await;
    eventually("nothing is left", LONG, async || (letters(&cluster, "").await["items"] == json!([])).then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_is_away_is_named_and_the_others_letters_are_shown_page_by_page() {
    let mut cluster = Setup { gateways: 2, ..with_story_bot() }.start().await;
    for n in 0..12 {
        tell(&cluster, &n.to_string(), &n.to_string(), failing(&cluster)).await;
    }
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = letters(&cluster, &format!("limit=5{cursor}")).await;
        all.extend(page["items"].as_array().expect("a list").iter().map(|letter| letter["target"].to_string()));
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 12, "each once");
    cluster.gateways[0].kill().await;
    let whole = letters(&cluster, "").await;
    assert_eq!(whole["pods"][0]["pod"], "gateway-0", "{whole}");
    assert!(whole["items"].as_array().is_some_and(|items| items.iter().all(|letter| letter["pod"] == "gateway-1")));
    let listed = berth(&cluster, &["event", "list", "--dead"]);
    assert_eq!(listed.status.code(), Some(8), "partly: {listed:?}");
    assert!(String::from_utf8_lossy(&listed.stderr).contains("gateway-0"), "{listed:?}");
}
