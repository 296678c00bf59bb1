//! Pods that are gone with their disks while senders go on: every event that was acknowledged as replicated comes back at the heirs,
//! once and in order, and so do all that were under way. With the real Litestream.

use berth_tests::{
    Setup,
    copied::{Copied, PATIENCE},
    double::PlatformDouble,
    eventually,
    ledger::{ByTarget, arrived, calls, calls_once, reckon, with_calls},
    role::Program,
    workload::{Load, Poster},
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use tokio::time::Instant;

/// What heirs log when they have restored a replica.
const RESTORED: &str = "restored a dead pod's replica";

async fn takes(load: &Load, more: u64) {
    let enough = load.acknowledged() + more;
    eventually("events are acknowledged", PATIENCE, async || (load.acknowledged() >= enough).then_some(())).await;
}

/// Returns whose replicas each pod has restored.
fn restores(copied: &mut Copied) -> BTreeMap<String, Vec<String>> {
    let mut all = BTreeMap::new();
    for role in &mut copied.cluster.gateways {
        let name = role.name().to_owned();
        let lines = role.process().stderr.lines().into_iter().filter(|line| line.contains(RESTORED));
        let whose = |line: String| {
            let line: Value = serde_json::from_str(&line).expect("a line of JSON");
            line["pod"].as_str().expect("whose replica").to_owned()
        };
        all.insert(name, lines.map(whose).collect());
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_pods_of_four_that_are_gone_at_once_with_their_disks_come_back_at_the_others() {
    const DEAD: [&str; 2] = ["gateway-1", "gateway-2"];
    let outside = PlatformDouble::start().await;
    let setup = Setup { gateways: 4, bot: Program::StoryBot, ..Setup::default() }
        .with("BERTH_OUTBOX_HOSTS", &outside.host())
        .with("BERTH_OUTBOX_PRIVATE", "true")
        .with("BERTH_REPLICATION_RATE", "20");
    let mut copied = Copied::start(setup).await;
    let load = Load::start_with(&Poster::new(&copied.cluster), 0, 24, with_calls(&outside));
    takes(&load, 400).await;
    copied.cluster.leases_are_kept(4).await;
    let mut targets = Vec::new();
    for pod in DEAD {
        let mine = copied.targets_of(pod).await;
        assert!(!mine.is_empty(), "{pod} owns some");
        targets.extend(mine);
    }
    copied.lose(&DEAD).await;
    copied.served_by_others(&targets, &DEAD).await;
    takes(&load, 200).await;
    let restores = restores(&mut copied);
    for (pod, whose) in &restores {
        let once: BTreeSet<_> = whose.iter().collect();
        assert_eq!(once.len(), whose.len(), "{pod} has restored one twice: {restores:?}");
        assert!(whose.is_empty() || !DEAD.contains(&pod.as_str()), "{restores:?}");
    }
    for dead in DEAD {
        assert!(restores.values().flatten().any(|whose| whose == dead), "{restores:?}");
    }
    let taken = load.finish().await;
    let wanted: Vec<_> = taken.values().flatten().filter(|id| calls(id)).collect();
    // A call that was under way when its pod was killed may be one that nobody repeats; a target has one out at a time.
    let least = wanted.len() - targets.len();
    eventually("the calls have left", PATIENCE, async || (arrived(&outside).len() >= least).then_some(())).await;
    let twice: Vec<_> = arrived(&outside).into_iter().filter(|(id, times)| calls_once(id) && *times > 1).collect();
    assert!(twice.is_empty(), "these calls must not be made twice: {twice:?}");
    reckon(&mut copied, &taken, &ByTarget::new()).await;
}

/// One run: load, a pod and its disk are gone at one blow, the senders go on. Returns how many events were acknowledged.
async fn a_pod_is_lost_under_load(after: u64) -> usize {
    const DEAD: &str = "gateway-1";
    let setup = Setup { bot: Program::StoryBot, ..Setup::default() }
        .with("BERTH_ACKNOWLEDGE", "discord=replicated")
        .with("BERTH_REPLICATION_RATE", "20");
    let mut copied = Copied::start(setup).await;
    let load = Load::start(&Poster::new(&copied.cluster), 0, 60);
    takes(&load, 100).await;
    copied.cluster.leases_are_kept(3).await;
    let (began, before) = (Instant::now(), load.acknowledged());
    takes(&load, after).await;
    let rate = (load.acknowledged() - before) as f64 / began.elapsed().as_secs_f64();
    let targets = copied.targets_of(DEAD).await;
    let (lost, at_loss) = (Instant::now(), load.acknowledged());
    copied.lose(&[DEAD]).await;
    copied.served_by_others(&targets, &[DEAD]).await;
    let served = lost.elapsed();
    takes(&load, 300).await;
    let taken = load.finish().await;
    reckon(&mut copied, &taken, &ByTarget::new()).await;
    let all = taken.values().map(Vec::len).sum();
    println!(
        "{rate:.0} events/s, {at_loss} acknowledged before the loss; its {} targets served again after {served:.1?}; {all} \
         acknowledged at the end: 0 lost, 0 doubled, 0 out of order",
        targets.len()
    );
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_under_load_is_at_the_heirs_once_and_in_order_when_a_pod_and_its_disk_are_gone() {
    a_pod_is_lost_under_load(600).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "twenty failovers; ./test --long has them"]
async fn what_was_acknowledged_under_load_is_at_the_heirs_twenty_times() {
    let mut all = 0;
    for run in 0..20 {
        all += a_pod_is_lost_under_load(400 + run * 97).await;
        println!("run {run} of 20 is over, {all} events in all");
    }
}
