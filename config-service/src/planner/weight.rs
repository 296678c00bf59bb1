//! How what a target weighs is smoothed over time: three dimensions. Knows no pods.

use crate::domain::Weight;

impl Weight {
    /// Returns what is known after `sample` was taken, `elapsed_ms` after what was known before: an average that forgets half
    /// of the past in each `half_life_ms`. Bytes are counted, not measured over time: they are taken as they are. A
    /// sample that is no number, or below zero, changes nothing.
    #[must_use]
    pub fn smoothed(self, sample: Self, elapsed_ms: u64, half_life_ms: u64) -> Self {
        let kept = if half_life_ms == 0 { 0.0 } else { 0.5_f64.powf(elapsed_ms as f64 / half_life_ms as f64) } as f32;
        let usable = |value: f32| value.is_finite() && value >= 0.0;
        let blend = |before: f32, now: f32| {
            if usable(now) { before * kept + now * (1.0 - kept) } else { before }
        };
        Self {
            events: blend(self.events, sample.events),
            bytes: if usable(sample.bytes) { sample.bytes } else { self.bytes },
            sockets: blend(self.sockets, sample.sockets),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(events: f32) -> Weight {
        Weight { events, ..Weight::default() }
    }

    #[test]
    fn after_a_half_life_old_and_new_count_alike() {
        let after = events(10.0).smoothed(events(20.0), 300_000, 300_000);
        assert!((after.events - 15.0).abs() < 1e-4, "{after:?}");
        assert!((events(10.0).smoothed(events(20.0), 0, 300_000).events - 10.0).abs() < 1e-4);
        assert_eq!(events(10.0).smoothed(events(20.0), 1, 0), events(20.0));
    }

    #[test]
    fn many_short_steps_are_one_long_one() {
        let long = events(4.0).smoothed(events(100.0), 60_000, 300_000);
        let short = (0..60).fold(events(4.0), |weight, _| weight.smoothed(events(100.0), 1_000, 300_000));
        assert!((long.events - short.events).abs() < 0.01, "{long:?} {short:?}");
    }

    #[test]
    fn bytes_are_as_they_are_and_nonsense_changes_nothing() {
        let before = Weight { events: 3.0, bytes: 100.0, sockets: 1.0 };
        let sample = Weight { events: f32::NAN, bytes: 700.0, sockets: -1.0 };
        assert_eq!(before.smoothed(sample, 1_000, 1_000), Weight { bytes: 700.0, ..before });
    }
}
