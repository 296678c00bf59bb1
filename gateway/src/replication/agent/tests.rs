use super::*;
use crate::options::ReplicationArgs;
use clap::Parser;
use shared::{PodId, clock::ManualClock, lease::LeaseTerms, telemetry::Metrics};
use std::sync::{Mutex, atomic::AtomicBool};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What the agent asked, and how that is answered.
#[derive(Debug)]
enum Asked {
    Sync(tokio::sync::oneshot::Sender<Result<(), String>>),
    Seal(tokio::sync::oneshot::Sender<Result<bool, String>>),
}

#[derive(Debug)]
struct Scripted {
    ask: UnboundedSender<Asked>,
    is_gone: Arc<AtomicBool>,
}

impl Replica for Scripted {
    fn sync(&self) -> BoxFuture<'_, Result<(), String>> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        let _ = self.ask.send(Asked::Sync(answer));
        Box::pin(async { answered.await.unwrap_or_else(|_| Err("hung up".to_owned())) })
    }

    fn is_sealed(&self) -> BoxFuture<'_, Result<bool, String>> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        let _ = self.ask.send(Asked::Seal(answer));
        Box::pin(async { answered.await.unwrap_or_else(|_| Err("hung up".to_owned())) })
    }

    fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Relaxed)
    }
}

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: ReplicationArgs,
}

struct World {
    replication: Replication,
    commits: Arc<Commits>,
    ownership: Ownership,
    asked: UnboundedReceiver<Asked>,
    is_gone: Arc<AtomicBool>,
    told: Arc<Mutex<Vec<u64>>>,
    clock: ManualClock,
    metrics: Metrics,
    _stop: tokio_util::sync::DropGuard,
}

impl World {
    fn new(line: &str) -> Self {
        let args = Line::parse_from(std::iter::once("x").chain(line.split_whitespace())).args;
        let (replication, commits) = (Replication::new(&args), Arc::new(Commits::default()));
        let (clock, metrics) = (ManualClock::new(1_700_000_000_000), Metrics::new());
        let pod: PodId = "gateway-0".parse().expect("a pod");
        let ownership = Ownership::new(pod, Arc::new(clock.clone()), LeaseTerms::default());
        let meters =
            ReplicationMeters::register(&metrics, replication.clone(), Arc::clone(&commits), Arc::new(clock.clone()));
        let (commands, inbox) = Commands::channel();
        let told = Arc::<Mutex<Vec<u64>>>::default();
        let hear = Arc::clone(&told);
        std::thread::spawn(move || {
            while let Ok(command) = inbox.recv() {
                if let Command::Replicated(seq) = command {
                    hear.lock().expect("heard").push(seq);
                }
            }
        });
        let (ask, asked) = unbounded_channel();
        let is_gone = Arc::<AtomicBool>::default();
        let parts = Parts {
            replica: Arc::new(Scripted { ask, is_gone: Arc::clone(&is_gone) }),
            ownership: ownership.clone(),
            commands,
            meters,
            rules: args.rules(),
        };
        let stop = Shutdown::new();
        shared::shutdown::spawn(run(replication.clone(), parts, stop.clone()));
        Self { replication, commits, ownership, asked, is_gone, told, clock, metrics, _stop: stop.drop_guard() }
    }

    fn commit(&self, seq: u64) {
        self.commits.committed(seq, 4_120);
        self.replication.committed(Some(seq));
    }

    async fn sync(&mut self) -> tokio::sync::oneshot::Sender<Result<(), String>> {
        match self.asked.recv().await {
            Some(Asked::Sync(answer)) => answer,
            other => panic!("not an upload: {other:?}"),
        }
    }

    async fn seal(&mut self) -> tokio::sync::oneshot::Sender<Result<bool, String>> {
        match self.asked.recv().await {
            Some(Asked::Seal(answer)) => answer,
            other => panic!("not a look at the seal: {other:?}"),
        }
    }

    async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let so = async {
            while !is_so(self) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), so).await.unwrap_or_else(|_| panic!("still not so: {what}"));
    }

    fn told(&self) -> Vec<u64> {
        self.told.lock().expect("heard").clone()
    }
}

