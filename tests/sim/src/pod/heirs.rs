//! The shell around production's restores: for each dead life that this pod waits for it seals, looks and restores as the search
//! says, imports the rows of its own targets and tells the leader. What the leader does not give to it is dropped.

use super::{Call, Done, PLANE};
use crate::agenda::{Ns, SECOND};
use crate::depot::{Began, StoreAnswer, StoreAsk};
use crate::disk::{Data, Held, Import, Newest};
use crate::message::{Answer, Ask};
use crate::network::Node;
use crate::world::{Happening, World};
use gateway::simulation::reconcile::Origin;
use gateway::simulation::recovery::{Came, Job, Next, Restores, Search};
use shared::plant::{self, Bug};
use shared::protocol::invariants::What;
use shared::wire::control::{Holding, Life, Restored};
use shared::{Epoch, Mono, TargetId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long the store may take for one step.
const STEP: Ns = 10 * SECOND;
/// How long until the leader is told again.
const TELL_AGAIN: Ns = SECOND;

/// What a process restores.
#[derive(Debug, Default)]
pub(super) struct Heirs {
    restores: Restores,
    jobs: BTreeMap<Life, Working>,
    /// What was restored, as long as something of it is wanted.
    scratch: BTreeMap<Life, Arc<Data>>,
}

/// A job under way.
#[derive(Debug)]
struct Working {
    job: Job,
    search: Option<Search>,
    failed: bool,
    /// What the replica holds and nobody can go on with, and what it does not hold.
    unfit: Vec<Holding>,
    absent: Vec<TargetId>,
}

impl Heirs {
    pub(super) fn wake_at(&self) -> Option<Mono> {
        self.restores.wake_at()
    }
}

impl World {
    fn heirs(&mut self, n: u8) -> Option<&mut Heirs> {
        self.process(n).and_then(|process| process.heirs.as_mut())
    }

    /// A process starts: copies may be here that nobody has said anything about.
    pub(super) fn pod_finds_imports(&mut self, n: u8) {
        let lives: Vec<_> = self.pods[usize::from(n)].disk.data.imports.keys().map(|(life, _)| life.clone()).collect();
        if let Some(heirs) = self.heirs(n) {
            lives.into_iter().for_each(|life| heirs.restores.left_over(life));
        }
    }

    /// Looks at what is to be restored, and begins with what is due.
    pub(super) fn pod_restores(&mut self, n: u8) {
        let pod = &mut self.pods[usize::from(n)];
        let now = pod.hardware.look(self.now);
        let Some(process) = &mut pod.process else { return };
        let Some(heirs) = &mut process.heirs else { return };
        let mut over = heirs.restores.look(now, &process.ownership);
        over.retain(|life| heirs.scratch.remove(life).is_some());
        let mut begun = Vec::new();
        while let Some(job) = heirs.restores.next(now) {
            begun.push(job);
        }
        let by = pod.id.clone();
        for from in over {
            self.history.note(self.now, &What::Forgotten { by: by.clone(), from });
        }
        for job in begun {
            self.job_begins(n, job);
        }
    }

    fn job_begins(&mut self, n: u8, job: Job) {
        let imports = &self.pods[usize::from(n)].disk.data.imports;
        let is_here = |target: &TargetId| imports.contains_key(&(job.life.clone(), self.index(target)));
        let missing = job.targets.iter().any(|target| !is_here(target) || plant::on(Bug::ImportsTwice));
        let (life, given_up) = (job.life.clone(), job.given_up);
        let working = Working { job, search: None, failed: given_up, unfit: Vec::new(), absent: Vec::new() };
        let Some(heirs) = self.heirs(n) else { return };
        let is_restored = heirs.scratch.contains_key(&life);
        heirs.jobs.insert(life.clone(), working);
        if !missing || given_up {
            self.job_tells(n, &life);
        } else if is_restored {
            self.pod_syncs(n, Done::Imports(life));
        } else {
            let ask = StoreAsk::Look(life.clone());
            self.job_asks(n, life, ask);
        }
    }

    fn job_asks(&mut self, n: u8, life: Life, ask: StoreAsk) {
        self.pod_asks(n, Node::Store, Call::Heir(life), Ask::Store(ask), STEP);
    }

    /// The store has answered a step of a job, or has not.
    pub(super) fn job_hears(&mut self, n: u8, life: &Life, answer: Option<Answer>) {
        let Some(working) = self.heirs(n).and_then(|heirs| heirs.jobs.get_mut(life)) else { return };
        let Some(Answer::Store(answer)) = answer else { return self.job_ends(n, life, Came::Again) };
        let next = match (&mut working.search, answer) {
            (None, StoreAnswer::Looked(None)) => Next::Nothing,
            (None, StoreAnswer::Looked(Some(_))) => {
                let (search, next) = Search::begin(life);
                working.search = Some(search);
                next
            }
            (Some(search), StoreAnswer::Done) => search.sealed(),
            (Some(search), StoreAnswer::Looked(found)) => {
                search.listed(found.is_some_and(|found| found.last.is_some()))
            }
            (Some(search), StoreAnswer::Begun(Began { before, empty })) => search.begun(before.as_ref(), empty),
            (Some(_), StoreAnswer::Fetched(Some(copy))) => return self.job_restored(n, life, copy),
            _ => return self.job_ends(n, life, Came::Again),
        };
        let ask = match next {
            Next::Seal(of) => StoreAsk::Seal(of),
            Next::List(of) => StoreAsk::Look(of),
            Next::Begun(of) => StoreAsk::Begun(of),
            Next::Restore(of) => StoreAsk::Fetch(of),
            Next::Empty => {
                working.absent = working.job.targets.clone();
                return self.job_tells(n, life);
            }
            Next::Nothing => {
                working.failed = true;
                return self.job_tells(n, life);
            }
        };
        self.job_asks(n, life.clone(), ask);
    }

    fn job_restored(&mut self, n: u8, life: &Life, copy: Arc<Data>) {
        let by = self.pods[usize::from(n)].id.clone();
        let Some(heirs) = self.heirs(n) else { return };
        heirs.scratch.insert(life.clone(), copy);
        self.history.note(self.now, &What::Fetched { by, from: life.clone() });
        self.pod_syncs(n, Done::Imports(life.clone()));
    }

    /// The rows of this pod's targets are imported, on disk.
    pub(super) fn job_imports(&mut self, n: u8, life: &Life) {
        let pod = &mut self.pods[usize::from(n)];
        let Some(heirs) = pod.process.as_mut().and_then(|process| process.heirs.as_mut()) else { return };
        let (Some(working), Some(copy)) = (heirs.jobs.get_mut(life), heirs.scratch.get(life).cloned()) else { return };
        let data = &mut pod.disk.data;
        data.seq += 1;
        for target in &working.job.targets {
            let at = self.targets.iter().position(|known| known == target).unwrap_or_default();
            let key = (life.clone(), at);
            let is_here = data.imports.contains_key(&key);
            if is_here && !plant::on(Bug::ImportsTwice) {
                continue;
            }
            match copy.newest(at) {
                None => working.absent.push(target.clone()),
                Some(Newest { epoch, whole: false, .. }) => {
                    working.unfit.push(Holding { target: target.clone(), epoch, whole: false });
                }
                Some(Newest { epoch, applied, origins, .. }) => {
                    let mut origins = origins.to_vec();
                    origins.push(Origin { life: life.clone(), epoch, journal_seq: applied.len() as u64 });
                    let fresh = || Import { epoch, applied: Vec::new(), origins };
                    data.imports.entry(key).or_insert_with(fresh).applied.extend(applied);
                }
            }
        }
        self.job_tells(n, life);
    }

    /// Tells the leader what is here.
    pub(super) fn job_tells(&mut self, n: u8, life: &Life) {
        let pod = &self.pods[usize::from(n)];
        let Some(process) = &pod.process else { return };
        let Some(working) = process.heirs.as_ref().and_then(|heirs| heirs.jobs.get(life)) else { return };
        let data = &pod.disk.data;
        let here = data.imports.iter().filter(|((of, _), _)| of == life);
        let here = here.map(|((_, target), import)| {
            let target = self.targets[*target].clone();
            Holding { target, epoch: import.epoch, whole: true }
        });
        let targets: Vec<_> = here.chain(working.unfit.iter().cloned()).collect();
        let failed = working.failed.then(|| "there is nothing to be had".to_owned());
        if targets.is_empty() && working.absent.is_empty() && failed.is_none() {
            return self.job_ends(n, life, Came::Done);
        }
        let Some((lease, _)) = process.ownership.lease() else { return self.job_tells_later(n, life) };
        let said = Restored {
            incarnation: data.incarnation.clone(),
            lease_id: lease.id,
            from: life.clone(),
            targets,
            absent: working.absent.clone(),
            failed,
        };
        let (id, plane) = (pod.id.clone(), self.pod_plane(n));
        self.pod_asks(n, plane, Call::Restored(life.clone()), Ask::Restored(id, said), PLANE);
    }

    fn job_tells_later(&mut self, n: u8, life: &Life) {
        if let Some(of) = self.life(Node::Pod(n)) {
            let done = Box::new(Done::TellRestored(life.clone()));
            self.agenda.put(self.now + TELL_AGAIN, Happening::Disk { pod: n, life: of, done });
        }
    }

    /// The leader has answered, or has not.
    pub(super) fn job_was_told(&mut self, n: u8, life: &Life, answer: Option<Answer>) {
        let Some(Answer::RestoredTaken(taken)) = answer else {
            self.pod_turns(n);
            return self.job_tells_later(n, life);
        };
        let serving: Vec<_> = taken.serving.iter().map(|target| self.index(target)).collect();
        let data = &mut self.pods[usize::from(n)].disk.data;
        data.imports.retain(|(of, target), _| of != life || serving.contains(target));
        data.seq += 1;
        self.job_ends(n, life, Came::Done);
    }

    fn job_ends(&mut self, n: u8, life: &Life, came: Came) {
        let now = self.pods[usize::from(n)].hardware.look(self.now);
        let Some(heirs) = self.heirs(n) else { return };
        heirs.jobs.remove(life);
        heirs.restores.ended(now, life, came);
        self.pod_restores(n);
        self.pod_arm(n);
    }

    /// Whether a copy of a target is here that it may be served with.
    pub(super) fn pod_has_import(&self, n: u8, target: usize, kept: Option<Epoch>) -> bool {
        self.pod_import_of(n, target, kept).is_some()
    }

    fn pod_import_of(&self, n: u8, target: usize, kept: Option<Epoch>) -> Option<Life> {
        let imports = &self.pods[usize::from(n)].disk.data.imports;
        let found = imports.iter().find(|((_, of), import)| *of == target && Some(import.epoch) == kept);
        found.map(|((life, _), _)| life.clone())
    }

    /// What was imported for exactly this is the target's own from now on. Of other copies somebody has decided otherwise.
    pub(super) fn pod_takes_import(&mut self, n: u8, target: usize, epoch: Epoch, kept: Option<Epoch>) {
        let wanted = self.pod_import_of(n, target, kept);
        let data = &mut self.pods[usize::from(n)].disk.data;
        let import = wanted.and_then(|life| data.imports.remove(&(life, target)));
        data.imports.retain(|(_, of), _| *of != target);
        let Some(import) = import else { return };
        let row = crate::disk::Row::new(epoch, Held::Owned, import.applied);
        data.rows.insert(target, crate::disk::Row { origins: import.origins, ..row });
    }
}
