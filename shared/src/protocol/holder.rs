//! How a pod gets its lease and keeps it (OWNERSHIP.md, Leases 1, 3, 6, 12, 13 and 15): the state machine. Decides when to
//! register, when to send a heartbeat, when to ask the witnesses, which answers count and until when. Knows no network, no
//! disk, no clock and no ownership of targets.
//!
//! ```text
//!            register ok             granted, and kept on disk
//!  Away ───▶ Registering ─────────▶ Tenant ──▶ heartbeat every `heartbeat`; with less than `extend_below` of validity left,
//!    ▲           │ failed, refused     │ ▲       every witness is asked twice per heartbeat as well
//!    └───────────┴─────────────────────┘ │     404, 409, 410: not this lease any more · drift: the lease is dropped first
//!                                        └── restart in place: the remembered lease, once granted or promised anew
//! ```

mod promises;
mod tenant;

use crate::backoff::{Backoff, Rng};
use crate::lease::{Lease, LeaseTerms};
#[cfg(feature = "plant")]
use crate::plant::{self, Bug};
use crate::wire::control::{Chain, Grant, Peer, Registered, Witnesses};
use crate::wire::peers::{Extend, Extended};
use crate::{Incarnation, LeaseId, Mono, PodId, Problem, Revision};
use std::time::Duration;
use tenant::Tenant;

/// The shortest and the longest wait between two attempts to register.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// Why a call to config-service brought nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// No answer.
    Unreachable(String),
    /// An answer that says no.
    Refused(Problem),
}

/// What stands in the lease file: what a restart in place goes on with (OWNERSHIP.md, Leases 12). It may do so only in the
/// same folder, under the same UID and boot_id; to see to that is the shell's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Remembered {
    /// The lease.
    pub lease_id: LeaseId,
    /// The life of the data folder it was granted to.
    pub incarnation: Incarnation,
    /// The newest witness config that is on disk.
    pub witnesses: Witnesses,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Time passed.
    Tick,
    /// A registration was answered.
    Registered(Registered),
    /// A registration failed.
    NotRegistered(Failure),
    /// A heartbeat was answered.
    Granted(Grant),
    /// A heartbeat failed.
    NotGranted {
        /// Its nonce.
        nonce: u64,
        /// Why.
        failure: Failure,
    },
    /// A witness has answered.
    Answered {
        /// Which.
        by: PodId,
        /// What.
        answer: Extended,
    },
    /// A witness has not answered.
    Unanswered {
        /// Which.
        by: PodId,
        /// The question's nonce.
        nonce: u64,
    },
    /// What was to be kept last is on disk; its witness config has this version. The answer to [`Output::Keep`].
    Kept(u64),
    /// Wall clock and boot clock drifted apart: the machine may have been paused.
    Drifted,
    /// The pod is about to stop in order.
    Leave,
}

