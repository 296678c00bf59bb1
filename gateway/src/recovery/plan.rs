//! Which replica is restored next, and when one is tried again. A replica is restored for all of its targets together, as many
//! at once as a setting allows. Pure; knows no store and no database.

use shared::wire::control::Life;
use shared::{Epoch, Mono, TargetId};
use std::{collections::BTreeMap, time::Duration};

/// The wait before the first repetition; it doubles.
const AGAIN: Duration = Duration::from_secs(1);
/// The longest.
const LONGEST: Duration = Duration::from_secs(30);
/// Attempts at a replica that cannot be read, before that is reported.
const ATTEMPTS: u32 = 3;

/// What is to be had from one replica.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Wanted {
    /// The targets.
    pub(super) targets: Vec<TargetId>,
    /// The highest epoch under which this pod owns any of them.
    pub(super) epoch: Epoch,
}

/// What a job is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Work {
    /// What is to be had.
    pub(super) wanted: Wanted,
    /// Why nothing more can be had: it is only reported.
    pub(super) given_up: Option<String>,
}

/// What a job came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// Everything was imported, or reported as missing, and the leader has answered.
    Done,
    /// Something is away, or in the way: it is tried for ever.
    Again(String),
    /// The replica cannot be read, perhaps only now.
    Unread(String),
    /// There is nothing to be had, and never will be.
    Hopeless(String),
}

/// The replicas of which something is wanted, or was.
#[derive(Debug)]
pub(super) struct Plan {
    at_once: usize,
    lives: BTreeMap<Life, Stand>,
}

#[derive(Debug, Default)]
struct Stand {
    wanted: Wanted,
    /// Copies of it are here that nobody has said anything about since this process began.
    left_over: bool,
    running: bool,
    not_before: Mono,
    repeated: u32,
    unread: u32,
    given_up: Option<String>,
}

impl Stand {
    fn has_work(&self) -> bool {
        !self.running && (self.left_over || !self.wanted.targets.is_empty())
    }
}

impl Plan {
    /// Makes an empty plan.
    pub(super) fn new(at_once: usize) -> Self {
        Self { at_once: at_once.max(1), lives: BTreeMap::new() }
    }

    /// Notes that copies are here from before this process began.
    pub(super) fn left_over(&mut self, life: Life) {
        self.lives.entry(life).or_default().left_over = true;
    }

    /// Takes in what is to be restored: all of it. Returns the replicas of which nothing is wanted any more.
    pub(super) fn hear(&mut self, now: Mono, mut wanted: BTreeMap<Life, Wanted>) -> Vec<Life> {
        for (life, stand) in &mut self.lives {
            let wanted = wanted.remove(life).unwrap_or_default();
            if wanted.targets.iter().any(|target| !stand.wanted.targets.contains(target)) {
                stand.not_before = stand.not_before.min(now);
            }
            stand.wanted = wanted;
        }
        self.lives.extend(wanted.into_iter().map(|(life, wanted)| (life, Stand { wanted, ..Stand::default() })));
        let over = |stand: &Stand| !stand.running && !stand.left_over && stand.wanted.targets.is_empty();
        let over: Vec<_> = self.lives.iter().filter(|(_, stand)| over(stand)).map(|(life, _)| life.clone()).collect();
        over.iter().for_each(|life| drop(self.lives.remove(life)));
        over
    }

    /// Returns the next replica to be worked on, when there is one and a place for it.
    pub(super) fn next(&mut self, now: Mono) -> Option<(Life, Work)> {
        if self.lives.values().filter(|stand| stand.running).count() >= self.at_once {
            return None;
        }
        let due = |(_, stand): &(&Life, &mut Stand)| stand.has_work() && stand.not_before <= now;
        // Who has waited longest comes first, so that one that fails does not hold the others up.
        let (life, stand) = self.lives.iter_mut().filter(due).min_by_key(|(_, stand)| stand.not_before)?;
        stand.running = true;
        Some((life.clone(), Work { wanted: stand.wanted.clone(), given_up: stand.given_up.clone() }))
    }

    /// A job has ended.
    pub(super) fn ended(&mut self, now: Mono, life: &Life, ended: Ended) {
        let Some(stand) = self.lives.get_mut(life) else { return };
        stand.running = false;
        match ended {
            Ended::Done => {
                (stand.left_over, stand.repeated, stand.unread) = (false, 0, 0);
                // What is wanted still was not there when it began, or its answer has not arrived yet.
                stand.not_before = now.after(AGAIN);
            }
            Ended::Again(why) => {
                tracing::warn!(pod = %life.pod, incarnation = %life.incarnation, why, "cannot restore a dead pod's replica yet, trying again");
                stand.wait(now);
            }
            Ended::Unread(why) => {
                stand.unread += 1;
                if stand.unread >= ATTEMPTS {
                    stand.give_up(now, life, why);
                } else {
                    tracing::warn!(pod = %life.pod, incarnation = %life.incarnation, why, "a dead pod's replica could not be restored, trying again");
                    stand.wait(now);
                }
            }
            Ended::Hopeless(why) => stand.give_up(now, life, why),
        }
    }

    /// Returns when time alone brings something to do.
    pub(super) fn wake_at(&self) -> Option<Mono> {
        self.lives.values().filter(|stand| stand.has_work()).map(|stand| stand.not_before).min()
    }
}

impl Stand {
    fn wait(&mut self, now: Mono) {
        let wait = AGAIN.saturating_mul(1 << self.repeated.min(5)).min(LONGEST);
        self.repeated += 1;
        self.not_before = now.after(wait);
    }

    fn give_up(&mut self, now: Mono, life: &Life, why: String) {
        tracing::error!(pod = %life.pod, incarnation = %life.incarnation, why, "a dead pod's replica cannot be restored: its targets stay quarantined");
        (self.given_up, self.not_before) = (Some(why), now);
    }
}

#[cfg(test)]
mod tests;
