//! Restoring what dead pods had from their replicas (OWNERSHIP.md, Data 4): which owner is to restore which copy, and what follows
//! from what it has found there. A copy is judged by the rule of a returned folder ([`newest`]): the replica is an older state
//! of that folder, and what it misses was never more than `local`. Nothing is taken from a replica whose pod is back and has
//! been given its targets again: whoever is first in the database has them. Pure; knows no object store.

use super::{Due, Heirs, Life, UNHEARD, begins, copies::newest};
use crate::control::{ControlError, Reply, census::Report};
use crate::domain::{Batch, Model, PodRecord, RestoreWhen};
use shared::wire::control::{Assignment, AssignmentState, DataAt, Holding, MAX_RESTORED, Restored, RestoredTaken};
use shared::wire::handoff::{Move, MoveState};
use shared::{Epoch, LeaseId, Mono, PodId, TargetId};
use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    time::Duration,
};

/// Why targets change hands here, as it stands in their assignments.
pub(in crate::control) const RESTORE: &str = "restore";
const RESTORED: &str = "restored";
const BACK: &str = "back-at-source";
const NOT_RESTORED: &str = "not-restored";

/// How often it is looked for targets whose time has come.
const LOOK: Duration = Duration::from_secs(1);

/// When replicas are restored, and what time it is.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::control) struct Terms {
    /// The operators' setting.
    pub(in crate::control) when: RestoreWhen,
    /// The time.
    pub(in crate::control) now: Mono,
    /// The same by the wall clock, in milliseconds since the Unix epoch.
    pub(in crate::control) wall_ms: u64,
}

/// What is still to be done about replicas.
#[derive(Debug, Default)]
pub(super) struct Restores {
    /// Reports for the next transaction.
    waiting: VecDeque<Told>,
    /// Those in the transaction under way.
    riding: Vec<Told>,
    /// Since when somebody waits for what a pod had, in which life.
    since: BTreeMap<Life, Since>,
    /// When it was looked for those last.
    looked: Option<Mono>,
    /// Targets that could not be had without the source of their last move, and as what that was back when they were tried again.
    tried: BTreeMap<TargetId, (PodId, LeaseId)>,
}

/// Since when somebody waits for a life's data.
#[derive(Debug, Clone, Copy)]
struct Since {
    /// This leader knows it.
    here: Mono,
    /// The first of its targets got another owner, by the database's clock: leaders before this one count too.
    stored_ms: u64,
}

impl Since {
    /// A wall clock that is behind the database's makes it as long as it takes this leader alone.
    fn is_over(&self, patience: Duration, now: Mono, wall_ms: u64) -> bool {
        let patience_ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        self.here.after(patience) <= now || self.stored_ms.saturating_add(patience_ms) <= wall_ms
    }
}

/// What a pod has restored.
#[derive(Debug)]
struct Told {
    pod: PodId,
    said: Restored,
    reply: Reply<RestoredTaken>,
}

impl Heirs {
    /// Takes a report on what was restored; it is answered with the next transaction.
    pub(in crate::control) fn restored(
        &mut self,
        model: &Model,
        pod: PodId,
        said: Restored,
        reply: Reply<RestoredTaken>,
    ) {
        let told = Told { pod, said, reply };
        match told.reporter(model) {
            Ok(_) => self.restores.waiting.push_back(told),
            Err(why) => told.refuse(why),
        }
    }

    /// What was put together is committed, `model` has it, or there was nothing: answers.
    pub(in crate::control) fn settled(&mut self, model: &Model) {
        self.restores.riding.drain(..).for_each(|told| told.answer(model));
    }

    /// Nothing of a transaction was written: answers what rides with an error. What else it took along is worked out anew, from
    /// what is committed and what was reported, as the next leader would.
    pub(in crate::control) fn failed(&mut self, why: &ControlError) {
        self.restores.riding.drain(..).for_each(|told| told.refuse(why.clone()));
        self.restores.tried.clear();
        self.returning.clear();
        self.settling = None;
    }

    /// Answers all that waits with an error.
    pub(in crate::control) fn turn_away(&mut self, why: &ControlError) {
        self.restores.waiting.drain(..).for_each(|told| told.refuse(why.clone()));
    }
}

