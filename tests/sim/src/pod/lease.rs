//! The shell of production's holder and witness: carries out what they say.

use super::{AGAIN, Call, Done, PEER, PLANE};
use crate::message::{Answer, Ask, Asker};
use crate::network::Node;
use crate::pod::number;
use crate::world::{Happening, World};
use shared::protocol::holder::{self, Failure, Holder};
use shared::protocol::invariants::What;
use shared::protocol::witness;
use shared::wire::Hello;
use shared::wire::control::{Heartbeat, Holding, Holdings, Load, Register, Registered};
use shared::wire::peers::Fenced;
use shared::{Mono, Problem, lease::Use};

/// How many lives of a folder that are over the leader is told of with a mark.
const LIVES: usize = 16;

/// Nobody has answered.
pub(super) fn unreachable() -> Failure {
    Failure::Unreachable("nobody answers".to_owned())
}

/// What an answer that is none means.
pub(super) fn failure(answer: &Answer) -> Failure {
    match answer {
        Answer::Refused(status, code) => {
            let problem = Problem { status: *status, code: (*code).to_owned(), ..Problem::not_found("") };
            Failure::Refused(problem)
        }
        _ => unreachable(),
    }
}

impl World {
    /// Tells the holder what happened, and does what it says.
    pub(super) fn pod_lease(&mut self, n: u8, input: holder::Input) {
        let now = self.pods[usize::from(n)].hardware.look(self.now);
        let Some(process) = self.process(n) else { return };
        let outputs = process.holder.handle(now, input);
        for output in outputs {
            self.pod_carries_out(n, output);
        }
        self.pod_arm(n);
    }

    fn pod_carries_out(&mut self, n: u8, output: holder::Output) {
        let (plane, replicated) = (self.pod_plane(n), self.profile.replicas.is_some());
        let pod = &mut self.pods[usize::from(n)];
        let Some(process) = &mut pod.process else { return };
        match output {
            holder::Output::Register => {
                let data = &pod.disk.data;
                let register = Register {
                    hello: Hello::CURRENT,
                    pod: pod.id.clone(),
                    incarnation: data.incarnation.clone(),
                    address: format!("{}:1", pod.id),
                    zone: None,
                    previous: data.past.first().cloned(),
                    capacity: 1.0,
                    schema: 1,
                    version: "sim".to_owned(),
                    highest_epoch: data.highest,
                    term: process.ownership.term(),
                    bot: None,
                    replica: replicated.then(|| "sim".to_owned()),
                    track: Default::default(),
                };
                self.pod_asks(n, plane, Call::Register, Ask::Register(register), PLANE);
            }
            holder::Output::Beat { lease_id, nonce, chain, witnesses, leaving, give_up, via } => {
                let heartbeat = Heartbeat {
                    incarnation: pod.disk.data.incarnation.clone(),
                    lease_id,
                    nonce,
                    load: Load::default(),
                    revision: process.ownership.revision(),
                    leaving,
                    goodbye: None,
                    not_ready: None,
                    witnesses,
                    degraded: !pod.disk.is_well(),
                    weights: Vec::new(),
                    served: None,
                    measured: Default::default(),
                    chain,
                    term: process.ownership.term(),
                };
                let (id, patience) = (pod.id.clone(), give_up.as_nanos() as u64);
                match via {
                    None => self.pod_asks(n, plane, Call::Beat(nonce), Ask::Heartbeat(id, heartbeat), patience),
                    Some(witness) => {
                        let to = Node::Pod(number(&witness));
                        self.pod_asks(n, to, Call::Beat(nonce), Ask::Relay(id, heartbeat), patience);
                    }
                }
            }
            holder::Output::Extend { to, question } => {
                let call = Call::Extend(to.pod.clone(), question.nonce);
                self.pod_asks(n, Node::Pod(number(&to.pod)), call, Ask::Extend(question), PEER);
            }
            holder::Output::Keep(remembered) => {
                pod.disk.write_lease(pod.boot, remembered.clone());
                self.pod_syncs(n, Done::Lease(remembered));
            }
            holder::Output::Hold { lease, not_before } => {
                process.ownership.hold(lease, not_before);
                self.pod_tells_lease(n);
            }
            holder::Output::Drop(why) => {
                process.ownership.drop_lease();
                process.told = None;
                let id = pod.id.clone();
                self.history.say(self.now, || format!("{id} drops its lease: {why}"));
                self.history.note(self.now, &What::Stopped { pod: id });
            }
            holder::Output::RanOut => {
                let id = pod.id.clone();
                self.history.say(self.now, || format!("{id}: the lease ran out"));
            }
            holder::Output::Ignored(why) => {
                let id = pod.id.clone();
                self.history.say(self.now, || format!("{id} ignores an answer: {why}"));
            }
            holder::Output::Gone => process.leaving = true,
        }
    }

