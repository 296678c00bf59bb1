//! A pod that was failed over is back (OWNERSHIP.md, Data 5). It merges nothing: for each target that it lost it sends the end of
//! its journal, from where the new owner's copy ends, as ordinary events, and first what it has called already. What
//! became of it is written down and shown. Decides when to try, and how much at once; what may be sent is [`plan`]'s to say.
//!
//! ```text
//! rows aside ─ who serves the target? ─ from which copy? ─▸ calls ─▸ events, in order ─▸ done
//!    └──────────── nobody yet, or not reached: tried again ──┘
//! ```

mod owner;
mod plan;
#[cfg(feature = "plant")]
pub mod simulation;
mod taking;

pub(crate) use taking::take;

use crate::{Engine, EngineError, ownership::Ownership, store::AsideRow};
use owner::{Found, Owners};
use plan::{Step, sorted};
use shared::{
    Incarnation, PodId,
    http::{Client, ClientError},
    settings::Secret,
    shutdown::Shutdown,
    wire::quarantine::{Late, LateCall, LateEvent, LateFate, Progress, Reconcile},
};
use std::time::Duration;

/// The shortest wait between two rounds.
const SHORTEST: Duration = Duration::from_millis(100);
/// Copies looked at in one go.
const PAGE: usize = 100;
/// Lives of the folder that are looked for in a copy's origin.
const LIVES: usize = 1_000;

/// The bounds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// How long to wait between two rounds.
    pub(crate) every: Duration,
    /// Events, or calls, in one request at most.
    pub(crate) batch: usize,
    /// Bytes of payload in one request, about.
    pub(crate) bytes: usize,
    /// The oldest event that is sent: the new owner's inbox must still know it.
    pub(crate) oldest: Duration,
}

impl Bounds {
    /// Takes them from the settings. Events are sent for six of the seven days that an inbox lives, or as much of it.
    pub(crate) fn new(options: &crate::Options) -> Self {
        Self {
            every: options.reconcile_every,
            batch: options.reconcile_batch.clamp(1, 1_000),
            bytes: options.reconcile_bytes,
            oldest: options.inbox_retention * 6 / 7,
        }
    }
}

/// Why a copy has to wait.
#[derive(Debug, thiserror::Error)]
enum Stuck {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("{0}")]
    Asked(#[from] ClientError),
    #[error("{0}")]
    Waits(String),
}

/// To whom the end of a journal is sent, and as whose.
#[derive(Debug, Clone, Copy)]
struct To<'a> {
    client: &'a Client,
    me: &'a PodId,
    incarnation: &'a Incarnation,
}

impl To<'_> {
    fn late(&self, calls: Vec<LateCall>, events: Vec<LateEvent>) -> Late {
        Late { from: self.me.clone(), incarnation: self.incarnation.clone(), calls, events }
    }
}

/// What the task works with.
#[derive(Debug)]
pub(crate) struct Reconciler {
    engine: Engine,
    ownership: Ownership,
    owners: Owners,
    bounds: Bounds,
    stop: Shutdown,
}

impl Reconciler {
    /// Makes the task.
    pub(crate) fn new(
        engine: Engine,
        ownership: Ownership,
        (config, token): (Client, Secret),
        bounds: Bounds,
        stop: Shutdown,
    ) -> Self {
        let owners = Owners::new(config, token);
        Self { engine, ownership, owners, bounds, stop }
    }