impl Restores {
    /// Adds what follows from reports, and then the targets whose time has come.
    pub(super) fn board(
        &mut self,
        model: &Model,
        terms: Terms,
        taken: &mut HashSet<TargetId>,
        end: usize,
        batch: &mut Batch,
    ) {
        while let Some(told) = self.waiting.pop_front() {
            let record = match told.reporter(model) {
                Ok(record) => record,
                Err(why) => {
                    told.refuse(why);
                    continue;
                }
            };
            let fates = fates(model, record, &told.said);
            if batch.writes.len() + fates.len() > end {
                return self.waiting.push_front(told);
            }
            add(fates, model, taken, batch);
            self.riding.push(told);
        }
        let room = end.saturating_sub(batch.writes.len());
        add(self.due(model, terms, room), model, taken, batch);
    }

    /// Returns the targets that wait for a replica which is to be restored by now, at most so many.
    fn due(&mut self, model: &Model, Terms { when, now, wall_ms }: Terms, room: usize) -> Vec<Due> {
        let patience = match when {
            RestoreWhen::ByHand => {
                self.since.clear();
                return Vec::new();
            }
            RestoreWhen::AtOnce => Duration::ZERO,
            RestoreWhen::After(time) => time,
        };
        if room == 0 || self.looked.is_some_and(|looked| now < looked.after(LOOK)) {
            return Vec::new();
        }
        self.looked = Some(now);
        self.tried.retain(|target, _| {
            let data = model.assignment(target).and_then(|one| one.data);
            data.is_some_and(|data| data.restoring || data.trouble.is_some())
        });
        let waiting = model.quarantined(None).filter_map(|one| {
            let data = one.data.clone().filter(|data| !data.restoring)?;
            let wanted = data.trouble.is_none() || self.is_worth_another(model, &one, &data);
            (wanted && can_restore(model, &one.pod, &data)).then_some((one, data))
        });
        let waiting: Vec<(Assignment, DataAt)> = waiting.collect();
        let mut seen: BTreeMap<Life, Since> = BTreeMap::new();
        for (assignment, data) in &waiting {
            let life = data.life();
            let here = self.since.get(&life).map_or(now, |since| since.here);
            let since = seen.entry(life).or_insert(Since { here, stored_ms: assignment.since_ms });
            since.stored_ms = since.stored_ms.min(assignment.since_ms);
        }
        self.since = seen;
        let is_due =
            |data: &DataAt| self.since.get(&data.life()).is_some_and(|since| since.is_over(patience, now, wall_ms));
        let due: Vec<_> = waiting.into_iter().filter(|(_, data)| is_due(data)).take(room).collect();
        for (one, data) in due.iter().filter(|(_, data)| data.trouble.is_some()) {
            let source = source_of(model, one, data);
            self.tried.extend(source.map(|source| (one.target.clone(), (source.info.pod.clone(), source.lease_id))));
        }
        due.into_iter().map(|(one, data)| to_restore(&one, &data)).collect()
    }

    /// Says whether what could not be had may be had now: the source of the move that brought it is back, and keeps the rows. Once
    /// for each registration of it: there may be another trouble.
    fn is_worth_another(&self, model: &Model, one: &Assignment, data: &DataAt) -> bool {
        let tried = self.tried.get(&one.target);
        let fresh =
            |source: &PodRecord| tried.is_none_or(|(pod, lease)| (pod, *lease) != (&source.info.pod, source.lease_id));
        source_of(model, one, data).is_some_and(fresh)
    }
}

/// Returns the pod that a dead pod's target was moved from, when it is there and may still have the rows.
fn source_of<'a>(model: &'a Model, assignment: &Assignment, data: &DataAt) -> Option<&'a PodRecord> {
    let came = brought(model, assignment, data, None)?;
    model.pod(&came.from).filter(|source| !source.buried && !source.report)
}

