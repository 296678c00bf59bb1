//! The shell of production's replication agent and of the gate behind the commits: what leaves the pod waits until its commit is
//! uploaded and the lineage is not sealed. Litestream is a message with the database as it was when it was asked.

use super::{Call, Litestream};
use crate::depot::{StoreAnswer, StoreAsk};
use crate::message::{Answer, Ask, Asker};
use crate::network::Node;
use crate::world::{Happening, World};
use crate::{agenda::MS, agenda::Ns, agenda::SECOND};
use gateway::ownership::Guard;
use gateway::simulation::replication::{Agent, Wants};
use shared::lease::Use;
use shared::protocol::invariants::What;
use shared::wire::control::Life;
use shared::wire::link::Outcome;
use shared::{Mono, MoveId};
use std::collections::VecDeque;
use std::sync::Arc;

/// How long an upload may take.
const SYNC: Ns = 10 * SECOND;
/// How long the store may take to say whether a lineage is sealed.
const SEAL: Ns = 5 * SECOND;

/// What waits for its commit to be in the replica.
#[derive(Debug)]
pub(super) enum Held {
    /// An answer.
    Said(Said),
    /// That a move's rows are served here.
    Arrived(MoveId),
}

/// That an event is committed.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) guard: Guard,
    pub(super) target: usize,
    pub(super) event: u64,
    pub(super) askers: Vec<Asker>,
    pub(super) duplicate: bool,
}

/// The gate, with the agent that opens it.
#[derive(Debug)]
pub(super) struct Gate {
    agent: Agent,
    held: VecDeque<(u64, Held)>,
}

impl Gate {
    pub(super) fn new(now: Mono, committed: u64) -> Self {
        Self { agent: Agent::new(now, committed), held: VecDeque::new() }
    }

    pub(super) fn wake_at(&mut self, now: Mono) -> Option<Mono> {
        self.agent.wake_at(now)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.agent.is_closed()
    }
}

impl World {
    /// Returns whose life a pod is in.
    pub(super) fn pod_life(&self, n: u8) -> Life {
        let pod = &self.pods[usize::from(n)];
        Life { pod: pod.id.clone(), incarnation: pod.disk.data.incarnation.clone() }
    }

    /// Something leaves: at once where there is no replica, else when everything that is committed now is in it.
    pub(super) fn pod_lets_out(&mut self, n: u8, held: Held) {
        let pod = &mut self.pods[usize::from(n)];
        let seq = pod.disk.data.seq;
        let Some(gate) = pod.process.as_mut().and_then(|process| process.gate.as_mut()) else {
            return self.pod_lets_go(n, held);
        };
        gate.held.push_back((seq, held));
        self.pod_gate(n, |agent, now| agent.committed(now, seq, seq));
    }

    /// Time has passed, or something is committed that nobody waits for.
    pub(super) fn pod_gate_ticks(&mut self, n: u8) {
        let seq = self.pods[usize::from(n)].disk.data.seq;
        self.pod_gate(n, |agent, now| agent.committed(now, seq, 0));
        self.pod_gate(n, Agent::tick);
    }

    /// Tells the agent what happened, and does what it says.
    fn pod_gate(&mut self, n: u8, tell: impl FnOnce(&mut Agent, Mono) -> Vec<Wants>) {
        let pod = &mut self.pods[usize::from(n)];
        let now = pod.hardware.look(self.now);
        let Some(gate) = pod.process.as_mut().and_then(|process| process.gate.as_mut()) else { return };
        for wants in tell(&mut gate.agent, now) {
            match wants {
                Wants::Sync => self.pod_uploads(n),
                Wants::ReadSeal => {
                    let ask = Ask::Store(StoreAsk::Sealed(self.pod_life(n)));
                    self.pod_asks(n, Node::Store, Call::Seal, ask, SEAL);
                }
                Wants::Replicated(seq) => self.pod_opens(n, seq),
                Wants::Sealed => return self.pod_must_prepare(n, "its lineage is sealed"),
            }
        }
        self.pod_arm(n);
    }

