//! Lease, witnesses, fencing and failover (OWNERSHIP.md, Leases 1 to 7 and 12): one pod `x` that owns a target, its
//! witnesses, and leaders that may give the target to another pod. Messages are late, lost and out of order, pods and
//! witnesses restart, a second leader takes over while the first goes on. At most one pod serves the target at any instant
//! (I1), and its epochs increase (I4).
//!
//! Not in this world: the witnesses' own leases (they are always granted), proofs of death, mass silence and clones.

mod plane;
mod rules;
mod tenant;

pub use rules::Rules;

use crate::world;
use crate::world::{Rate, incarnation, pod};
use plane::Plane;
use shared::lease::LeaseTerms;
use shared::protocol::witness::{self, Witness};
use shared::wire::control::Chain;
use shared::wire::peers::{Extend, Extended, Fence, Fenced, Mark};
use shared::{LeaseId, PodId};
use stateright::{Model, Property};
use std::collections::{BTreeMap, BTreeSet};
use tenant::Tenant;

/// A world to search through.
#[derive(Debug, Clone)]
pub struct World {
    /// The rules in force.
    pub rules: Rules,
    /// The clock rates of `x`, the witnesses and the leaders.
    pub rates: [Rate; 3],
    /// How many witnesses there are.
    pub witnesses: usize,
    /// The third witness registers a tick later than the others: the leader takes a step to a config with it.
    pub stepping: bool,
    /// D, in seconds.
    pub duration: u64,
    /// The last tick.
    pub end: u64,
    /// For how many ticks a message may be under way.
    pub late: u64,
    /// How often `x` restarts in place.
    pub restarts: u8,
    /// How often witnesses restart.
    pub witness_restarts: u8,
    /// How often a new leader takes over.
    pub takeovers: u8,
    /// Whether messages are delivered twice.
    pub doubles: bool,
}

impl Default for World {
    fn default() -> Self {
        Self {
            rules: Rules::ALL,
            rates: [Rate::TRUE; 3],
            witnesses: 1,
            stepping: false,
            duration: 2,
            end: 4,
            late: 0,
            restarts: 0,
            witness_restarts: 0,
            takeovers: 0,
            doubles: false,
        }
    }
}

/// A message under way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Message {
    /// `x` registers.
    Register,
    /// It is registered for a lease, or not, and then whether for ever.
    Registered(Result<LeaseId, bool>),
    /// `x` sends a heartbeat.
    Beat {
        /// For this lease.
        lease_id: LeaseId,
        /// To be echoed.
        nonce: u64,
        /// Of this process.
        chain: (u64, u64),
        /// With this config on disk.
        witnesses: u64,
    },
    /// It is granted, under a config, at a revision; or refused, and then whether for good.
    Answer {
        /// The heartbeat's.
        nonce: u64,
        /// The lease, the config's version and the revision.
        grant: Result<(LeaseId, u64, u64), bool>,
    },
    /// `x` asks a witness.
    Extend {
        /// Which.
        to: usize,
        /// For this lease.
        lease_id: LeaseId,
        /// To be echoed.
        nonce: u64,
    },
    /// The witness promises, or does not.
    Extended {
        /// Which.
        by: usize,
        /// The question's.
        nonce: u64,
        /// Whether.
        promised: bool,
    },
    /// A leader fences: witness, lease, term, round.
    Fence(usize, LeaseId, u64, u64),
    /// The witness has fenced: witness, lease, term, round, remaining promise in milliseconds.
    Fenced(usize, LeaseId, u64, u64, u64),
}

/// A witness with its disk.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Peer {
    core: Witness,
    disk: Vec<(PodId, LeaseId)>,
}

/// What the world is like.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// True time.
    tick: u64,
    /// The pod.
    x: Tenant,
    witnesses: Vec<Peer>,
    plane: Plane,
    /// With when it was sent.
    messages: BTreeSet<(u64, Message)>,
    restarts: u8,
    witness_restarts: u8,
    takeovers: u8,
}

