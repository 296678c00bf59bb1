//! A store that fails for a while, under load: nothing is acknowledged that is not there, all of it goes on by itself, and nothing
//! is done twice. And a disk that is full beside Litestream.

use super::{Kind, LONG, Story, on};
use berth_tests::{
    eventually, pod_data, scrape,
    small_disk::SmallDisk,
    store::Store,
    store_proxy::{Does, To, Verb},
    workload::{Load, Poster, plan},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};
use tokio::time::Instant;

const POD: &str = "gateway-0";
const SECOND: Duration = Duration::from_secs(1);
/// Everything waits for the store, and patience is short.
const ALL_WAIT: &[(&str, &str)] = &[
    ("BERTH_ACKNOWLEDGE", "discord=replicated"),
    ("BERTH_REPLICATION_PATIENCE", "1s"),
    ("BERTH_REPLICATION_TIMEOUT", "2s"),
    ("BERTH_REPLICATION_RATE", "20"),
];

on! {
    [moto: Moto, s3s_fs: S3sFs] a_store_that_answers_500_for_a_while_loses_nothing_that_was_acknowledged,
    [moto: Moto, s3s_fs: S3sFs] a_connection_that_is_cut_after_each_upload_loses_nothing_and_does_nothing_twice,
    [moto: Moto, s3s_fs: S3sFs] a_store_that_is_gone_for_a_while_loses_nothing_that_was_acknowledged,
    [moto: Moto, s3s_fs: S3sFs] a_slow_store_makes_acknowledgements_late_and_groups_them,
    [moto: Moto] with_degrade_a_store_that_is_gone_is_said_loudly_and_everything_is_served,
    [s3s_fs: S3sFs] a_store_that_is_killed_and_comes_back_has_what_was_acknowledged,
    [moto: Moto] a_full_disk_beside_litestream_acknowledges_nothing_and_all_goes_on_when_there_is_room,
}

async fn a_store_that_answers_500_for_a_while_loses_nothing_that_was_acknowledged(kind: Kind) {
    outage(kind, To::All, Does::Answers(500), SECOND).await;
}

async fn a_connection_that_is_cut_after_each_upload_loses_nothing_and_does_nothing_twice(kind: Kind) {
    outage(kind, To::Only(Verb::Put), Does::CutAfter, SECOND).await;
}

