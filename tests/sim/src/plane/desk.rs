//! The leader's transactions: one at a time; what the protocol wants written first, then targets of the dead, registrations,
//! what came back, moves, and first contacts. Production's planner says where what goes, production's store keeps it.

use super::{Call, Role};
use crate::message::{Answer, Ask, Asker, Query};
use crate::network::Node;
use crate::pod::number;
use crate::world::{LOSS, World};
use config_service::domain::{Batch, Change, FIRST_CONTACT, Fencing, Model, PodRecord, Snapshot, Write};
use config_service::planner::{self, Candidate, Policy, Wanted};
use config_service::simulation::{Estate, Handoffs};
use config_service::store::{Committed, StoreError};
use shared::lease::LeaseTerms;
use shared::protocol::invariants::What;
use shared::protocol::leader::{Input, Intent, Known, Leader, Proof, Why};
use shared::wire::control::{Assignment, AssignmentState, DataAt, Load, PodInfo, Register, Registered};
use shared::wire::handoff::{Move, MoveState, Reported};
use shared::wire::peers::Mark;
use shared::{Epoch, Incarnation, LeaseId, Mono, MoveId, PodId, Revision, TargetId, Term};
use std::collections::BTreeSet;

/// What waits for the next transaction, and what the running one is of.
#[derive(Debug)]
pub(super) struct Desk {
    registers: Vec<(Asker, Register)>,
    pub(super) estate: Estate<Asker>,
    pub(super) handoffs: Handoffs<Asker>,
    /// Pods that have registered with this leader.
    joined: BTreeSet<PodId>,
    places: Vec<(Asker, usize)>,
    pub(super) running: Option<Running>,
}

/// A transaction under way.
#[derive(Debug, Default)]
pub(super) struct Running {
    intents: Vec<Intent>,
    registers: Vec<(Asker, PodRecord)>,
    places: Vec<(Asker, usize)>,
}

impl Desk {
    pub(super) fn new(model: &Model, local: Mono) -> Self {
        Self {
            registers: Vec::new(),
            estate: Estate::default(),
            joined: BTreeSet::new(),
            handoffs: Handoffs::new(model, local),
            places: Vec::new(),
            running: None,
        }
    }

    /// Returns when time alone has something to decide, while nothing is under way.
    pub(super) fn wake_at(&self, local: Mono) -> Option<Mono> {
        let wait = self.handoffs.wakes_in(local).filter(|_| self.running.is_none());
        wait.map(|wait| local.after(wait))
    }
}

impl World {
    pub(super) fn leader_asked(&mut self, n: u8, asker: Asker, ask: Ask) {
        let name = match &ask {
            Ask::Place(target) => Some(self.targets[*target].clone()),
            _ => None,
        };
        let plane = self.plane(n);
        let record = match &ask {
            Ask::Holdings(pod, _) | Ask::Heartbeat(pod, _) => plane.model.pod(pod).cloned(),
            _ => None,
        };
        let placed = name.and_then(|target| plane.model.assignment(&target));
        if let Ask::Life(pod) = &ask {
            return self.leader_tells_life(n, asker, pod);
        }
        if let Ask::Restored(pod, said) = ask {
            return self.leader_hears_restored(n, asker, pod, said);
        }
        let plane = self.plane(n);
        let Some(leading) = plane.leading() else { return };
        match ask {
            Ask::Register(register) => leading.desk.registers.push((asker, register)),
            Ask::Holdings(_, holdings) => {
                let counts = record.is_some_and(|record| leading.desk.estate.take(&record, holdings));
                let answer = if counts { Answer::Taken } else { Answer::Refused(409, "superseded") };
                self.answer(Node::Plane(n), asker, answer);
            }
            // What it told the leader before this one is forgotten: it registers, and is asked again.
            Ask::Heartbeat(pod, _)
                if record.is_some_and(|record| record.report && !record.buried)
                    && !leading.desk.joined.contains(&pod) =>
            {
                self.answer(Node::Plane(n), asker, Answer::Refused(409, "lease-superseded"));
            }
            Ask::Heartbeat(pod, heartbeat) => self.leader_beats(n, asker, pod, heartbeat),
            Ask::Place(target) => match placed {
                Some(assignment) => self.answer(Node::Plane(n), asker, Answer::Placed(Box::new(assignment))),
                None => leading.desk.places.push((asker, target)),
            },
            Ask::Reports(reports) => leading.desk.handoffs.report(asker, reports),
            _ => self.answer(Node::Plane(n), asker, Answer::Elsewhere),
        }
    }