    /// Tells the checker until when the pod may act, as its own code sees it now.
    pub(super) fn pod_tells_lease(&mut self, n: u8) {
        let pod = &mut self.pods[usize::from(n)];
        let Some(process) = &mut pod.process else { return };
        pod.hardware.look(self.now);
        if process.ownership.check_lease(Use::Act).is_err() {
            return;
        }
        let Some((lease, _)) = process.ownership.lease() else { return };
        if process.told != Some(lease.valid_until) {
            process.told = Some(lease.valid_until);
            let until = Mono::from_nanos(pod.hardware.true_at(lease.valid_until));
            self.history.note(self.now, &What::Held { pod: pod.id.clone(), until });
        }
    }

    /// Tells the witness what happened, and does what it says.
    pub(super) fn pod_witnesses(&mut self, n: u8, asker: Option<Asker>, input: witness::Input) {
        let pod = &mut self.pods[usize::from(n)];
        let now = pod.hardware.look(self.now);
        let Some(process) = &mut pod.process else { return };
        if let (Some(asker), witness::Input::Fence(fence)) = (asker, &input) {
            process.fences.push((asker, fence.pod.clone(), fence.term, fence.round));
        }
        let outputs = process.witness.handle(now, input);
        for output in outputs {
            let pod = &mut self.pods[usize::from(n)];
            let Some(process) = &mut pod.process else { return };
            match output {
                witness::Output::Answer { answer, .. } => {
                    let by = pod.id.clone();
                    if let Some(asker) = asker {
                        self.answer(Node::Pod(n), asker, Answer::Extended(by, answer));
                    }
                }
                witness::Output::Keep(mark) => {
                    pod.disk.write_marks(vec![mark.clone()]);
                    self.pod_syncs(n, Done::Marks(vec![mark], false));
                }
                witness::Output::KeepAll(marks) => {
                    pod.disk.write_marks(marks.clone());
                    self.pod_syncs(n, Done::Marks(marks, true));
                }
                witness::Output::Fenced { to_leader } => {
                    let answers = |(_, pod, term, round): &(Asker, _, _, _)| {
                        (pod, *term, *round) == (&to_leader.pod, to_leader.term, to_leader.round)
                    };
                    let (now, later) = std::mem::take(&mut process.fences).into_iter().partition(answers);
                    process.fences = later;
                    let asked: Vec<_> = now;
                    let data = &pod.disk.data;
                    let lives = [&data.incarnation].into_iter().chain(data.past.iter().take(LIVES)).cloned().collect();
                    let answer = Fenced { lives, ..to_leader };
                    for (asker, ..) in asked {
                        self.answer(Node::Pod(n), asker, Answer::Fenced(answer.clone()));
                    }
                }
            }
        }
    }

    pub(super) fn pod_registered(&mut self, n: u8, registered: Registered) {
        self.pod_witnesses(n, None, witness::Input::MarksRead(registered.fenced.clone()));
        let report = registered.report;
        if let Some(process) = self.process(n) {
            process.report = report.then_some(registered.lease_id);
        }
        self.pod_lease(n, holder::Input::Registered(registered));
        self.pod_reports_holdings(n);
        if self.process(n).is_some_and(|process| !process.watching) {
            self.pod_watches(n);
        }
    }

    pub(super) fn pod_not_registered(&mut self, n: u8, answer: &Answer) {
        if let Answer::Refused(_, "incarnation-buried") = answer {
            if self.profile.replicas.is_some() {
                return self.pod_must_prepare(n, "its life was failed over");
            }
            self.pod_begins_again(n);
        }
        self.pod_lease(n, holder::Input::NotRegistered(failure(answer)));
    }

    /// This life of the folder was buried: another begins in it.
    fn pod_begins_again(&mut self, n: u8) {
        let seed = self.draw.bits();
        let terms = self.terms;
        let pod = &mut self.pods[usize::from(n)];
        let Some(process) = &mut pod.process else { return };
        pod.disk.begin_again();
        pod.disk.lease = None;
        process.holder = Holder::new(pod.id.clone(), pod.disk.data.incarnation.clone(), terms, seed, None);
        process.armed = None;
        let id = pod.id.clone();
        self.history.say(self.now, || format!("{id} was buried, another life begins"));
        self.pod_gives_all_up(n);
    }

    pub(super) fn pod_reports_later(&mut self, n: u8) {
        if let Some(life) = self.life(Node::Pod(n)) {
            self.agenda.put(self.now + AGAIN, Happening::Disk { pod: n, life, done: Box::new(Done::Waited) });
        }
    }

    /// Says what the database holds, when config-service wants to know it.
    pub(super) fn pod_reports_holdings(&mut self, n: u8) {
        let pod = &self.pods[usize::from(n)];
        let Some(lease_id) = pod.process.as_ref().and_then(|process| process.report) else { return };
        let data = &pod.disk.data;
        let holding = |target: usize| {
            let newest = data.newest(target)?;
            Some(Holding { target: self.targets[target].clone(), epoch: newest.epoch, whole: newest.whole })
        };
        let targets = data.targets().into_iter().filter_map(holding).collect();
        let (incarnation, lives) = (data.incarnation.clone(), data.past.iter().take(100).cloned().collect());
        let holdings = Holdings { incarnation, lease_id, lives, targets, more: false };
        let (id, plane) = (pod.id.clone(), self.pod_plane(n));
        self.pod_asks(n, plane, Call::Holdings, Ask::Holdings(id, holdings), PLANE);
    }
}
