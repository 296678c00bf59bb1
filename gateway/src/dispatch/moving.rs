//! Moves, as the writer sees them: it freezes targets, notes what changes of those that are copied, takes in what comes, and
//! drops what went, between two groups, so that other targets are served meanwhile. Many moves share one transaction.
//! Decides when a target is frozen: when what ran has ended, or its time is up. When to move is not its matter.
//!
//! ```text
//! freeze ─ nothing new, no new calls ─ what runs ends, or is cancelled ─▸ state frozen, memory kept: committed ─▸ closed
//! ```

use super::{asking::Asked, mailbox::SlotNo, mailbox::Stage, writer::Writer};
use crate::{
    outbox::Note,
    ownership::Guard,
    store::{
        LocalId, StoreError,
        transfer::{Changed, Importer, Imports, NotTaken, Outlives, Parcel, Snapshot, Source, Standing, Summed, Taken},
    },
};
use shared::{Epoch, Mono, MoveId, TargetId, lease::Use, wire::link::Outcome};
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::sync::oneshot;

/// Rows taken in, or dropped, in one transaction.
const CHUNK: usize = 2_000;
/// What a target counts for in it beside its rows.
const EACH: usize = 20;
/// The time between two looks at what has to end before a freeze.
const LOOK: Duration = Duration::from_millis(5);
/// The wait after the database did not let it go on.
const PAUSE: Duration = Duration::from_millis(500);
/// What a sender is told whose target is frozen.
pub(crate) const MOVING: &str = "the target is being moved to another pod";

/// Why a target cannot be moved now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unmovable {
    /// It is not served here under this epoch, or is being erased.
    #[error("the source does not serve the target under the epoch of the move, or is erasing it")]
    NotServing,
    /// The database failed.
    #[error("the source's database: {0}")]
    Store(#[from] StoreError),
}

/// A target that is frozen, and what changed of it since it was copied.
#[derive(Debug)]
pub(crate) struct Frozen {
    pub(crate) changed: Option<(Snapshot, Changed)>,
}

/// What the writer is asked to do for a move. A dropped answer channel means: it was not done.
#[derive(Debug)]
pub(crate) enum MoveCommand {
    /// Say what is recorded.
    Standing { done: oneshot::Sender<Result<Standing, StoreError>> },
    /// Note what changes of a target from now on, and let the snapshot see it as it is now.
    Follow { target: TargetId, epoch: Epoch, snapshot: Snapshot, done: oneshot::Sender<Result<Snapshot, Unmovable>> },
    /// Say what changed since, and let the snapshot see it as it is now.
    Changed { target: TargetId, snapshot: Snapshot, done: oneshot::Sender<Result<(Snapshot, Changed), Unmovable>> },
    /// Note nothing more.
    Leave { target: TargetId },
    /// Freeze a target; say what changed of it when it was followed.
    Freeze {
        id: MoveId,
        target: TargetId,
        epoch: Epoch,
        snapshot: Option<Snapshot>,
        done: oneshot::Sender<Result<Frozen, Unmovable>>,
    },
    /// Serve it again.
    Unfreeze { id: MoveId, target: TargetId, done: oneshot::Sender<()> },
    /// It is another pod's.
    LetGo { id: MoveId },
    /// Drop its rows.
    Drop { id: MoveId, done: oneshot::Sender<()> },
    /// Take a parcel in.
    Take { id: MoveId, parcel: Box<Parcel>, done: oneshot::Sender<Result<Taken, NotTaken>> },
    /// Say which restored copies wait; give up what had not come whole when `fresh`.
    Restored { fresh: bool, done: oneshot::Sender<Result<Imports, StoreError>> },
    /// Take in a parcel of what was restored from a replica.
    TakeRestored { id: MoveId, parcel: Box<Parcel>, from: Arc<Source>, done: oneshot::Sender<Result<Taken, NotTaken>> },
    /// Have on the disk what was taken in of that: before anybody hears that it is here.
    KeepRestored { done: oneshot::Sender<Result<(), StoreError>> },
    /// What came is the target's own as soon as that is acquired; then say since when, with a replica once that is in it: only
    /// then the source may drop its rows (OWNERSHIP.md, Moves).
    Settle { id: MoveId, target: TargetId, done: oneshot::Sender<Mono> },
    /// Say when a target is served whose rows a move has brought before this process began; with a replica, once it has them.
    Arrived { target: TargetId, done: oneshot::Sender<Mono> },
    /// Drop what came.
    DropImport { id: MoveId, done: oneshot::Sender<()> },
}