    /// An operator declares lives dead whose folders are lost (Leases 9): nobody will come back as them.
    pub(super) fn desk_hears_operators(&mut self, n: u8) {
        let lost: BTreeSet<_> = self.lost.union(&self.gone).cloned().collect();
        let plane = self.plane(n);
        let dead = |record: &&PodRecord| !record.buried && lost.contains(&record.info.incarnation);
        let dead: Vec<_> = plane.model.pods().filter(dead).map(|record| record.info.pod.clone()).collect();
        for pod in dead {
            self.leader_does(n, Input::Proof { pod, of: Proof::Declared });
        }
    }

    /// Begins the next transaction, when none runs and there is something to be written.
    pub(super) fn desk_goes_on(&mut self, n: u8) {
        let now = self.now;
        let replicated = self.profile.replicas.as_ref().map(|replicas| replicas.when);
        let plane = &mut self.planes[usize::from(n)];
        let local = plane.hardware.look(now);
        let model = std::mem::take(&mut plane.model);
        let mut batch = Batch::default();
        let mut refused = Vec::new();
        if let Some(leading) = plane.leading().filter(|leading| leading.desk.running.is_none()) {
            let fleet = candidates(&model, |pod| leading.is_ready(pod, now));
            let mut running = Running::default();
            for intent in std::mem::take(&mut leading.intents) {
                batch.writes.extend(write(&model, leading.term, &intent));
                running.intents.push(intent);
            }
            accept_losses(&model, &self.lost, &mut batch);
            let home = |entry: &Assignment| empty_home(&fleet, &self.pods, &self.targets, entry);
            if replicated.is_none() {
                accept_stranded(&model, |entry| !has_begun(&self.pods, &self.targets, entry), home, &mut batch);
            }
            for (asker, register) in std::mem::take(&mut leading.desk.registers) {
                let twice = running.registers.iter().any(|(_, record)| record.info.pod == register.pod);
                match admit(&model, &leading.core, &batch, &register) {
                    _ if twice => refused.push((asker, Answer::Elsewhere)),
                    Ok((record, expected)) => {
                        let floor = register.highest_epoch;
                        batch.writes.push(Write::Pod { record: record.clone(), expected, floor });
                        running.registers.push((asker, record));
                    }
                    Err(code) => refused.push((asker, Answer::Refused(409, code))),
                }
            }
            let (terms, room) = ((replicated.unwrap_or_default(), local), 5_000 - batch.writes.len());
            leading.desk.estate.board(&model, fleet.clone(), terms, room, &mut batch);
            leading.desk.handoffs.board(&model, &fleet, local, &mut batch);
            board_places(&model, &fleet, &self.targets, &leading.desk.places, &mut batch);
            running.places = std::mem::take(&mut leading.desk.places);
            if batch.is_empty() {
                // Nothing to be written: everybody is answered from what is known.
                leading.desk.handoffs.settle(&model);
                leading.desk.estate.settled(&model);
                self.planes[usize::from(n)].model = model;
                self.desk_settles(n, running);
            } else {
                leading.desk.running = Some(running);
                let term = leading.term;
                self.planes[usize::from(n)].model = model;
                self.leader_commits(n, term, batch);
            }
        } else {
            plane.model = model;
        }
        for (asker, answer) in refused {
            self.answer(Node::Plane(n), asker, answer);
        }
    }

