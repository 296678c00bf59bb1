//! The arithmetic of leases (OWNERSHIP.md, Leases 1 and the constants): pure, `now` in and a verdict out.
//!
//! ```text
//! pod     s: heartbeat sent ───────────────────── valid until s + D(1−ρ) ── stops
//! leader        └ received, granted ──────────────────────────── r + D + M ── may reassign
//! ```

use crate::{LeaseId, Mono};
use std::{hash, time::Duration};

/// The protocol's constants; every one is a setting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LeaseTerms {
    /// Time between two heartbeats.
    pub heartbeat: Duration,
    /// D: how long a grant lasts, by the clock of whoever granted it.
    pub duration: Duration,
    /// ρ: how far the rates of two machines' clocks may differ, as a fraction.
    pub rate_error: f64,
    /// M: what the leader waits beyond D before it takes a lease for over.
    pub margin: Duration,
    /// A pod takes no new work with less validity than this left.
    pub accept_floor: Duration,
    /// A pod stops hard with less validity than this left.
    pub act_floor: Duration,
    /// E: how long witnesses' promises extend a lease, by the clock of its pod.
    pub extension: Duration,
    /// A pod asks its witnesses when less validity than this remains.
    pub extend_below: Duration,
    /// How long a pod is silent before the leader begins to fence it.
    pub fence_after: Duration,
}

impl Default for LeaseTerms {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(1),
            duration: Duration::from_secs(6),
            rate_error: 0.01,
            margin: Duration::from_secs(1),
            accept_floor: Duration::from_millis(900),
            act_floor: Duration::from_millis(400),
            extension: Duration::from_secs(4),
            extend_below: Duration::from_millis(3_500),
            fence_after: Duration::from_secs(3),
        }
    }
}

/// `rate_error` is a number, so that all of it is comparable.
impl Eq for LeaseTerms {}

impl hash::Hash for LeaseTerms {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        let Self {
            heartbeat,
            duration,
            rate_error,
            margin,
            accept_floor,
            act_floor,
            extension,
            extend_below,
            fence_after,
        } = self;
        (heartbeat, duration, rate_error.to_bits(), margin).hash(state);
        (accept_floor, act_floor, extension, extend_below, fence_after).hash(state);
    }
}

impl LeaseTerms {
    /// Returns until when a grant is valid on the pod's clock, from the moment *before* its heartbeat was sent.
    pub fn valid_until(&self, sent: Mono) -> Mono {
        sent.after(self.duration.mul_f64(1.0 - self.rate_error))
    }

    /// Returns until when a lease is valid on the pod's clock once enough witnesses have promised, from the moment the
    /// oldest of those questions was sent (OWNERSHIP.md, Leases 3).
    pub fn extended_until(&self, sent: Mono) -> Mono {
        sent.after(self.extension)
    }

    /// Returns until when a witness is bound by a promise, from the moment it was asked (OWNERSHIP.md, Leases 4).
    pub fn promised_until(&self, asked: Mono) -> Mono {
        asked.after(self.extension.mul_f64(1.0 + self.rate_error) + self.margin)
    }

    /// Returns from when on the leader may take a lease for over, from the moment it last granted it.
    pub fn over_at(&self, granted: Mono) -> Mono {
        granted.after(self.duration + self.margin)
    }
}

/// What a use of the lease is for; each has its own floor of validity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Taking a new event.
    Accept,
    /// Committing, acknowledging, or a side effect of what was already taken.
    Act,
}

/// A pod's lease as the pod sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    /// Which lease.
    pub id: LeaseId,
    /// Valid until this point of the pod's own clock.
    pub valid_until: Mono,
}

impl Lease {
    /// Returns how much validity is left; zero when the lease is over.
    pub fn remaining(&self, now: Mono) -> Duration {
        self.valid_until.since(now)
    }

    /// Returns whether the lease allows `what` now.
    pub fn allows(&self, what: Use, now: Mono, terms: &LeaseTerms) -> bool {
        let floor = match what {
            Use::Accept => terms.accept_floor,
            Use::Act => terms.act_floor,
        };
        self.remaining(now) >= floor && !self.remaining(now).is_zero()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_pod_takes_no_new_work_before_it_stops_hard() {
        let terms = LeaseTerms::default();
        let lease = Lease { id: LeaseId(1), valid_until: Mono::from_nanos(10_000_000_000) };
        let at = |ms: u64| Mono::from_nanos(ms * 1_000_000);
        for (ms, accept, act) in [
            (9_000, true, true),
            (9_100, true, true),
            (9_101, false, true),
            (9_600, false, true),
            (9_601, false, false),
            (10_500, false, false),
        ] {
            assert_eq!(
                (lease.allows(Use::Accept, at(ms), &terms), lease.allows(Use::Act, at(ms), &terms)),
                (accept, act),
                "{ms} ms"
            );
        }
    }

    proptest! {
        /// For any delay of the heartbeat and any two clock rates within ρ, the pod has stopped before the leader acts.
        #[test]
        fn the_pod_stops_before_the_leader_takes_the_lease_for_over(delay_ms in 0_u64..5_000, fast in 0.99_f64..1.01, slow in 0.99_f64..1.01) {
            let terms = LeaseTerms::default();
            let pod_real = terms.valid_until(Mono::ZERO).since(Mono::ZERO).div_f64(fast);
            let leader_real = Duration::from_millis(delay_ms) + (terms.duration + terms.margin).div_f64(slow);
            prop_assert!(pod_real < leader_real);
            prop_assert!(leader_real - pod_real > SECOND / 2);
        }
    }
}
