//! Restores what dead pods had, for the targets that this pod was given in their place (OWNERSHIP.md, Data 4): for each life of a
//! pod whose data is missing here it seals the replica, restores it once into a scratch folder, imports the rows of its own
//! targets only, and reports them. What the leader then gives to this pod is switched when the assignment arrives; what it does
//! not is dropped. Knows no owner's rules: which targets, the assignments say; which copies count, the leader says.
//!
//! ```text
//! assignments ─▸ plan (what waits, what runs, what is next) ─▸ job: find ▸ SEAL ▸ list ▸ restore ▸ verify ▸ import ▸ report
//!                  ▴──────────────── done, again, hopeless ─────┘
//! ```

mod copying;
mod fetch;
mod job;
mod meters;
mod plan;
mod search;
#[cfg(feature = "plant")]
pub mod simulation;

pub(crate) use meters::RecoveryMeters;

use crate::{Engine, dispatch::moving::MoveCommand, ownership::Ownership, replica::ReplicaArgs};
use job::{Hands, Job};
use plan::{Plan, Wanted};
use shared::http::Client;
use shared::shutdown::Shutdown;
use shared::wire::control::Life;
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};
use tokio::task::JoinSet;

/// The longest sleep, so that a clock that was moved is noticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// Assignments that arrive within this time are one: a failover comes in pieces.
const GATHER: Duration = Duration::from_millis(100);
/// The wait before the database is asked again.
const PAUSE: Duration = Duration::from_secs(1);
/// The folder for what is restored, below the data folder.
const FOLDER: &str = "restore/heirs";

/// What it works with.
#[derive(Debug)]
pub(crate) struct Parts {
    /// What this pod is to restore.
    pub(crate) ownership: Ownership,
    /// Its rows.
    pub(crate) engine: Engine,
    /// config-service.
    pub(crate) client: Client,
    /// Where the replicas are.
    pub(crate) replica: ReplicaArgs,
    /// The pod's data folder.
    pub(crate) data: PathBuf,
    /// Most replicas that are restored at once.
    pub(crate) at_once: usize,
    /// The free space that a restore takes, in multiples of what the replica's files have.
    pub(crate) space: u64,
    /// The meters.
    pub(crate) meters: RecoveryMeters,
}

/// Starts the task; it ends with `stop`.
pub(crate) fn start(parts: Parts, stop: Shutdown) {
    shared::shutdown::spawn(async move {
        stop.run_until_cancelled(run(parts)).await;
    });
}

async fn run(parts: Parts) {
    let Parts { ownership, engine, client, replica, data, at_once, space, meters } = parts;
    let folder = data.join(FOLDER);
    // What a process before this one has restored may not be whole.
    job::take_away(folder.clone()).await;
    let imports = loop {
        match engine.step(|done| MoveCommand::Restored { fresh: true, done }).await {
            Ok(Ok(imports)) => break imports,
            Ok(Err(why)) => tracing::error!(error = %why, "cannot read what was restored"),
            Err(_) => return,
        }
        tokio::time::sleep(PAUSE).await;
    };
    let next_id = Arc::new(AtomicU64::new(imports.next));
    let hands = Hands { ownership: ownership.clone(), engine, client, replica, folder, space, meters, next_id };
    let clock = Arc::clone(ownership.clock());
    let (mut plan, mut jobs, mut revisions) = (Plan::new(at_once), JoinSet::new(), ownership.revisions());
    imports.waiting.into_iter().for_each(|waiting| plan.left_over(waiting.life));
    loop {
        for life in plan.hear(clock.now(), wanted(&ownership)) {
            job::take_away(hands.scratch(&life)).await;
        }
        while let Some((life, work)) = plan.next(clock.now()) {
            let job = Job { hands: hands.clone(), life, work };
            jobs.spawn(job.run());
        }
        hands.meters.running(jobs.len());
        let sleep = plan.wake_at().map_or(LONGEST_SLEEP, |at| at.since(clock.now()).min(LONGEST_SLEEP));
        tokio::select! {
            changed = revisions.changed() => {
                if changed.is_err() {
                    return;
                }
                tokio::time::sleep(GATHER).await;
            }
            Some(ended) = jobs.join_next() => match ended {
                Ok((life, ended)) => plan.ended(clock.now(), &life, ended),
                Err(why) => {
                    tracing::error!(error = %why, "the restore of a replica failed");
                    return;
                }
            },
            () = tokio::time::sleep(sleep.max(Duration::from_millis(10))) => {}
        }
    }
}

/// Returns what this pod is to restore now.
fn wanted(ownership: &Ownership) -> BTreeMap<Life, Wanted> {
    let mut wanted: BTreeMap<Life, Wanted> = BTreeMap::new();
    for (target, epoch, life) in ownership.to_restore() {
        let of = wanted.entry(life).or_default();
        of.targets.push(target);
        of.epoch = of.epoch.max(epoch);
    }
    wanted
}