    pub(super) fn leader_committed(&mut self, n: u8, committed: Committed) {
        let now = self.now;
        let plane = self.plane(n);
        let local = plane.hardware.look(now);
        let Some(running) = plane.leading().and_then(|leading| leading.desk.running.take()) else { return };
        for change in &committed.changes {
            let (Change::Pod(record), Some(leading)) = (change, plane.leading()) else { continue };
            if !record.report {
                leading.desk.estate.forget(&record.info.pod);
            }
        }
        plane.learn(committed.changes.clone());
        plane.model.issued(committed.epoch);
        if let Role::Leader(leading) = &mut plane.role {
            leading.desk.handoffs.committed(&plane.model, &committed.changes, local);
            leading.desk.estate.settled(&plane.model);
        }
        self.desk_settles(n, running);
        self.desk_goes_on(n);
    }

    /// Tells everybody what came of a transaction.
    fn desk_settles(&mut self, n: u8, running: Running) {
        for intent in running.intents {
            if let Intent::Bury { pod, lease_id, proof, .. } = &intent {
                let mark = Mark { pod: pod.clone(), lease_id: *lease_id };
                self.history.note(self.now, &What::Buried { mark, proven: proof.is_some() });
                if self.profile.generous {
                    self.operator_accepts_loss(number(pod));
                }
            }
            self.leader_does(n, Input::Written(intent));
        }
        let fenced: Vec<_> = self.plane(n).model.fencing().map(Fencing::mark).collect();
        for (asker, record) in running.registers {
            let registered = Registered {
                version: 1,
                lease_id: record.lease_id,
                generation: 1,
                heartbeat_ms: self.terms.heartbeat.as_millis() as u64,
                lease_ms: self.terms.duration.as_millis() as u64,
                fenced: fenced.clone(),
                report: record.report,
            };
            self.leader_does(n, registered_input(&record));
            if let Some(leading) = self.plane(n).leading() {
                leading.desk.estate.registered(&record);
                leading.desk.joined.insert(record.info.pod.clone());
            }
            self.answer(Node::Plane(n), asker, Answer::Registered(registered));
        }
        for (asker, target) in running.places {
            let answer = match self.planes[usize::from(n)].model.assignment(&self.targets[target]) {
                Some(assignment) => Answer::Placed(Box::new(assignment)),
                None => Answer::Refused(503, "no-ready-pod"),
            };
            self.answer(Node::Plane(n), asker, answer);
        }
        self.desk_answers_reports(n);
        self.desk_answers_restored(n);
    }

    /// Tells pods how the moves stand that they have reported on; those that are over for long are read first.
    fn desk_answers_reports(&mut self, n: u8) {
        let Some(leading) = self.plane(n).leading() else { return };
        for (asker, heard) in leading.desk.handoffs.answers() {
            let Some(stands) = heard else {
                self.answer(Node::Plane(n), asker, Answer::Refused(409, "wrong-incarnation"));
                continue;
            };
            let missing: Vec<_> = stands.iter().filter(|(_, entry)| entry.is_none()).map(|(id, _)| *id).collect();
            if missing.is_empty() {
                self.leader_answers_reports(n, asker, stands, &[]);
            } else {
                self.plane_queries(n, Call::Moves(asker, stands), Query::Moves(missing));
            }
        }
    }

    pub(super) fn leader_answers_reports(
        &mut self,
        n: u8,
        asker: Asker,
        stands: Vec<(MoveId, Option<Move>)>,
        found: &[Move],
    ) {
        let known =
            |(id, entry): (MoveId, Option<Move>)| entry.or_else(|| found.iter().find(|one| one.id == id).cloned());
        let moves = stands.into_iter().filter_map(known).collect();
        self.answer(Node::Plane(n), asker, Answer::Reported(Reported { moves }));
    }

    pub(super) fn leader_not_committed(&mut self, n: u8, why: &StoreError) {
        let Some(running) = self.plane(n).leading().and_then(|leading| leading.desk.running.take()) else { return };
        let askers = running.registers.iter().map(|(asker, _)| *asker);
        let askers: Vec<_> = askers.chain(running.places.iter().map(|(asker, _)| *asker)).collect();
        for asker in askers {
            self.answer(Node::Plane(n), asker, Answer::Elsewhere);
        }
        match why {
            // Certainly nothing was written.
            StoreError::Rejected(_) => {
                if let Some(leading) = self.plane(n).leading() {
                    leading.desk.handoffs.failed();
                    leading.desk.estate.failed();
                }
                self.desk_answers_reports(n);
                self.desk_answers_restored(n);
                for intent in running.intents {
                    self.leader_does(n, Input::NotWritten(intent));
                }
            }
            why => self.leader_ends(n, &why.to_string()),
        }
    }
}

