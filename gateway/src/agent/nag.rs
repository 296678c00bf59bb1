//! Decides when a lasting trouble is worth a line in the log: when it begins, when it changes, and now and then while it
//! lasts. Pure.

use shared::Mono;
use std::time::Duration;

/// How often a lasting trouble is repeated.
const AGAIN: Duration = Duration::from_secs(10);

/// Remembers the trouble that was last told.
#[derive(Debug, Default)]
pub(crate) struct Nag {
    told: Option<(String, Mono)>,
}

impl Nag {
    /// Returns whether `trouble` is worth a line now.
    pub(crate) fn tell(&mut self, now: Mono, trouble: &str) -> bool {
        let due = self.told.as_ref().is_none_or(|(known, at)| known != trouble || now.since(*at) >= AGAIN);
        if due {
            self.told = Some((trouble.to_owned(), now));
        }
        due
    }

    /// Notes that the trouble is over. Returns whether there was one.
    pub(crate) fn over(&mut self) -> bool {
        self.told.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_told_when_it_begins_changes_and_every_ten_seconds() {
        let (mut nag, at) = (Nag::default(), |s: u64| Mono::from_nanos(s * 1_000_000_000));
        assert!(nag.tell(at(1), "refused") && !nag.tell(at(2), "refused"));
        assert!(nag.tell(at(3), "timed out") && !nag.tell(at(12), "timed out") && nag.tell(at(13), "timed out"));
        assert!(nag.over() && !nag.over());
        assert!(nag.tell(at(14), "timed out"));
    }
}
