//! Messages between config-service and the other services, as JSON.

pub use super::{
    load::{Load, Usage},
    served::{SERVED_BOUNDS_MS, Served},
    track::Track,
    weights::{MAX_WEIGHTS, Measured, TargetSize, TargetWeight},
};

use super::Hello;
use super::{handoff::Move, peers::Mark};
use crate::{Epoch, Incarnation, LeaseId, PodId, Revision, TargetId, Term};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `POST /v1/pods/register`: a pod makes itself known and asks for a lease id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Register {
    /// Versions of this protocol.
    pub hello: Hello,
    /// Its name.
    pub pod: PodId,
    /// The life of its data folder.
    pub incarnation: Incarnation,
    /// Where its HTTP listener, and with it the link, is reached: `host:port`.
    pub address: String,
    /// Its zone, if it knows one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// The incarnation before this one in the same data folder: the folder's lock proves that it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Incarnation>,
    /// Its relative capacity; 1.0 is an ordinary pod.
    pub capacity: f64,
    /// The schema version of its database.
    pub schema: u32,
    /// The version of its binary.
    pub version: String,
    /// The highest epoch its database has seen, over all targets (OWNERSHIP.md, rule 11).
    pub highest_epoch: Epoch,
    /// The highest term of a leader that it has heard of; 0 when of none. A leader of a lower one stops (OWNERSHIP.md,
    /// Leases 11).
    #[serde(default)]
    pub term: Term,
    /// The bot it runs; none from a pod that does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bot: Option<BotInfo>,
    /// Where its database is replicated to, without secrets: pods that name the same place can restore each other's. None
    /// from a pod without a replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica: Option<String>,
    /// Which targets it is for while a new version is tried.
    #[serde(default)]
    pub track: Track,
}

/// A bot, as its pod knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BotInfo {
    /// Its name: what its handler calls itself, or its program.
    pub name: String,
    /// Its version, when its handler says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The version of the schema of its own tables; none when it has none. A target never moves to a lower one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<u32>,
    /// A hash of migrations and schema map, in hex: where it is the same, so are the tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_hash: Option<String>,
}

/// The answer to [`Register`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Registered {
    /// The version both sides speak.
    pub version: u16,
    /// The new lease's id. It is valid only once a heartbeat has been granted.
    pub lease_id: LeaseId,
    /// The cluster's generation.
    pub generation: u32,
    /// Time between two heartbeats, in milliseconds.
    pub heartbeat_ms: u64,
    /// D, in milliseconds.
    pub lease_ms: u64,
    /// Every lease that is, or ever was, being fenced: a witness that may have lost its marks has them back with this
    /// (OWNERSHIP.md, Leases 4).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fenced: Vec<Mark>,
    /// True when the pod has to say what its database holds ([`Holdings`]) before it is given anything.
    #[serde(default)]
    pub report: bool,
}

/// `POST /v1/pods/{pod}/holdings`: what a pod's database holds, in parts. Asked for after a pod was buried, or the database
/// of the control plane is of a new generation (OWNERSHIP.md, Leases 11 and Data 5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Holdings {
    /// The life of its data folder.
    pub incarnation: Incarnation,
    /// The lease it registered for.
    pub lease_id: LeaseId,
    /// The lives of the folder that are over, the last one first, at most 100: they prove which folder this is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lives: Vec<Incarnation>,
    /// Some of the targets, at most 5,000, by name.
    pub targets: Vec<Holding>,
    /// True when another part follows.
    pub more: bool,
}

/// The answer to [`Holdings`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HoldingsKept {
    /// How many targets of this report are known now, over all of its parts; 0 when none was asked for.
    pub kept: u64,
}

/// A target whose rows a pod's database holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Holding {
    /// The target.
    pub target: TargetId,
    /// The highest epoch it was owned under here.
    pub epoch: Epoch,
    /// Whether the rows are what an owner had: not those of an unfinished import, nor released by a finished move.
    pub whole: bool,
}