    /// Works until it is stopped: round after round over the copies that are not done.
    pub(crate) async fn run(mut self) {
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(self.bounds.every.max(SHORTEST)) => {}
            }
            let stop = self.stop.clone();
            tokio::select! {
                () = stop.cancelled() => return,
                went = self.round() => {
                    if let Err(why) = went {
                        tracing::warn!(error = %why, "cannot look at the rows that are aside");
                    }
                }
            }
        }
    }

    async fn round(&mut self) -> Result<(), EngineError> {
        let mut after = None;
        loop {
            let rows = self.engine.asides(after, PAGE).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = Some(last.local);
            for row in rows.into_iter().filter(|row| !row.dropping && !row.left_behind()) {
                if row.reconciled.report.progress != Progress::Done {
                    self.copy(row).await?;
                }
            }
        }
    }

    /// Goes as far with one copy as can be gone now, and writes down how far that is.
    async fn copy(&mut self, mut row: AsideRow) -> Result<(), EngineError> {
        let before = row.reconciled.clone();
        let detail = match self.try_copy(&mut row).await {
            Ok(()) => None,
            Err(Stuck::Engine(why)) => return Err(why),
            Err(why) => Some(why.to_string()),
        };
        row.reconciled.report.detail = detail;
        if row.reconciled == before {
            return Ok(());
        }
        self.note(&mut row).await
    }

    async fn try_copy(&mut self, row: &mut AsideRow) -> Result<(), Stuck> {
        let lives = self.engine.past_incarnations(LIVES).await?;
        let me = self.ownership.pod().clone();
        let found = self.owners.of(&row.target, &me).await?;
        let origin = found.origin(&me, &lives, row.epoch).cloned();
        let Found { owner, client, .. } = found;
        let report = &mut row.reconciled.report;
        let Some(origin) = origin else {
            *report = Reconcile { progress: Progress::Apart, owner: Some(owner.clone()), ..Reconcile::default() };
            return Err(Stuck::Waits(format!("{owner} serves the target, and not from a copy of these rows")));
        };
        if report.progress != Progress::Sending {
            *report = Reconcile { progress: Progress::Sending, had: origin.journal_seq, ..Reconcile::default() };
        }
        report.owner = Some(owner);
        row.reconciled.sent_seq = row.reconciled.sent_seq.max(origin.journal_seq);
        let to = To { client: &client, me: &me, incarnation: &origin.incarnation };
        self.send_calls(row, to).await?;
        self.send_events(row, to).await?;
        row.reconciled.report.progress = Progress::Done;
        let report = &row.reconciled.report;
        tracing::info!(target = %row.target, sent = report.sent, known = report.known, applied = report.applied,
            whole = report.is_whole(), "the end of a journal is its new owner's");
        Ok(())
    }

    async fn send_calls(&mut self, row: &mut AsideRow, to: To<'_>) -> Result<(), Stuck> {
        loop {
            let (after, had) = (row.reconciled.call_seq, row.reconciled.report.had);
            let called = self.engine.called(row.local, (after, had), self.bounds.oldest, self.bounds.batch).await?;
            let Some(last) = called.last().map(|(seq, _)| *seq) else { return Ok(()) };
            let calls: Vec<_> = called.into_iter().map(|(_, call)| call).collect();
            row.reconciled.report.calls += calls.len() as u64;
            owner::tell(to.client, &row.target, &to.late(calls, Vec::new())).await?;
            row.reconciled.call_seq = last;
            self.note(row).await?;
        }
    }

    async fn send_events(&mut self, row: &mut AsideRow, to: To<'_>) -> Result<(), Stuck> {
        loop {
            let bounds = (self.bounds.batch, self.bounds.bytes);
            let tail = self.engine.tail(row.local, row.reconciled.sent_seq, bounds).await?;
            let Some(last) = tail.last().map(|event| event.seq) else { return Ok(()) };
            let oldest_ms = u64::try_from(self.bounds.oldest.as_millis()).unwrap_or(u64::MAX);
            let since_ms = self.ownership.clock().wall_ms().saturating_sub(oldest_ms);
            let (mut events, mut places, mut skipped) = (Vec::new(), Vec::new(), Vec::new());
            for step in sorted(tail, since_ms) {
                match step {
                    Step::Send(event) => {
                        places.push(event.seq);
                        events.push(*event);
                    }
                    Step::Skip(seq, why) => skipped.push((seq, why)),
                }
            }
            let mut fates = Vec::new();
            let mut detail = None;
            if !events.is_empty() {
                let taken = owner::tell(to.client, &row.target, &to.late(Vec::new(), events)).await?;
                (fates, detail) = (taken.events, taken.detail);
            }
            // What was answered for is a beginning of what was sent; skipped ones count up to there.
            let up_to = places.get(fates.len()).map_or(last, |next| next - 1);
            let reconciled = &mut row.reconciled;
            for (_, why) in skipped.iter().filter(|(seq, _)| *seq <= up_to) {
                *reconciled.report.skipped.entry(*why).or_default() += 1;
            }
            reconciled.report.sent += fates.len() as u64;
            reconciled.report.known += fates.iter().filter(|fate| **fate == LateFate::Known).count() as u64;
            reconciled.report.applied += fates.iter().filter(|fate| **fate == LateFate::Applied).count() as u64;
            reconciled.sent_seq = up_to.max(reconciled.sent_seq);
            self.note(row).await?;
            if fates.len() < places.len() {
                let owner = row.reconciled.report.owner.as_ref().map(ToString::to_string).unwrap_or_default();
                return Err(Stuck::Waits(format!("{owner}: {}", detail.unwrap_or_else(|| "it took no more".into()))));
            }
        }
    }

    async fn note(&self, row: &mut AsideRow) -> Result<(), EngineError> {
        row.reconciled.report.at_ms = self.ownership.clock().wall_ms();
        self.engine.note_reconciled(row.local, row.reconciled.clone()).await
    }
}

#[cfg(test)]
mod tests;
