//! What targets do and keep, as their pods tell it: events smoothed, and forgotten when they fall quiet; bytes and connections
//! as they were told last. Only of those is told that do or keep much, so that a million others take no room. What is known is
//! written now and then, so that another leader does not begin blind. Pure.

use crate::{
    domain::{Name, Paged, Weight},
    planner::Policy,
};
use shared::wire::control::{MAX_WEIGHTS, TargetSize, TargetWeight};
use shared::{Mono, TargetId};

/// Below so many events per second a target counts as quiet.
const QUIET: f32 = 0.01;

/// Most targets whose weight is remembered.
const REMEMBERED: usize = 200_000;

/// The weights that are known to one leader. A copy is cheap, and stays as it is.
#[derive(Debug, Clone, Default)]
pub(super) struct Weights(Paged<Known>);

/// What is known of a target.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    weight: Weight,
    /// When its events were told, if they ever were.
    at: Option<Mono>,
    /// As it is written.
    written: Weight,
}

impl Known {
    fn now(&self, now: Mono) -> Weight {
        let quiet = Weight { events: 0.0, ..self.weight };
        self.at.map_or(self.weight, |at| smoothed(self.weight, quiet, at, now))
    }

    fn is_nothing(&self) -> bool {
        self.weight.events <= QUIET && self.weight.bytes == 0.0 && self.weight.sockets == 0.0
    }
}

impl Weights {
    /// Takes what the leader before has written.
    pub(super) fn remember(&mut self, written: Vec<(TargetId, Weight)>, now: Mono) {
        for (target, weight) in written.into_iter().take(REMEMBERED) {
            self.0.insert(&target, Known { weight, at: Some(now), written: weight });
        }
    }

    /// Takes what a pod has told of its busiest targets.
    pub(super) fn heard(&mut self, told: &[TargetWeight], now: Mono) {
        for TargetWeight { target, events_per_second } in told.iter().take(MAX_WEIGHTS) {
            let usable = events_per_second.is_finite() && *events_per_second >= 0.0;
            self.change(target, usable, |known| {
                let sample = Weight { events: *events_per_second, ..known.weight };
                known.weight = known.at.map_or(sample, |at| smoothed(known.weight, sample, at, now));
                known.at = Some(now);
            });
        }
    }

    /// Takes what a pod has told of what targets keep.
    pub(super) fn sized(&mut self, told: &[TargetSize]) {
        for TargetSize { target, bytes, sockets } in told.iter().take(MAX_WEIGHTS) {
            self.change(target, true, |known| {
                (known.weight.bytes, known.weight.sockets) = (*bytes as f32, *sockets as f32);
            });
        }
    }

    fn change(&mut self, target: &TargetId, usable: bool, change: impl FnOnce(&mut Known)) {
        let known = self.0.get(target.as_str()).copied();
        let mut now = known.unwrap_or_default();
        if !usable || (known.is_none() && self.0.len() >= REMEMBERED) {
            return;
        }
        change(&mut now);
        // What is written is forgotten only when that is written, too.
        if now.is_nothing() && now.written == Weight::default() {
            self.0.remove(target.as_str());
        } else {
            self.0.insert(target, now);
        }
    }

    /// Returns what a target weighs; one that nobody tells of any more gets lighter.
    pub(super) fn of(&self, target: &TargetId, now: Mono) -> Weight {
        self.0.get(target.as_str()).map(|known| known.now(now)).unwrap_or_default()
    }

    /// Returns what is to be written: at most `most` of those that weigh much more or less than is written of them. They count
    /// as written from then on: what is not, after all, is of no harm.
    pub(super) fn unwritten(&mut self, most: usize, now: Mono) -> Vec<(TargetId, Weight)> {
        let due = |(name, known): (Name<'_>, &Known)| {
            let now = Known { weight: known.now(now), ..*known };
            let weight = if now.is_nothing() { Weight::default() } else { now.weight };
            differs(known.written, weight).then(|| (name.target(), Known { written: weight, ..*known }))
        };
        let due: Vec<_> = self.0.iter().filter_map(due).take(most).collect();
        let mut written = Vec::new();
        for (target, known) in due {
            if known.written == Weight::default() {
                self.0.remove(target.as_str());
            } else {
                self.0.insert(&target, known);
            }
            written.push((target, known.written));
        }
        written
    }
}

/// Whether a weight is a quarter more or less than another, in any dimension.
fn differs(before: Weight, now: Weight) -> bool {
    let differs = |before: f32, now: f32| (before - now).abs() > before.max(now) / 4.0;
    differs(before.events, now.events) || differs(before.bytes, now.bytes) || differs(before.sockets, now.sockets)
}

fn smoothed(before: Weight, sample: Weight, at: Mono, now: Mono) -> Weight {
    let elapsed = u64::try_from(now.since(at).as_millis()).unwrap_or(u64::MAX);
    before.smoothed(sample, elapsed, Policy::default().half_life_ms)
}

#[cfg(test)]
mod tests;