/// `POST /v1/pods/{pod}/heartbeat`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Heartbeat {
    /// The life of its data folder.
    pub incarnation: Incarnation,
    /// Which lease is to be renewed.
    pub lease_id: LeaseId,
    /// Echoed in the grant: a grant answers exactly one heartbeat.
    pub nonce: u64,
    /// What it carries.
    pub load: Load,
    /// Up to where it has seen its own assignments.
    pub revision: Revision,
    /// True when it is about to stop in order: a restart, its targets stay its own.
    #[serde(default)]
    pub leaving: bool,
    /// When it is about to stop and its database is closed: the last group that was committed (`commit_seq`). The same folder
    /// under another pod UID or boot may go on with that (LITESTREAM.md, Boot).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goodbye: Option<u64>,
    /// Why it could not do its work although it holds its lease, in words; none when it can. Says nothing about ownership.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_ready: Option<String>,
    /// The version of the newest witness config it has kept on disk; 0 when it has none. This acknowledges it.
    #[serde(default)]
    pub witnesses: u64,
    /// Whether its loop or its disk is too slow for its word about others to count (OWNERSHIP.md, Leases 14).
    #[serde(default)]
    pub degraded: bool,
    /// What its busiest targets do, said every ten seconds or so, and of those that it named before and that have fallen
    /// quiet: at most [`MAX_WEIGHTS`]. Nobody is harmed when one is lost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weights: Vec<TargetWeight>,
    /// The events it has answered; none from a pod that does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served: Option<Box<Served>>,
    /// What else it measures of its targets.
    #[serde(default, skip_serializing_if = "Measured::is_empty")]
    pub measured: Box<Measured>,
    /// Which process sends it, and where it stands in the row of what that process sent.
    #[serde(default)]
    pub chain: Chain,
    /// The highest term of a leader that the pod has heard of; 0 when of none. A leader of a lower one stops (OWNERSHIP.md,
    /// Leases 11).
    #[serde(default)]
    pub term: Term,
}

/// `GET /v1/pods/{pod}/life`: what is known of the last life of a pod's data folder, for whoever is about to begin another
/// one (LITESTREAM.md, Boot).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LastLife {
    /// The cluster's generation.
    pub generation: u32,
    /// That life; none when the pod was never heard of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<Incarnation>,
    /// The lease it registered for last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_id: Option<LeaseId>,
    /// It was failed over: it is over for good, and no process of it acts any more.
    pub buried: bool,
    /// For how long, in milliseconds, a lease that was granted to it may still be valid. Promises of its witnesses may last
    /// longer.
    pub may_act_ms: u64,
    /// How many targets are assigned to it.
    pub targets: u64,
    /// An operator has accepted that its data is lost.
    pub loss_accepted: bool,
    /// Its goodbye, when that was the last that was heard of it: the last group its database has committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goodbye: Option<u64>,
}

/// The nonce chain of a process (OWNERSHIP.md, Leases 13): two processes that take themselves for the same life of the same
/// folder are told apart by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub struct Chain {
    /// Drawn when the process started.
    pub id: u64,
    /// 1 for its first heartbeat, one more for each that follows. Two heartbeats of one chain with the same number have the
    /// same nonce, or two processes go on from one state: a machine that was copied while it ran.
    pub seq: u64,
}

/// How long [`Heartbeat::not_ready`] may be, in characters; the rest is cut off.
pub const MAX_NOT_READY: usize = 500;

/// A renewed lease: valid on the pod's clock from before the heartbeat was sent for `lease_ms·(1−ρ)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Grant {
    /// Which lease.
    pub lease_id: LeaseId,
    /// Which life of the data folder.
    pub incarnation: Incarnation,
    /// The heartbeat's nonce.
    pub nonce: u64,
    /// The term of the leader that granted.
    pub term: Term,
    /// D, in milliseconds.
    pub lease_ms: u64,
    /// The newest revision the leader knows.
    pub revision: Revision,
    /// Whom to ask for promises when the control plane is gone.
    pub witnesses: Witnesses,
}

/// The witness config (OWNERSHIP.md, Leases 1): all other gateways.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub struct Witnesses {
    /// Its version.
    pub version: u64,
    /// The other gateways, by name.
    pub pods: Vec<Peer>,
}

/// A gateway as another one reaches it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Peer {
    /// Its name.
    pub pod: PodId,
    /// `host:port`.
    pub address: String,
}

/// `POST /v1/targets/place`: where is each of these, and if nowhere yet, give it a home.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// The targets, at most 5,000.
    pub targets: Vec<PlaceTarget>,
}

/// One target to be placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlaceTarget {
    /// The target.
    pub target: TargetId,
    /// The guild it belongs to; it is placed where its parent is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<TargetId>,
    /// Where it would best be, if it has no home yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<Beside>,
}

