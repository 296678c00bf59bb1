//! Hashes by which names are ranked: the same in every process and every version, since what was placed by them stays.

use shared::{PodId, TargetId};

/// The weighted rendezvous score `-w / ln(u)`: the pod with the highest one is the target's first choice, and a pod that
/// comes or goes changes no other pod's score.
pub fn score(target: &TargetId, pod: &PodId, weight: f64) -> f64 {
    Scores::of(target).with(pod, weight)
}

/// The scores of one target with many pods: its own name is gone through once.
pub(super) struct Scores(u64);

impl Scores {
    /// Begins with a target.
    pub(super) fn of(target: &TargetId) -> Self {
        Self(fnv(FNV, target.as_str().bytes().chain([BETWEEN])))
    }

    /// Returns its score with a pod.
    pub(super) fn with(&self, pod: &PodId, weight: f64) -> f64 {
        -weight / unit(mix(fnv(self.0, pod.as_str().bytes()))).ln()
    }
}

/// Returns where a name stands between 0 and 1, both excluded.
pub(super) fn place_of(name: &str) -> f64 {
    unit(mix(fnv(FNV, name.bytes())))
}

/// Stands between two names: a byte that neither can contain.
const BETWEEN: u8 = 0xFF;

/// 53 bits, moved by a half: strictly between 0 and 1, so that its logarithm is neither zero nor infinite.
fn unit(hash: u64) -> f64 {
    ((hash >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
}

/// The final mix behind FNV-1a, SplitMix64's: FNV alone leaves names that differ in their last character close together.
fn mix(hash: u64) -> u64 {
    shared::backoff::Rng::seeded(hash).next_u64()
}

/// What FNV-1a begins with.
const FNV: u64 = 0xCBF2_9CE4_8422_2325;

fn fnv(from: u64, bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(from, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3))
}

/// Adds up what something is made of, to see later whether it has changed.
pub(super) struct Print(u64);

impl Print {
    /// Begins.
    pub(super) fn new() -> Self {
        Self(FNV)
    }

    /// Adds a text.
    pub(super) fn text(self, text: &str) -> Self {
        Self(fnv(self.0, text.bytes().chain([BETWEEN])))
    }

    /// Adds a number.
    pub(super) fn number(self, number: u64) -> Self {
        Self(fnv(self.0, number.to_le_bytes().into_iter()))
    }

    /// Adds a text that may be missing.
    pub(super) fn perhaps(self, text: Option<&str>) -> Self {
        self.number(text.is_some().into()).text(text.unwrap_or_default())
    }

    /// Returns the sum: small enough for every reader of JSON.
    pub(super) fn sum(self) -> u32 {
        (shared::backoff::Rng::seeded(self.0).next_u64() >> 32) as u32
    }

    /// Returns the sum as sixteen digits.
    pub(super) fn name(self) -> String {
        format!("{:016x}", shared::backoff::Rng::seeded(self.0).next_u64())
    }
}