#[tokio::test]
async fn the_writer_is_told_only_after_the_upload_and_then_the_look_at_the_seal() {
    let mut world = World::new("");
    world.commit(3);
    let upload = world.sync().await;
    world.commit(4);
    assert!(world.asked.try_recv().is_err(), "nothing else is asked while an upload is under way");
    upload.send(Ok(())).expect("heard");
    let look = world.seal().await;
    assert!(world.told().is_empty(), "uploaded is not enough");
    assert_eq!(world.replication.status().replicated_seq, 0);
    look.send(Ok(false)).expect("heard");
    world.until("the writer is told", |world| world.told() == [3]).await;
    world.sync().await.send(Ok(())).expect("heard");
    world.seal().await.send(Ok(false)).expect("heard");
    world.until("the writer is told of the rest", |world| world.told() == [3, 4]).await;
}

#[tokio::test]
async fn a_sealed_lineage_lets_nothing_go_and_ends_the_pods_rights() {
    let mut world = World::new("");
    world.ownership.hold(
        shared::lease::Lease { id: shared::LeaseId(1), valid_until: world.clock.now().after(Duration::from_secs(60)) },
        None,
    );
    assert!(world.ownership.check_lease(shared::lease::Use::Act).is_ok());
    world.commit(3);
    world.sync().await.send(Ok(())).expect("heard");
    world.seal().await.send(Ok(true)).expect("heard");
    world.replication.sealed().await;
    assert!(world.told().is_empty());
    assert!(world.ownership.check_lease(shared::lease::Use::Act).is_err());
    assert_eq!(world.replication.status().stands, Standing::Sealed);
    world.commit(4);
    world.clock.advance(Duration::from_secs(60));
    assert!(!world.replication.reached(4, Duration::from_secs(60)).await);
    assert!(world.asked.try_recv().is_err(), "nothing is uploaded for anybody any more");
}

#[tokio::test]
async fn who_degrades_lets_all_go_that_waits_and_who_does_not_keeps_it() {
    for (line, lets_go) in [("--replication-degrade", true), ("", false)] {
        let mut world = World::new(line);
        world.commit(3);
        world.sync().await.send(Err("the store is down".to_owned())).expect("heard");
        let state = if lets_go { Standing::Degraded } else { Standing::Closed };
        world
            .until("patience is over", |world| {
                world.clock.advance(Duration::from_millis(200));
                world.replication.committed(None);
                world.replication.status().stands == state
            })
            .await;
        world.until("told or not", |world| world.told() == if lets_go { vec![u64::MAX] } else { vec![] }).await;
        assert!(world.replication.remark().is_some());
        let metrics = world.metrics.render().expect("written");
        assert!(metrics.contains(&format!("berth_replication_state{{state=\"{state}\"}} 1")), "{metrics}");
    }
}

#[tokio::test]
async fn a_litestream_that_comes_late_is_found_however_often_it_was_looked_for() {
    let mut world = World::new("");
    world.commit(3);
    world.is_gone.store(true, Ordering::Relaxed);
    for tries in 1..=6 {
        world.sync().await.send(Err("nobody listens".to_owned())).expect("heard");
        let failures = format!("berth_replication_sync_failures_total {tries}\n");
        world.until("it is known", |world| world.metrics.render().expect("written").contains(&failures)).await;
        // After a sixth failure that doubles the wait this would be the eighth part of it.
        world.clock.advance(Duration::from_millis(250));
    }
    world.is_gone.store(false, Ordering::Relaxed);
    world.sync().await.send(Ok(())).expect("heard");
    world.seal().await.send(Ok(false)).expect("heard");
    world.until("the writer is told", |world| world.told() == [3]).await;
}

#[tokio::test]
async fn a_flush_waits_for_what_was_committed_before_it() {
    let mut world = World::new("--replication-burst 1 --replication-rate 0.001");
    world.commit(3);
    world.sync().await.send(Ok(())).expect("heard");
    world.seal().await.send(Ok(false)).expect("heard");
    world.until("the first is told", |world| world.told() == [3]).await;
    world.commits.committed(9, 0);
    let replication = world.replication.clone();
    let flushed = shared::shutdown::spawn(async move { replication.reached(9, Duration::from_secs(60)).await });
    world.sync().await.send(Ok(())).expect("heard");
    world.seal().await.send(Ok(false)).expect("heard");
    assert!(flushed.await.expect("no panic"));
}
