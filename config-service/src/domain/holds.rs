//! What holds targets where they are, for those of which anything does. Decides nothing about it.

use super::{
    Hold,
    paged::{Named, Paged},
};
use shared::TargetId;

/// What holds targets, by target. A copy is cheap, and stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Holds(Paged<(TargetId, Hold)>);

impl Named for (TargetId, Hold) {
    fn name(&self) -> &str {
        self.0.as_str()
    }
}

impl Holds {
    /// Returns what holds a target; none when nothing does but the time since it moved.
    pub fn get(&self, target: &TargetId) -> Option<&Hold> {
        self.0.get(target.as_str()).map(|(_, hold)| hold)
    }

    /// Returns all of it, by target.
    pub fn iter(&self) -> impl Iterator<Item = (&TargetId, &Hold)> {
        self.0.iter().map(|(target, hold)| (target, hold))
    }

    /// Notes what holds a target from now on.
    pub(super) fn set(&mut self, target: TargetId, hold: Hold) {
        if hold.is_empty() {
            self.0.remove(target.as_str());
        } else {
            self.0.insert((target, hold));
        }
    }
}
