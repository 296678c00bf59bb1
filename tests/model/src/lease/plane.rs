//! The control plane around its [`Leader`]s: a database that is always there, the leader that took over last, and those
//! before it, which do not know yet. Commits, checks of the term and the move of the target are one step each.

use super::{Message, World};
use crate::world::incarnation;
use shared::lease::LeaseTerms;
use shared::protocol::leader::{Input, Intent, Known, Leader, Output, Patience, Why};
use shared::protocol::members::Members;
use shared::wire::control::{Chain, Heartbeat, Load};
use shared::wire::peers::Fenced;
use shared::{LeaseId, Mono, PodId, Revision, Term};
use std::{collections::BTreeSet, time::Duration};

type Messages = BTreeSet<(u64, Message)>;

/// A heartbeat as it arrives.
pub(super) struct Beat {
    pub(super) lease_id: LeaseId,
    pub(super) nonce: u64,
    pub(super) chain: Chain,
    pub(super) witnesses: u64,
}

/// The control plane.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Plane {
    /// By term; none once it knows that its term is over.
    leaders: Vec<Option<Leader>>,
    // The database.
    term: u64,
    lease_id: LeaseId,
    fenced: Option<(LeaseId, u64)>,
    buried: bool,
    members: Members,
    revision: u64,
    /// The target's epochs, oldest first.
    epochs: Vec<u64>,
    /// The revision at which another pod became its owner.
    lost: Option<u64>,
}

/// Returns the set of a version.
pub(super) fn config(world: &World, version: u64) -> BTreeSet<PodId> {
    let witnesses: Vec<usize> = match (world.stepping, version) {
        (false, _) => (0..world.witnesses).collect(),
        (true, 1) => vec![0, 1],
        (true, _) => (0..world.witnesses).collect(),
    };
    witnesses.into_iter().map(|index| world.name(index)).chain([world.x()]).collect()
}

impl Plane {
    pub(super) fn new(world: &World) -> Self {
        let members = Members { version: 1, now: config(world, 1), before: BTreeSet::new() };
        let mut plane = Self {
            leaders: Vec::new(),
            term: 0,
            lease_id: LeaseId(1),
            fenced: None,
            buried: false,
            members,
            revision: 1,
            epochs: vec![1],
            lost: None,
        };
        plane.lead(world, world.rates[2].at(0));
        plane
    }

    fn lead(&mut self, world: &World, since: Mono) {
        self.term += 1;
        let first = self.term == 1 || !world.rules.every_config_is_fenced;
        let acknowledged = if first { self.members.version } else { 0 };
        let known = |pod, lease_id, number, buried, fenced| Known {
            pod,
            lease_id,
            incarnation: incarnation(number),
            buried,
            acknowledged,
            fenced,
        };
        let x = known(world.x(), self.lease_id, 0, self.buried, self.fenced);
        let witnesses = (0..world.witnesses).filter(|index| self.members.now.contains(&world.name(*index)));
        let witnesses = witnesses.map(|index| known(world.name(index), LeaseId(1), index + 1, false, None));
        let pods: Vec<Known> = witnesses.chain([x]).collect();
        let terms = if world.rules.grants_are_waited_for {
            world.terms()
        } else {
            LeaseTerms { duration: Duration::ZERO, margin: Duration::ZERO, ..world.terms() }
        };
        let patience = Patience { check: Duration::ZERO, ..Patience::default() };
        let leader = Leader::new(Term(self.term), terms, since, pods, self.members.clone());
        self.leaders.push(Some(leader.with_patience(patience)));
    }

