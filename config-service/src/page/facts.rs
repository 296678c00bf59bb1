//! What the pages show, as values: copied out of the leader's model, so that rendering keeps nobody waiting.

use super::Found;
use crate::domain::Change;
use shared::wire::admin::{Event, Ownership, PodStatus};
use shared::wire::control::{Assignment, TargetState};
use shared::wire::handoff::Move;
use shared::{Platform, Revision, TargetId, Term};
use std::time::Duration;

/// What this process is, and with that how much it can say.
#[derive(Debug, Clone)]
pub(crate) enum Standing {
    /// It leads and knows everything.
    Leading(Box<Facts>),
    /// Another leads.
    Following {
        /// Where, `host:port`.
        leader: String,
    },
    /// Nobody leads, as far as this process knows.
    Leaderless {
        /// Why not, in a few words.
        why: String,
    },
}

/// What the leader knows.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    /// Where this leader is reached.
    pub(crate) address: String,
    /// Its term.
    pub(crate) term: Term,
    /// The newest revision.
    pub(crate) revision: Revision,
    /// How long ago the database last confirmed that it leads.
    pub(crate) confirmed: Duration,
    /// After how long without that something is wrong.
    pub(crate) late_after: Duration,
    /// All pods.
    pub(crate) pods: Vec<PodStatus>,
    /// Targets by platform, platforms without any left out.
    pub(crate) platforms: Vec<(Platform, u64)>,
    /// Targets in all.
    pub(crate) targets: u64,
    /// Those of them whose owner does not have their data.
    pub(crate) quarantined: u64,
    /// Why nothing is granted nor placed although it leads; none when it is.
    pub(crate) stopped: Option<String>,
    /// What moves.
    pub(crate) moves: Moves,
    /// What was looked for, and found.
    pub(crate) found: Option<Found>,
}

/// The newest changes, the newest first, or why they cannot be shown.
pub(crate) type Changes = Result<Vec<Change>, String>;

/// What people did last, the newest first, or why it cannot be shown.
pub(crate) type Actions = Result<Vec<Event>, String>;

/// Moves, the newest first, or why they cannot be shown.
pub(crate) type Moves = Result<Vec<Move>, String>;

/// Who owned a target, the newest first, or why it cannot be shown.
pub(crate) type Ownerships = Result<Vec<Ownership>, String>;

/// One page of a list of targets.
#[derive(Debug, Clone, Default)]
pub(crate) struct Listing {
    /// The targets, by name.
    pub(crate) targets: Vec<Assignment>,
    /// Whether only those are listed that wait for their data.
    pub(crate) quarantined: bool,
    /// Behind which one the page begins.
    pub(crate) after: Option<TargetId>,
    /// Whether there are more behind it.
    pub(crate) more: bool,
}

/// A pod and some of its targets.
#[derive(Debug, Clone)]
pub(crate) struct PodFacts {
    /// The pod.
    pub(crate) status: PodStatus,
    /// What it owns.
    pub(crate) listing: Listing,
}

/// A target with its owner.
#[derive(Debug, Clone)]
pub(crate) struct TargetFacts {
    /// Who owns it, since when and why.
    pub(crate) assignment: Assignment,
    /// The owner.
    pub(crate) owner: Option<PodStatus>,
    /// Its moves.
    pub(crate) moves: Moves,
}

/// What the owner itself says of a target, or why it does not.
pub(crate) type OwnerSays = Result<TargetState, String>;