impl PlaceTarget {
    /// Makes a target that belongs to no other and may be anywhere.
    pub fn of(target: TargetId) -> Self {
        Self { target, parent: None, beside: None }
    }
}

/// A wish of a target to be where another one is: it is followed as long as that pod is not fuller for it than others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Beside {
    /// The other one: the shard of a guild.
    pub target: TargetId,
    /// How many such targets the other one has in all, if that is known; 0 when it is not. A shard that comes up before the
    /// others is given the share that it will have when those have come up, too.
    #[serde(default)]
    pub of: u64,
}

/// The answer to [`Place`]: committed before anyone hears of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Placed {
    /// The revision the answer was read at.
    pub revision: Revision,
    /// What has a home.
    pub assignments: Vec<Assignment>,
    /// What has none, and why.
    #[serde(default)]
    pub refused: Vec<Unplaced>,
}

/// A target that could not be placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unplaced {
    /// The target.
    pub target: TargetId,
    /// A stable word, for example `no-ready-pod`.
    pub code: String,
    /// A sentence.
    pub detail: String,
}

/// Who owns a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Assignment {
    /// The target.
    pub target: TargetId,
    /// Its owner.
    pub pod: PodId,
    /// The fencing token of this ownership.
    pub epoch: Epoch,
    /// The revision that made it so.
    pub revision: Revision,
    /// The guild it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<TargetId>,
    /// Why it is there: `first-contact`, later also moves and failovers.
    pub reason: String,
    /// Since when, in milliseconds since the Unix epoch, by the database's clock.
    pub since_ms: u64,
    /// Whether its owner has its data.
    #[serde(default)]
    pub state: AssignmentState,
    /// Where its data is, while the owner has none of it; with what its owner goes on, when it was given back or begins anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataAt>,
}

impl Assignment {
    /// Returns the copy that the owner is to restore from its replica; none when there is nothing to restore.
    pub fn restoring(&self) -> Option<&DataAt> {
        self.data.as_ref().filter(|data| data.restoring && self.state == AssignmentState::Quarantined)
    }

    /// Returns the word for its state: whose data is being restored is `restoring`.
    pub fn word(&self) -> &'static str {
        if self.restoring().is_some() { "restoring" } else { self.state.as_str() }
    }
}

/// Whether the owner of a target may serve it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AssignmentState {
    /// The owner has the data.
    #[default]
    Serving,
    /// Nobody reachable has the data: nothing is served, nothing is begun empty, until the data is back or an operator has
    /// accepted its loss.
    Quarantined,
}

impl AssignmentState {
    /// Returns the word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Quarantined => "quarantined",
        }
    }
}

/// Where the last data of a target is known to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DataAt {
    /// The pod that had it.
    pub pod: PodId,
    /// The life of its data folder.
    pub incarnation: Incarnation,
    /// The epoch it was last owned under there: what an owner may have acknowledged is in that copy. 0 at an owner that is to
    /// begin empty, whatever older rows it may hold.
    pub epoch: Epoch,
    /// What the folder holds if its pod died before it heard of `epoch`: the copy of the epoch named here or of one between,
    /// which nobody has changed since; for 0 nothing, since the target never began. None when that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Epoch>,
    /// True while the owner is to restore that copy from its replica (OWNERSHIP.md, Data 4).
    #[serde(default)]
    pub restoring: bool,
    /// Where the copy was restored from, at an owner that has it from a replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Life>,
    /// Why the last attempt to restore that copy came to nothing, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

impl DataAt {
    /// Names the copy that was last owned under `epoch` in this life of a pod's folder.
    pub fn new(pod: PodId, incarnation: Incarnation, epoch: Epoch) -> Self {
        Self { pod, incarnation, epoch, before: None, restoring: false, origin: None, trouble: None }
    }

    /// Returns whose copy it is.
    pub fn life(&self) -> Life {
        Life { pod: self.pod.clone(), incarnation: self.incarnation.clone() }
    }
}

/// A pod in one life of its data folder: what has one replica.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Life {
    /// The pod.
    pub pod: PodId,
    /// The life of its data folder.
    pub incarnation: Incarnation,
}

/// `POST /v1/pods/{pod}/restored`: what a pod has restored from the replica of a dead one, verified and on disk, in parts of at
/// most [`MAX_RESTORED`] targets (OWNERSHIP.md, Data 4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Restored {
    /// The life of the reporting pod's folder.
    pub incarnation: Incarnation,
    /// The lease it registered for.
    pub lease_id: LeaseId,
    /// Whose replica it was.
    pub from: Life,
    /// Targets that were in it, with the epoch they were last owned under there.
    #[serde(default)]
    pub targets: Vec<Holding>,
    /// Targets of which it has nothing.
    #[serde(default)]
    pub absent: Vec<TargetId>,
    /// Why none of the others can be had from there, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// The most targets of one [`Restored`].
