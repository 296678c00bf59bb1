//! Many routers meet a target that nobody has heard of, at once.

use berth_tests::{Setup, pod_data, postgres::Postgres, senders::telegram};
use shared::Epoch;
use std::sync::Arc;
use tokio::{sync::Barrier, task::JoinSet};

const ROUTERS: u64 = 20;
const ROUNDS: i64 = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_routers_first_contacts_of_one_target_give_it_one_owner_and_one_epoch() {
    twenty_routers_meet(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_routers_first_contacts_of_one_target_give_it_one_owner_on_postgresql_too() {
    let postgres = Postgres::start().await;
    twenty_routers_meet(Some(postgres.database().await)).await;
}

async fn twenty_routers_meet(store: Option<String>) {
    let setup = Setup { routers: ROUTERS as usize, store, ..Setup::default() };
    // Twenty routers and three pods may have to share one processor.
    let mut cluster = setup.with("BERTH_PARK_TELEGRAM", "50s").start().await;
    for round in 0..ROUNDS {
        let chat = -5_000 - round;
        let together = Arc::new(Barrier::new(ROUTERS as usize));
        let mut first_contacts = JoinSet::new();
        for router in 0..ROUTERS {
            let body = telegram::message(chat, 1_000 + router, "hello").to_string();
            let delivery = telegram::signed(&cluster.keys, body.as_bytes());
            let url = cluster.routers[router as usize].url(&delivery.path);
            let (client, together) = (cluster.client.clone(), Arc::clone(&together));
            first_contacts.spawn(async move {
                together.wait().await;
                client.call(http::Method::POST, &url, &delivery.headers, delivery.body).await
            });
        }
        while let Some(reply) = first_contacts.join_next().await {
            let reply = reply.expect("a sender ends well").expect("every router answers");
            assert_eq!(reply.status, 200, "{}", reply.text());
        }
        let target = format!("telegram:channel:{chat}");
        let placed: Vec<_> = cluster.targets().await.into_iter().filter(|row| row.target.as_str() == target).collect();
        assert_eq!(placed.len(), 1, "{placed:?}");
        let state = cluster.applied(&target, ROUTERS).await;
        assert_eq!(state.duplicates, 0);
        assert_eq!((state.pod, state.epoch), (placed[0].pod.clone(), placed[0].epoch));
        let issued = state.epoch.0 & ((1 << Epoch::COUNTER_BITS) - 1);
        assert!(issued <= round as u64 + 1, "epoch {issued} for target {round}: more epochs than targets were issued");
    }
    let mut folders = Vec::new();
    for gateway in &mut cluster.gateways {
        gateway.stop().await;
    }
    for gateway in &cluster.gateways {
        folders.push(cluster.pod_folder(gateway.name()));
    }
    let accepted = pod_data::accepted(&folders);
    assert_eq!(accepted.len(), ROUNDS as usize, "no other pod wrote a row of theirs");
    assert!(accepted.values().all(|events| events.len() == ROUTERS as usize), "{accepted:?}");
}