/// What happens next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Time passes.
    Tick,
    /// A message arrives, at this leader when it is for one.
    Deliver(Message, usize),
    /// A message arrives and will arrive once more.
    Double(Message, usize),
    /// `x` is killed and restarts in place.
    Restart,
    /// A witness is killed and restarts.
    RestartWitness(usize),
    /// Another leader takes over.
    Takeover,
}

impl World {
    fn terms(&self) -> LeaseTerms {
        world::terms(self.duration)
    }

    fn x(&self) -> PodId {
        pod("x")
    }

    fn name(&self, witness: usize) -> PodId {
        pod(["w-0", "w-1", "w-2"][witness])
    }

    /// Whether `x` serves the target.
    fn serves(&self, state: &State) -> bool {
        state.x.serves(self.rates[0].at(state.tick))
    }

    fn deliver(&self, state: &mut State, message: Message, leader: usize) {
        let (tick, rules) = (state.tick, &self.rules);
        match message {
            Message::Register => state.plane.register(self, tick, leader, &mut state.messages),
            Message::Beat { lease_id, nonce, chain: (id, seq), witnesses } => {
                let beat = plane::Beat { lease_id, nonce, chain: Chain { id, seq }, witnesses };
                state.plane.beat(self, tick, leader, beat, &mut state.messages);
            }
            Message::Fenced(by, lease_id, term, round, remaining_ms) => {
                let fenced = Fenced {
                    by: self.name(by),
                    pod: self.x(),
                    lease_id,
                    term: shared::Term(term),
                    round,
                    remaining_ms: if rules.promises_are_waited_for { remaining_ms } else { 0 },
                    lives: vec![incarnation(by + 1)],
                };
                state.plane.fenced(self, tick, leader, fenced, &mut state.messages);
            }
            Message::Extend { to, lease_id, nonce } => self.extend(state, to, lease_id, nonce),
            Message::Fence(to, lease_id, term, round) => {
                let fence = Fence { pod: self.x(), lease_id, term: shared::Term(term), round };
                let outputs = state.witnesses[to].core.handle(self.rates[1].at(tick), witness::Input::Fence(fence));
                self.witness(state, to, outputs);
            }
            Message::Extended { by, nonce, promised } => {
                state.x.extended(self, tick, self.name(by), nonce, promised, &mut state.messages);
            }
            Message::Registered(answer) => state.x.registered(self, tick, answer, &mut state.messages),
            Message::Answer { nonce, grant } => {
                let owner = grant.is_ok_and(|(_, _, revision)| !state.plane.lost_at(revision));
                state.x.answered(self, tick, nonce, grant, owner, &mut state.messages);
            }
        }
    }

    fn extend(&self, state: &mut State, to: usize, lease_id: LeaseId, nonce: u64) {
        let question = Extend { pod: self.x(), incarnation: incarnation(0), lease_id, nonce, extension_ms: 0 };
        let before = state.witnesses[to].core.clone();
        let input = witness::Input::Extend(question);
        let mut outputs = state.witnesses[to].core.handle(self.rates[1].at(state.tick), input);
        if !self.rules.promises_are_remembered {
            state.witnesses[to].core = before;
        }
        if !self.rules.marks_are_obeyed
            && let [witness::Output::Answer { answer, .. }] = &mut outputs[..]
        {
            *answer = Extended::Promised { nonce };
        }
        self.witness(state, to, outputs);
    }