pub const MAX_RESTORED: usize = 2_000;

/// The answer to [`Restored`]: committed before the pod hears of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RestoredTaken {
    /// Of the targets in the report, those that the pod serves now with what it has restored. The rows of all others are to
    /// be dropped.
    pub serving: Vec<TargetId>,
}

/// What becomes of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PodState {
    /// Registered, not yet granted a lease.
    Joining,
    /// Its lease is being renewed.
    Ready,
    /// It has been silent for more than three heartbeats.
    Suspect,
    /// It said goodbye: a restart.
    Restarting,
    /// Its lease is certainly over.
    Expired,
    /// Everything is being moved away from it.
    Draining,
    /// It holds nothing more and is safe to remove.
    Drained,
    /// It was failed over: this life of it is over for good.
    Dead,
}

impl PodState {
    /// Returns the word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Joining => "joining",
            Self::Ready => "ready",
            Self::Suspect => "suspect",
            Self::Restarting => "restarting",
            Self::Expired => "expired",
            Self::Draining => "draining",
            Self::Drained => "drained",
            Self::Dead => "dead",
        }
    }
}

/// A pod as config-service knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PodInfo {
    /// Its name.
    pub pod: PodId,
    /// Where it is reached, `host:port`.
    pub address: String,
    /// The life of its data folder.
    pub incarnation: Incarnation,
    /// Its zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Its relative capacity.
    pub capacity: f64,
    /// The revision of its last registration.
    pub revision: Revision,
}

/// A message of `GET /v1/watch`. On SSE the event's name is the variant, `id` is the revision that is complete once the
/// message has been applied; messages that complete none have no id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Watch {
    /// All there is, in parts. The first part replaces what was known; the last (`more` false) completes `revision`.
    Snapshot {
        /// The revision that the whole snapshot is of.
        revision: Revision,
        /// True on the first part.
        first: bool,
        /// True when another part follows.
        more: bool,
        /// All pods, on the first part.
        pods: Vec<PodInfo>,
        /// Some of the assignments.
        assignments: Vec<Assignment>,
        /// On the first part, all moves that are not over.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        moves: Vec<Move>,
    },
    /// What changed up to `revision`.
    Delta {
        /// The revision now complete.
        revision: Revision,
        /// Pods that registered anew.
        pods: Vec<PodInfo>,
        /// Assignments made or changed.
        assignments: Vec<Assignment>,
        /// Moves begun or changed. A pod hears of those from or to it, a router of none.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        moves: Vec<Move>,
    },
    /// Nothing changed up to `revision`; sent every few seconds, so that silence means a dead connection.
    Bookmark {
        /// The revision now complete.
        revision: Revision,
    },
    /// The watcher's position is not in the log any more, or it reads too slowly: connect anew without `Last-Event-ID`.
    Resync {
        /// A sentence.
        reason: String,
    },
}

impl Watch {
    /// Returns the name of the SSE event.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Snapshot { .. } => "snapshot",
            Self::Delta { .. } => "delta",
            Self::Bookmark { .. } => "bookmark",
            Self::Resync { .. } => "resync",
        }
    }

    /// Returns the revision that is complete once this message has been applied.
    pub const fn completes(&self) -> Option<Revision> {
        match self {
            Self::Snapshot { revision, more: false, .. }
            | Self::Delta { revision, .. }
            | Self::Bookmark { revision } => Some(*revision),
            Self::Snapshot { .. } | Self::Resync { .. } => None,
        }
    }
}

/// What the owner says of a target's state: `GET /v1/local/targets/{target}/state` on a gateway, passed on by
/// config-service at `/v1/targets/{target}/state`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TargetState {
    /// The target.
    pub target: TargetId,
    /// Who answers.
    pub pod: PodId,
    /// The epoch it owns the target under.
    pub epoch: Epoch,
    /// Distinct committed events.
    pub applied: u64,
    /// Events that came again and changed nothing.
    pub duplicates: u64,
    /// The id of the last applied event.
    pub last_event_id: Option<String>,
    /// The journal's position.
    pub journal_seq: u64,
}