impl Told {
    /// Returns who reports.
    fn reporter<'a>(&self, model: &'a Model) -> Result<&'a PodRecord, ControlError> {
        let record = model.pod(&self.pod).ok_or_else(|| ControlError::UnknownPod(self.pod.clone()))?;
        if record.buried || record.info.incarnation != self.said.incarnation {
            return Err(ControlError::WrongIncarnation(self.pod.clone()));
        }
        if record.lease_id != self.said.lease_id {
            return Err(ControlError::LeaseSuperseded(self.pod.clone()));
        }
        if self.said.targets.len() + self.said.absent.len() > MAX_RESTORED {
            return Err(ControlError::Invalid(format!("a report has at most {MAX_RESTORED} targets")));
        }
        Ok(record)
    }

    fn answer(self, model: &Model) {
        let named = self.said.targets.iter().map(|held| &held.target).chain(&self.said.absent);
        let serves = |target: &&TargetId| {
            model.assignment(target).is_some_and(|now| {
                let here = now.data.as_ref().is_some_and(|data| data.pod == self.pod);
                now.pod == self.pod && now.state == AssignmentState::Serving && here
            })
        };
        let serving = named.filter(serves).cloned().collect();
        // Whoever asked may be gone; so it is below.
        let _ = self.reply.send(Ok(RestoredTaken { serving }));
    }

    fn refuse(self, why: ControlError) {
        let _ = self.reply.send(Err(why));
    }
}

fn add(due: Vec<Due>, model: &Model, taken: &mut HashSet<TargetId>, batch: &mut Batch) {
    let fresh = due.into_iter().filter(|due| taken.insert(due.target.clone()));
    batch.writes.extend(fresh.map(|due| due.write(model)));
}

/// Returns whether an owner can restore a copy: both name the same place of replicas, and the life that had it is over, so
/// that its replica may be sealed.
pub(in crate::control) fn can_restore(model: &Model, heir: &PodId, data: &DataAt) -> bool {
    let replica = |pod: &PodId| model.pod(pod).and_then(|record| record.replica.as_deref());
    let over = model.pod(&data.pod).is_some_and(|had| had.buried || had.info.incarnation != data.incarnation);
    over && replica(heir).is_some() && replica(heir) == replica(&data.pod)
}

/// A target whose owner is to restore it.
pub(in crate::control) fn to_restore(assignment: &Assignment, data: &DataAt) -> Due {
    let data = DataAt { restoring: true, trouble: None, ..data.clone() };
    Due { data: Some(data), ..Due::of(assignment, RESTORE) }
}

/// Says for the copy that a new owner waits for whether it restores it at once: `asked` when its owner before was to.
pub(super) fn handed_on(model: &Model, terms: Terms, heir: &PodId, data: DataAt) -> DataAt {
    let wanted = data.restoring || terms.when == RestoreWhen::AtOnce;
    let restoring = wanted && can_restore(model, heir, &data);
    DataAt { restoring, trouble: None, ..data }
}

/// Works out what follows from a report.
fn fates(model: &Model, record: &PodRecord, said: &Restored) -> Vec<Due> {
    let report = Report::of_life(said.from.incarnation.clone(), &said.targets);
    let named = said.targets.iter().map(|held| &held.target).chain(&said.absent);
    let mut fates: Vec<Due> = named.filter_map(|target| fate(model, record, &report, target, said)).collect();
    if let Some(why) = &said.failed {
        let known: HashSet<TargetId> = fates.iter().map(|due| due.target.clone()).collect();
        let others = model.assignments_of(&record.info.pod, None).filter(|one| !known.contains(&one.target));
        let others = others.filter_map(|one| awaited(&one, said).cloned().map(|data| (one, data)));
        let room = MAX_RESTORED - fates.len().min(MAX_RESTORED);
        fates.extend(others.take(room).map(|(one, data)| in_trouble(&one, &data, why)));
    }
    fates
}

/// Returns the copy that an owner restores from the replica that is reported on; none when it restores none there.
fn awaited<'a>(assignment: &'a Assignment, said: &Restored) -> Option<&'a DataAt> {
    let waits = assignment.state == AssignmentState::Quarantined;
    let from =
        |data: &&DataAt| data.restoring && data.pod == said.from.pod && data.incarnation == said.from.incarnation;
    assignment.data.as_ref().filter(|_| waits).filter(from)
}