    fn witness(&self, state: &mut State, index: usize, outputs: Vec<witness::Output>) {
        for output in outputs {
            match output {
                witness::Output::Answer { answer, .. } => {
                    let (promised, nonce) = (matches!(answer, Extended::Promised { .. }), answer.nonce());
                    state.messages.insert((state.tick, Message::Extended { by: index, nonce, promised }));
                }
                witness::Output::Keep(mark) => {
                    if self.rules.marks_are_kept {
                        state.witnesses[index].disk.push((mark.pod.clone(), mark.lease_id));
                    }
                    let now = self.rates[1].at(state.tick);
                    let outputs = state.witnesses[index].core.handle(now, witness::Input::Kept(mark));
                    self.witness(state, index, outputs);
                }
                witness::Output::KeepAll(_) => {}
                witness::Output::Fenced { to_leader } => {
                    let Fenced { lease_id, term, round, remaining_ms, .. } = to_leader;
                    let message = Message::Fenced(index, lease_id, term.0, round, remaining_ms);
                    state.messages.insert((state.tick, message));
                }
            }
        }
    }

    fn restart_witness(&self, state: &mut State, index: usize) {
        let peer = &mut state.witnesses[index];
        let marks = peer.disk.iter().map(|(pod, lease_id)| Mark { pod: pod.clone(), lease_id: *lease_id }).collect();
        let now = self.rates[1].at(state.tick);
        let started = if self.rules.restarts_are_reported { now } else { shared::Mono::ZERO };
        peer.core = Witness::new(self.name(index), self.terms(), started, Some(marks));
        state.witness_restarts += 1;
    }

    /// In a world with a step of the config, only the first of three witnesses is hard to reach for the leader, and only it is asked by
    /// `x`: the smallest world in which the sets of two versions matter.
    fn settle(&self, state: &mut State) {
        loop {
            let next = state.messages.iter().find_map(|(sent, message)| match message {
                Message::Fence(to, ..) | Message::Fenced(to, ..) | Message::Extend { to, .. } if *to > 0 => {
                    Some((*sent, message.clone()))
                }
                _ => None,
            });
            let Some(next) = next else { return };
            state.messages.remove(&next);
            if let (_, message @ (Message::Fence(..) | Message::Fenced(..))) = next {
                let leader = state.plane.leading().last().unwrap_or_default();
                self.deliver(state, message, leader);
            }
        }
    }

    /// To whom a message can be delivered.
    fn receivers(&self, state: &State, message: &Message) -> Vec<usize> {
        match message {
            Message::Register | Message::Beat { .. } => state.plane.leading().collect(),
            Message::Fenced(_, _, term, _, _) if self.rules.rounds_are_told_apart => {
                state.plane.leading().filter(|leader| *leader as u64 + 1 == *term).collect()
            }
            Message::Fenced(..) => state.plane.leading().collect(),
            _ => vec![0],
        }
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let witness = |index| Peer {
            core: Witness::new(self.name(index), self.terms(), shared::Mono::ZERO, Some(Vec::new())),
            disk: Vec::new(),
        };
        let mut state = State {
            tick: 0,
            x: Tenant::new(self),
            witnesses: (0..self.witnesses).map(witness).collect(),
            plane: Plane::new(self),
            messages: BTreeSet::new(),
            restarts: 0,
            witness_restarts: 0,
            takeovers: 0,
        };
        // It has just been granted its first lease.
        state.x.begin(self, &mut state.messages);
        for _ in 0..4 {
            for (_, message) in std::mem::take(&mut state.messages) {
                self.deliver(&mut state, message, 0);
            }
        }
        state.messages.clear();
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (_, message) in &state.messages {
            for to in self.receivers(state, message) {
                actions.push(Action::Deliver(message.clone(), to));
                if self.doubles {
                    actions.push(Action::Double(message.clone(), to));
                }
            }
        }
        if state.tick < self.end {
            actions.push(Action::Tick);
        }
        if state.restarts < self.restarts && !state.x.is_gone() {
            actions.push(Action::Restart);
        }
        if state.witness_restarts < self.witness_restarts {
            actions.extend((0..self.witnesses).map(Action::RestartWitness));
        }
        if state.takeovers < self.takeovers {
            actions.push(Action::Takeover);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Tick => {
                state.tick += 1;
                let tick = state.tick;
                state.messages.retain(|(sent, _)| sent + self.late >= tick);
                state.x.tick(self, tick, &mut state.messages);
                state.plane.tick(self, tick, &mut state.messages);
            }
            Action::Deliver(message, leader) => {
                let key = state.messages.iter().find(|(_, other)| *other == message).cloned()?;
                state.messages.remove(&key);
                self.deliver(&mut state, message, leader);
            }
            Action::Double(message, leader) => self.deliver(&mut state, message, leader),
            Action::Restart => {
                state.restarts += 1;
                state.x.restart(self, state.tick, &mut state.messages);
            }
            Action::RestartWitness(index) => self.restart_witness(&mut state, index),
            Action::Takeover => {
                state.takeovers += 1;
                state.plane.take_over(self, state.tick, &mut state.messages);
            }
        }
        if self.stepping {
            self.settle(&mut state);
        }
        let x = &state.x;
        state.messages.retain(|(_, message)| x.waits_for(message));
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("I1: one owner at every instant", |world: &Self, state: &State| {
                !(world.serves(state) && state.plane.failed_over())
            }),
            Property::always("I4: epochs increase", |_, state: &State| state.plane.epochs_increase()),
            Property::sometimes("the target is failed over", |_, state: &State| state.plane.failed_over()),
            Property::sometimes("x serves to the end", |world: &Self, state: &State| {
                state.tick == world.end && world.serves(state)
            }),
        ]
    }
}

