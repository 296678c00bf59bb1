//! Whether this pod keeps up with its own clock: how late its event loop and its disk are (OWNERSHIP.md, Leases 14).
//! Decides when its word about others does not count; acts on nothing.

use crate::Engine;
use shared::shutdown::Shutdown;
use shared::{Clock, Mono};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// How often the loop is looked at.
const EVERY: Duration = Duration::from_millis(100);
/// How much later than that it may turn.
const LATE: Duration = Duration::from_millis(300);
/// How long a late turn is held against it.
const LATE_FOR: Duration = Duration::from_secs(5);

/// What is measured. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Vitals {
    clock: Arc<dyn Clock>,
    engine: Engine,
    turned: Arc<AtomicU64>,
    late_until: Arc<AtomicU64>,
}

impl Vitals {
    /// Starts to measure.
    pub(super) fn start(clock: Arc<dyn Clock>, engine: Engine, stop: Shutdown) -> Self {
        let turned = Arc::new(AtomicU64::new(clock.now().as_nanos()));
        let vitals = Self { clock, engine, turned, late_until: Arc::default() };
        let measured = vitals.clone();
        shared::shutdown::spawn(async move {
            let measure = async {
                loop {
                    tokio::time::sleep(EVERY).await;
                    measured.turn(measured.clock.now());
                }
            };
            stop.run_until_cancelled(measure).await
        });
        vitals
    }

    fn turn(&self, now: Mono) {
        if is_late(Mono::from_nanos(self.turned.swap(now.as_nanos(), Ordering::Relaxed)), now) {
            self.late_until.store(now.after(LATE_FOR).as_nanos(), Ordering::Relaxed);
        }
    }

    /// Returns whether the loop or the disk is, or was lately, too slow.
    pub(super) fn are_bad(&self) -> bool {
        let now = self.clock.now();
        is_late(Mono::from_nanos(self.turned.load(Ordering::Relaxed)), now)
            || now.as_nanos() < self.late_until.load(Ordering::Relaxed)
            || self.engine.is_disk_slow()
    }
}

/// Says whether a loop that turned at `last` is late at `now`.
fn is_late(last: Mono, now: Mono) -> bool {
    now.since(last) > EVERY + LATE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_is_late_when_it_turns_more_than_300_ms_after_its_time() {
        let at = |ms: u64| Mono::from_nanos(ms * 1_000_000);
        assert!(!is_late(at(1_000), at(1_400)));
        assert!(is_late(at(1_000), at(1_401)));
    }
}
