//! A new version is tried on a part of the targets, under load: a larger share only adds, an abort brings all of them back, a
//! promotion moves nobody who need not, and every event is handled once.

use super::{
    operator::{done, under_load},
    *,
};
use shared::wire::admin::{CanaryState, CanaryStatus};

const TARGETS: usize = 90;
const CANARY: &str = "gateway-3";

async fn tried(cluster: &Cluster) -> BTreeSet<String> {
    let owned = cluster.targets().await.into_iter().filter(|found| found.pod.as_str() == CANARY);
    owned.map(|found| found.target.to_string()).collect()
}

async fn status(cluster: &Cluster) -> CanaryStatus {
    serde_json::from_str(&done(cluster, &["canary", "status", "-o", "json"]).await).expect("the canary")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_grows_is_aborted_and_then_promoted_under_load_and_every_event_is_handled_once() {
    let mut cluster = setup("2s").start().await;
    let mut recipe = cluster.gateway_recipe(CANARY);
    recipe.settings.push(("BERTH_TRACK".to_owned(), "canary".to_owned()));
    cluster.gateways.push(Role::start(recipe));
    cluster.all_ready().await;
    let round = load(&cluster, TARGETS, 1, &AtomicBool::new(true)).await;
    settled(&cluster).await;
    assert!(tried(&cluster).await.is_empty(), "without a canary its pod has nothing");

    let because = ["--reason", "a story", "--wait"];
    let start = [["canary", "start", "--share", "10%"].as_slice(), &because].concat();
    let round = under_load(&cluster, TARGETS, round + 1, &start).await;
    let tenth = tried(&cluster).await;
    assert!((2..=20).contains(&tenth.len()), "{tenth:?}");
    let round =
        under_load(&cluster, TARGETS, round + 1, &[["canary", "grow", "--share", "30%"].as_slice(), &because].concat())
            .await;
    let third = tried(&cluster).await;
    assert!(tenth.is_subset(&third) && third.len() > tenth.len(), "{tenth:?} {third:?}");
    let round = load(&cluster, TARGETS, round + 1, &AtomicBool::new(true)).await;
    let now = eventually("both tracks have told what they did", MINUTE, async || {
        let now = status(&cluster).await;
        now.tracks.iter().all(|track| track.events > 0 && track.p99_ms.is_some()).then_some(now)
    })
    .await;
    assert_eq!(
        (now.state, now.tracks[1].targets, now.tracks[1].pods.len()),
        (CanaryState::Running, third.len() as u64, 1)
    );

    let round = under_load(&cluster, TARGETS, round + 1, &[["canary", "abort"].as_slice(), &because].concat()).await;
    eventually("all of them are back", MOST, async || tried(&cluster).await.is_empty().then_some(())).await;
    assert_eq!(status(&cluster).await.state, CanaryState::Aborted);

    let round = under_load(&cluster, TARGETS, round + 1, &start).await;
    assert_eq!(tried(&cluster).await, tenth, "the same share means the same targets");
    let round = under_load(&cluster, TARGETS, round + 1, &["canary", "promote", "--reason", "a story"]).await;
    let stop = AtomicBool::new(false);
    let filled = async {
        eventually("its pod has an ordinary share", MOST, async || (tried(&cluster).await.len() >= 18).then_some(()))
            .await;
        settled(&cluster).await;
        stop.store(true, Ordering::Relaxed);
    };
    let (round, ()) = tokio::join!(load(&cluster, TARGETS, round + 1, &stop), filled);
    for i in 0..TARGETS {
        assert_eq!(cluster.state(&name(i)).await.map(|state| state.applied), Some(round), "target {i}");
    }
}
