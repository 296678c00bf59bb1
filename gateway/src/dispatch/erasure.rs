//! Erasing targets: out of service first, then row by row between groups, then the files, then back into service, empty.
//!
//! ```text
//! asked ─ marked, committed ─▸ calls: one that is out ends first ─▸ rows: a chunk a transaction ─▸ files: no traces
//!   └─ events are answered not-serving, so they are parked                                 served again ◂──┘
//! ```
//! The mark is in the database: a crash anywhere on the way is followed by the rest when the target is acquired again.

use super::writer::Writer;
use crate::{
    outbox::Note,
    store::{LocalId, StoreError, checkpoint::Scrub, checkpoint::Scrubbed},
};
use shared::{Epoch, Mono, TargetId, lease::Use, wire::link::Outcome};
use std::{
    collections::BTreeMap,
    sync::mpsc::{Receiver, TryRecvError},
    time::Duration,
};
use tokio::sync::oneshot;

/// Rows deleted in one transaction.
const CHUNK: usize = 2_000;
/// The time between two looks at what has to end first.
const LOOK: Duration = Duration::from_millis(50);
/// The wait after the database, or the lease, did not let it go on.
const PAUSE: Duration = Duration::from_millis(500);
/// How long an old reader of the WAL is waited for.
const OLD_READERS: Duration = Duration::from_secs(60);

/// What an erasure has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Erasure {
    /// The epoch the target is owned under.
    pub(crate) epoch: Epoch,
    /// Rows that went since this process took it up, by table.
    pub(crate) rows: BTreeMap<String, u64>,
    /// Whether the database was written anew.
    pub(crate) compacted: bool,
    /// Whether the WAL was emptied.
    pub(crate) truncated: bool,
}

/// Why a target is not erased.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EraseError {
    /// The pod does not serve it.
    #[error("this pod does not serve the target now; nothing was erased")]
    NotServing,
    /// It cannot be recorded.
    #[error("the erasure cannot be recorded: {0}")]
    Store(#[from] StoreError),
}

/// Who asked for it.
pub(crate) type Done = oneshot::Sender<Result<Erasure, EraseError>>;

#[derive(Debug)]
enum Stage {
    /// A call that is out ends first, at most until then.
    Calls(Mono),
    Rows,
    Files {
        /// When old readers are waited for no longer.
        until: Mono,
        answer: Option<Receiver<Scrubbed>>,
    },
}

/// A target that is being erased.
#[derive(Debug)]
pub(super) struct Erasing {
    target: TargetId,
    local: LocalId,
    stage: Stage,
    next: Mono,
    so_far: Erasure,
    asked: Vec<Done>,
}

/// All targets that are being erased, in the order in which that was asked.
#[derive(Debug, Default)]
pub(super) struct Erasures(Vec<Erasing>);

impl Erasures {
    /// Returns when there is something to do.
    pub(super) fn next_at(&self) -> Option<Mono> {
        self.0.iter().map(|erasing| erasing.next).min()
    }

    /// Forgets a target that another pod owns now. Its mark stays.
    pub(super) fn released(&mut self, target: &TargetId) {
        self.0.retain(|erasing| erasing.target != *target);
    }
}

impl Writer {
    /// Begins to erase a target, or joins who asked for it before.
    pub(super) fn erase(&mut self, target: &TargetId, done: Done) {
        if let Some(erasing) = self.erasures.0.iter_mut().find(|erasing| erasing.target == *target) {
            return erasing.asked.push(done);
        }
        if let Err(why) = self.begin_to_erase(target) {
            self.store.rollback();
            // Whoever asked may be gone.
            return drop(done.send(Err(why)));
        }
        if let Some(erasing) = self.erasures.0.last_mut() {
            erasing.asked.push(done);
        }
    }

    fn begin_to_erase(&mut self, target: &TargetId) -> Result<(), EraseError> {
        let Some(no) = self.boxes.find(target).filter(|no| self.boxes.slot(*no).serving) else {
            return Err(EraseError::NotServing);
        };
        let guard = self.ownership.guard(target).map_err(|_| EraseError::NotServing)?;
        let (local, now) = (self.boxes.slot(no).local, self.clock.now());
        self.store.begin()?;
        self.store.erase_begin(local, self.clock.wall_ms())?;
        self.ownership.check(&guard, Use::Act).map_err(|_| EraseError::NotServing)?;
        self.store.commit()?;
        let outcome = Outcome::NotServing { detail: "the target is being erased".to_owned() };
        for waiting in self.boxes.close(no) {
            self.refuse(waiting, &outcome);
        }
        self.gate.forget_calls(no);
        self.timers.set(no, None);
        self.left(target);
        let calls_end = now.after(self.settings.outbox_timeout * 2);
        self.erasures.0.push(erasing(target.clone(), local, guard.epoch(), Stage::Calls(calls_end), now));
        tracing::info!(%target, "target is being erased");
        Ok(())
    }

