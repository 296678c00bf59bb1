//! When a pod's drill is due: always at the same time of its period, which follows from the pod's name, so that the pods of a
//! cluster do not restore all at once. Pure.

use sha2::{Digest, Sha256};
use shared::PodId;
use std::time::Duration;

/// Returns when the next drill is due, in milliseconds since the Unix epoch; none when there are to be none. It is in the
/// past when one is due now.
pub(crate) fn next(pod: &PodId, every: Duration, last_ms: Option<u64>, now_ms: u64) -> Option<u64> {
    let period = u64::try_from(every.as_millis()).ok().filter(|period| *period > 0)?;
    let offset = offset(pod) % period;
    // The last moment of the pod's that is not in the future.
    let slot = now_ms.saturating_sub(offset) / period * period + offset;
    Some(match last_ms {
        // It has had that one: the next.
        Some(last_ms) if last_ms >= slot => slot + period,
        Some(_) => slot,
        // Nothing of this lineage was ever tried: nobody knows whether it can be restored.
        None => slot,
    })
}

fn offset(pod: &PodId) -> u64 {
    let hash = Sha256::digest(pod.as_str().as_bytes());
    hash.iter().take(6).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests;
