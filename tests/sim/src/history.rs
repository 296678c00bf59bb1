//! What happened in a run, told to the checker of the invariants as it happens, and to whoever watches the run.

use crate::agenda::Ns;
use shared::Mono;
use shared::protocol::invariants::{Checker, Violation, What};

/// The history.
#[derive(Debug)]
pub(crate) struct History {
    checker: Checker,
    /// What was broken, in order.
    pub(crate) broken: Vec<Violation>,
    trace: bool,
    hash: u64,
}

impl History {
    pub(crate) fn new(checker: Checker, trace: bool) -> Self {
        Self { checker, broken: Vec::new(), trace, hash: 0xCBF2_9CE4_8422_2325 }
    }

    /// Something happened.
    pub(crate) fn note(&mut self, at: Ns, what: &What) {
        if self.trace && !matches!(what, What::Tick) {
            println!("{:>13.6}  * {what:?}", at as f64 / 1e9);
        }
        if !matches!(what, What::Tick) {
            self.hash = (self.hash ^ at).wrapping_mul(0x0000_0100_0000_01B3);
        }
        let broken = self.checker.handle(Mono::from_nanos(at), what);
        self.broken.extend(broken);
    }

    /// Something that is not of the checker's concern.
    pub(crate) fn say(&self, at: Ns, text: impl FnOnce() -> String) {
        if self.trace {
            println!("{:>13.6}    {}", at as f64 / 1e9, text());
        }
    }

    /// Returns the checker.
    pub(crate) fn checker(&self) -> &Checker {
        &self.checker
    }

    /// Returns a number that two runs share when the same things happened at the same times.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }
}
