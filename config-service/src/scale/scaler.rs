//! What starts and stops pods, as seen from here: it says how many are meant to run, and can be told another number. Decides
//! nothing.

use crate::planner::scaling::Set;
use futures_util::future::BoxFuture;
use std::fmt;

/// Why another number of pods was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// It may be taken when it is tried again.
    #[error("{0}")]
    Again(String),
    /// It will not be.
    #[error("{0}")]
    Final(String),
}

/// What starts and stops pods.
pub(crate) trait Scaler: fmt::Debug + Send + Sync {
    /// Returns what it is, in words.
    fn name(&self) -> String;

    /// Returns the pods as they were last seen.
    ///
    /// # Errors
    /// Why that is not known, or was known too long ago.
    fn seen(&self) -> Result<Set, String>;

    /// Looks anew: what is returned was so after this was called.
    ///
    /// # Errors
    /// Why it cannot be seen.
    fn look(&self) -> BoxFuture<'_, Result<Set, String>>;

    /// Has `to` pods run where `from` were meant to.
    ///
    /// # Errors
    /// Why that was not taken.
    fn scale(&self, from: u32, to: u32) -> BoxFuture<'_, Result<(), Refusal>>;
}