/// What to do, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Register. Answered by [`Input::Registered`] or [`Input::NotRegistered`].
    Register,
    /// Send a heartbeat. Answered by [`Input::Granted`] or [`Input::NotGranted`].
    Beat {
        /// The lease to renew.
        lease_id: LeaseId,
        /// To be echoed.
        nonce: u64,
        /// Which process sends it.
        chain: Chain,
        /// The newest witness config that is on disk under this lease; 0 when there is none.
        witnesses: u64,
        /// The last one.
        leaving: bool,
        /// When to give up waiting for the answer: a late one is worth little and must not hold up the next heartbeat.
        give_up: Duration,
        /// The witness that passes it on; none: it goes to config-service itself.
        via: Option<PodId>,
    },
    /// Ask a witness. Answered by [`Input::Answered`] or [`Input::Unanswered`].
    Extend {
        /// The witness.
        to: Peer,
        /// The question.
        question: Extend,
    },
    /// Write this to the lease file and fsync it, however often that has to be tried, then say [`Input::Kept`]. Until then
    /// nothing else is to be kept, and a new lease is not held.
    Keep(Remembered),
    /// Take the lease into use.
    Hold {
        /// The lease.
        lease: Lease,
        /// A lease not held before counts from this revision of the pod's own stream on. None: the witnesses have extended
        /// it, and nobody can have been given what this pod remembers as its own.
        not_before: Option<Revision>,
    },
    /// Act for nobody any more.
    Drop(&'static str),
    /// The lease ran out without an answer.
    RanOut,
    /// An answer did not count.
    Ignored(&'static str),
    /// All is said; the pod may go.
    Gone,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Phase {
    Away { retry_at: Mono },
    Registering,
    Tenant(Box<Tenant>),
    Gone,
}

/// The state machine. Its owner calls [`Holder::handle`] with everything that happens and not later than
/// [`Holder::wake_at`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Holder {
    pod: PodId,
    incarnation: Incarnation,
    terms: LeaseTerms,
    rng: Rng,
    backoff: Backoff,
    chain: Chain,
    phase: Phase,
    /// What is being written to the lease file.
    keeping: Option<Remembered>,
    leaving: bool,
}

impl Holder {
    /// Makes a pod that is not registered yet, or that goes on where the process before it in this folder stopped. `seed`
    /// makes its nonces and its waiting its own.
    pub fn new(
        pod: PodId,
        incarnation: Incarnation,
        terms: LeaseTerms,
        seed: u64,
        remembered: Option<Remembered>,
    ) -> Self {
        let mut rng = Rng::seeded(seed);
        let chain = Chain { id: fit(rng.next_u64()).max(1), seq: 0 };
        let phase = match remembered.filter(|remembered| remembered.incarnation == incarnation) {
            Some(remembered) => Phase::Tenant(Box::new(Tenant::remembered(remembered, &terms))),
            None => Phase::Away { retry_at: Mono::ZERO },
        };
        let backoff = Backoff::new(RETRY.0, RETRY.1, seed);
        Self { pod, incarnation, terms, rng, backoff, chain, phase, keeping: None, leaving: false }
    }

    /// Returns whether the pod has a lease id to renew.
    pub fn is_registered(&self) -> bool {
        matches!(self.phase, Phase::Tenant(_))
    }

    /// Returns when something is due next; none while only an answer can change anything.
    pub fn wake_at(&self) -> Option<Mono> {
        match &self.phase {
            Phase::Away { retry_at } => Some(*retry_at),
            Phase::Tenant(tenant) => tenant.wake_at(&self.terms, self.leaving),
            Phase::Registering | Phase::Gone => None,
        }
    }

    /// Takes in what happened at `now` and returns what to do, in order. Nothing of it may be sent before `now`.
    pub fn handle(&mut self, now: Mono, input: Input) -> Vec<Output> {
        let mut outputs = Vec::new();
        #[cfg(feature = "plant")]
        if let (Phase::Tenant(tenant), Input::Granted(_)) = (&mut self.phase, &input)
            && plant::on(Bug::ValidityFromReceipt)
        {
            tenant.sent_just_now(now);
        }
        match input {
            Input::Tick => {}
            Input::Registered(registered) => self.registered(now, &registered),
            Input::NotRegistered(_) => self.retreat(now, &mut outputs, None),
            Input::Granted(grant) => self.granted(grant, &mut outputs),
            Input::NotGranted { nonce, failure } => self.not_granted(now, nonce, &failure, &mut outputs),
            Input::Answered { by, answer } => self.answered(now, by, &answer, &mut outputs),
            Input::Unanswered { by, nonce } => self.unanswered(&by, nonce),
            Input::Kept(version) => self.kept(version, &mut outputs),
            Input::Drifted => self.retreat(now, &mut outputs, Some("wall clock and boot clock drifted apart")),
            Input::Leave => self.leaving = true,
        }
        self.due(now, &mut outputs);
        outputs
    }

    fn registered(&mut self, now: Mono, answer: &Registered) {
        if matches!(self.phase, Phase::Registering) {
            self.phase = Phase::Tenant(Box::new(Tenant::registered(answer, now)));
        }
    }

    /// A grant answers exactly one heartbeat under way, for this lease and this life of the data folder.
    fn granted(&mut self, grant: Grant, outputs: &mut Vec<Output>) {
        let Phase::Tenant(tenant) = &mut self.phase else {
            return outputs.push(Output::Ignored("no lease was asked for"));
        };
        let beat = match tenant.take_beat(grant.nonce) {
            Ok(beat) => beat,
            Err(why) => return outputs.push(Output::Ignored(why)),
        };
        if grant.lease_id != tenant.lease_id {
            return outputs.push(Output::Ignored("the grant is for another lease"));
        }
        if grant.incarnation != self.incarnation {
            return outputs.push(Output::Ignored("the grant is for another life of the data folder"));
        }
        self.backoff.reset();
        if beat.leaving {
            return;
        }
        let terms = LeaseTerms { duration: Duration::from_millis(grant.lease_ms), ..self.terms };
        outputs.extend(tenant.granted(terms.valid_until(beat.sent), grant.revision));
        tenant.told_of(grant.witnesses);
        self.keep(outputs);
    }

    /// Begins to keep what is not on disk yet, one thing at a time.
    fn keep(&mut self, outputs: &mut Vec<Output>) {
        let Phase::Tenant(tenant) = &self.phase else { return };
        if self.keeping.is_some() {
            return;
        }
        if let Some(witnesses) = tenant.unkept() {
            let (lease_id, incarnation) = (tenant.lease_id, self.incarnation.clone());
            let remembered = Remembered { lease_id, incarnation, witnesses: witnesses.clone() };
            self.keeping = Some(remembered.clone());
            outputs.push(Output::Keep(remembered));
        }
    }

    fn kept(&mut self, version: u64, outputs: &mut Vec<Output>) {
        let Some(kept) = self.keeping.take_if(|keeping| keeping.witnesses.version == version) else { return };
        if let Phase::Tenant(tenant) = &mut self.phase
            && tenant.lease_id == kept.lease_id
        {
            outputs.extend(tenant.kept(kept.witnesses));
        }
        self.keep(outputs);
    }

    fn not_granted(&mut self, now: Mono, nonce: u64, failure: &Failure, outputs: &mut Vec<Output>) {
        let Phase::Tenant(tenant) = &mut self.phase else { return };
        if !tenant.fail_beat(nonce) {
            return;
        }
        // Not this lease any more, says who gave it. Everything else may be the matter of a moment.
        let revoked = matches!(failure, Failure::Refused(problem) if matches!(problem.status, 404 | 409 | 410));
        if revoked {
            self.retreat(now, outputs, Some("config-service does not know this lease any more"));
        }
    }

    fn answered(&mut self, now: Mono, by: PodId, answer: &Extended, outputs: &mut Vec<Output>) {
        let Phase::Tenant(tenant) = &mut self.phase else { return };
        let Some(sent) = tenant.promises.answered(&by, answer.nonce()) else { return };
        match answer {
            Extended::Promised { .. } => {
                tenant.promises.promised(by, sent);
                outputs.extend(tenant.extend(now, &self.terms));
            }
            Extended::Relay { .. } if !self.leaving && tenant.may_relay() => self.beat(now, Some(by), outputs),
            // Fenced: nothing is lost yet. What others promise counts still, and the next heartbeat's refusal tells the pod
            // to register anew.
            Extended::Fenced { .. } | Extended::Relay { .. } | Extended::NotReady { .. } | Extended::TooLong { .. } => {
            }
        }
    }

    fn unanswered(&mut self, by: &PodId, nonce: u64) {
        if let Phase::Tenant(tenant) = &mut self.phase {
            tenant.promises.answered(by, nonce);
        }
    }

    /// Gives the lease up, if there is one, and registers anew a little later.
    fn retreat(&mut self, now: Mono, outputs: &mut Vec<Output>, dropped: Option<&'static str>) {
        match self.phase {
            Phase::Gone => return,
            Phase::Away { .. } => {}
            Phase::Registering | Phase::Tenant(_) => {
                self.phase = Phase::Away { retry_at: now.after(self.backoff.next_wait()) };
            }
        }
        outputs.extend(dropped.map(Output::Drop));
    }

    fn due(&mut self, now: Mono, outputs: &mut Vec<Output>) {
        let leaving = self.leaving;
        match &mut self.phase {
            Phase::Away { .. } | Phase::Registering if leaving => {
                self.phase = Phase::Gone;
                outputs.push(Output::Gone);
            }
            Phase::Away { retry_at } if *retry_at <= now => {
                self.phase = Phase::Registering;
                outputs.push(Output::Register);
            }
            Phase::Tenant(tenant) => {
                #[cfg(feature = "plant")]
                if plant::on(Bug::RestartWithoutPromises) {
                    outputs.extend(tenant.presume(now, &self.terms));
                }
                if tenant.runs_out(now, &self.terms) {
                    outputs.push(Output::RanOut);
                }
                if tenant.is_done() {
                    self.phase = Phase::Gone;
                    outputs.push(Output::Gone);
                    return;
                }
                let (direct, relay) = (tenant.beat_is_due(now, leaving), tenant.relay_is_due(now));
                if direct {
                    self.beat(now, None, outputs);
                }
                if relay.is_some() && !leaving {
                    self.beat(now, relay, outputs);
                }
                self.ask(now, outputs);
            }
            Phase::Away { .. } | Phase::Registering | Phase::Gone => {}
        }
    }

    fn beat(&mut self, now: Mono, via: Option<PodId>, outputs: &mut Vec<Output>) {
        let nonce = self.nonce(now);
        let Phase::Tenant(tenant) = &mut self.phase else { return };
        self.chain.seq += 1;
        match &via {
            Some(via) => tenant.relay(now, nonce, via.clone()),
            None => tenant.beat(now, nonce, self.leaving),
        }
        outputs.push(Output::Beat {
            lease_id: tenant.lease_id,
            nonce,
            chain: self.chain,
            witnesses: tenant.witnesses().map_or(0, |witnesses| witnesses.version),
            leaving: self.leaving && via.is_none(),
            give_up: tenant.give_up,
            via,
        });
    }

    /// Asks the witnesses when little validity is left. A pod without witnesses extends its lease by itself.
    fn ask(&mut self, now: Mono, outputs: &mut Vec<Output>) {
        let leaving = self.leaving;
        let Phase::Tenant(tenant) = &mut self.phase else { return };
        if leaving || tenant.asks_at(&self.terms).is_none_or(|at| now < at) {
            return;
        }
        let peers = tenant.round(now);
        let extension_ms = u64::try_from(self.terms.extension.as_millis()).unwrap_or(u64::MAX);
        outputs.extend(tenant.extend(now, &self.terms));
        for to in peers {
            let nonce = self.nonce(now);
            let Phase::Tenant(tenant) = &mut self.phase else { return };
            tenant.promises.asked(to.pod.clone(), nonce, now);
            let (pod, incarnation, lease_id) = (self.pod.clone(), self.incarnation.clone(), tenant.lease_id);
            outputs.push(Output::Extend { to, question: Extend { pod, incarnation, lease_id, nonce, extension_ms } });
        }
    }

    /// The clock goes into it: two copies of one running machine do not ask with the same nonces.
    fn nonce(&mut self, now: Mono) -> u64 {
        fit(self.rng.next_u64() ^ Rng::seeded(now.as_nanos()).next_u64())
    }
}

/// Cuts to 53 bits: such a number survives every reader of JSON.
const fn fit(number: u64) -> u64 {
    number >> 11
}

#[cfg(test)]
mod tests;