fn fate(model: &Model, record: &PodRecord, report: &Report, target: &TargetId, said: &Restored) -> Option<Due> {
    let pod = &record.info.pod;
    let assignment = model.assignment(target).filter(|assignment| assignment.pod == *pod)?;
    let data = awaited(&assignment, said)?;
    // What a move had released was not imported: only the pod itself can go on with it.
    let is_here = report.of(target).is_none_or(|held| held.whole);
    Some(match newest(record, report, target, data).filter(|_| is_here) {
        Some(Epoch(0)) => Due::of(&assignment, UNHEARD).serving(pod, begins(model, pod)),
        Some(epoch) => {
            let copy = DataAt::new(pod.clone(), record.info.incarnation.clone(), epoch);
            let copy = DataAt { origin: Some(data.life()), ..copy };
            Due::of(&assignment, RESTORED).serving(pod, Some(copy))
        }
        None => not_there(model, &assignment, data, report.of(target)),
    })
}

/// The replica does not have the copy. What a finished move brought to the dead pod, and what it acknowledged as replicated
/// afterwards, stand in its replica in this order: without the one the other was not either, and the rows that the source has
/// kept are the newest (OWNERSHIP.md, Moves). The same holds for what it had restored from another one's replica.
fn not_there(model: &Model, assignment: &Assignment, data: &DataAt, held: Option<&Holding>) -> Due {
    if let Some(due) = at_source(model, assignment, data, held) {
        return due;
    }
    let older = held.is_none_or(|held| data.before.is_some_and(|before| held.epoch < before));
    if let (Some(origin), Some(before), true) = (&data.origin, data.before, older) {
        let copy = DataAt::new(origin.pod.clone(), origin.incarnation.clone(), before);
        let copy = DataAt { restoring: can_restore(model, &assignment.pod, &copy), ..copy };
        return Due { data: Some(copy), ..Due::of(assignment, RESTORE) };
    }
    let why = kept_at(model, assignment, data, held).unwrap_or_else(|| match held {
        Some(Holding { epoch, whole: true, .. }) => {
            format!("the replica holds the copy of epoch {epoch}, not that of {}", data.epoch)
        }
        Some(held) if data.before == Some(held.epoch) => format!(
            "its last move was not over, and only {pod} still has its rows: start {pod} again, with its own data folder or an \
             empty one",
            pod = data.pod
        ),
        Some(_) => "the replica holds only rows that were given away".to_owned(),
        None => "the replica holds nothing of the target".to_owned(),
    });
    in_trouble(assignment, data, &why)
}

/// Returns the move that brought the target to the dead pod, when its rows are still kept where it came from, and nothing newer was
/// found.
fn brought<'a>(model: &'a Model, assignment: &Assignment, data: &DataAt, held: Option<&Holding>) -> Option<&'a Move> {
    let came = model.move_of(&assignment.target);
    let came = came.filter(|came| came.state == MoveState::Committed && came.to == data.pod)?;
    held.is_none_or(|held| held.epoch <= came.epoch).then_some(came)
}

/// Says what to do when the source that keeps the rows is away too. It comes back with them also from an empty disk: its replica
/// has them.
fn kept_at(model: &Model, assignment: &Assignment, data: &DataAt, held: Option<&Holding>) -> Option<String> {
    let Move { from, to, .. } = brought(model, assignment, data, held)?;
    Some(format!(
        "its move from {from} to {to} was not over, and only {from} still has its rows: start {from} again, with its own data \
         folder or an empty one; where replicas are restored by hand, say then: berth pod recover {to}"
    ))
}

fn at_source(model: &Model, assignment: &Assignment, data: &DataAt, held: Option<&Holding>) -> Option<Due> {
    let came = brought(model, assignment, data, held)?;
    let source = source_of(model, assignment, data)?;
    let kept = DataAt::new(came.from.clone(), source.info.incarnation.clone(), came.epoch);
    Some(Due::of(assignment, BACK).serving(&came.from, Some(kept)))
}

fn in_trouble(assignment: &Assignment, data: &DataAt, why: &str) -> Due {
    // Long enough for a sentence, short enough for a page.
    let why = why.chars().take(500).collect();
    let data = DataAt { restoring: false, trouble: Some(why), ..data.clone() };
    Due { data: Some(data), ..Due::of(assignment, NOT_RESTORED) }
}

/// Names where what a pod is given back was restored from.
pub(super) fn returned(data: &DataAt, copy: DataAt) -> DataAt {
    let same = copy.pod == data.pod;
    DataAt { origin: data.origin.clone().filter(|_| same), ..copy }
}