/// A target that is about to be frozen.
#[derive(Debug)]
struct Freezing {
    id: MoveId,
    no: SlotNo,
    guard: Guard,
    snapshot: Option<Snapshot>,
    until: Mono,
    done: oneshot::Sender<Result<Frozen, Unmovable>>,
}

/// What is to be recorded.
#[derive(Debug)]
enum Mark {
    Unfreeze(MoveId, TargetId, oneshot::Sender<()>),
    LetGo(MoveId),
    Drop(MoveId, oneshot::Sender<()>),
    DropImport(MoveId, oneshot::Sender<()>),
}

#[derive(Debug)]
struct Waiting {
    id: MoveId,
    parcel: Box<Parcel>,
    /// Whose replica it is from; none of a move.
    from: Option<Arc<Source>>,
    done: oneshot::Sender<Result<Taken, NotTaken>>,
}

/// The writer's part of moves.
#[derive(Debug)]
pub(super) struct Moving {
    importer: Importer,
    marks: Vec<Mark>,
    freezing: Vec<Freezing>,
    takes: VecDeque<Waiting>,
    drops: VecDeque<(LocalId, oneshot::Sender<()>)>,
    import_drops: HashMap<MoveId, oneshot::Sender<()>>,
    /// Whether an import that is not wanted may be there.
    leaving: bool,
    settled: HashMap<TargetId, (MoveId, oneshot::Sender<Mono>)>,
    /// Who waits until a target is served again after a restart.
    arrived: HashMap<TargetId, oneshot::Sender<Mono>>,
    not_before: Mono,
}

impl Moving {
    /// Begins with what the database says.
    pub(super) fn new(importer: Importer) -> Self {
        Self {
            importer,
            marks: Vec::new(),
            freezing: Vec::new(),
            takes: VecDeque::new(),
            drops: VecDeque::new(),
            import_drops: HashMap::new(),
            leaving: true,
            settled: HashMap::new(),
            arrived: HashMap::new(),
            not_before: Mono::ZERO,
        }
    }

    /// Returns when there is something to do.
    pub(super) fn next_at(&self, now: Mono) -> Option<Mono> {
        let busy = !self.marks.is_empty() || !self.takes.is_empty() || !self.drops.is_empty() || self.leaving;
        let work = busy.then(|| self.not_before.max(now));
        let freeze = (!self.freezing.is_empty()).then(|| now.after(LOOK));
        work.into_iter().chain(freeze).min()
    }
}

