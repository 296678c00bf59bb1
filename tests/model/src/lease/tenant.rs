//! The pod `x` around its [`Holder`]: its lease file, the lease it took into use, and whether it takes the target for its own.

use super::{Message, World};
use crate::world::{incarnation, pod};
use shared::lease::Lease;
use shared::protocol::holder::{Failure, Holder, Input, Output, Remembered};
use shared::wire::control::{Grant, Peer, Registered, Witnesses};
use shared::wire::peers::Extended;
use shared::{LeaseId, Mono, PodId, Problem, Revision, Term};
use std::collections::BTreeSet;

/// The pod.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Tenant {
    holder: Holder,
    file: Option<Remembered>,
    lease: Option<Lease>,
    /// Whether it takes the target for its own.
    owns: bool,
    /// The heartbeat under way, and when it was sent.
    beat: Option<(u64, u64)>,
    /// When the registration under way was sent.
    registering: Option<u64>,
    /// Its incarnation was buried.
    gone: bool,
    lives: u64,
}

type Messages = BTreeSet<(u64, Message)>;

fn witnesses(world: &World, version: u64) -> Witnesses {
    let names = super::plane::config(world, version);
    let peer = |pod: PodId| Peer { pod, address: String::new() };
    Witnesses { version, pods: names.into_iter().filter(|name| *name != world.x()).map(peer).collect() }
}

fn refusal(for_good: bool) -> Failure {
    let (status, text) = (if for_good { 409 } else { 503 }, String::new());
    Failure::Refused(Problem {
        status,
        code: text.clone(),
        title: text.clone(),
        detail: text,
        request: None,
        retry_after: None,
    })
}

impl Tenant {
    pub(super) fn new(world: &World) -> Self {
        Self {
            holder: Holder::new(pod("x"), incarnation(0), world.terms(), 1, None),
            file: None,
            lease: None,
            owns: true,
            beat: None,
            registering: None,
            gone: false,
            lives: 1,
        }
    }

    /// Whether a message may still change anything here, or as an answer that would come here.
    pub(super) fn waits_for(&self, message: &Message) -> bool {
        match message {
            Message::Beat { nonce, .. } | Message::Answer { nonce, .. } => {
                !self.gone && self.beat.is_some_and(|(under_way, _)| under_way == *nonce)
            }
            Message::Register | Message::Registered(_) => !self.gone && self.registering.is_some(),
            Message::Extend { .. } | Message::Extended { .. } => !self.gone,
            Message::Fence(..) | Message::Fenced(..) => true,
        }
    }

    pub(super) fn is_gone(&self) -> bool {
        self.gone
    }

    /// Whether it serves the target at `now`: as it checks at every use.
    pub(super) fn serves(&self, now: Mono) -> bool {
        !self.gone && self.owns && self.lease.is_some_and(|lease| lease.valid_until > now)
    }

    pub(super) fn begin(&mut self, world: &World, messages: &mut Messages) {
        self.input(world, 0, Input::Tick, None, messages);
    }

    /// Time has passed: answers that are not there by now are given up.
    pub(super) fn tick(&mut self, world: &World, tick: u64, messages: &mut Messages) {
        if self.gone {
            return;
        }
        let unreachable = || Failure::Unreachable(String::new());
        if let Some((nonce, sent)) = self.beat
            && sent < tick
        {
            self.beat = None;
            self.input(world, tick, Input::NotGranted { nonce, failure: unreachable() }, None, messages);
        }
        if self.registering.is_some_and(|sent| sent < tick) {
            self.registering = None;
            self.input(world, tick, Input::NotRegistered(unreachable()), None, messages);
        }
        self.input(world, tick, Input::Tick, None, messages);
    }

    pub(super) fn restart(&mut self, world: &World, tick: u64, messages: &mut Messages) {
        self.lives += 1;
        self.holder = Holder::new(pod("x"), incarnation(0), world.terms(), self.lives, self.file.clone());
        (self.beat, self.registering) = (None, None);
        let lease = self.lease.take();
        if !world.rules.restarts_wait
            && let (Some(lease), Some(file)) = (lease, &self.file)
            && lease.id == file.lease_id
        {
            self.lease = Some(Lease { valid_until: world.terms().valid_until(world.rates[0].at(tick)), ..lease });
        }
        self.input(world, tick, Input::Tick, None, messages);
    }