/// Makes the core of a new leader from what the database says.
pub(super) fn core(term: Term, terms: LeaseTerms, local: Mono, snapshot: &Snapshot) -> Leader {
    let known = snapshot.pods.iter().map(|record| Known {
        pod: record.info.pod.clone(),
        lease_id: record.lease_id,
        incarnation: record.info.incarnation.clone(),
        buried: record.buried,
        acknowledged: 0,
        fenced: snapshot
            .fencing
            .iter()
            .find(|fencing| fencing.pod == record.info.pod)
            .map(|fencing| (fencing.lease_id, fencing.round)),
    });
    Leader::new(term, terms, local, known, snapshot.members.clone())
}

fn registered_input(record: &PodRecord) -> Input {
    let PodInfo { pod, incarnation, .. } = record.info.clone();
    Input::Registered { pod, incarnation, lease_id: record.lease_id }
}

/// Returns a pod that is ready and holds nothing of a target.
fn empty_home(
    fleet: &[Candidate],
    pods: &[crate::pod::Pod],
    targets: &[TargetId],
    entry: &Assignment,
) -> Option<PodId> {
    let holds = |target: &usize| targets[*target] == entry.target;
    let ready = |pod: &PodId| fleet.iter().any(|candidate| candidate.pod == *pod && candidate.ready);
    let empty = |pod: &&crate::pod::Pod| ready(&pod.id) && !pod.disk.data.rows.keys().any(holds);
    pods.iter().find(empty).map(|pod| pod.id.clone())
}

/// Whether the pod that a quarantined target's data is said to be with may have some. An operator sees it on the pod.
fn has_begun(pods: &[crate::pod::Pod], targets: &[TargetId], entry: &Assignment) -> bool {
    let Some(data) = &entry.data else { return true };
    let Some(pod) = pods.iter().find(|pod| pod.id == data.pod) else { return true };
    let holds = |target: &usize| targets[*target] == entry.target;
    pod.process.is_none() || pod.disk.data.rows.keys().any(holds)
}

fn candidates(model: &Model, is_ready: impl Fn(&PodId) -> bool) -> Vec<Candidate> {
    let candidate = |record: &PodRecord| Candidate {
        pod: record.info.pod.clone(),
        capacity: record.info.capacity,
        open: record.marks.open(),
        ready: !record.buried && is_ready(&record.info.pod),
        targets: model.targets_of(&record.info.pod),
        fresh: 0,
        track: record.track,
        load: Load::default(),
    };
    model.pods().map(candidate).collect()
}

fn write(model: &Model, term: Term, intent: &Intent) -> Option<Write> {
    match intent {
        Intent::Fencing { pod, lease_id, round } => {
            Some(Write::Fencing(Fencing { pod: pod.clone(), lease_id: *lease_id, round: *round, term }))
        }
        Intent::Bury { pod, .. } => model.pod(pod).cloned().map(Write::Bury),
        Intent::Members(members) => Some(Write::Members(members.clone())),
    }
}

fn assign(entry: &Assignment, pod: PodId, reason: &'static str, state: AssignmentState, data: Option<DataAt>) -> Write {
    Write::Assign {
        target: entry.target.clone(),
        parent: None,
        pod,
        expected: Some((entry.pod.clone(), entry.epoch)),
        reason,
        state,
        data,
    }
}

/// An operator has accepted that what a pod had is lost: its targets begin empty.
fn accept_losses(model: &Model, lost: &BTreeSet<Incarnation>, batch: &mut Batch) {
    for entry in model.quarantined(None) {
        let touched = |write: &Write| matches!(write, Write::Assign { target, .. } if *target == entry.target);
        let accepted = entry.data.as_ref().is_some_and(|data| lost.contains(&data.incarnation));
        if !accepted || batch.writes.iter().any(touched) {
            continue;
        }
        let Some(heir) = model.pod(&entry.pod).map(|record| &record.info) else { continue };
        let empty = DataAt::new(heir.pod.clone(), heir.incarnation.clone(), Epoch(0));
        batch.writes.push(assign(&entry, heir.pod.clone(), LOSS, AssignmentState::Serving, Some(empty)));
    }
}

