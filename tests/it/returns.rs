//! A pod that was failed over comes back with its disk, and on it the end of its journal that its replica never had: what it had
//! acknowledged reaches the new owners once and in order, and nothing that it had sent is sent again. With the real Litestream.

use berth_tests::{
    Setup,
    copied::{Copied, PATIENCE, SlowRestores},
    double::PlatformDouble,
    eventually,
    ledger::{ByTarget, arrived, calls, calls_once, reckon, with_calls},
    litestream, pod_data,
    role::Program,
    supervised::operate,
    wait::none_left,
    workload::{Load, Poster},
};
use rustix::process::Signal;
use serde_json::Value;
use shared::wire::quarantine::{Aside, Progress};
use std::{collections::BTreeMap, fs};

const DEAD: &str = "gateway-1";

/// A cluster under load, and how it is fed.
struct Story {
    copied: Copied,
    outside: PlatformDouble,
    load: Load,
}

/// What is on the disk of a pod that died.
struct Left {
    journal: ByTarget,
    calls: BTreeMap<String, String>,
    /// The calls as its replica has them.
    replica: BTreeMap<String, String>,
}

impl Story {
    async fn start(settings: &[(&'static str, &str)]) -> Self {
        let outside = PlatformDouble::start().await;
        let mut setup = Setup { bot: Program::StoryBot, ..Setup::default() }
            .with("BERTH_OUTBOX_HOSTS", &outside.host())
            .with("BERTH_OUTBOX_PRIVATE", "true")
            .with("BERTH_ACKNOWLEDGE", "standard=local")
            // Whoever restores is an heir.
            .with("BERTH_DRILL_EVERY", "0s")
            .with("BERTH_RECONCILE_EVERY", "500ms")
            .with("BERTH_QUARANTINE_RETENTION", "1s");
        for (name, value) in settings {
            setup = setup.with(name, value);
        }
        let copied = Copied::start(setup).await;
        let load = Load::start_with(&Poster::new(&copied.cluster), 0, 12, with_calls(&outside));
        Self { copied, outside, load }
    }

    /// Waits until so many more events are acknowledged.
    async fn takes(&self, more: u64) {
        let enough = self.load.acknowledged() + more;
        eventually("events are acknowledged", PATIENCE, async || (self.load.acknowledged() >= enough).then_some(()))
            .await;
    }

    /// Kills the pod once it has acknowledged what its replica does not have. Returns its targets, and what is on its disk.
    async fn dies_with_a_tail(&mut self) -> (Vec<String>, Left) {
        self.takes(200).await;
        self.copied.cluster.leases_are_kept(3).await;
        let targets = self.copied.targets_of(DEAD).await;
        assert!(!targets.is_empty(), "{DEAD} owns some of them");
        eventually("its replica keeps up", PATIENCE, async || {
            let role = self.copied.cluster.gateways.iter().find(|role| role.name() == DEAD)?;
            (role.metric("berth_replication_syncs_total", &[]).await > 0.0).then_some(())
        })
        .await;
        self.copied.litestream(DEAD).signal(Signal::STOP);
        self.takes(300).await;
        self.copied.kill(&[DEAD]).await;
        let disk = self.copied.disk(DEAD);
        let books = pod_data::owned(disk.path()).into_iter();
        let journal = books.map(|(target, book)| (target, book.journal)).collect();
        let lineage = litestream::lineage(&self.copied.cluster.pod_folder(DEAD)).expect("prepared");
        let replica = litestream::restored(&format!("file://{}", self.copied.store().display()), &lineage).await;
        (targets, Left { journal, calls: pod_data::calls(disk.path()), replica: pod_data::calls(replica.path()) })
    }
}

/// Returns what the pod has put aside, as the command prints it, once the pod answers.
async fn listed(copied: &Copied) -> Vec<Aside> {
    let mut said = None;
    eventually("what is put aside is listed", PATIENCE, async || {
        let output = operate(&copied.cluster, &["pod", "quarantine", "list", DEAD, "-o", "json"]);
        let done = output.status.success();
        said = Some(output);
        done.then_some(())
    })
    .await;
    let said = said.expect("it was asked");
    serde_json::from_slice(&said.stdout).unwrap_or_else(|why| panic!("{why}: {said:?}"))
}

/// Checks that every call has left, and how often. What the replica shows as not made yet the heirs make: who acknowledges locally
/// lets calls out before the replica has heard of them. `resent` names events that came to the heir again before their pod was back.
async fn each_call_left_once(outside: &PlatformDouble, taken: &ByTarget, left: &Left, resent: &[String]) {
    let wanted: Vec<_> = taken.values().flatten().filter(|id| calls(id)).collect();
    let of = |id: &String| left.calls.get(id).map(String::as_str);
    // Of one that was under way when the pod was killed, and may not be made twice, nobody knows.
    let is_open = |id: &&&String| !(calls_once(id) && of(id) == Some("sending"));
    none_left("calls that have not left", PATIENCE, async || {
        let arrived = arrived(outside);
        wanted.iter().filter(is_open).filter(|id| !arrived.contains_key(**id)).map(|id| (id, of(id))).collect()
    })
    .await;
    for (id, times) in arrived(outside) {
        let restored = left.replica.get(&id).map(String::as_str);
        let again = of(&id) == Some("sending") && !calls_once(&id)
            || restored == Some("pending")
            || restored == Some("sending") && !calls_once(&id)
            || resent.contains(&id);
        assert!(
            times == 1 || again && times == 2,
            "{id} was called {times} times, {:?} on the disk that died",
            of(&id)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_a_dead_pods_disk_had_reaches_the_heirs_once_and_in_order_when_it_is_back() {
    let mut story = Story::start(&[]).await;
    let (targets, left) = story.dies_with_a_tail().await;
    story.copied.served_by_others(&targets, &[DEAD]).await;
    story.takes(100).await;

    let said = story.copied.comes_back(DEAD).await;
    assert!(said.contains("with the database that is here"), "{said}");
    let asides = eventually("the heirs have taken everything", PATIENCE, async || {
        let asides = listed(&story.copied).await;
        let done = |target: &String| {
            asides.iter().any(|one| one.target.to_string() == *target && one.reconcile.progress == Progress::Done)
        };
        targets.iter().all(done).then_some(asides)
    })
    .await;
    story.takes(60).await;
    let (mut late, mut resent) = (ByTarget::new(), Vec::new());
    for aside in asides.iter().filter(|aside| targets.contains(&aside.target.to_string())) {
        let (target, report) = (aside.target.to_string(), &aside.reconcile);
        assert!(report.is_whole() && report.skipped.is_empty(), "{aside:?}");
        let journal = &left.journal[&target];
        let mut tail = journal[usize::try_from(report.had).expect("small")..].to_vec();
        assert_eq!((report.sent, report.applied + report.known), (tail.len() as u64, report.sent), "{aside:?}");
        // A sender that had no answer yet has sent its event to the heir meanwhile.
        assert!(report.known <= 1, "{aside:?}");
        resent.extend(tail.split_off(tail.len() - usize::try_from(report.known).expect("small")));
        late.insert(target, tail);
    }
    let known: usize = late.values().map(Vec::len).sum();
    println!("{known} events of {} targets were on the dead pod's disk only", late.len());
    assert!(known > 20, "{known} events prove nothing");

    // Everything of it is the owners': it may go.
    let target = &targets[0];
    let drop = ["pod", "quarantine", "drop", DEAD, target, "--reason", "the heirs have it"];
    eventually("it may be dropped", PATIENCE, async || {
        operate(&story.copied.cluster, &drop).status.success().then_some(())
    })
    .await;
    eventually("it is gone", PATIENCE, async || {
        listed(&story.copied).await.iter().all(|one| one.target.to_string() != *target).then_some(())
    })
    .await;
    let Story { mut copied, outside, load } = story;
    let taken = load.finish().await;
    each_call_left_once(&outside, &taken, &left, &resent).await;
    reckon(&mut copied, &taken, &late).await;
    each_call_left_once(&outside, &taken, &left, &resent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_is_back_while_its_heirs_restore_gets_everything_back_and_what_they_restore_counts_for_nothing() {
    let slow = SlowRestores::new();
    let mut story = Story::start(&[("BERTH_LITESTREAM", slow.program().to_str().expect("a plain path"))]).await;
    // What another version may have written is restored by Litestream, and by nobody else.
    let lineage = litestream::lineage(&story.copied.cluster.pod_folder(DEAD)).expect("prepared");
    let strange = story.copied.store().join(lineage.path()).join("of-another-version");
    fs::write(strange, "").expect("written");
    slow.hold();
    let (targets, left) = story.dies_with_a_tail().await;
    eventually("heirs restore", PATIENCE, async || (slow.began() > 0).then_some(())).await;
    let said = story.copied.comes_back(DEAD).await;
    assert!(said.contains("with the database that is here"), "{said}");
    eventually("it has its targets back, and serves them", PATIENCE, async || {
        let mine = story.copied.targets_of(DEAD).await;
        targets.iter().all(|target| mine.contains(target)).then_some(())
    })
    .await;
    story.copied.all_served().await;
    story.takes(100).await;
    slow.let_go();
    eventually("nobody restores any more", PATIENCE, async || {
        for role in &story.copied.cluster.gateways {
            if role.metric("berth_restores_running", &[]).await > 0.0 {
                return None;
            }
        }
        Some(())
    })
    .await;
    story.takes(100).await;
    let Story { mut copied, outside, load } = story;
    let taken = load.finish().await;
    each_call_left_once(&outside, &taken, &left, &[]).await;
    let asides = listed(&copied).await;
    assert!(asides.is_empty(), "it serves what it had: {asides:?}");
    let history: Value =
        copied.cluster.admin(&format!("/v1/targets/{}/history", targets[0])).await.expect("answers").json();
    assert_eq!(history["ownerships"].as_array().map(Vec::len), Some(3), "its own, its heir's, its own: {history}");
    reckon(&mut copied, &taken, &ByTarget::new()).await;
}