    /// Litestream is asked to upload what is committed.
    fn pod_uploads(&mut self, n: u8) {
        let life = self.pod_life(n);
        let pod = &mut self.pods[usize::from(n)];
        match pod.litestream {
            Litestream::Runs => {
                pod.disk.put_aside = Some(pod.disk.data.seq);
                let copy = Arc::new(pod.disk.data.clone());
                self.pod_asks(n, Node::Store, Call::Sync, Ask::Store(StoreAsk::Put(life, copy)), SYNC);
            }
            Litestream::Gone => self.pod_gate(n, |agent, now| agent.synced(now, false)),
            // It hears nothing: nobody answers.
            Litestream::Stopped => self.pod_waits(n, Call::Sync, SYNC),
        }
    }

    /// What the upload came to.
    pub(super) fn pod_synced(&mut self, n: u8, answer: Option<&Answer>) {
        let ok = matches!(answer, Some(Answer::Store(StoreAnswer::Done)));
        self.pod_gate(n, |agent, now| agent.synced(now, ok));
    }

    /// Whether the lineage is sealed.
    pub(super) fn pod_read_seal(&mut self, n: u8, answer: Option<&Answer>) {
        let sealed = match answer {
            Some(Answer::Store(StoreAnswer::Sealed(sealed))) => Some(*sealed),
            _ => None,
        };
        self.pod_gate(n, |agent, now| agent.seal(now, sealed));
    }

    /// Everything up to this commit is in the replica.
    fn pod_opens(&mut self, n: u8, seq: u64) {
        loop {
            let gate = self.process(n).and_then(|process| process.gate.as_mut());
            let Some(gate) = gate.filter(|gate| gate.held.front().is_some_and(|(at, _)| *at <= seq)) else { return };
            let Some((_, held)) = gate.held.pop_front() else { return };
            self.pod_lets_go(n, held);
        }
    }

    /// A target goes: whoever waits for it sends it again, to whoever serves the target then. Production gives the gate a moment
    /// before that.
    pub(super) fn pod_gives_back(&mut self, n: u8, target: usize) {
        let Some(gate) = self.process(n).and_then(|process| process.gate.as_mut()) else { return };
        let of_it = |held: &Held| matches!(held, Held::Said(said) if said.target == target);
        let all = std::mem::take(&mut gate.held).into_iter();
        let (back, kept): (VecDeque<_>, VecDeque<_>) = all.partition(|(_, held)| of_it(held));
        gate.held = kept;
        for (_, held) in back {
            let Held::Said(said) = held else { continue };
            for asker in said.askers {
                self.answer(Node::Pod(n), asker, Answer::Outcome(Outcome::Late));
            }
        }
    }

    /// Something leaves, if it is still this pod's to say.
    fn pod_lets_go(&mut self, n: u8, held: Held) {
        let Said { guard, target, event, askers, duplicate } = match held {
            Held::Said(said) => said,
            Held::Arrived(id) => return self.pod_has_arrived(n, id),
        };
        let pod = &mut self.pods[usize::from(n)];
        pod.hardware.look(self.now);
        let Some(process) = &mut pod.process else { return };
        let answer = if process.ownership.check(&guard, Use::Act).is_ok() {
            let (pod, target) = (pod.id.clone(), self.targets[target].clone());
            self.history.note(self.now, &What::Acknowledged { pod, target, epoch: guard.epoch(), event });
            super::events::committed(duplicate)
        } else {
            Answer::Outcome(Outcome::Late)
        };
        for asker in askers {
            self.answer(Node::Pod(n), asker, answer.clone());
        }
    }

    /// A gateway was killed and its Litestream was not: it uploads what was committed, soon or late, until somebody ends it.
    pub(crate) fn pod_leaves_litestream(&mut self, n: u8) {
        let life = self.pod_life(n);
        let pod = &mut self.pods[usize::from(n)];
        if self.profile.replicas.is_none() || pod.note().is_none() || self.depot.draw.chance(500) {
            return;
        }
        pod.disk.put_aside = Some(pod.disk.data.seq);
        let (copy, wait) = (Arc::new(pod.disk.data.clone()), self.depot.draw.waiting(400 * MS));
        let asker = Asker { node: Node::Pod(n), call: 0 };
        self.agenda.put(self.now + wait, Happening::Depot { asker, ask: Box::new(StoreAsk::Put(life, copy)) });
    }
}
