//! Time. Leases go only through [`Clock`]; wall clocks of two machines are never compared (OWNERSHIP.md, Clocks).

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// A point on this machine's clock that counts suspended time (CLOCK_BOOTTIME on Linux). Comparable only with points of
/// the same machine since the same boot. Nanosecond resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mono(u64);

impl Mono {
    /// The moment the machine booted.
    pub const ZERO: Self = Self(0);

    /// Makes the point `nanos` nanoseconds after boot.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Returns the nanoseconds since boot.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Returns the time from `earlier` to this point; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Returns the point `by` later.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// Returns the point `by` earlier, not before boot.
    #[must_use]
    pub fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// Where a service gets its time from. Checked at every use of a lease, never by a timer alone.
pub trait Clock: Send + Sync + fmt::Debug + 'static {
    /// Returns the current point on the boot clock.
    fn now(&self) -> Mono;

    /// Returns wall time in milliseconds since the Unix epoch: for display, expiry of rows and signed timestamps, never
    /// for leases.
    fn wall_ms(&self) -> u64;
}

/// The machine's real clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct BootClock;

impl Clock for BootClock {
    fn now(&self) -> Mono {
        #[cfg(target_os = "linux")]
        let id = rustix::time::ClockId::Boottime;
        #[cfg(not(target_os = "linux"))]
        let id = rustix::time::ClockId::Monotonic;
        Mono(nanos(rustix::time::clock_gettime(id)))
    }

    fn wall_ms(&self) -> u64 {
        nanos(rustix::time::clock_gettime(rustix::time::ClockId::Realtime)) / 1_000_000
    }
}

fn nanos(time: rustix::time::Timespec) -> u64 {
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// A clock that a test moves by hand. Clones share the same time.
#[derive(Debug, Clone)]
pub struct ManualClock {
    mono: Arc<AtomicU64>,
    wall_ms: Arc<AtomicU64>,
}

impl ManualClock {
    /// Makes a clock at ten seconds after boot with the given wall time in milliseconds.
    pub fn new(wall_ms: u64) -> Self {
        Self { mono: Arc::new(AtomicU64::new(10_000_000_000)), wall_ms: Arc::new(AtomicU64::new(wall_ms)) }
    }

    /// Moves both clocks forward.
    pub fn advance(&self, by: Duration) {
        self.mono.fetch_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX), Ordering::SeqCst);
        self.wall_ms.fetch_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    /// Moves only the wall clock, as a step of NTP or a resumed virtual machine would.
    pub fn step_wall(&self, to_ms: u64) {
        self.wall_ms.store(to_ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Mono {
        Mono(self.mono.load(Ordering::SeqCst))
    }

    fn wall_ms(&self) -> u64 {
        self.wall_ms.load(Ordering::SeqCst)
    }
}

/// Notices when wall clock and boot clock drift apart: a paused virtual machine may see no gap on any single clock, but
/// rarely the same on both (OWNERSHIP.md, Clocks).
#[derive(Debug, Clone, Copy)]
pub struct DriftGuard {
    offset_ms: i128,
    limit_ms: i128,
}

impl DriftGuard {
    /// Notes how the two clocks stand to each other now.
    pub fn new(clock: &dyn Clock, limit: Duration) -> Self {
        Self { offset_ms: Self::offset(clock), limit_ms: limit.as_millis() as i128 }
    }

    /// Returns whether the clocks have drifted apart by more than the limit since [`DriftGuard::new`].
    pub fn drifted(&self, clock: &dyn Clock) -> bool {
        (Self::offset(clock) - self.offset_ms).abs() > self.limit_ms
    }

    fn offset(clock: &dyn Clock) -> i128 {
        i128::from(clock.wall_ms()) - i128::from(clock.now().as_nanos() / 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stepped_wall_clock_is_noticed_and_passing_time_is_not() {
        let clock = ManualClock::new(1_700_000_000_000);
        let guard = DriftGuard::new(&clock, Duration::from_secs(1));
        clock.advance(Duration::from_secs(86_400));
        assert!(!guard.drifted(&clock));
        clock.step_wall(clock.wall_ms() + 1_500);
        assert!(guard.drifted(&clock));
    }

    #[test]
    fn the_boot_clock_moves_forward() {
        let first = BootClock.now();
        assert!(BootClock.now() >= first && first > Mono::ZERO);
        assert!(BootClock.wall_ms() > 1_600_000_000_000);
    }
}
