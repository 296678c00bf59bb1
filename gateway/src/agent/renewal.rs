//! How a pod gets its lease and keeps it (OWNERSHIP.md, Leases 1 and 12): the state machine. Decides when to register,
//! when to send a heartbeat, which grants count and until when. Pure: `now` and what happened in, what to do out. Knows no
//! network, no clock and no ownership of targets.
//!
//! ```text
//!            register ok             granted
//!  Away ───▶ Registering ─────────▶ Tenant ──▶ heartbeat every `heartbeat`, at most one under way
//!    ▲           │ failed, refused     │ 404, 409, 410: not this lease any more · drift
//!    └───────────┴─────────────────────┘ (the lease is dropped first)
//! ```

use shared::backoff::{Backoff, Rng};
use shared::lease::{Lease, LeaseTerms};
use shared::wire::control::{Grant, Registered};
use shared::{Incarnation, LeaseId, Mono, Problem, Revision};
use std::time::Duration;

/// The shortest and the longest wait between two attempts to register.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// Why a call to config-service brought nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No answer.
    Unreachable(String),
    /// An answer that says no.
    Refused(Problem),
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Input {
    /// Time passed.
    Tick,
    /// A registration was answered.
    Registered(Registered),
    /// A registration failed.
    NotRegistered(Failure),
    /// A heartbeat was answered.
    Granted(Grant),
    /// The heartbeat with this nonce failed.
    NotGranted(u64, Failure),
    /// Wall clock and boot clock drifted apart: the machine may have been paused.
    Drifted,
    /// The pod is about to stop in order.
    Leave,
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Output {
    /// Register.
    Register,
    /// Send a heartbeat.
    Beat {
        /// The lease to renew.
        lease_id: LeaseId,
        /// To be echoed.
        nonce: u64,
        /// The last one.
        leaving: bool,
        /// When to give up waiting for the answer: a late one is worth little and must not hold up the next heartbeat.
        give_up: Duration,
    },
    /// Take the lease into use.
    Hold {
        /// The lease.
        lease: Lease,
        /// It counts from this revision of the pod's own stream on.
        not_before: Revision,
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

/// A heartbeat under way.
#[derive(Debug, Clone, Copy)]
struct Beat {
    nonce: u64,
    /// The pod's clock before it was sent: the validity of its grant counts from here.
    sent: Mono,
    leaving: bool,
}

#[derive(Debug)]
enum Phase {
    Away { retry_at: Mono },
    Registering,
    Tenant(Tenant),
    Gone,
}

#[derive(Debug)]
struct Tenant {
    lease_id: LeaseId,
    heartbeat: Duration,
    give_up: Duration,
    beat_at: Mono,
    beat: Option<Beat>,
    /// Until when the lease is valid, once it has been granted; none when it is known to have run out.
    valid_until: Option<Mono>,
    said_goodbye: bool,
}

/// The state machine. Its owner calls [`Renewal::handle`] with everything that happens and not later than
/// [`Renewal::wake_at`].
#[derive(Debug)]
pub(crate) struct Renewal {
    incarnation: Incarnation,
    terms: LeaseTerms,
    rng: Rng,
    backoff: Backoff,
    phase: Phase,
    leaving: bool,
}

impl Renewal {
    /// Makes a pod that is not registered yet. `seed` makes its nonces and its waiting its own.
    pub(crate) fn new(incarnation: Incarnation, terms: LeaseTerms, seed: u64) -> Self {
        Self {
            incarnation,
            terms,
            rng: Rng::seeded(seed),
            backoff: Backoff::new(RETRY.0, RETRY.1, seed),
            phase: Phase::Away { retry_at: Mono::ZERO },
            leaving: false,
        }
    }

    /// Returns whether the pod is registered.
    pub(crate) fn is_registered(&self) -> bool {
        matches!(self.phase, Phase::Tenant(_))
    }

    /// Returns when something is due next; none while only an answer can change anything.
    pub(crate) fn wake_at(&self) -> Option<Mono> {
        match &self.phase {
            Phase::Away { retry_at } => Some(*retry_at),
            Phase::Tenant(tenant) => {
                let beat = tenant.beat.is_none().then_some(tenant.beat_at);
                let end = tenant.valid_until.map(|until| self.stops_at(until));
                beat.into_iter().chain(end).min()
            }
            Phase::Registering | Phase::Gone => None,
        }
    }

    /// Takes in what happened at `now` and returns what to do, in order. A heartbeat must not be sent before `now`.
    pub(crate) fn handle(&mut self, now: Mono, input: Input) -> Vec<Output> {
        let mut outputs = Vec::new();
        match input {
            Input::Tick => {}
            Input::Registered(registered) => self.registered(now, &registered),
            Input::NotRegistered(_) => self.retreat(now, &mut outputs, None),
            Input::Granted(grant) => self.granted(&grant, &mut outputs),
            Input::NotGranted(nonce, failure) => self.not_granted(now, nonce, &failure, &mut outputs),
            Input::Drifted => self.retreat(now, &mut outputs, Some("wall clock and boot clock drifted apart")),
            Input::Leave => self.leaving = true,
        }
        self.due(now, &mut outputs);
        outputs
    }

    fn registered(&mut self, now: Mono, answer: &Registered) {
        if !matches!(self.phase, Phase::Registering) {
            return;
        }
        self.phase = Phase::Tenant(Tenant {
            lease_id: answer.lease_id,
            heartbeat: Duration::from_millis(answer.heartbeat_ms.max(1)),
            give_up: Duration::from_millis(answer.lease_ms) / 4,
            beat_at: now,
            beat: None,
            valid_until: None,
            said_goodbye: false,
        });
    }

    /// A grant answers exactly the heartbeat under way, for this lease and this life of the data folder.
    fn granted(&mut self, grant: &Grant, outputs: &mut Vec<Output>) {
        let Phase::Tenant(tenant) = &mut self.phase else {
            return outputs.push(Output::Ignored("no lease was asked for"));
        };
        // Whatever it says, the call is over.
        let Some(beat) = tenant.beat.take() else {
            return outputs.push(Output::Ignored("no heartbeat was under way"));
        };
        let wrong = if grant.nonce != beat.nonce {
            Some("the grant answers another heartbeat")
        } else if grant.lease_id != tenant.lease_id {
            Some("the grant is for another lease")
        } else if grant.incarnation != self.incarnation {
            Some("the grant is for another life of the data folder")
        } else {
            None
        };
        if let Some(wrong) = wrong {
            return outputs.push(Output::Ignored(wrong));
        }
        self.backoff.reset();
        if beat.leaving {
            return;
        }
        let terms = LeaseTerms { duration: Duration::from_millis(grant.lease_ms), ..self.terms };
        let valid_until = terms.valid_until(beat.sent).max(tenant.valid_until.unwrap_or_default());
        tenant.valid_until = Some(valid_until);
        let lease = Lease { id: tenant.lease_id, valid_until };
        outputs.push(Output::Hold { lease, not_before: grant.revision });
    }

    fn not_granted(&mut self, now: Mono, nonce: u64, failure: &Failure, outputs: &mut Vec<Output>) {
        let Phase::Tenant(tenant) = &mut self.phase else { return };
        match tenant.beat {
            Some(beat) if beat.nonce == nonce => tenant.beat = None,
            _ => return,
        }
        // Not this lease any more, says who gave it. Everything else may be the matter of a moment.
        let revoked = matches!(failure, Failure::Refused(problem) if matches!(problem.status, 404 | 409 | 410));
        if revoked {
            self.retreat(now, outputs, Some("config-service does not know this lease any more"));
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
        let stops_at = |until: Mono| until.before(self.terms.accept_floor);
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
                if tenant.valid_until.is_some_and(|until| stops_at(until) < now) {
                    tenant.valid_until = None;
                    outputs.push(Output::RanOut);
                }
                if tenant.beat.is_some() {
                    return;
                }
                if tenant.said_goodbye {
                    self.phase = Phase::Gone;
                    outputs.push(Output::Gone);
                } else if leaving || tenant.beat_at <= now {
                    // 53 bits: a nonce survives every reader of JSON.
                    let nonce = self.rng.next_u64() >> 11;
                    tenant.beat = Some(Beat { nonce, sent: now, leaving });
                    tenant.beat_at = now.after(tenant.heartbeat);
                    tenant.said_goodbye = leaving;
                    outputs.push(Output::Beat { lease_id: tenant.lease_id, nonce, leaving, give_up: tenant.give_up });
                }
            }
            Phase::Away { .. } | Phase::Registering | Phase::Gone => {}
        }
    }

    /// From here on the pod takes no new work, unless it is granted more.
    fn stops_at(&self, valid_until: Mono) -> Mono {
        valid_until.before(self.terms.accept_floor).after(Duration::from_nanos(1))
    }
}

#[cfg(test)]
mod tests;
