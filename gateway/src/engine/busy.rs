//! Which targets are the busiest: counted over a while, told in a heartbeat, and begun anew. What nobody hears is told again
//! the next time, since the busiest stay the busiest.

use shared::{
    Mono, TargetId,
    wire::control::{MAX_WEIGHTS, TargetWeight},
};
use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

/// Over how long it is counted.
const WINDOW: Duration = Duration::from_secs(10);

/// Most targets that are counted in one window; those that come later are not.
const COUNTED: usize = 100_000;

/// The events of targets, in the present window.
#[derive(Debug)]
pub(crate) struct Busy {
    since: Mono,
    counts: HashMap<TargetId, u64>,
    /// Those that were told of the last time.
    told: HashSet<TargetId>,
}

impl Busy {
    /// Makes an empty one.
    pub(crate) fn new(now: Mono) -> Self {
        Self { since: now, counts: HashMap::new(), told: HashSet::new() }
    }

    /// Counts events of a target.
    pub(crate) fn add(&mut self, target: &TargetId, events: u64) {
        if events == 0 {
            return;
        }
        if let Some(count) = self.counts.get_mut(target) {
            *count += events;
        } else if self.counts.len() < COUNTED {
            self.counts.insert(target.clone(), events);
        }
    }

    /// Returns what is to be told when a window is over: the busiest targets, and those that fell quiet since they were told of.
    pub(crate) fn tick(&mut self, now: Mono) -> Option<Vec<TargetWeight>> {
        let passed = now.since(self.since);
        if passed < WINDOW {
            return None;
        }
        self.since = now;
        let mut counted: Vec<_> = std::mem::take(&mut self.counts).into_iter().collect();
        counted.sort_unstable_by(|(a, more), (b, less)| less.cmp(more).then_with(|| a.cmp(b)));
        let seconds = passed.as_secs_f64();
        let mut told = HashSet::new();
        let mut weights = Vec::new();
        let quiet = std::mem::take(&mut self.told);
        let fell_quiet =
            quiet.iter().filter(|target| !counted.iter().any(|(known, _)| known == *target)).take(MAX_WEIGHTS / 2);
        weights.extend(fell_quiet.map(|target| TargetWeight { target: target.clone(), events_per_second: 0.0 }));
        for (target, events) in counted.into_iter().take(MAX_WEIGHTS - weights.len()) {
            told.insert(target.clone());
            weights.push(TargetWeight { target, events_per_second: (events as f64 / seconds) as f32 });
        }
        self.told = told;
        Some(weights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(n: u64) -> TargetId {
        format!("discord:guild:{n}").parse().expect("valid")
    }

    fn later(seconds: u64) -> Mono {
        Mono::ZERO.after(Duration::from_secs(seconds))
    }

    #[test]
    fn the_busiest_are_told_first_and_a_quiet_one_once_more() {
        let mut busy = Busy::new(Mono::ZERO);
        busy.add(&target(1), 50);
        busy.add(&target(2), 100);
        assert_eq!(busy.tick(later(9)), None);
        let told = busy.tick(later(10)).expect("a window is over");
        let told: Vec<_> = told.into_iter().map(|of| (of.target, of.events_per_second)).collect();
        assert_eq!(told, [(target(2), 10.0), (target(1), 5.0)]);
        busy.add(&target(2), 10);
        let told = busy.tick(later(20)).expect("a window is over");
        assert_eq!(told.iter().map(|of| of.events_per_second).collect::<Vec<_>>(), [0.0, 1.0]);
        busy.tick(later(30));
        assert_eq!(busy.tick(later(40)), Some(Vec::new()), "then nothing is left to tell");
    }

    #[test]
    fn no_more_are_told_than_a_heartbeat_holds() {
        let mut busy = Busy::new(Mono::ZERO);
        (0..1_000).for_each(|n| busy.add(&target(n), n));
        let told = busy.tick(later(10)).expect("a window is over");
        assert_eq!((told.len(), &told[0].target), (MAX_WEIGHTS, &target(999)));
        let told = busy.tick(later(20)).expect("a window is over");
        assert!(told.len() <= MAX_WEIGHTS && told.iter().all(|of| of.events_per_second == 0.0));
    }
}
