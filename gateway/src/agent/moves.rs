//! Where the assignment stream hands on what it hears of moves and of the other pods. Decides only the order: whoever
//! carries out moves hears of one before the assignments of the same message count, so that what a finished move has
//! released is not taken for something that was taken away.

use futures_util::future::BoxFuture;
use shared::wire::{control::PodInfo, control::Watch, handoff::Move};
use std::fmt;

/// What a message of the stream said.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Told {
    /// Pods, new or changed, with their addresses.
    pub(crate) pods: Vec<PodInfo>,
    /// Moves from or to this pod, new or changed.
    pub(crate) moves: Vec<Move>,
    /// True when these are all there are.
    pub(crate) whole: bool,
}

impl Told {
    /// Takes out of a message what is not about assignments; none when there is nothing.
    pub(super) fn take(message: &mut Watch) -> Option<Self> {
        let (pods, moves, whole) = match message {
            Watch::Snapshot { first: true, pods, moves, .. } => (pods, moves, true),
            Watch::Delta { pods, moves, .. } => (pods, moves, false),
            Watch::Snapshot { .. } | Watch::Bookmark { .. } | Watch::Resync { .. } => return None,
        };
        let told = Self { pods: std::mem::take(pods), moves: std::mem::take(moves), whole };
        (whole || !told.pods.is_empty() || !told.moves.is_empty()).then_some(told)
    }
}

/// Whoever carries out moves.
pub(crate) trait MovesSink: fmt::Debug + Send + Sync {
    /// Takes note of what was said. The stream goes on when this is done: what has to be on disk before the assignments of
    /// the same message count is on disk then.
    fn told(&self, told: Told) -> BoxFuture<'_, ()>;
}
