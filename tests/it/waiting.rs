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
use tokio::{task::JoinSet, time::Instant};

const SECOND: Duration = Duration::from_secs(1);

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
        ("a command", discord::signed(&keys, discord::INTERACTIONS, command.as_bytes()), Some(3)),
        ("a button", discord::signed(&keys, discord::INTERACTIONS, button.as_bytes()), Some(3)),
        ("a slash command", slack::signed_form(&keys, slash.as_bytes()), Some(3)),
        ("an event", slack::signed(&keys, slack::message("T5", "Ev5", "x").to_string().as_bytes()), None),
        ("an update", telegram::signed(&keys, update.as_bytes()), None),
        ("a delivery", github::signed(&keys, "push", "d5", repository.as_bytes()), None),
        ("a message", standard::signed(&keys, "m5", body.as_bytes()), None),
    ];
    cluster.gateways[0].kill().await;
    let mut waiting = JoinSet::new();
    for (what, delivery, person) in all.clone() {
        let (client, url) = (cluster.client.clone(), cluster.routers[0].url(&delivery.path));
        waiting.spawn(async move {
            let sent = Instant::now();
            let reply = client.call(http::Method::POST, &url, &delivery.headers, delivery.body).await;
            (what, person, reply.expect("an answer"), sent.elapsed())
        });
    }
    while let Some(ended) = waiting.join_next().await {
        let (what, person, reply, took) = ended.expect("a sender ends well");
        let text = reply.text();
        match person {
            Some(deadline) => {
                assert!(took < deadline * SECOND, "{what} was answered after {took:?}");
                assert_eq!(reply.status, 200, "{what}: {text}");
                assert!(text.contains(REFUSAL_TEXT), "{what}: {text}");
                assert!(text.contains(r#""flags":64"#) || text.contains("ephemeral"), "{what}: {text}");
            }
            None => {
                assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")), "{what}: {text}");
                assert!(took < 16 * SECOND, "{what} was answered after {took:?}");
            }
        }
    }
    // Nothing of it was done; the same events are new when they come again.
    cluster.gateways[0].start_again();
    cluster.gateways[0].ready().await;
    for (what, delivery, _) in all {
        let reply = cluster.post_until_taken(&delivery, 20 * SECOND).await;
        assert!(acknowledged(&reply), "{what}: {}", reply.text());
    }
    for placed in cluster.targets().await {
        let state = cluster.state(placed.target.as_str()).await.expect("the target exists");
        assert_eq!(state.duplicates, 0, "{}", placed.target);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_in_order_is_felt_as_a_pause_and_nothing_else() {
    let mut cluster = Setup { gateways: 2, ..Setup::default() }.start().await;
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
        eventually("events are taken", 30 * SECOND, async || {
            (sent.load(Ordering::SeqCst) >= from + more).then_some(())
        })
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
