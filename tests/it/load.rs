//! Ten thousand events, a fifth of them duplicates, over three pods: counted exactly, in order.

use berth_tests::{
    Setup, pod_data,
    workload::{Poster, plan},
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::task::JoinSet;

const TARGETS: u64 = 500;
/// Distinct events per target; every fourth is followed by an earlier one again: 20 deliveries, 20 % duplicates.
const DISTINCT: u64 = 16;
const SENDERS: u64 = 32;
/// How often one delivery is sent until it must have been acknowledged.
const MOST: u64 = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_events_with_duplicates_are_applied_exactly_once_and_in_order() {
    let mut cluster = Setup::default().start().await;
    let poster = Poster::new(&cluster);
    let (next, sent) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    let mut senders = JoinSet::new();
    for _ in 0..SENDERS {
        let (poster, next, sent) = (poster.clone(), Arc::clone(&next), Arc::clone(&sent));
        senders.spawn(async move {
            let mut late = BTreeMap::new();
            loop {
                let i = next.fetch_add(1, Ordering::SeqCst);
                if i >= TARGETS {
                    return late;
                }
                for n in 0..DISTINCT {
                    let again = (n % 4 == 3).then(|| n - 1 - (i % 3));
                    for n in [Some(n), again].into_iter().flatten() {
                        let (_, times) = poster.insist(i, n, MOST).await.expect("it is acknowledged");
                        *late.entry(i).or_default() += times - 1;
                        sent.fetch_add(1, Ordering::SeqCst);
                    }
                }
            }
        });
    }
    // What was not answered in time, on a machine that had something else to do, came once more.
    let mut late = BTreeMap::<u64, u64>::new();
    while let Some(ended) = senders.join_next().await {
        late.extend(ended.expect("a sender ends well"));
    }
    assert_eq!(sent.load(Ordering::SeqCst), 10_000);

    let placed = cluster.targets().await;
    assert_eq!(placed.len() as u64, TARGETS);
    let mut per_pod = BTreeMap::<String, u64>::new();
    let mut expected = BTreeMap::new();
    for i in 0..TARGETS {
        let target = plan(&cluster.keys, i, 0).target;
        let state = cluster.state(&target).await.expect("every target exists");
        assert_eq!(state.applied, DISTINCT, "{target}");
        let duplicates = DISTINCT / 4..=DISTINCT / 4 + late[&i];
        assert!(duplicates.contains(&state.duplicates), "{target}: {} of {duplicates:?}", state.duplicates);
        assert_eq!(state.last_event_id.as_deref(), Some(plan(&cluster.keys, i, DISTINCT - 1).id.as_str()), "{target}");
        *per_pod.entry(state.pod.to_string()).or_default() += 1;
        let ids: Vec<_> = (0..DISTINCT).map(|n| plan(&cluster.keys, i, n).id).collect();
        expected.insert(target, ids);
    }
    assert_eq!(per_pod.len(), 3, "every pod has its share: {per_pod:?}");
    assert!(per_pod.values().all(|n| (100..=250).contains(n)), "the shares are even: {per_pod:?}");

    for gateway in &mut cluster.gateways {
        gateway.stop().await;
    }
    let folders: Vec<_> = cluster.gateways.iter().map(|role| cluster.pod_folder(role.name())).collect();
    assert_eq!(pod_data::accepted(&folders), expected, "each event once, in the order in which it was sent");
}
