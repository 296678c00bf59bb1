//! `kill -9` of each role in turn while events arrive. What was acknowledged is there, once, in order.

use berth_tests::{
    Cluster, Setup, eventually, pod_data,
    postgres::Postgres,
    workload::{Load, Poster},
};
use std::{collections::BTreeMap, time::Duration};

const TARGETS: u64 = 20;
/// The machine may be busy with much else: nothing here is about how long something takes.
const LONG: Duration = Duration::from_secs(180);

/// Waits until the load has had `more` events acknowledged.
async fn progress(load: &Load, more: u64, when: &str) {
    let from = load.acknowledged();
    eventually(&format!("{more} events are acknowledged {when}"), LONG, async || {
        (load.acknowledged() >= from + more).then_some(())
    })
    .await;
}

/// Compares what senders were promised with what the pods say and what lies in their databases.
async fn settle(mut cluster: Cluster, promised: BTreeMap<String, Vec<String>>) {
    cluster.all_ready().await;
    for (target, events) in &promised {
        cluster.applied(target, events.len() as u64).await;
    }
    for gateway in &mut cluster.gateways {
        gateway.stop().await;
    }
    let folders: Vec<_> = cluster.gateways.iter().map(|role| cluster.pod_folder(role.name())).collect();
    let accepted = pod_data::accepted(&folders);
    for (target, events) in &promised {
        assert_eq!(accepted.get(target), Some(events), "{target}: each acknowledged event once, in order");
    }
    assert_eq!(accepted.len(), promised.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_kill_9_of_each_gateway() {
    let mut cluster = Setup::default().start().await;
    let load = Load::start(&Poster::new(&cluster), 0, TARGETS);
    progress(&load, 100, "at first").await;
    for n in 0..cluster.gateways.len() {
        cluster.gateways[n].kill().await;
        progress(&load, 20, "while a gateway is down").await;
        cluster.gateways[n].start_again();
        cluster.gateways[n].ready().await;
        progress(&load, 100, "after its return").await;
    }
    settle(cluster, load.finish().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_kill_9_of_the_config_service() {
    kill_the_config_service(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_kill_9_of_the_config_service_on_postgresql() {
    let postgres = Postgres::start().await;
    kill_the_config_service(Some(postgres.database().await)).await;
}

async fn kill_the_config_service(store: Option<String>) {
    let mut cluster = Setup { store, ..Setup::default() }.start().await;
    let poster = Poster::new(&cluster);
    let load = Load::start(&poster, 0, TARGETS);
    progress(&load, 100, "at first").await;
    cluster.config.kill().await;
    progress(&load, 100, "for known targets while the config-service is down").await;
    let first_contacts = Load::start(&poster, 1_000, 5);
    cluster.config.start_again();
    cluster.config.ready().await;
    progress(&first_contacts, 20, "for targets met while it was down").await;
    progress(&load, 100, "after its return").await;
    let (known, met_meanwhile) = (load.finish().await, first_contacts.finish().await);
    settle(cluster, known.into_iter().chain(met_meanwhile).collect()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_kill_9_of_an_http_service() {
    let mut cluster = Setup { routers: 2, ..Setup::default() }.start().await;
    let load = Load::start(&Poster::new(&cluster), 0, TARGETS);
    progress(&load, 100, "at first").await;
    for n in 0..cluster.routers.len() {
        cluster.routers[n].kill().await;
        progress(&load, 50, "through the other one").await;
        cluster.routers[n].start_again();
        cluster.routers[n].ready().await;
        progress(&load, 100, "after its return").await;
    }
    settle(cluster, load.finish().await).await;
}
