//! What holds targets where they are, for those of which anything does. Decides nothing about it.

use super::{Hold, Name, Paged};
use shared::TargetId;

/// What holds targets, by target. A copy is cheap, and stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Holds(Paged<Hold>);

impl Holds {
    /// Returns what holds a target; none when nothing does but the time since it moved.
    pub fn get(&self, target: &TargetId) -> Option<&Hold> {
        self.0.get(target.as_str())
    }

    /// Returns all of it, by target.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Name<'_>, &Hold)> {
        self.0.iter()
    }

    /// Notes what holds a target from now on.
    pub(super) fn set(&mut self, target: TargetId, hold: Hold) {
        if hold.is_empty() {
            self.0.remove(target.as_str());
        } else {
            self.0.insert(&target, hold);
        }
    }
}