async fn a_store_that_is_gone_for_a_while_loses_nothing_that_was_acknowledged(kind: Kind) {
    outage(kind, To::All, Does::Gone, SECOND).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes; ./test --long has it"]
async fn a_store_that_is_gone_for_a_minute_loses_nothing_that_was_acknowledged() {
    outage(Kind::Moto, To::All, Does::Gone, 60 * SECOND).await;
}

/// Load, trouble until long after patience is over, an end of the trouble; then the disk is thrown away.
async fn outage(kind: Kind, to: To, does: Does, length: Duration) {
    let story = Story::start(kind, 1, ALL_WAIT).await;
    let load = Load::start(&Poster::new(&story.cluster), 0, 20);
    reaches(&load, 60).await;
    story.store.proxy().now(to, does);
    story.stands(0, "closed").await;
    // What was on its way when it closed has been answered by now, and nothing else is.
    let before = load.acknowledged();
    let until = Instant::now() + length;
    while Instant::now() < until {
        tokio::time::sleep(SECOND / 5).await;
        assert_eq!(load.acknowledged(), before, "acknowledged while nothing could be uploaded");
    }
    story.store.proxy().well();
    story.stands(0, "replicating").await;
    reaches(&load, before + 60).await;
    recovered(story, load.finish().await).await;
}

/// Ends the pod, throws the disk away, and looks whether all that was acknowledged is in the store.
async fn recovered(mut story: Story, acknowledged: BTreeMap<String, Vec<String>>) {
    let lineage = story.lineage(POD);
    story.kill(POD).await;
    let accepted = pod_data::accepted(&[story.cluster.pod_folder(POD)]);
    for (target, ids) in &acknowledged {
        assert_eq!(accepted.get(target), Some(ids), "{target}: each once, in order");
    }
    std::fs::remove_dir_all(story.cluster.pod_folder(POD)).expect("the disk is gone");
    let there = story.seen_in(&lineage).await;
    let all = acknowledged.into_iter().flat_map(|(target, ids)| ids.into_iter().map(move |id| (target.clone(), id)));
    let lost: Vec<_> = all.filter(|event| !there.contains(event)).collect();
    assert!(lost.is_empty(), "acknowledged, and not in the store: {lost:?}");
}

async fn reaches(load: &Load, count: u64) {
    eventually(&format!("{count} events are acknowledged"), LONG, async || {
        (load.acknowledged() >= count).then_some(())
    })
    .await;
}

async fn a_slow_store_makes_acknowledgements_late_and_groups_them(kind: Kind) {
    let settings = [("BERTH_ACKNOWLEDGE", "discord=replicated"), ("BERTH_REPLICATION_RATE", "20")];
    let story = Story::start(kind, 1, &settings).await;
    let load = Load::start(&Poster::new(&story.cluster), 0, 20);
    reaches(&load, 60).await;
    for by in [40, 400] {
        let by = Duration::from_millis(by);
        story.store.proxy().now(To::All, Does::Slow(by));
        // Those that were sent before are no measure.
        reaches(&load, load.acknowledged() + 40).await;
        load.took();
        let (uploads, count) = (story.store.proxy().count(Verb::Put), load.acknowledged());
        reaches(&load, count + 60).await;
        let took = load.took();
        // The upload, then the look at the seal: both take so long.
        assert!(took.iter().all(|took| *took >= 2 * by), "{took:?} with a store that takes {by:?}");
        let uploads = story.store.proxy().count(Verb::Put) - uploads;
        assert!(uploads < 60, "{uploads} uploads for 60 events");
    }
    recovered(story, load.finish().await).await;
}

async fn with_degrade_a_store_that_is_gone_is_said_loudly_and_everything_is_served(kind: Kind) {
    let settings = [ALL_WAIT, &[("BERTH_REPLICATION_DEGRADE", "true")]].concat();
    let story = Story::start(kind, 1, &settings).await;
    let load = Load::start(&Poster::new(&story.cluster), 0, 10);
    reaches(&load, 20).await;
    story.store.proxy().now(To::All, Does::Gone);
    story.stands(0, "degraded").await;
    reaches(&load, load.acknowledged() + 20).await;
    assert!(story.cluster.gateways[0].logged("a lost disk loses what was acknowledged"), "it is said");
    let ready = story.cluster.client.get(&story.cluster.gateways[0].url("/readyz")).await.expect("it answers");
    assert!(ready.status == 200 && ready.text().contains("--replication-degrade"), "{ready:?}");
    story.store.proxy().well();
    story.stands(0, "replicating").await;
    reaches(&load, load.acknowledged() + 20).await;
    // What is acknowledged while it stands degraded, again perhaps, is safe once the replica has it.
    let acknowledged = load.finish().await;
    eventually("the replica has all of it", LONG, async || {
        let metrics = story.metrics(0).await;
        let replicating = scrape::sum(&metrics, "berth_replication_state", &[("state", "replicating")]) > 0.0;
        (replicating && scrape::sum(&metrics, "berth_replication_lag_bytes", &[]) == 0.0).then_some(())
    })
    .await;
    recovered(story, acknowledged).await;
}

async fn a_store_that_is_killed_and_comes_back_has_what_was_acknowledged(kind: Kind) {
    let mut story = Story::start(kind, 1, ALL_WAIT).await;
    let load = Load::start(&Poster::new(&story.cluster), 0, 20);
    reaches(&load, 100).await;
    story.store.kill().await;
    story.stands(0, "closed").await;
    story.store.start_again().await;
    story.stands(0, "replicating").await;
    reaches(&load, load.acknowledged() + 60).await;
    recovered(story, load.finish().await).await;
}

async fn a_full_disk_beside_litestream_acknowledges_nothing_and_all_goes_on_when_there_is_room(kind: Kind) {
    let mut disk = None;
    let store = Store::start(kind).await;
    let story = Story::start_with(store, 1, ALL_WAIT, |cluster| {
        disk = SmallDisk::mount(&cluster.pod_folder(POD), 24 << 20);
    })
    .await;
    let Some(disk) = disk else {
        eprintln!("skipped: this process may not mount a file system");
        return;
    };
    let load = Load::start(&Poster::new(&story.cluster), 0, 20);
    reaches(&load, 60).await;
    disk.fill();
    // Whoever is at the last page: the pod commits nothing, or Litestream uploads nothing. Neither is acknowledged.
    let lone = plan(&story.cluster.keys, 1_002, 1);
    eventually("an event is refused", LONG, async || {
        let reply = story.cluster.post(&lone.delivery).await.ok()?;
        (reply.status == 503).then_some(())
    })
    .await;
    disk.relieve();
    reaches(&load, load.acknowledged() + 60).await;
    let acknowledged = load.finish().await;
    let lineage = story.lineage(POD);
    let mut story = story;
    story.kill(POD).await;
    assert_whole(&story.cluster.pod_folder(POD), &acknowledged.keys().cloned().collect());
    let there = story.seen_in(&lineage).await;
    let missing = |(target, ids): &(&String, &Vec<String>)| {
        ids.iter().any(|id| !there.contains(&((*target).clone(), id.clone())))
    };
    let lost: Vec<_> = acknowledged.iter().filter(missing).collect();
    assert!(lost.is_empty(), "acknowledged, and not in the store: {lost:?}");
    drop(disk);
}

fn assert_whole(folder: &Path, targets: &BTreeSet<String>) {
    let accepted = pod_data::accepted(&[folder]);
    assert!(targets.iter().all(|target| accepted.contains_key(target)), "{:?}", accepted.keys());
}
