//! Notices that two processes take themselves for one (OWNERSHIP.md, Leases 13): a machine or a data folder was cloned. Knows
//! no lease.
//!
//! A process counts its heartbeats under an id it drew when it started. Three things happen: a new id replaces the one before
//! it, as after every restart; an id that was replaced comes back, which a late heartbeat of a dead process may do, but not
//! again and again; one number comes with two nonces, which one process never sends.

use crate::wire::control::Chain;
use std::collections::VecDeque;

/// How often replaced ids may come back.
const RETURNS: u8 = 3;

/// How many replaced ids, and how many heartbeats of the newest, are remembered.
const REMEMBERED: usize = 16;

/// The chains of one incarnation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Chains {
    newest: u64,
    /// Number and nonce of its last heartbeats.
    heard: VecDeque<(u64, u64)>,
    replaced: VecDeque<u64>,
    returns: u8,
}

/// What a heartbeat says of its process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the newest there is.
    Newest,
    /// Another has taken its place.
    Replaced,
    /// Two of them are alive.
    Cloned,
}

impl Chains {
    /// Takes a heartbeat in.
    pub(super) fn heard(&mut self, chain: Chain, nonce: u64) -> Verdict {
        // One that does not say it.
        if chain.id == 0 {
            return Verdict::Newest;
        }
        if chain.id != self.newest {
            return self.other(chain, nonce);
        }
        if self.heard.iter().any(|(seq, known)| *seq == chain.seq && *known != nonce) {
            return Verdict::Cloned;
        }
        self.note(chain, nonce);
        Verdict::Newest
    }

    fn other(&mut self, chain: Chain, nonce: u64) -> Verdict {
        let returned = self.replaced.contains(&chain.id);
        if returned {
            self.returns = self.returns.saturating_add(1);
            if self.returns < RETURNS {
                return Verdict::Replaced;
            }
            self.replaced.retain(|id| *id != chain.id);
        }
        if self.newest != 0 {
            self.replaced.push_back(self.newest);
            self.replaced.drain(..self.replaced.len().saturating_sub(REMEMBERED));
        }
        self.newest = chain.id;
        self.heard.clear();
        self.note(chain, nonce);
        if returned { Verdict::Cloned } else { Verdict::Newest }
    }

    fn note(&mut self, chain: Chain, nonce: u64) {
        if !self.heard.contains(&(chain.seq, nonce)) {
            self.heard.push_back((chain.seq, nonce));
            self.heard.drain(..self.heard.len().saturating_sub(REMEMBERED));
        }
    }

    /// Begins anew: for long enough there was only one.
    pub(super) fn forgive(&mut self) {
        *self = Self { newest: self.newest, heard: std::mem::take(&mut self.heard), ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(id: u64, seq: u64) -> Chain {
        Chain { id, seq }
    }

    #[test]
    fn a_restart_a_late_heartbeat_and_a_repeated_one_are_no_clones() {
        let mut chains = Chains::default();
        for (chain, nonce, verdict) in [
            (beat(1, 1), 11, Verdict::Newest),
            (beat(1, 3), 13, Verdict::Newest),
            (beat(1, 2), 12, Verdict::Newest),
            (beat(1, 3), 13, Verdict::Newest),
            (beat(2, 1), 21, Verdict::Newest),
            (beat(1, 4), 14, Verdict::Replaced),
            (beat(2, 2), 22, Verdict::Newest),
            (beat(0, 0), 77, Verdict::Newest),
        ] {
            assert_eq!(chains.heard(chain, nonce), verdict, "{chain:?}");
        }
    }

    #[test]
    fn two_processes_that_go_on_side_by_side_are_clones() {
        let mut chains = Chains::default();
        let heard: Vec<_> =
            (1..4).flat_map(|seq| [chains.heard(beat(1, seq), seq), chains.heard(beat(2, seq), seq)]).collect();
        assert!(
            heard.ends_with(&[Verdict::Replaced, Verdict::Newest]) && !heard.contains(&Verdict::Cloned),
            "{heard:?}"
        );
        assert_eq!(chains.heard(beat(1, 4), 4), Verdict::Cloned);
        chains.forgive();
        assert_eq!(chains.heard(beat(2, 9), 9), Verdict::Newest);
    }

    #[test]
    fn one_number_with_two_nonces_is_a_copied_machine() {
        let mut chains = Chains::default();
        assert_eq!(chains.heard(beat(1, 1), 5), Verdict::Newest);
        assert_eq!(chains.heard(beat(1, 1), 6), Verdict::Cloned);
    }
}