    pub(super) fn leading(&self) -> impl Iterator<Item = usize> + '_ {
        self.leaders.iter().enumerate().filter(|(_, leader)| leader.is_some()).map(|(index, _)| index)
    }

    pub(super) fn failed_over(&self) -> bool {
        self.lost.is_some()
    }

    pub(super) fn lost_at(&self, revision: u64) -> bool {
        self.lost.is_some_and(|lost| lost <= revision)
    }

    pub(super) fn epochs_increase(&self) -> bool {
        self.epochs.windows(2).all(|two| two[0] < two[1])
    }

    pub(super) fn take_over(&mut self, world: &World, tick: u64, messages: &mut Messages) {
        let now = world.rates[2].at(tick);
        self.lead(world, if world.rules.leaders_wait { now } else { now.before(Duration::from_secs(50)) });
        self.witnesses_beat(world, tick, messages);
    }

    pub(super) fn tick(&mut self, world: &World, tick: u64, messages: &mut Messages) {
        if world.stepping && tick == 1 {
            let leader = self.leaders.len() - 1;
            for index in 2..world.witnesses {
                let (pod, incarnation, lease_id) = (world.name(index), incarnation(index + 1), LeaseId(1));
                self.input(world, tick, leader, Input::Registered { pod, incarnation, lease_id }, messages);
            }
        }
        self.witnesses_beat(world, tick, messages);
        for leader in 0..self.leaders.len() {
            self.input(world, tick, leader, Input::Tick, messages);
        }
    }

    /// The witnesses are always heard, so that the silence of `x` is not that of most.
    fn witnesses_beat(&mut self, world: &World, tick: u64, messages: &mut Messages) {
        let oldest = if world.rules.commits_are_fenced { self.leaders.len() - 1 } else { 0 };
        for leader in oldest..self.leaders.len() {
            let Some(members) = self.leaders[leader].as_ref().map(|leader| leader.members().clone()) else { continue };
            let version = members.version;
            for index in (0..world.witnesses).filter(|index| members.now.contains(&world.name(*index))) {
                let heartbeat = Heartbeat {
                    incarnation: incarnation(index + 1),
                    lease_id: LeaseId(1),
                    nonce: 1,
                    load: Load::default(),
                    revision: Revision(0),
                    leaving: false,
                    goodbye: None,
                    not_ready: None,
                    witnesses: version,
                    degraded: false,
                    weights: Vec::new(),
                    served: None,
                    measured: Default::default(),
                    chain: Chain::default(),
                    term: Term(0),
                };
                let input = Input::Beat { pod: world.name(index), heartbeat };
                self.input(world, tick, leader, input, messages);
            }
        }
    }

    pub(super) fn register(&mut self, world: &World, tick: u64, leader: usize, messages: &mut Messages) {
        let Some(core) = &self.leaders[leader] else { return };
        if self.term != leader as u64 + 1 {
            return self.left(leader);
        }
        let admitted = core.admits(&world.x(), &incarnation(0));
        let answer = match admitted {
            Ok(()) => {
                self.lease_id = LeaseId(self.lease_id.0 + 1);
                let (pod, incarnation, lease_id) = (world.x(), incarnation(0), self.lease_id);
                self.input(world, tick, leader, Input::Registered { pod, incarnation, lease_id }, messages);
                Ok(self.lease_id)
            }
            Err(why) => Err(why == Why::Buried),
        };
        messages.insert((tick, Message::Registered(answer)));
    }

    pub(super) fn beat(&mut self, world: &World, tick: u64, leader: usize, beat: Beat, messages: &mut Messages) {
        let witnesses = match &self.leaders[leader] {
            Some(core) if !world.rules.every_config_is_fenced => core.members().version,
            _ => beat.witnesses,
        };
        let heartbeat = Heartbeat {
            incarnation: incarnation(0),
            lease_id: beat.lease_id,
            nonce: beat.nonce,
            load: Load::default(),
            revision: Revision(0),
            leaving: false,
            goodbye: None,
            not_ready: None,
            witnesses,
            degraded: false,
            weights: Vec::new(),
            served: None,
            measured: Default::default(),
            chain: beat.chain,
            term: Term(0),
        };
        self.input(world, tick, leader, Input::Beat { pod: world.x(), heartbeat }, messages);
    }

    pub(super) fn fenced(&mut self, world: &World, tick: u64, leader: usize, fenced: Fenced, messages: &mut Messages) {
        let mut all = vec![fenced];
        if !world.rules.rounds_are_told_apart
            && let Some((lease_id, round)) = self.fenced
        {
            let fenced = &mut all[0];
            (fenced.lease_id, fenced.round, fenced.term) = (lease_id, round, Term(leader as u64 + 1));
        }
        if !world.rules.answers_are_counted {
            let one = all[0].clone();
            let by = |index| (world.name(index), vec![incarnation(index + 1)]);
            let all_of = (0..world.witnesses).map(by);
            all = all_of.map(|(by, lives)| Fenced { by, lives, ..one.clone() }).collect();
        }
        for fenced in all {
            self.input(world, tick, leader, Input::Fenced(fenced), messages);
        }
    }

    fn left(&mut self, leader: usize) {
        self.leaders[leader] = None;
    }

    fn input(&mut self, world: &World, tick: u64, leader: usize, input: Input, messages: &mut Messages) {
        let now = world.rates[2].at(tick);
        let mine = self.term == leader as u64 + 1;
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let Some(core) = self.leaders[leader].as_mut() else { return };
            for output in core.handle(now, input) {
                match output {
                    Output::Check if mine || !world.rules.terms_are_checked => {
                        inputs.push(Input::Checked { began: now, ok: true });
                    }
                    Output::Write(intent) if mine || !world.rules.commits_are_fenced => {
                        if !self.commit(world, &intent) {
                            return self.left(leader);
                        }
                        inputs.push(Input::Written(intent));
                    }
                    Output::Check if !world.rules.commits_are_fenced => {
                        inputs.push(Input::Checked { began: now, ok: false });
                    }
                    // Its term is over.
                    Output::Check | Output::Write(_) => return self.left(leader),
                    Output::Grant { pod, nonce, witnesses } if pod == world.x() => {
                        let grant = Ok((self.lease_id, witnesses, self.revision));
                        messages.insert((tick, Message::Answer { nonce, grant }));
                    }
                    Output::Refuse { pod, nonce, why } if pod == world.x() => {
                        let for_good = !matches!(why, Why::Suspended | Why::Ahead | Why::Unchecked | Why::NotLeader);
                        messages.insert((tick, Message::Answer { nonce, grant: Err(for_good) }));
                    }
                    Output::Fence { to, fence } => {
                        let to = (0..world.witnesses).find(|index| world.name(*index) == to);
                        let message = |to| Message::Fence(to, fence.lease_id, fence.term.0, fence.round);
                        messages.extend(to.map(|to| (tick, message(to))));
                    }
                    Output::Grant { .. } | Output::Refuse { .. } | Output::Note(_) => {}
                }
            }
        }
    }

    /// Commits what a leader wants written. Returns false when the rows do not allow it: somebody else has written.
    fn commit(&mut self, world: &World, intent: &Intent) -> bool {
        match intent {
            Intent::Fencing { pod, lease_id, round } if *pod == world.x() => {
                self.fenced = Some((*lease_id, *round));
            }
            Intent::Bury { pod, lease_id, .. } if *pod == world.x() => {
                if *lease_id != self.lease_id || self.buried {
                    return false;
                }
                self.buried = true;
                self.revision += 1;
                self.epochs.push(self.epochs.last().copied().unwrap_or_default() + 1);
                self.lost = Some(self.revision);
            }
            Intent::Members(members) => self.members = members.clone(),
            Intent::Fencing { .. } | Intent::Bury { .. } => return false,
        }
        true
    }
}
