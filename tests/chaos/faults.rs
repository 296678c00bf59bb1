//! The faults there are, and which ones a seed draws: pure. What each does to the cluster is `strike`'s.

mod kinds;

pub(crate) use kinds::Kind;

use crate::random::Random;

/// A fault drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    /// What is done.
    pub(crate) kind: Kind,
    /// To whom: a number to be taken modulo how many there are.
    pub(crate) victim: usize,
    /// For faults between two, or with two ways: a number to choose by.
    pub(crate) other: usize,
    /// For how long, in milliseconds.
    pub(crate) hold_ms: u64,
    /// How much, in the kind's own unit.
    pub(crate) amount: u64,
}

/// Draws faults for ever: all kinds in an order of the seed's, then all again in another.
#[derive(Debug)]
pub(crate) struct Deck {
    random: Random,
    kinds: Vec<Kind>,
    left: Vec<Kind>,
}

impl Deck {
    /// A deck of these kinds.
    pub(crate) fn new(seed: u64, kinds: &[Kind]) -> Self {
        Self { random: Random::new(seed), kinds: kinds.to_vec(), left: Vec::new() }
    }

    /// Draws what happens next: one fault, now and then two at once.
    pub(crate) fn draw(&mut self) -> Vec<Fault> {
        let first = self.one();
        if self.kinds.len() < 3 || self.random.between(0, 4) > 0 {
            return vec![first];
        }
        let second = self.one();
        // The same thing twice, or to the same node, would be one fault.
        if second.kind == first.kind || second.victim == first.victim { vec![first] } else { vec![first, second] }
    }

    /// Draws how long all is left in peace before the next one, in milliseconds.
    pub(crate) fn peace_ms(&mut self) -> u64 {
        self.random.between(500, 2_500)
    }

    fn one(&mut self) -> Fault {
        if self.left.is_empty() {
            self.left.clone_from(&self.kinds);
            self.random.shuffle(&mut self.left);
        }
        let kind = self.left.pop().unwrap_or(Kind::GatewayKill);
        let ((hold_from, hold_to), (amount_from, amount_to)) = (kind.hold_ms(), kind.amount());
        Fault {
            kind,
            victim: self.random.below(1 << 20),
            other: self.random.below(1 << 20),
            hold_ms: self.random.between(hold_from, hold_to),
            amount: self.random.between(amount_from, amount_to),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_the_same_faults_and_every_kind_in_turn() {
        let draw = |seed| {
            let mut deck = Deck::new(seed, Kind::ALL);
            (0..60).flat_map(|_| deck.draw()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        for kind in Kind::ALL {
            assert!(draw(7).iter().any(|fault| fault.kind == *kind), "{}", kind.name());
        }
    }

    #[test]
    fn each_kind_has_a_name_that_is_understood() {
        for kind in Kind::ALL {
            assert_eq!(Kind::named(kind.name()), Some(*kind));
        }
        assert_eq!(Kind::named("earthquake"), None);
    }
}
