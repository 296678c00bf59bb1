//! What all small worlds share: names, and clocks that turn at different rates. True time is a number of ticks; a tick is a
//! second, and at the start every machine has been up for a hundred.

use shared::lease::LeaseTerms;
use shared::{Incarnation, Mono, PodId};
use std::time::Duration;

/// How far clock rates may differ in a world, as a fraction: much more than in reality, because time is coarse.
pub const RATE_ERROR: f64 = 0.25;

/// A clock's rate, in percent of true time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate(pub u64);

impl Rate {
    /// As slow as a clock may be.
    pub const SLOW: Self = Self(75);
    /// As fast as a clock may be.
    pub const FAST: Self = Self(125);
    /// True time.
    pub const TRUE: Self = Self(100);

    /// Returns what the clock shows at a tick.
    pub const fn at(self, tick: u64) -> Mono {
        Mono::from_nanos(100_000_000_000 + tick * self.0 * 10_000_000)
    }
}

/// Returns the protocol's constants of a world with leases of `duration` seconds: as small as they can be, and in the same
/// relations as the real ones.
pub fn terms(duration: u64) -> LeaseTerms {
    LeaseTerms {
        heartbeat: Duration::from_secs(1),
        duration: Duration::from_secs(duration),
        rate_error: RATE_ERROR,
        margin: Duration::from_secs(1),
        accept_floor: Duration::ZERO,
        act_floor: Duration::ZERO,
        extension: Duration::from_secs(1),
        extend_below: Duration::from_secs(1),
        fence_after: Duration::from_millis(1_500),
    }
}

/// Returns the name of a pod.
///
/// # Panics
/// Never: it is a name.
pub fn pod(name: &str) -> PodId {
    name.parse().expect("a name")
}

/// Returns the incarnation of a pod, by its number.
///
/// # Panics
/// Never: it is a UUID.
pub fn incarnation(number: usize) -> Incarnation {
    format!("0190163d-8694-739b-aea5-{number:012}").parse().expect("a UUID")
}