impl Writer {
    /// Takes a command of a move in.
    pub(super) fn moves(&mut self, command: MoveCommand) {
        match command {
            MoveCommand::Standing { done } => drop(done.send(self.store.moves_standing())),
            MoveCommand::Follow { target, epoch, snapshot, done } => {
                drop(done.send(self.note_changes(&target, epoch, snapshot)));
            }
            MoveCommand::Changed { target, snapshot, done } => drop(done.send(self.changed(&target, snapshot))),
            MoveCommand::Leave { target } => self.leave(&target),
            MoveCommand::Freeze { id, target, epoch, snapshot, done } => {
                self.begin_to_freeze(id, &target, epoch, snapshot, done);
            }
            MoveCommand::Unfreeze { id, target, done } => {
                // A freeze that waits for what runs is taken back.
                if let Some(i) = self.moving.freezing.iter().position(|freezing| freezing.id == id) {
                    let Freezing { no, .. } = self.moving.freezing.remove(i);
                    self.open_again(no, &target);
                    // Whoever asked may be gone.
                    let _ = done.send(());
                    return;
                }
                self.moving.marks.push(Mark::Unfreeze(id, target, done));
            }
            MoveCommand::LetGo { id } => self.moving.marks.push(Mark::LetGo(id)),
            MoveCommand::Drop { id, done } => self.moving.marks.push(Mark::Drop(id, done)),
            MoveCommand::DropImport { id, done } => {
                // Of a move that was closed after its commit: what came is nobody's any more.
                self.moving.settled.retain(|_, (settled, _)| *settled != id);
                self.moving.marks.push(Mark::DropImport(id, done));
            }
            MoveCommand::Restored { fresh, done } => drop(done.send(self.store.restored_imports(fresh))),
            MoveCommand::KeepRestored { done } => {
                let kept = self.moving.importer.begin(Outlives::Power).and_then(|()| self.moving.importer.commit());
                if kept.is_err() {
                    self.moving.importer.rollback();
                }
                // Whoever asked may be gone.
                let _ = done.send(kept);
            }
            MoveCommand::Take { id, parcel, done } => {
                self.moving.takes.push_back(Waiting { id, parcel, from: None, done });
            }
            MoveCommand::TakeRestored { id, parcel, from, done } => {
                self.moving.takes.push_back(Waiting { id, parcel, from: Some(from), done });
            }
            MoveCommand::Settle { id, target, done } => drop(self.moving.settled.insert(target, (id, done))),
            MoveCommand::Arrived { target, done } => {
                let is_served = self.boxes.find(&target).is_some_and(|no| self.boxes.slot(no).serving);
                if is_served {
                    self.let_arrival_out(&target, done);
                } else {
                    self.moving.arrived.insert(target, done);
                }
            }
        }
    }

    /// Goes on with everything that moves.
    pub(super) fn move_on(&mut self) {
        let now = self.clock.now();
        self.freeze_ready(now);
        if self.moving.not_before > now {
            return;
        }
        let done = self.write_marks().and_then(|()| self.take_parcels()).and_then(|()| self.drop_some());
        if let Err(why) = done {
            self.store.rollback();
            self.moving.importer.rollback();
            self.moving.not_before = now.after(PAUSE);
            self.is_writable(Some(why));
        }
    }

    /// Returns the move whose rows become the target's with its next epoch.
    pub(super) fn settled(&self, target: &TargetId) -> Option<MoveId> {
        self.moving.settled.get(target).map(|(id, _)| *id)
    }

    /// Says that a target's rows are what a move has brought.
    pub(super) fn switched(&mut self, target: &TargetId) {
        if let Some((id, done)) = self.moving.settled.remove(target) {
            self.moving.importer.forget(id);
            self.let_arrival_out(target, done);
        }
        if let Some(done) = self.moving.arrived.remove(target) {
            self.let_arrival_out(target, done);
        }
    }

    fn served(&self, target: &TargetId, epoch: Epoch) -> Result<SlotNo, Unmovable> {
        let no = self.boxes.find(target).filter(|no| {
            let slot = self.boxes.slot(*no);
            slot.serving && !slot.freezing && slot.epoch == epoch
        });
        no.ok_or(Unmovable::NotServing)
    }

    fn note_changes(&self, target: &TargetId, epoch: Epoch, snapshot: Snapshot) -> Result<Snapshot, Unmovable> {
        let local = self.boxes.slot(self.served(target, epoch)?).local;
        self.store.follow(local)?;
        snapshot.pin().inspect_err(|_| self.store.leave(local))?;
        Ok(snapshot)
    }

