//! Planned moves of targets between pods (OWNERSHIP.md, Moves), as the control plane keeps them and pods report on them. How
//! the rows themselves travel is the gateways' own matter.

use crate::{Epoch, Incarnation, MoveId, PlanId, PodId, Revision, TargetId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How far a move is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MoveState {
    /// The source serves; its rows are copied, then what changes.
    Copying,
    /// The source accepts nothing for the target any more, and has released it at this version of the assignment.
    Frozen,
    /// The destination holds everything, verified, on disk.
    Imported,
    /// The destination is the owner, with a new epoch.
    Committed,
    /// The source may drop its rows, or has done so.
    Cleaned,
    /// The source is the owner still.
    Aborted,
}

impl MoveState {
    /// Returns the word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Copying => "copying",
            Self::Frozen => "frozen",
            Self::Imported => "imported",
            Self::Committed => "committed",
            Self::Cleaned => "cleaned",
            Self::Aborted => "aborted",
        }
    }

    /// Returns whether nothing follows.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Cleaned | Self::Aborted)
    }
}

/// A move of one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Move {
    /// Its number: the revision that began it.
    pub id: MoveId,
    /// What moves.
    pub target: TargetId,
    /// The source.
    pub from: PodId,
    /// The destination.
    pub to: PodId,
    /// How far it is.
    pub state: MoveState,
    /// The epoch the source owns the target under; the destination gets a higher one.
    pub epoch: Epoch,
    /// The revision of its last change.
    pub revision: Revision,
    /// Why it moves, in a word or two: `manual`, `drain`, `data-returned`, …
    pub reason: String,
    /// On whose word.
    pub actor: String,
    /// When it began, in milliseconds since the Unix epoch, by the database's clock; so are the others.
    pub started_ms: u64,
    /// When the freeze was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen_ms: Option<u64>,
    /// When it was committed or aborted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<u64>,
    /// For how long the target accepted no event, in milliseconds, as its pods measured it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause_ms: Option<u64>,
    /// Rows that have travelled, as far as was reported.
    #[serde(default)]
    pub rows: u64,
    /// Bytes that have travelled, as far as was reported.
    #[serde(default)]
    pub bytes: u64,
    /// Why it was aborted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The plan that it is a part of; none of a move that somebody asked for, or of a drain without a plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanId>,
}

/// `POST /v1/moves/reports`: what a pod has to say of moves from or to it. Every report may be repeated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reports {
    /// Who reports.
    pub pod: PodId,
    /// The life of its data folder.
    pub incarnation: Incarnation,
    /// The reports, at most 1,000.
    pub reports: Vec<MoveReport>,
}

/// One report on one move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MoveReport {
    /// Which move.
    pub id: MoveId,
    /// What is said.
    #[serde(flatten)]
    pub said: Said,
}

/// What a pod says of a move.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "said", rename_all = "lowercase")]
pub enum Said {
    /// The source: this much has travelled. Said every few seconds while it copies, and while the move waits for its turn.
    Progress {
        /// Rows.
        rows: u64,
        /// Bytes.
        bytes: u64,
    },
    /// The source: the target is frozen here, on disk, and released at this epoch.
    Frozen {
        /// The epoch it is released at.
        epoch: Epoch,
    },
    /// The destination: everything is here, on disk and verified, up to the source's release.
    Imported {
        /// The epoch the source released it at.
        epoch: Epoch,
        /// Rows that have travelled.
        rows: u64,
        /// Bytes that have travelled.
        bytes: u64,
    },
    /// The destination: it serves the target, what it imported is its own.
    Serving {
        /// How long the target accepted no event, in milliseconds.
        pause_ms: u64,
    },
    /// Source or destination: it cannot be done.
    Failed {
        /// Why, in a sentence.
        detail: String,
    },
}

/// The answer to [`Reports`]: each of the moves reported on, as it stands now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reported {
    /// The moves, in the order of the reports; those that nobody knows any more are left out.
    pub moves: Vec<Move>,
}
