//! How long a pod's targets wait when it and its disk are gone, by the size of its database: from the moment each has another
//! owner until each is served, as numbers for docs/reliability.md; and that a gigabyte is all there.

use berth_tests::{
    Cluster, Setup,
    copied::{Copied, PATIENCE},
    eventually,
    page::{Origin, write_page},
    pod_data,
    process::berth,
    scrape,
    senders::standard,
    workload::{Poster, acknowledged},
};
use serde_json::json;
use shared::wire::control::{Assignment, AssignmentState};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

const LOST: &str = "gateway-1";
const TARGETS: usize = 500;
const SENDERS: usize = 64;
/// What an event brings with it: an ordinary message with what its platform says about it.
const BODY: usize = 4_000;
/// What such an event takes in the database, with its places in journal and inbox.
const ROW: usize = 4_500;
const LOOK: Duration = Duration::from_millis(20);

/// Writes the table. Run it alone, on an idle machine, with optimised binaries.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "numbers for docs/reliability.md; run by hand"]
async fn by_size() {
    let mut table = "| data of the pod | heirs | reassigned after | served after that | of that: the slowest restore | promised |\n|---|---|---|---|---|---|\n".to_owned();
    for heirs in [1, 2] {
        for (megabytes, promised) in [(10, 3), (100, 6), (1_000, 20)] {
            table += &format!("{} ≤ {promised} s |\n", row(megabytes, heirs).await);
            println!("{table}");
        }
    }
    let typed = "cargo test --release -p berth-tests --test it -- --ignored recover::times --nocapture";
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reliability.md");
    write_page(&page, "numbers: lost disks", &Origin::here(&berth(), typed), &table).expect("the page");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes; ./test --long has it"]
async fn a_gigabyte_is_at_the_heir_to_the_last_event() {
    let setup = Setup { gateways: 2, ..Setup::default() };
    let mut one = Copied::start(setup.with("BERTH_ACKNOWLEDGE", "standard=local")).await;
    let sent = fill(&one.cluster, 1_000_000_000).await;
    let bytes = std::fs::metadata(one.cluster.pod_folder(LOST).join("berth.db")).expect("a database").len();
    assert!(bytes > 1_000_000_000, "{bytes} bytes");
    one.lose(&[LOST]).await;
    until(&one.cluster, |all| all.iter().all(|found| found.pod.as_str() != LOST)).await;
    until(&one.cluster, |all| all.iter().all(|found| found.state == AssignmentState::Serving)).await;
    let heir = one.cluster.gateways.iter().find(|role| role.name() != LOST).expect("the heir").name().to_owned();
    one.stop_gateways().await;
    let there = done(&one.cluster.pod_folder(&heir));
    let mut wanted: Vec<_> = (0..sent).map(event).collect();
    wanted.sort_unstable();
    let first = there.iter().zip(&wanted).find(|(there, wanted)| there != wanted);
    assert!(there == wanted, "{} events of {sent} are there; {first:?} is where they part", there.len());
}

/// Returns the ids of all events that a pod has done for targets of its own, sorted, those that are there twice twice.
fn done(folder: &Path) -> Vec<String> {
    let database = pod_data::open(folder);
    let sql = "SELECT j.event_id FROM journal j JOIN target t ON t.id = j.target_id
               WHERE t.state = 'owned' AND j.state = 'done' ORDER BY j.event_id";
    let mut statement = database.prepare(sql).expect("the journal's schema");
    let rows = statement.query_map([], |row| row.get(0)).expect("the journal is readable");
    rows.map(|row| row.expect("a row of the journal")).collect()
}

/// Returns the id of the `i`th event.
fn event(i: usize) -> String {
    format!("m{i}")
}

async fn row(megabytes: usize, heirs: usize) -> String {
    let setup = Setup { gateways: heirs + 1, ..Setup::default() };
    let mut one = Copied::start(setup.with("BERTH_ACKNOWLEDGE", "standard=local")).await;
    fill(&one.cluster, megabytes * 1_000_000).await;
    let bytes = std::fs::metadata(one.cluster.pod_folder(LOST).join("berth.db")).expect("a database").len();
    let mine = one.targets_of(LOST).await.len();
    let began = Instant::now();
    one.lose(&[LOST]).await;
    let heirs = until(&one.cluster, |all| all.iter().all(|found| found.pod.as_str() != LOST)).await;
    let reassigned = began.elapsed();
    until(&one.cluster, |all| all.iter().all(|found| found.state == AssignmentState::Serving)).await;
    let served = began.elapsed() - reassigned;
    let mut restored = 0.0_f64;
    for heir in one.cluster.gateways.iter().filter(|role| role.name() != LOST) {
        let metrics = one.cluster.client.get(&heir.url("/metrics")).await.expect("an heir answers").text();
        restored = restored.max(scrape::sum(&metrics, "berth_restore_milliseconds", &[]) / 1e3);
    }
    format!(
        "| {} MB, {mine} targets | {heirs} | {:.1} s | {:.2} s | {restored:.2} s |",
        bytes / 1_000_000,
        reassigned.as_secs_f64(),
        served.as_secs_f64()
    )
}

/// Gives one pod a database of about that many bytes, events of many targets, and waits until its replica has all of them. Returns
/// how many there are.
async fn fill(cluster: &Cluster, bytes: usize) -> usize {
    let others: Vec<_> = cluster.gateways.iter().map(|role| role.name()).filter(|name| *name != LOST).collect();
    for other in &others {
        mark(cluster, other, "cordon").await;
    }
    let (next, poster) = (Arc::<AtomicUsize>::default(), Poster::new(cluster));
    let mut senders = JoinSet::new();
    for _ in 0..SENDERS {
        let (next, poster) = (Arc::clone(&next), poster.clone());
        senders.spawn(async move {
            loop {
                let i = next.fetch_add(1, Ordering::SeqCst);
                if i * ROW >= bytes {
                    return;
                }
                let body = json!({"target": format!("k{}", i % TARGETS), "text": text(i)}).to_string();
                let delivery = standard::signed(&poster.keys, &event(i), body.as_bytes());
                let taken = timeout(PATIENCE, async {
                    while !poster.post(&delivery, 0).await.is_ok_and(|reply| acknowledged(&reply)) {
                        sleep(LOOK).await;
                    }
                });
                taken.await.expect("it is taken");
            }
        });
    }
    while let Some(ended) = senders.join_next().await {
        ended.expect("a sender ends well");
    }
    for other in &others {
        mark(cluster, other, "uncordon").await;
    }
    let pod = cluster.gateways.iter().find(|role| role.name() == LOST).expect("the pod");
    let metrics = pod.url("/metrics");
    eventually("all of it is in the replica", PATIENCE, async || {
        let text = cluster.client.get(&metrics).await.ok()?.text();
        let behind = scrape::sum(&text, "berth_replication_lag_bytes", &[]);
        (scrape::sum(&text, "berth_replication_syncs_total", &[]) > 0.0 && behind == 0.0).then_some(())
    })
    .await;
    cluster.leases_are_kept(cluster.gateways.len()).await;
    bytes.div_ceil(ROW)
}

async fn mark(cluster: &Cluster, pod: &str, how: &str) {
    let path = format!("/v1/pods/{pod}/{how}");
    let reply = cluster.admin_post(&path, &json!({ "reason": "a number" })).await.expect("answers");
    assert!((200..300).contains(&reply.status), "{path}: {}", reply.text());
}

/// Text that does not compress to nothing, the same each time.
fn text(i: usize) -> String {
    let mut x = i as u64 + 1;
    let mut word = || {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{:x} ", x >> 24)
    };
    let mut text = String::with_capacity(BODY + 16);
    while text.len() < BODY {
        text.push_str(&word());
    }
    text
}

/// Looks at all targets again and again until they are as wanted; returns how many pods have them then.
async fn until(cluster: &Cluster, wanted: impl Fn(&[Assignment]) -> bool) -> usize {
    let deadline = Instant::now() + 2 * PATIENCE;
    loop {
        let all = cluster.targets().await;
        if wanted(&all) {
            let mut pods: Vec<_> = all.iter().map(|found| found.pod.clone()).collect();
            pods.sort_unstable();
            pods.dedup();
            return pods.len();
        }
        assert!(Instant::now() < deadline, "targets are not as they should be in time");
        sleep(LOOK).await;
    }
}