    fn changed(&self, target: &TargetId, snapshot: Snapshot) -> Result<(Snapshot, Changed), Unmovable> {
        let no = self.boxes.find(target).ok_or(Unmovable::NotServing)?;
        let changed = self.store.changed(self.boxes.slot(no).local)?.ok_or(Unmovable::NotServing)?;
        snapshot.pin()?;
        Ok((snapshot, changed))
    }

    fn leave(&self, target: &TargetId) {
        if let Some(no) = self.boxes.find(target) {
            self.store.leave(self.boxes.slot(no).local);
        }
    }

    fn begin_to_freeze(
        &mut self,
        id: MoveId,
        target: &TargetId,
        epoch: Epoch,
        snapshot: Option<Snapshot>,
        done: oneshot::Sender<Result<Frozen, Unmovable>>,
    ) {
        let right = self.served(target, epoch).and_then(|no| {
            let guard = self.ownership.guard(target).map_err(|_| Unmovable::NotServing)?;
            Ok((no, guard))
        });
        let (no, guard) = match right {
            Ok(right) => right,
            // Whoever asked may be gone.
            Err(why) => return drop(done.send(Err(why))),
        };
        self.ownership.freeze(target);
        let _ = self.notes.send(Note::Held { target: target.clone() });
        self.gate.forget_calls(no);
        if self.gate.waits(no) {
            self.replication.hurry();
        }
        self.timers.set(no, None);
        let slot = self.boxes.slot_mut(no);
        slot.freezing = true;
        let mut queue = std::mem::take(&mut slot.queue);
        // What its handler is at, or has answered, may still end here.
        if queue.front().is_some_and(|first| !matches!(first.asked, Asked::No)) {
            slot.queue.extend(queue.pop_front());
        }
        let outcome = Outcome::NotServing { detail: MOVING.to_owned() };
        for waiting in queue {
            self.refuse(waiting, &outcome);
        }
        let until = self.clock.now().after(self.settings.freeze_grace);
        self.moving.freezing.push(Freezing { id, no, guard, snapshot, until, done });
    }

    /// Freezes what has nothing running any more, or no time left: all of it in one transaction.
    fn freeze_ready(&mut self, now: Mono) {
        let (mut ready, mut waiting) = (Vec::new(), Vec::new());
        for freezing in std::mem::take(&mut self.moving.freezing) {
            let slot = self.boxes.slot(freezing.no);
            let runs = slot.queue.front().is_some_and(|first| !matches!(first.asked, Asked::No));
            let calls = || self.store.is_calling(slot.local).unwrap_or(true);
            // What waits for the replica may still be acknowledged here; later its sender hears it from the new owner.
            let held = self.gate.waits(freezing.no);
            if freezing.until > now && slot.serving && (runs || held || calls()) {
                waiting.push(freezing);
            } else {
                ready.push(freezing);
            }
        }
        self.moving.freezing = waiting;
        if ready.is_empty() {
            return;
        }
        let targets: Vec<_> = ready.iter().map(|freezing| (freezing.guard.target().clone(), freezing.no)).collect();
        let kept = self.exported(&targets);
        let written = self.write_frozen(&ready, &kept);
        if written.is_err() {
            self.store.rollback();
        }
        let fault = written.as_ref().err().is_some();
        for freezing in ready {
            let target = freezing.guard.target().clone();
            let held = self.ownership.check(&freezing.guard, Use::Act).is_ok() && self.boxes.slot(freezing.no).serving;
            if fault || !held {
                self.open_again(freezing.no, &target);
                let _ = freezing.done.send(Err(Unmovable::NotServing));
                continue;
            }
            self.close_frozen(freezing, &target);
        }
        if let Err(why) = written {
            self.is_writable(Some(why));
        } else {
            self.checkpoints.committed();
        }
    }

