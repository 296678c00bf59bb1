//! Which lineage has the newest copy of what a dead life had: it is sealed before it is listed, and listed before it is restored
//! (OWNERSHIP.md, Data 4). A life that has uploaded nothing has acknowledged nothing as replicated either: then the one it began
//! with is the newest, and where it began with an empty database, that. Pure; knows no store.

use crate::replica::Lineage;
#[cfg(feature = "plant")]
use shared::plant::{self, Bug};
use shared::wire::control::Life;

/// Lives that are gone back through at most.
const BACK: usize = 16;

/// What is to be asked of the store next, or what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Seal it. Answered by [`Heard::Sealed`].
    Seal(Lineage),
    /// List it. Answered by [`Heard::Listed`].
    List(Lineage),
    /// Read what it was begun with. Answered by [`Heard::Begun`].
    Begun(Lineage),
    /// This is the one, with so many bytes.
    Restore(Lineage, u64),
    /// The newest copy is an empty database.
    Empty,
    /// There is none, and never will be: why, in words.
    Nothing(String),
}

/// What the store has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    /// It is sealed.
    Sealed,
    /// It has so many files and bytes.
    Listed {
        /// The files.
        files: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// It was begun with this one, if with any.
    Begun {
        /// The one before it.
        previous: Option<Lineage>,
        /// Whether its database was empty then.
        empty: bool,
    },
}

/// A search.
#[derive(Debug, Clone)]
pub(super) struct Search {
    life: Life,
    at: Lineage,
    left: usize,
}

impl Search {
    /// Begins with the lineage of the life that is asked for.
    pub(super) fn begin(life: &Life, at: Lineage) -> (Self, Step) {
        let search = Self { life: life.clone(), at, left: BACK };
        let step = search.seal();
        (search, step)
    }

    fn seal(&self) -> Step {
        #[cfg(feature = "plant")]
        if plant::on(Bug::RestoresUnsealed) {
            return Step::List(self.at.clone());
        }
        Step::Seal(self.at.clone())
    }

    /// Takes an answer in.
    pub(super) fn hear(&mut self, heard: Heard) -> Step {
        match heard {
            Heard::Sealed => Step::List(self.at.clone()),
            Heard::Listed { files: 0, .. } => Step::Begun(self.at.clone()),
            Heard::Listed { bytes, .. } => Step::Restore(self.at.clone(), bytes),
            Heard::Begun { previous: None, empty: true } => Step::Empty,
            Heard::Begun { previous, .. } => {
                self.left = self.left.saturating_sub(1);
                match previous.filter(|previous| previous.pod == self.life.pod) {
                    None => Step::Nothing(format!("nothing was ever uploaded to {}", self.at)),
                    Some(_) if self.left == 0 => nothing(&self.life),
                    Some(before) => {
                        self.at = before;
                        self.seal()
                    }
                }
            }
        }
    }
}

/// There is no lineage of a life at all.
pub(super) fn nothing(life: &Life) -> Step {
    Step::Nothing(format!("there is no replica of {} in incarnation {}", life.pod, life.incarnation))
}

#[cfg(test)]
mod tests;
