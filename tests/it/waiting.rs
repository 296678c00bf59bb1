//! What a sender feels while the owner is away: a pause when it comes back in time, a sentence or a 503 when it does not,
//! and never a success for what nobody has committed.

use berth_tests::{
    Setup, eventually,
    senders::{discord, github, slack, standard, telegram},
    workload::{Poster, acknowledged, plan},
};
use serde_json::json;
use shared::platform::REFUSAL_TEXT;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::task::JoinSet;

const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_is_told_in_time_when_nobody_can_take_their_command() {
    let mut cluster = Setup { gateways: 1, ..Setup::default() }.with("BERTH_PARK_TELEGRAM", "1s").start().await;
    let keys = cluster.keys.clone();
    let command = discord::command("5", "6", "stats", &json!([])).to_string();
    let button =
        json!({"type": 3, "id": "7", "guild_id": "5", "channel_id": "1", "token": "t", "application_id": "100",
        "authorizing_integration_owners": {"0": "5"}, "data": {"custom_id": "x"}})
        .to_string();
    let slash = slack::command("T5", "tr1", "/stats", "");
    let update = telegram::message(-5, 1, "hello").to_string();
    let repository = json!({"repository": {"id": 5}}).to_string();
    let body = json!({"target": "k5"}).to_string();
    let all = [
        ("a command", discord::signed(&keys, discord::INTERACTIONS, command.as_bytes()), true),
        ("a button", discord::signed(&keys, discord::INTERACTIONS, button.as_bytes()), true),
        ("a slash command", slack::signed_form(&keys, slash.as_bytes()), true),
        ("an event", slack::signed(&keys, slack::message("T5", "Ev5", "x").to_string().as_bytes()), false),
        ("an update", telegram::signed(&keys, update.as_bytes()), false),
        ("a delivery", github::signed(&keys, "push", "d5", repository.as_bytes()), false),
        ("a message", standard::signed(&keys, "m5", body.as_bytes()), false),
    ];
    cluster.gateways[0].kill().await;
    let mut waiting = JoinSet::new();
    for (what, delivery, person) in all.clone() {
        let (client, url) = (cluster.client.clone(), cluster.routers[0].url(&delivery.path));
        waiting.spawn(async move {
            let reply = client.call(http::Method::POST, &url, &delivery.headers, delivery.body).await;
            (what, person, reply.expect("an answer"))
        });
    }
    // How long each is parked is told elsewhere, to the millisecond. Here it is seen in the order of the answers, which no busy
    // machine changes: seven seconds lie between a person's and the first of those that wait longer, and five between those.
    let mut order = Vec::new();
    while let Some(ended) = waiting.join_next().await {
        let (what, person, reply) = ended.expect("a sender ends well");
        let text = reply.text();
        if person {
            assert_eq!(reply.status, 200, "{what}: {text}");
            assert!(text.contains(REFUSAL_TEXT), "{what}: {text}");
            assert!(text.contains(r#""flags":64"#) || text.contains("ephemeral"), "{what}: {text}");
        } else {
            assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")), "{what}: {text}");
        }
        order.push(what);
    }
    assert_eq!(order.split_off(5), ["a delivery", "a message"], "{order:?} came first");
    // Nothing of it was done; the same events are new when they come again.
    cluster.gateways[0].start_again();
    cluster.gateways[0].ready().await;
    let mut again = 0;
    for (_, delivery, _) in all {
        let (_, times) = cluster.post_counted(&delivery, PATIENCE).await;
        again += times - 1;
    }
    let mut duplicates = 0;
    for placed in cluster.targets().await {
        duplicates += cluster.state(placed.target.as_str()).await.expect("the target exists").duplicates;
    }
    assert!(duplicates <= again, "{duplicates} duplicates, and {again} were sent again since the pod is back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_in_order_is_felt_as_a_pause_and_nothing_else() {
    let setup = Setup { gateways: 2, ..Setup::default() }.with("BERTH_PARK_TELEGRAM", "30s");
    let mut cluster = setup.start().await;
    let poster = Poster::new(&cluster);
    let (stop, sent) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
    let mut senders = JoinSet::new();
    // Telegram, Standard Webhooks and GitHub: those that wait longer than a restart takes.
    for i in [0, 2, 3, 5, 7, 8, 10, 12, 13] {
        let (poster, stop, sent) = (poster.clone(), Arc::clone(&stop), Arc::clone(&sent));
        senders.spawn(async move {
            for n in 0.. {
                let planned = plan(&poster.keys, i, n);
                let reply = poster.post(&planned.delivery, 0).await.expect("an answer");
                assert!(acknowledged(&reply), "{} of {}: {} {}", n, planned.target, reply.status, reply.text());
                sent.fetch_add(1, Ordering::SeqCst);
                if stop.load(Ordering::SeqCst) {
                    break;
                }
            }
        });
    }
    let progress = async |more: u64| {
        let from = sent.load(Ordering::SeqCst);
        eventually("events are taken", PATIENCE, async || (sent.load(Ordering::SeqCst) >= from + more).then_some(()))
            .await;
    };
    progress(50).await;
    for n in 0..2 {
        assert!(cluster.gateways[n].stop().await.success());
        cluster.gateways[n].start_again();
        progress(100).await;
    }
    stop.store(true, Ordering::SeqCst);
    while let Some(ended) = senders.join_next().await {
        ended.expect("every event was taken the first time it was sent");
    }
}