    fn write_frozen(&self, ready: &[Freezing], kept: &[(LocalId, Vec<u8>)]) -> Result<(), StoreError> {
        self.store.begin()?;
        kept.iter().try_for_each(|(local, state)| self.store.volatile_put(*local, state))?;
        for Freezing { id, no, guard, .. } in ready {
            let slot = self.boxes.slot(*no);
            if slot.serving && self.ownership.check(guard, Use::Act).is_ok() {
                self.store.freeze(*id, slot.local, &slot.target, guard.epoch(), self.clock.wall_ms())?;
            }
        }
        self.store.commit()
    }

    fn close_frozen(&mut self, freezing: Freezing, target: &TargetId) {
        let Freezing { no, snapshot, done, .. } = freezing;
        let outcome = Outcome::NotServing { detail: MOVING.to_owned() };
        for waiting in self.boxes.close(no) {
            self.refuse(waiting, &outcome);
        }
        self.give_back_held(no);
        self.boxes.slot_mut(no).freezing = false;
        let _ = self.notes.send(Note::Closed { target: target.clone() });
        self.left(target);
        let changed = snapshot.map(|snapshot| self.changed(target, snapshot)).transpose();
        self.leave(target);
        let _ = done.send(changed.map(|changed| Frozen { changed }));
    }

    /// Serves a target on whose freeze has come to nothing.
    fn open_again(&mut self, no: SlotNo, target: &TargetId) {
        let slot = self.boxes.slot_mut(no);
        slot.freezing = false;
        if !slot.serving {
            return self.ownership.thaw(target);
        }
        // What was accepted and put out of the way is in the database, and so is what it asked for.
        let epoch = slot.epoch;
        let queue = self.boxes.close(no);
        self.gate.forget_calls(no);
        let _ = self.notes.send(Note::Closed { target: target.clone() });
        if let Err(why) = self.take_back(target, epoch) {
            tracing::error!(%target, error = %why, "a target cannot be served on");
        }
        for waiting in queue.into_iter().rev() {
            if waiting.stage == Stage::Fresh {
                self.boxes.put_back(no, waiting);
            }
        }
        self.ownership.thaw(target);
    }

    /// Records what moves have decided; whatever is decided about their targets later comes after it.
    pub(super) fn write_marks(&mut self) -> Result<(), StoreError> {
        if self.moving.marks.is_empty() {
            return Ok(());
        }
        let mut drops = self.record_marks().inspect_err(|_| self.store.rollback())?.into_iter();
        for mark in std::mem::take(&mut self.moving.marks) {
            match mark {
                Mark::Unfreeze(_, target, done) => self.unfrozen(&target, done),
                Mark::LetGo(_) => {}
                Mark::Drop(_, done) => match drops.next().flatten() {
                    Some(local) => self.moving.drops.push_back((local, done)),
                    None => drop(done.send(())),
                },
                Mark::DropImport(id, done) => {
                    self.moving.importer.forget(id);
                    self.moving.leaving = true;
                    self.moving.import_drops.insert(id, done);
                }
            }
        }
        Ok(())
    }

    /// Writes down what there is, in one transaction. Returns whose rows go.
    fn record_marks(&self) -> Result<Vec<Option<LocalId>>, StoreError> {
        let mut drops = Vec::new();
        self.store.begin()?;
        for mark in &self.moving.marks {
            match mark {
                Mark::Unfreeze(id, ..) => drop(self.store.unfreeze(*id)?),
                Mark::LetGo(id) => self.store.let_go(*id)?,
                Mark::Drop(id, _) => drops.push(self.store.drop_begin(*id)?),
                Mark::DropImport(id, _) => self.store.import_leaves(*id)?,
            }
        }
        self.store.commit()?;
        Ok(drops)
    }

    fn unfrozen(&mut self, target: &TargetId, done: oneshot::Sender<()>) {
        self.ownership.thaw(target);
        if let Some(epoch) = self.ownership.epoch(target)
            && let Err(why) = self.take_back(target, epoch)
        {
            tracing::error!(%target, error = %why, "a target whose move was aborted cannot be served again");
        }
        // Whoever asked may be gone.
        let _ = done.send(());
    }

