//! A disk that is full, a database that cannot be written: what is not committed is not acknowledged, and all is well
//! again once the disk is.
//!
//! Where this process may mount, a small file system is filled for real. Everywhere, the kernel's limit on the size of
//! files (RLIMIT_FSIZE, with SIGXFSZ ignored) makes each write to the database fail, as a read-only disk does.

use berth_tests::{
    Cluster, Setup, eventually,
    senders::{Delivery, telegram},
    small_disk::SmallDisk,
};
use rustix::process::{Resource, Rlimit, prlimit};
use std::time::Duration;

/// The machine may be busy with much else: nothing here is about how long something takes.
const LONG: Duration = Duration::from_secs(120);

fn message(cluster: &Cluster, update: u64, size: usize) -> Delivery {
    let text = "x".repeat(size);
    telegram::signed(&cluster.keys, telegram::message(-1, update, &text).to_string().as_bytes())
}

/// Sends events until one is refused, then checks that only acknowledged ones are there; gives back how many there are.
async fn refuses(cluster: &Cluster, from: u64, size: usize) -> u64 {
    let mut update = from;
    eventually("an event is refused", LONG, async || {
        let reply = cluster.post(&message(cluster, update, size)).await.expect("an answer");
        match reply.status {
            200 => update += 1,
            other => assert_eq!(other, 503, "{}", reply.text()),
        }
        (reply.status == 503).then_some(())
    })
    .await;
    // What was refused is not applied.
    cluster.applied("telegram:channel:-1", update - 1).await;
    update
}

/// One pod. An event that is refused has waited for its five seconds: what took that long only because the machine stood still
/// would be refused too, and could still be applied.
fn one_pod() -> Setup {
    Setup { gateways: 1, ..Setup::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_cannot_be_written_is_not_acknowledged() {
    let mut cluster = one_pod().prepare();
    cluster.config.ready().await;
    // The limit's signal must be ignored before the program starts; a shell can do that.
    cluster.launch_rest_as(Some(&["sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""]));
    cluster.all_ready().await;
    cluster.post_until_taken(&message(&cluster, 1, 10), LONG).await;
    let pid = cluster.gateways[0].process().pid();
    let whole =
        prlimit(Some(pid), Resource::Fsize, Rlimit { current: Some(0), maximum: None }).expect("a child's limit");
    let next = refuses(&cluster, 2, 10).await;
    prlimit(Some(pid), Resource::Fsize, whole).expect("a child's limit");
    cluster.post_until_taken(&message(&cluster, next, 10), LONG).await;
    assert_eq!(cluster.applied("telegram:channel:-1", next).await.last_event_id, Some(next.to_string()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_acknowledges_nothing_and_recovers() {
    let mut cluster = one_pod().prepare();
    let folder = cluster.pod_folder("gateway-0");
    let Some(disk) = SmallDisk::mount(&folder, 3 << 20) else {
        eprintln!("skipped: this process may not mount a file system; the other story of this file shows the same");
        return;
    };
    cluster.config.ready().await;
    cluster.launch_rest();
    cluster.all_ready().await;
    cluster.post_until_taken(&message(&cluster, 1, 10), LONG).await;
    disk.fill();
    let next = refuses(&cluster, 2, 20_000).await;
    disk.relieve();
    cluster.post_until_taken(&message(&cluster, next, 10), LONG).await;
    assert_eq!(cluster.applied("telegram:channel:-1", next).await.last_event_id, Some(next.to_string()));
    cluster.gateways[0].stop().await;
}
