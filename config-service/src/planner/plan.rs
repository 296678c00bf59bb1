//! What a plan is: immutable data, with a reason for each move and what the whole costs. Making one is not decided here, nor
//! is carrying it out.

use super::Track;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shared::{PodId, Revision, TargetId};
use std::collections::BTreeMap;

/// Why a target is to move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// It has no owner.
    NoOwner,
    /// Its owner was failed over, or is not to come back.
    OwnerDead,
    /// It is pinned to another pod.
    Pinned,
    /// It belongs to the other track.
    Track,
    /// It may only be in another zone.
    Zone,
    /// Its guild, or the rest of its group, is elsewhere.
    Together,
    /// Its owner is being drained.
    Drain,
    /// Its owner's ordinal is outside the StatefulSet's range.
    OutOfRange,
    /// Its owner has more than its share.
    Shed,
    /// Another pod has less than its share.
    Fill,
    /// It prefers another zone.
    PrefersZone,
    /// The rest of its group is elsewhere, where it prefers to be.
    PrefersGroup,
    /// Pods become more alike.
    Even,
}

impl Reason {
    /// Returns how urgent that is.
    pub const fn rank(self) -> Rank {
        match self {
            Self::NoOwner | Self::OwnerDead | Self::Pinned | Self::Track | Self::Zone | Self::Together => Rank::Forced,
            Self::Drain | Self::OutOfRange => Rank::Drain,
            Self::Shed | Self::Fill => Rank::Rebalance,
            Self::PrefersZone | Self::PrefersGroup | Self::Even => Rank::Polish,
        }
    }

    /// Returns it as a sentence about the target.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::NoOwner => "it has no owner",
            Self::OwnerDead => "its owner is gone",
            Self::Pinned => "it is pinned to another pod",
            Self::Track => "it belongs to the other track",
            Self::Zone => "it may only be in another zone",
            Self::Together => "its guild, or the rest of its group, is elsewhere",
            Self::Drain => "its owner is being drained",
            Self::OutOfRange => "its owner's ordinal is outside the StatefulSet's range",
            Self::Shed => "its owner has more than its share",
            Self::Fill => "another pod has less than its share",
            Self::PrefersZone => "it prefers another zone",
            Self::PrefersGroup => "the rest of its group is elsewhere",
            Self::Even => "pods become more alike",
        }
    }
}

/// How urgent a move is: the first ones go first (PLACEMENT.md, Rebalancing).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Rank {
    /// Nothing else is right.
    Forced,
    /// Its pod is to be empty.
    Drain,
    /// For the pods' shares.
    Rebalance,
    /// For what is only wished for.
    Polish,
}

/// A move.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedMove {
    /// What moves.
    pub target: TargetId,
    /// From where; none when it has no owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<PodId>,
    /// To where.
    pub to: PodId,
    /// Why.
    pub reason: Reason,
    /// How urgent that is.
    pub rank: Rank,
    /// The bytes to copy, as last reported.
    pub bytes: u64,
    /// What the plan knew of the target: see [`is_stale`](super::is_stale).
    pub seen: u32,
    /// Those with the same number move together; they stand one behind the other. None of one that moves alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<u32>,
}

/// How uneven the pods are: the fullest pod's load over the mean, in the track where that is worst.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Skew {
    /// As it is.
    pub before: f64,
    /// When the plan is done.
    pub after: f64,
}

/// What a plan costs. Weights are in ordinary pods' loads: 1.0 is what one pod of capacity 1.0 is meant to carry. Of a weight
/// in several dimensions the largest counts, as of a load, in each track by itself.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Cost {
    /// Targets that move.
    pub targets: u64,
    /// Bytes to copy.
    pub bytes: u64,
    /// For how long all targets together are expected to take no event, in milliseconds.
    pub pause_ms: u64,
    /// The longest expected pause of one target, in milliseconds.
    pub longest_pause_ms: u64,
    /// The weight that moves, polish aside.
    pub moved: f64,
    /// The least weight that any plan would have to move (PLACEMENT.md, Lower bound).
    pub bound: f64,
    /// The weight that moves for what is only wished for.
    pub polished: f64,
    /// What of `moved` each dimension has: targets, events, bytes, sockets.
    #[serde(default)]
    pub moved_in: [f64; 4],
    /// The least that any plan would have to move in each dimension.
    #[serde(default)]
    pub bound_in: [f64; 4],
}

impl Cost {
    /// Returns the moved weight over the lower bound, polish aside; 1 when neither is anything.
    pub fn moved_over_bound(&self) -> f64 {
        if self.moved <= self.bound { 1.0 } else { self.moved / self.bound }
    }
}

/// What an operator should know beside the moves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Warning {
    /// Targets that have to leave where they are, or have no owner, and no pod may take them.
    NoPod {
        /// How many.
        targets: u64,
        /// The first of them.
        example: TargetId,
        /// Why they have to move.
        reason: Reason,
    },
    /// A pod stays above its band: nothing that it has fits elsewhere.
    Above {
        /// The pod.
        pod: PodId,
        /// Its load over the mean.
        load: f64,
    },
    /// A pod stays below its band: nothing that others have fits there.
    Below {
        /// The pod.
        pod: PodId,
        /// Its load over the mean.
        load: f64,
    },
    /// The pods of a track are meant to carry less than they have: more are needed.
    TooFewPods {
        /// The track.
        track: Track,
        /// Its mean load; 1.0 is what pods are meant to carry.
        load: f64,
    },
    /// The canary track has no pod that takes targets: they are on the other track's.
    NoCanaryPod,
    /// Members of one group, or a guild and its channels, are pinned to different pods: the first one's pin counts.
    PinsDisagree {
        /// One of them.
        target: TargetId,
    },
    /// A pin names a pod that is gone or is to be empty: the target is elsewhere until that pod is back.
    PinGivesWay {
        /// The target.
        target: TargetId,
        /// The pod it is pinned to.
        pod: PodId,
    },
    /// A target has moved so often in a row that it stays where it is.
    Frozen {
        /// The target.
        target: TargetId,
    },
}

/// What is to move, and why; made from one snapshot, and never changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// Its name: follows from everything in it.
    pub id: String,
    /// The revision it was made from.
    pub revision: Revision,
    /// When it was made, in milliseconds since 1970.
    pub made_ms: u64,
    /// The moves, the most urgent ones first; of each target at most one.
    pub moves: Vec<PlannedMove>,
    /// How uneven the pods are.
    pub skew: Skew,
    /// What it costs.
    pub cost: Cost,
    /// What an operator should know.
    pub warnings: Vec<Warning>,
    /// What the plan knew of the pods that it names.
    pub pods: BTreeMap<PodId, u32>,
    /// What the plan knew of the policy.
    pub policy: u32,
}

impl Plan {
    /// Returns whether nothing is to move.
    pub fn is_empty(&self) -> bool {
        self.moves.is_empty()
    }
}