    /// Goes on with an erasure that a crash, or a change of owners, broke off.
    pub(super) fn resume_erasing(&mut self, target: &TargetId, local: LocalId, epoch: Epoch) {
        match self.erasures.0.iter_mut().find(|erasing| erasing.target == *target) {
            Some(erasing) => erasing.so_far.epoch = epoch,
            None => {
                tracing::info!(%target, "an erasure that was broken off goes on");
                let now = self.clock.now();
                self.erasures.0.push(erasing(target.clone(), local, epoch, Stage::Rows, now));
            }
        }
    }

    /// Takes the next step of every erasure that is due: at most one chunk of rows each.
    pub(super) fn erase_on(&mut self) {
        let now = self.clock.now();
        for mut erasing in std::mem::take(&mut self.erasures.0) {
            if erasing.next > now {
                self.erasures.0.push(erasing);
                continue;
            }
            match self.erase_step(&mut erasing, now) {
                Ok(true) => self.erased(erasing),
                Ok(false) => self.erasures.0.push(erasing),
                Err(why) => {
                    self.store.rollback();
                    erasing.next = now.after(PAUSE);
                    self.erasures.0.push(erasing);
                    self.is_writable(Some(why));
                }
            }
        }
    }

    /// Returns whether it is done.
    fn erase_step(&mut self, erasing: &mut Erasing, now: Mono) -> Result<bool, StoreError> {
        // As long as this pod may not act for the target, its rows stay.
        let Ok(guard) = self.ownership.guard(&erasing.target) else {
            erasing.next = now.after(PAUSE);
            return Ok(false);
        };
        match &mut erasing.stage {
            Stage::Calls(until) => {
                if *until > now && self.store.is_calling(erasing.local)? {
                    erasing.next = now.after(LOOK);
                } else {
                    // The outbox ends before the writer only when the pod stops.
                    let _ = self.notes.send(Note::Closed { target: erasing.target.clone() });
                    erasing.stage = Stage::Rows;
                }
            }
            Stage::Rows => {
                self.store.begin()?;
                let went = self.store.erase_chunk(erasing.local, CHUNK, &mut erasing.so_far.rows)?;
                if self.ownership.check(&guard, Use::Act).is_err() {
                    self.store.rollback();
                    return Ok(false);
                }
                self.store.commit()?;
                self.is_writable(None);
                self.checkpoints.committed();
                if !went {
                    erasing.stage = Stage::Files { until: now.after(OLD_READERS), answer: None };
                }
            }
            Stage::Files { until, answer: None } => {
                let scrub = Scrub { compact_up_to: self.settings.erase_compact, empty: !self.replication.is_on() };
                erasing.next = now.after(LOOK);
                erasing.stage = Stage::Files { until: *until, answer: self.checkpoints.scrub(scrub) };
            }
            Stage::Files { until, answer: Some(answer) } => match answer.try_recv() {
                Ok(scrubbed) => {
                    (erasing.so_far.compacted, erasing.so_far.truncated) = (scrubbed.compacted, scrubbed.truncated);
                    // With a replica the WAL is Litestream's, which starts it over within its checkpoint interval.
                    if scrubbed.truncated || self.replication.is_on() || *until <= now {
                        return Ok(true);
                    }
                    erasing.next = now.after(PAUSE);
                    erasing.stage = Stage::Files { until: *until, answer: None };
                }
                Err(TryRecvError::Empty) => erasing.next = now.after(LOOK),
                Err(TryRecvError::Disconnected) => return Ok(true),
            },
        }
        Ok(false)
    }

    /// Takes an erased target back into service.
    fn erased(&mut self, mut erasing: Erasing) {
        let ended =
            self.store.begin().and_then(|()| self.store.erase_end(erasing.local)).and_then(|()| self.store.commit());
        let target = erasing.target.clone();
        if let Err(why) = ended.and_then(|()| self.take_back(&target, erasing.so_far.epoch)) {
            self.store.rollback();
            self.is_writable(Some(why));
            erasing.next = self.clock.now().after(PAUSE);
            return self.erasures.0.push(erasing);
        }
        tracing::info!(%target, rows = erasing.so_far.rows.values().sum::<u64>(), "target erased");
        for done in erasing.asked {
            // Whoever asked may be gone.
            let _ = done.send(Ok(erasing.so_far.clone()));
        }
    }
}

fn erasing(target: TargetId, local: LocalId, epoch: Epoch, stage: Stage, now: Mono) -> Erasing {
    let so_far = Erasure { epoch, rows: BTreeMap::new(), compacted: false, truncated: false };
    Erasing { target, local, stage, next: now, so_far, asked: Vec::new() }
}
