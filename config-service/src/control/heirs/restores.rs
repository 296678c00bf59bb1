//! Restoring what dead pods had from their replicas (OWNERSHIP.md, Data 4): which owner is to restore which copy, and what follows
//! from what it has found there. A copy is judged by the rule of a returned folder ([`newest`]): the replica is an older state
//! of that folder, and what it misses was never more than `local`. Nothing is taken from a replica whose pod is back and has
//! been given its targets again: whoever is first in the database has them. Pure; knows no object store.

use super::{Due, Heirs, Life, UNHEARD, begins, copies::newest};
use crate::control::{ControlError, Reply, census::Report};
use crate::domain::{Batch, Model, PodRecord, RestoreWhen};
use shared::wire::control::{Assignment, AssignmentState, DataAt, Holding, MAX_RESTORED, Restored, RestoredTaken};
use shared::wire::handoff::MoveState;
use shared::{Epoch, Mono, PodId, TargetId};
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
}

/// What is still to be done about replicas.
#[derive(Debug, Default)]
pub(super) struct Restores {
    /// Reports for the next transaction.
    waiting: VecDeque<Told>,
    /// Those in the transaction under way.
    riding: Vec<Told>,
    /// Since when this leader knows that somebody waits for what a pod had, in which life.
    since: BTreeMap<Life, Mono>,
    /// When it was looked for those last.
    looked: Option<Mono>,
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
    fn due(&mut self, model: &Model, Terms { when, now }: Terms, room: usize) -> Vec<Due> {
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
        let (mut seen, mut due) = (BTreeMap::new(), Vec::new());
        for assignment in model.quarantined(None) {
            let Some(data) = assignment.data.as_ref().filter(|data| !data.restoring && data.trouble.is_none()) else {
                continue;
            };
            if !can_restore(model, &assignment.pod, data) {
                continue;
            }
            let life = data.life();
            let since = self.since.get(&life).copied().unwrap_or(now);
            if since.after(patience) <= now && due.len() < room {
                due.push(to_restore(assignment, data));
            }
            seen.insert(life, since);
        }
        self.since = seen;
        due
    }
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
        let others = others.filter_map(|assignment| Some((assignment, awaited(assignment, said)?)));
        let room = MAX_RESTORED - fates.len().min(MAX_RESTORED);
        fates.extend(others.take(room).map(|(assignment, data)| in_trouble(assignment, data, why)));
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
    let data = awaited(assignment, said)?;
    Some(match newest(record, report, target, data) {
        Some(Epoch(0)) => Due::of(assignment, UNHEARD).serving(pod, begins(model, pod)),
        Some(epoch) => {
            let copy = DataAt::new(pod.clone(), record.info.incarnation.clone(), epoch);
            let copy = DataAt { origin: Some(data.life()), ..copy };
            Due::of(assignment, RESTORED).serving(pod, Some(copy))
        }
        None => not_there(model, assignment, data, report.of(target)),
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
    let why = match held {
        Some(Holding { epoch, whole: true, .. }) => {
            format!("the replica holds the copy of epoch {epoch}, not that of {}", data.epoch)
        }
        Some(_) => "the replica holds only rows that were given away".to_owned(),
        None => "the replica holds nothing of the target".to_owned(),
    };
    in_trouble(assignment, data, &why)
}

fn at_source(model: &Model, assignment: &Assignment, data: &DataAt, held: Option<&Holding>) -> Option<Due> {
    let came = model.move_of(&assignment.target);
    let came = came.filter(|came| came.state == MoveState::Committed && came.to == data.pod)?;
    if held.is_some_and(|held| held.epoch > came.epoch) {
        return None;
    }
    let source = model.pod(&came.from).filter(|source| !source.buried && !source.report)?;
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
