//! What `local` acknowledgements may cost when a disk is lost, and what they do not: measured with the real Litestream.

use berth_tests::{
    Setup,
    copied::{Copied, PATIENCE},
    eventually,
    litestream::{self, lineage, restored},
    pod_data,
    workload::{Load, Poster, plan},
};
use rustix::process::Signal;
use tokio::time::Instant;

const POD: &str = "gateway-0";

/// One pod under load whose sources are all acknowledged locally.
struct Story {
    copied: Copied,
    load: Load,
    began: Instant,
}

/// What came of it.
struct Loss {
    taken: usize,
    lost: usize,
    /// Events per second.
    rate: f64,
}

impl Story {
    async fn start(senders: u64) -> Self {
        let setup = Setup { gateways: 1, ..Setup::default() }
            .with("BERTH_ACKNOWLEDGE", "standard=local")
            .with("BERTH_DRILL_EVERY", "0s");
        let copied = Copied::start(setup).await;
        // This one waits for an upload. A Litestream that never looked at the database uploads nothing at its end either.
        copied.cluster.post_until_taken(&copied.cluster.message(-1, 1), PATIENCE).await;
        let load = Load::start_with(&Poster::new(&copied.cluster), 0, senders, |keys, i, n| plan(keys, i * 5 + 2, n));
        Self { copied, load, began: Instant::now() }
    }

    async fn takes(&self, more: u64) {
        let enough = self.load.acknowledged() + more;
        eventually("events are acknowledged", PATIENCE, async || (self.load.acknowledged() >= enough).then_some(()))
            .await;
    }

    /// Throws the disk away and counts what is not in the replica. The pod has ended.
    async fn counted(self) -> Loss {
        let rate = self.load.acknowledged() as f64 / self.began.elapsed().as_secs_f64();
        let lineage = lineage(&self.copied.cluster.pod_folder(POD)).expect("prepared");
        let taken = self.load.leave().await;
        std::fs::remove_dir_all(self.copied.cluster.pod_folder(POD)).expect("the disk is gone");
        let copy = restored(&format!("file://{}", self.copied.store().display()), &lineage).await;
        let there = pod_data::seen(copy.path());
        let all = taken.iter().flat_map(|(target, ids)| ids.iter().map(move |id| (target.clone(), id.clone())));
        let lost = all.clone().filter(|event| !there.contains(event)).count();
        Loss { taken: all.count(), lost, rate }
    }
}

/// Pod and Litestream are killed at one blow.
async fn both_are_killed(senders: u64, after: u64) -> Loss {
    let mut story = Story::start(senders).await;
    story.takes(after).await;
    story.copied.kill(&[POD]).await;
    story.counted().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_disk_takes_some_of_what_was_acknowledged_locally_and_nothing_older_than_the_last_upload() {
    let mut story = Story::start(20).await;
    story.takes(700).await;
    let before = story.load.acknowledged();
    // This one waits for an upload, which has everything that was committed before.
    story.copied.cluster.post_until_taken(&story.copied.cluster.message(-1, 2), PATIENCE).await;
    story.takes(700).await;
    story.copied.kill(&[POD]).await;
    let Loss { taken, lost, rate } = story.counted().await;
    println!("{rate:.0} events/s, {taken} acknowledged locally, {lost} of them lost: {:.2} s", lost as f64 / rate);
    assert!(lost as u64 <= taken as u64 - before, "{lost} of {taken} are lost, and {before} were uploaded");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "numbers for docs/replication.md; run by hand, on an idle machine"]
async fn measured() {
    for senders in [4, 20, 60] {
        let mut all = Vec::new();
        for round in 0..5 {
            let Loss { taken, lost, rate } = both_are_killed(senders, 1_000 + 137 * round).await;
            println!("{senders} senders, {rate:.0} events/s: {lost} of {taken} lost, {:.2} s", lost as f64 / rate);
            all.push(lost);
        }
        all.sort_unstable();
        println!("{senders} senders: {all:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_litestream_that_outlives_its_pod_uploads_the_rest_before_the_disk_goes() {
    let mut story = Story::start(20).await;
    story.takes(800).await;
    story.copied.cluster.gateways[0].kill().await;
    // Whoever takes the machine away stops what still runs on it.
    story.copied.litestream(POD).signal(Signal::TERM);
    assert!(story.copied.litestream(POD).end(PATIENCE).await.success());
    let Loss { taken, lost, .. } = story.counted().await;
    assert_eq!(lost, 0, "of {taken}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_litestream_that_is_killed_alone_costs_nothing_once_another_one_runs() {
    let mut story = Story::start(20).await;
    story.takes(500).await;
    story.copied.litestream(POD).kill().await;
    story.takes(500).await;
    let mut another = litestream::beside(&story.copied.cluster, POD);
    let folder = story.copied.cluster.pod_folder(POD);
    let (socket, database) = (folder.join("litestream.sock"), folder.join("berth.db"));
    eventually("another one runs", PATIENCE, async || litestream::sync(&socket, &database).await.then_some(())).await;
    story.takes(100).await;
    assert!(story.copied.cluster.gateways[0].stop_within(PATIENCE).await.success());
    another.signal(Signal::TERM);
    another.end(PATIENCE).await;
    let Loss { taken, lost, .. } = story.counted().await;
    assert_eq!(lost, 0, "of {taken}");
}
