//! Whose silence means something (OWNERSHIP.md, Leases 10 and 14). Decides from when a pod's silence counts, and how fast
//! failovers may follow each other. When most pods fall silent at once, it is rather the network or this leader: nothing
//! begins meanwhile, and afterwards all timers start afresh and failovers are paced.

use crate::Mono;
use std::{collections::VecDeque, time::Duration};

/// The time over which failovers are counted.
const MINUTE: Duration = Duration::from_secs(60);

/// The least time between two failovers that are paced.
const APART: Duration = Duration::from_secs(1);

/// What the leader makes of silences.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Silence {
    /// Whether most pods are silent.
    mass: bool,
    /// No silence counts from before this.
    fresh: Mono,
    /// Whether failovers are paced.
    paced: bool,
}

/// What has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Most pods are silent.
    Mass,
    /// They are not any more; failovers are paced.
    Over,
    /// Nobody is silent any more; failovers are not paced any more.
    Calm,
}

impl Silence {
    /// Begins at `now`: what was before is not known.
    pub fn new(now: Mono) -> Self {
        Self { fresh: now, ..Self::default() }
    }

    /// Looks at how many of all live pods are silent at `now`.
    pub fn look(&mut self, now: Mono, silent: usize, live: usize) -> Option<Turn> {
        let mass = silent * 2 > live;
        if mass != std::mem::replace(&mut self.mass, mass) {
            if !mass {
                (self.fresh, self.paced) = (now, silent > 0);
            }
            return Some(if mass { Turn::Mass } else { Turn::Over });
        }
        (self.paced && silent == 0).then(|| {
            self.paced = false;
            Turn::Calm
        })
    }

    /// Starts all timers afresh: this leader was too slow to tell silence.
    pub fn restart(&mut self, now: Mono) {
        self.fresh = now;
    }

    /// Returns from when a pod that was heard at `heard` is silent.
    pub fn since(&self, heard: Mono) -> Mono {
        heard.max(self.fresh)
    }

    /// Returns whether most pods are silent.
    pub fn is_mass(&self) -> bool {
        self.mass
    }

    /// Returns whether failovers are paced.
    pub fn is_paced(&self) -> bool {
        self.paced
    }
}

/// The pace of failovers after a mass silence: a second apart, at most a third of the pods in a minute.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Pace(VecDeque<Mono>);

impl Pace {
    /// Returns when the next one may be, of `live` pods; `now` or earlier when it may be at once.
    pub fn next(&self, live: usize) -> Mono {
        let apart = self.0.back().map(|last| last.after(APART)).unwrap_or_default();
        let most = (live / 3).max(1);
        let minute = self.0.len().checked_sub(most).and_then(|at| self.0.get(at)).map(|at| at.after(MINUTE));
        apart.max(minute.unwrap_or_default())
    }

    /// Notes that there is one at `now`.
    pub fn note(&mut self, now: Mono) {
        while self.0.front().is_some_and(|first| first.after(MINUTE) <= now) {
            self.0.pop_front();
        }
        self.0.push_back(now);
    }
}

#[cfg(test)]
mod tests;
