//! How much web traffic of one target may be under way at once, so that one that is loved, or attacked, leaves room for
//! the others. Counts it; knows nothing of pods.

use crate::TargetId;
use std::{
    collections::HashMap,
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
};

/// What share of all places one target may take when nothing else is set.
const SHARE: usize = 4;

/// The places of each target. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct TargetPlaces {
    most: NonZeroUsize,
    taken: Arc<Mutex<HashMap<TargetId, usize>>>,
}

/// One of a target's places; goes back when dropped.
#[derive(Debug)]
pub struct TargetPlace {
    places: TargetPlaces,
    target: TargetId,
}

impl TargetPlaces {
    /// Gives each target `most` places: of `all` places a quarter, when that is not set, and never less than one.
    pub fn new(most: Option<usize>, all: usize) -> Self {
        let most = NonZeroUsize::new(most.unwrap_or(all / SHARE)).unwrap_or(NonZeroUsize::MIN);
        Self { most, taken: Arc::default() }
    }

    /// Returns how many places each target has.
    pub fn most(&self) -> usize {
        self.most.get()
    }

    /// Takes one of a target's places, if there is one.
    pub fn take(&self, target: &TargetId) -> Option<TargetPlace> {
        self.with(|taken| {
            let count = taken.entry(target.clone()).or_default();
            let free = *count < self.most.get();
            *count += usize::from(free);
            free
        })
        .then(|| TargetPlace { places: self.clone(), target: target.clone() })
    }

    /// Returns how many places targets have taken, of those that have taken any.
    pub fn taken(&self) -> HashMap<TargetId, u64> {
        self.with(|taken| taken.iter().map(|(target, count)| (target.clone(), *count as u64)).collect())
    }

    fn with<T>(&self, act: impl FnOnce(&mut HashMap<TargetId, usize>) -> T) -> T {
        act(&mut self.taken.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for TargetPlace {
    fn drop(&mut self) {
        self.places.with(|taken| {
            // Whoever has no traffic is forgotten.
            if let Some(count) = taken.get_mut(&self.target) {
                *count -= 1;
                if *count == 0 {
                    taken.remove(&self.target);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(name: &str) -> TargetId {
        name.parse().expect("a target")
    }

    #[test]
    fn one_target_takes_a_quarter_of_the_places_and_no_more() {
        let (places, loved, other) = (TargetPlaces::new(None, 8), target("slack:guild:T1"), target("slack:guild:T2"));
        let held = [places.take(&loved), places.take(&loved)];
        assert!(held.iter().all(Option::is_some) && places.take(&loved).is_none());
        assert!(places.take(&other).is_some(), "others have their own");
        drop(held);
        assert!(places.with(|taken| taken.is_empty()), "nobody is remembered");
        assert!(places.take(&loved).is_some());
    }

    #[test]
    fn a_setting_goes_before_the_quarter_and_nobody_is_locked_out() {
        assert_eq!(TargetPlaces::new(Some(7), 8).most(), 7);
        assert_eq!([TargetPlaces::new(None, 3).most(), TargetPlaces::new(Some(0), 8).most()], [1, 1]);
    }
}