/// Whether a target was on its way, and its new owner was failed over before the move was over.
fn stranded(model: &Model, entry: &Assignment) -> bool {
    let moving = model.move_of(&entry.target).filter(|moving| moving.state == MoveState::Committed);
    moving.is_some_and(|moving| moving.to != entry.pod)
}

/// The new owner has never taken up what came. Nothing gives the target back to the rows that its source still has: an
/// operator can only accept the loss.
fn accept_stranded(
    model: &Model,
    never_begun: impl Fn(&Assignment) -> bool,
    home: impl Fn(&Assignment) -> Option<PodId>,
    batch: &mut Batch,
) {
    for entry in model.quarantined(None).filter(|entry| stranded(model, entry) && never_begun(entry)) {
        let touched = |write: &Write| matches!(write, Write::Assign { target, .. } if *target == entry.target);
        if let Some(pod) = home(&entry).filter(|_| !batch.writes.iter().any(touched)) {
            batch.writes.push(assign(&entry, pod, LOSS, AssignmentState::Serving, None));
        }
    }
}

/// Whether a pod may register, and as what. A stand-in for production's rule.
fn admit(
    model: &Model,
    core: &Leader,
    batch: &Batch,
    register: &Register,
) -> Result<(PodRecord, Option<LeaseId>), &'static str> {
    let known = model.pod(&register.pod);
    let dying = batch.writes.iter().any(|write| matches!(write, Write::Bury(dead) if dead.info.pod == register.pod));
    if dying {
        return Err("lease-held");
    }
    match core.admits(&register.pod, &register.incarnation) {
        Ok(()) => {}
        Err(Why::Buried) => return Err("incarnation-buried"),
        // The folder's lock proves that the life before it has ended.
        Err(Why::Superseded)
            if known.is_some_and(|record| register.previous.as_ref() == Some(&record.info.incarnation)) => {}
        Err(Why::Superseded) => return Err("superseded"),
        Err(_) => return Err("suspended"),
    }
    let report = known.is_some_and(|record| record.report || record.info.incarnation != register.incarnation);
    let expected = known.map(|record| record.lease_id);
    let goes_on = known.filter(|record| record.info.incarnation == register.incarnation);
    let previous = match goes_on {
        Some(record) => record.previous.clone(),
        None => known.and_then(PodRecord::last_served).cloned(),
    };
    let record = PodRecord {
        info: PodInfo {
            pod: register.pod.clone(),
            address: register.address.clone(),
            incarnation: register.incarnation.clone(),
            zone: None,
            capacity: 1.0,
            revision: Revision(0),
        },
        lease_id: LeaseId(expected.unwrap_or_default().0 + 1),
        schema: 1,
        version: register.version.clone(),
        loss_accepted: false,
        buried: false,
        previous,
        report,
        bot: None,
        replica: register.replica.clone(),
        track: register.track,
        marks: known.map(|record| record.marks).unwrap_or_default(),
    };
    Ok((record, expected))
}

fn board_places(
    model: &Model,
    fleet: &[Candidate],
    targets: &[TargetId],
    places: &[(Asker, usize)],
    batch: &mut Batch,
) {
    let wanted: BTreeSet<_> = places.iter().map(|(_, target)| *target).collect();
    let open = wanted.into_iter().map(|target| targets[target].clone());
    let wanted: Vec<_> = open.filter(|target| model.assignment(target).is_none()).map(Wanted::of).collect();
    for (Wanted { target, parent, .. }, decision) in
        planner::place(fleet, &Policy::default(), &wanted, |_| None, |_| None)
    {
        let Ok(pod) = decision else { continue };
        let state = AssignmentState::Serving;
        batch.writes.push(Write::Assign {
            target,
            parent,
            pod,
            expected: None,
            reason: FIRST_CONTACT,
            state,
            data: None,
        });
    }
}