    /// Takes in what waits, as far as it fits one transaction.
    fn take_parcels(&mut self) -> Result<(), StoreError> {
        if self.moving.takes.is_empty() {
            return Ok(());
        }
        let now_ms = self.clock.wall_ms();
        let (mut rows, mut taken) = (0, Vec::new());
        // A move's source drops its rows when they are here; a replica is restored again.
        let outlives = |waiting: &Waiting| if waiting.from.is_some() { Outlives::Process } else { Outlives::Power };
        let together = self.moving.takes.front().map_or(Outlives::Power, outlives);
        self.moving.importer.begin(together)?;
        while let Some(next) = self.moving.takes.front()
            && outlives(next) == together
            && (taken.is_empty() || rows + next.parcel.rows() <= CHUNK)
            && let Some(Waiting { id, parcel, from, done }) = self.moving.takes.pop_front()
        {
            rows += parcel.rows();
            let summed = if from.is_some() { Summed::Nothing } else { Summed::Rows };
            let mut taken_in = self.moving.importer.take(id, &parcel, summed, now_ms);
            if let (Ok(Taken { whole: Some(_), .. }), Some(source)) = (&taken_in, &from)
                && let Err(why) = self.moving.importer.note_source(id, source, now_ms)
            {
                taken_in = Err(why.into());
            }
            match taken_in {
                Err(NotTaken::Store(why)) => {
                    // Dropped channels say that nothing was taken; it is sent again.
                    return Err(why);
                }
                said => taken.push((done, said)),
            }
        }
        self.moving.importer.commit()?;
        self.moving.leaving = true;
        self.is_writable(None);
        self.checkpoints.committed();
        for (done, said) in taken {
            // Whoever sent it may be gone.
            let _ = done.send(said);
        }
        Ok(())
    }

    /// Drops some rows of what went, or of what came and is not wanted: many small ones in one transaction. What comes has the
    /// precedence, and who is served is not kept waiting for long.
    fn drop_some(&mut self) -> Result<(), StoreError> {
        if !self.moving.takes.is_empty() || (self.moving.drops.is_empty() && !self.moving.leaving) {
            return Ok(());
        }
        let mut left = if self.boxes.has_turns() { CHUNK / 4 } else { CHUNK };
        let (mut gone, mut imports) = (Vec::new(), Vec::new());
        self.moving.importer.begin(Outlives::Power)?;
        while left > 0
            && let Some((local, _)) = self.moving.drops.get(gone.len())
        {
            let (local, most) = (*local, left);
            left -= self.moving.importer.clear(local, most)?.min(most);
            if left > 0 {
                self.moving.importer.drop_end(local)?;
                gone.push(local);
                // Also what is small takes its time.
                left = left.saturating_sub(EACH);
            }
        }
        let mut none_left = false;
        while left > 0 && self.moving.leaving && !none_left {
            match self.moving.importer.next_leaving()? {
                Some((local, id)) => {
                    left -= self.moving.importer.clear(local, left)?.min(left);
                    if left > 0 {
                        self.moving.importer.import_gone(local)?;
                        imports.push(id);
                        left = left.saturating_sub(EACH);
                    }
                }
                None => none_left = true,
            }
        }
        self.moving.importer.commit()?;
        self.checkpoints.committed();
        self.moving.leaving &= !none_left;
        for (_, done) in self.moving.drops.drain(..gone.len()) {
            // Whoever asked may be gone.
            let _ = done.send(());
        }
        let ended: Vec<_> = if none_left {
            self.moving.import_drops.drain().map(|(_, done)| done).collect()
        } else {
            imports.iter().filter_map(|id| self.moving.import_drops.remove(id)).collect()
        };
        for done in ended {
            let _ = done.send(());
        }
        Ok(())
    }
}
