//! Chance: every draw of a run follows from its seed. Each part of a run draws from a stream of its own, so that a change in
//! one does not shift the others.

use shared::backoff::Rng;

/// A stream of draws.
#[derive(Debug, Clone)]
pub(crate) struct Draw(Rng);

impl Draw {
    /// Makes the stream `name` of a seed.
    pub(crate) fn new(seed: u64, name: u64) -> Self {
        let mut mix = Rng::seeded(seed ^ name.wrapping_mul(0xA076_1D64_78BD_642F));
        Self(Rng::seeded(mix.next_u64()))
    }

    /// Returns 64 bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Returns a number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0.next_u64() % end
    }

    /// Returns a number from `least` to `most`.
    pub(crate) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    /// Returns true in `per_mille` of a thousand draws.
    pub(crate) fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1_000) < per_mille
    }

    /// Returns one of several.
    pub(crate) fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }

    /// Returns a waiting time around `mean`: mostly short, sometimes up to eight times as long.
    pub(crate) fn waiting(&mut self, mean: u64) -> u64 {
        let u = self.0.next_f64();
        ((mean as f64) * -(1.0 - u).ln()).min(8.0 * mean as f64) as u64
    }
}