/// Which rule is missing, and a small world in which that does harm.
pub fn without() -> BTreeMap<&'static str, World> {
    let slow = [Rate::SLOW, Rate::FAST, Rate::FAST];
    let world = World { rates: slow, ..World::default() };
    let rules = Rules::ALL;
    let restarting = World { witness_restarts: 1, ..world.clone() };
    let led = World { takeovers: 1, ..world.clone() };
    [
        ("marks are kept", World { rules: Rules { marks_are_kept: false, ..rules }, ..restarting.clone() }),
        (
            "promises are remembered",
            World { rules: Rules { promises_are_remembered: false, ..rules }, ..world.clone() },
        ),
        ("restarts are reported", World { rules: Rules { restarts_are_reported: false, ..rules }, ..restarting }),
        (
            "promises are waited for",
            World { rules: Rules { promises_are_waited_for: false, ..rules }, ..world.clone() },
        ),
        (
            "grants are waited for",
            World { rules: Rules { grants_are_waited_for: false, ..rules }, duration: 3, ..world.clone() },
        ),
        (
            "rounds are told apart",
            World { rules: Rules { rounds_are_told_apart: false, ..rules }, late: 1, end: 6, ..world.clone() },
        ),
        (
            "every config is fenced",
            World {
                rules: Rules { every_config_is_fenced: false, ..rules },
                witnesses: 3,
                stepping: true,
                rates: [Rate::TRUE, Rate::FAST, Rate::FAST],
                ..world.clone()
            },
        ),
        (
            "answers are counted",
            World { rules: Rules { answers_are_counted: false, ..rules }, witnesses: 2, ..world.clone() },
        ),
        ("leaders wait", World { rules: Rules { leaders_wait: false, ..rules }, ..led.clone() }),
        ("terms are checked", World { rules: Rules { terms_are_checked: false, ..rules }, ..led.clone() }),
        ("commits are fenced", World { rules: Rules { commits_are_fenced: false, ..rules }, ..led }),
        (
            "validity counts from the send",
            World { rules: Rules { validity_counts_from_the_send: false, ..rules }, late: 2, ..world.clone() },
        ),
        ("restarts wait", World { rules: Rules { restarts_wait: false, ..rules }, restarts: 1, ..world.clone() }),
        ("marks are obeyed", World { rules: Rules { marks_are_obeyed: false, ..rules }, ..world }),
    ]
    .into_iter()
    .collect()
}