    pub(super) fn registered(
        &mut self,
        world: &World,
        tick: u64,
        answer: Result<LeaseId, bool>,
        messages: &mut Messages,
    ) {
        if self.registering.take().is_none() || self.gone {
            return;
        }
        let input = match answer {
            Ok(lease_id) => Input::Registered(Registered {
                version: 1,
                lease_id,
                generation: 1,
                heartbeat_ms: 1_000,
                lease_ms: world.duration * 1_000,
                fenced: Vec::new(),
                report: false,
            }),
            Err(true) => {
                self.gone = true;
                return;
            }
            Err(false) => Input::NotRegistered(refusal(false)),
        };
        self.input(world, tick, input, None, messages);
    }

    pub(super) fn answered(
        &mut self,
        world: &World,
        tick: u64,
        nonce: u64,
        grant: Result<(LeaseId, u64, u64), bool>,
        owner: bool,
        messages: &mut Messages,
    ) {
        // A shell that has given a call up hears nothing of it any more.
        if self.gone || self.beat.is_none_or(|(under_way, _)| under_way != nonce) {
            return;
        }
        let sent = self.beat.take().map(|(_, sent)| sent);
        let input = match grant {
            Ok((lease_id, version, revision)) => Input::Granted(Grant {
                lease_id,
                incarnation: incarnation(0),
                nonce,
                term: Term(1),
                lease_ms: world.duration * 1_000,
                revision: Revision(revision),
                witnesses: witnesses(world, version),
            }),
            Err(for_good) => Input::NotGranted { nonce, failure: refusal(for_good) },
        };
        self.owns &= grant.is_err() || owner;
        self.input(world, tick, input, sent, messages);
    }

    pub(super) fn extended(
        &mut self,
        world: &World,
        tick: u64,
        by: PodId,
        nonce: u64,
        promised: bool,
        messages: &mut Messages,
    ) {
        if self.gone {
            return;
        }
        let answer = if promised { Extended::Promised { nonce } } else { Extended::NotReady { nonce } };
        self.input(world, tick, Input::Answered { by, answer }, None, messages);
    }

    fn input(&mut self, world: &World, tick: u64, input: Input, sent: Option<u64>, messages: &mut Messages) {
        let now = world.rates[0].at(tick);
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            for output in self.holder.handle(now, input) {
                match output {
                    Output::Register => {
                        self.registering = Some(tick);
                        messages.insert((tick, Message::Register));
                    }
                    Output::Beat { lease_id, nonce, chain, witnesses, .. } => {
                        self.beat = Some((nonce, tick));
                        let chain = (chain.id, chain.seq);
                        messages.insert((tick, Message::Beat { lease_id, nonce, chain, witnesses }));
                    }
                    Output::Extend { to, question } => {
                        let to = (0..world.witnesses).find(|index| world.name(*index) == to.pod);
                        let (lease_id, nonce) = (question.lease_id, question.nonce);
                        messages.extend(to.map(|to| (tick, Message::Extend { to, lease_id, nonce })));
                    }
                    Output::Keep(remembered) => {
                        inputs.push(Input::Kept(remembered.witnesses.version));
                        self.file = Some(remembered);
                    }
                    Output::Hold { lease, not_before } => {
                        self.lease = Some(self.taken(world, now, lease, not_before.is_some(), sent));
                    }
                    Output::Drop(_) => self.lease = None,
                    Output::RanOut | Output::Ignored(_) => {}
                    Output::Gone => self.gone = true,
                }
            }
        }
    }

    fn taken(&self, world: &World, now: Mono, lease: Lease, granted: bool, sent: Option<u64>) -> Lease {
        if world.rules.validity_counts_from_the_send {
            return lease;
        }
        let late = sent.is_some() && granted;
        let valid_until = if late { world.terms().valid_until(now) } else { world.terms().extended_until(now) };
        Lease { valid_until, ..lease }
    }
}
