//! The databases the contract runs on, and what is written into them. Knows no promise.

use berth_tests::postgres::Postgres;
use config_service::domain::{Audit, Batch, Fencing, Marks, PodRecord, Write};
use config_service::store::{self, Bid, Store};
use shared::wire::control::{AssignmentState, BotInfo, DataAt, Life, PodInfo, Track};
use shared::{Epoch, Incarnation, LeaseId, PodId, Revision, TargetId, Term};
use std::{sync::Arc, time::Duration};
use tempfile::TempDir;

/// Runs each story on both databases.
macro_rules! on_both {
    ($($story:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() {
                super::$story(super::World::sqlite()).await;
            })+
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() {
                super::$story(super::World::postgres().await).await;
            })+
        }
    };
}

/// How long a term lasts here.
pub(super) const LEASE: Duration = Duration::from_millis(400);
/// How long anything here may take on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// One database, and a way to reach it once more.
pub(super) enum World {
    Sqlite { store: Arc<store::Sqlite>, _folder: TempDir },
    Postgres { url: String, server: Postgres },
}

impl World {
    pub(super) fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store::Sqlite::open(&folder.path().join("config.db"), 64).expect("opens");
        Self::Sqlite { store: Arc::new(store), _folder: folder }
    }

    pub(super) async fn postgres() -> Self {
        let server = Postgres::start().await;
        Self::Postgres { url: server.database().await, server }
    }

    /// A store as another process would have it; the embedded store has one process only.
    pub(super) async fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Sqlite { store, .. } => store.clone(),
            Self::Postgres { url, .. } => {
                let store = store::Postgres::new(url, 8, Duration::from_secs(45)).expect("a URL");
                store.prepare().await.expect("the schema");
                Arc::new(store)
            }
        }
    }

    /// A store that leads, with three pods known.
    pub(super) async fn leading(&self) -> (Arc<dyn Store>, Term) {
        let store = self.store().await;
        let term = take_over(&*store).await;
        let pods = batch((0..3).map(pod).collect());
        store.commit(term, pods).await.expect("committed");
        (store, term)
    }
}

pub(super) async fn take_over(store: &dyn Store) -> Term {
    let bid = async {
        loop {
            match store.lead("10.0.0.1:3001".into(), LEASE).await.expect("a bid") {
                Bid::Won(term) => return term,
                Bid::Held { .. } => tokio::time::sleep(LEASE / 10).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, bid).await.expect("the term before it ends")
}

pub(super) fn name(n: u64) -> PodId {
    format!("gateway-{n}").parse().expect("valid")
}

pub(super) fn record(n: u64, lease: u64) -> PodRecord {
    PodRecord {
        info: PodInfo {
            pod: name(n),
            address: format!("10.0.0.{n}:3002"),
            incarnation: incarnation(0x91),
            zone: (n == 1).then(|| "zone-ä".to_owned()),
            capacity: 1.5,
            revision: Revision(0),
        },
        lease_id: LeaseId(lease),
        schema: 3,
        version: "0.1.0".into(),
        buried: false,
        previous: (lease > 3).then(|| incarnation(lease)),
        report: lease > 3,
        bot: (n == 1)
            .then(|| BotInfo { name: "modération".into(), version: None, schema: Some(4), schema_hash: None }),
        replica: (n == 2).then(|| "s3://berth/replicas".to_owned()),
        track: if n == 2 { Track::Canary } else { Track::Stable },
        loss_accepted: n == 2,
        marks: Marks::default(),
    }
}

pub(super) fn pod(n: u64) -> Write {
    Write::Pod { record: record(n, 1), expected: None, floor: Epoch(0) }
}

pub(super) fn target(n: u64) -> TargetId {
    format!("discord:guild:{n}").parse().expect("valid")
}

pub(super) fn first(n: u64, to: u64) -> Write {
    let parent = n.is_multiple_of(7).then(|| target(n + 1_000_000));
    let (state, data, reason) = (AssignmentState::Serving, None, "first-contact");
    Write::Assign { target: target(n), parent, pod: name(to), expected: None, reason, state, data }
}

pub(super) fn moved(n: u64, to: u64, expected: Option<(PodId, Epoch)>) -> Write {
    let (state, data, reason) = (AssignmentState::Serving, None, "move");
    Write::Assign { target: target(n), parent: None, pod: name(to), expected, reason, state, data }
}

pub(super) fn incarnation(n: u64) -> Incarnation {
    format!("0190163d-8694-739b-aea5-966c26f8ad{n:02x}").parse().expect("valid")
}

/// The same pod in another data folder.
pub(super) fn other_life(mut record: PodRecord) -> PodRecord {
    record.previous = Some(std::mem::replace(&mut record.info.incarnation, incarnation(9)));
    record
}

pub(super) fn data_at(pod: u64, life: u64, epoch: Epoch) -> DataAt {
    DataAt {
        before: Some(Epoch(epoch.0 / 2)),
        restoring: pod.is_multiple_of(2),
        origin: Some(Life { pod: name(pod + 1), incarnation: incarnation(life + 1) }),
        trouble: Some("the replica's list is not there, \"s3\" says".to_owned()),
        ..DataAt::new(name(pod), incarnation(life), epoch)
    }
}

pub(super) fn fencing(pod: u64, lease: u64, round: u64) -> Fencing {
    Fencing { pod: name(pod), lease_id: LeaseId(lease), round, term: Term(3) }
}

pub(super) fn batch(writes: Vec<Write>) -> Batch {
    Batch { writes, ..Batch::default() }
}

pub(super) fn audit(subject: &str, reason: &str) -> Audit {
    let (actor, request_id) = ("admin".to_owned(), "r-1".to_owned());
    Audit { actor, action: "test", subject: subject.to_owned(), reason: reason.to_owned(), request_id }
}
