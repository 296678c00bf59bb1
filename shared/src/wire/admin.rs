//! What the admin API of config-service answers, as JSON: for the CLI, the dashboard and tests. Nothing here is needed to
//! route or to serve.

mod access;
mod canary;
mod events;
mod fleet;
mod leader;
mod moves;
mod plans;
mod proposal;
mod scale;

pub use access::{
    CreateToken, Role, SetSetting, SettingChanged, SettingList, SettingStatus, TokenCreated, TokenInfo, TokenList,
    TokenRevoked,
};
pub use canary::{CanaryEnded, CanaryState, CanaryStatus, TrackStatus};
pub use events::{Candidate, DeciderVerdict, Event, EventList, Explanation, History, Ownership};
pub use fleet::{
    DeadDeclared, DeclareDead, GenerationBegun, HeirShare, NewGeneration, PodRecovery, Reaped, RecoverPod,
};
pub use leader::{LeaderStatus, StepDown, SteppedDown};
pub use moves::{Drain, MoveList, MoveTarget, PodMarked, Reason};
pub use plans::{
    ApplyPlan, MakePlan, Pin, PinTarget, Plan, PlanBasis, PlanCost, PlanHead, PlanKind, PlanList, PlanProgress,
    PlanState, PlanSubject, PlannedMove, RebalanceStatus, Round, Unpinned, Verdict,
};
pub use proposal::{ClusterMetrics, GuildAssignment, Instance, Instances, PodHealth, PodsHealth, Reassign};
pub use scale::{
    AutoscalerReport, AutoscalerStatus, DimensionUse, PodInput, ScaleDecision, ScaleEvent, ScaleOrder, ScaleOrdered,
    ScaleStatistics, ScaleTo, Stopping, Supervise, Supervised, WhyNot,
};

use super::control::{Assignment, BotInfo, Load, PodInfo, PodState, Track};
use crate::{LeaseId, PodId, Revision, TargetId, Term};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `GET /v1/targets?platform=&pod=&limit=&cursor=`: assignments, ordered by target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TargetList {
    /// The revision the list was read at.
    pub revision: Revision,
    /// One page.
    pub targets: Vec<Assignment>,
    /// What to give as `cursor` for the next page; none on the last.
    #[serde(default)]
    pub next: Option<String>,
}

/// `GET /v1/pods`: all pods, ordered by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PodList {
    /// The revision the list was read at.
    pub revision: Revision,
    /// The pods.
    pub pods: Vec<PodStatus>,
}

/// `GET /v1/pods/{pod}`: a pod as the leader sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PodStatus {
    /// What it registered.
    #[serde(flatten)]
    pub info: PodInfo,
    /// What becomes of it.
    pub state: PodState,
    /// How long it has been in that state, as far as this leader saw it, in milliseconds and to the second; none right
    /// after it took over.
    #[serde(default)]
    pub state_age_ms: Option<u64>,
    /// Its newest lease.
    pub lease_id: LeaseId,
    /// How long ago the lease was last granted, in milliseconds; none when this leader has not granted it yet.
    pub lease_age_ms: Option<u64>,
    /// How long until the leader may take the lease for over (D + M after the last grant), in milliseconds.
    pub lease_remaining_ms: u64,
    /// Targets assigned to it.
    pub targets: u64,
    /// Those of them whose data it does not have: nobody serves them.
    #[serde(default)]
    pub quarantined: u64,
    /// Those of these that it is restoring from a replica.
    #[serde(default)]
    pub restoring: u64,
    /// Where its database is replicated to, as it said when it registered; none without a replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica: Option<String>,
    /// What it said it carries, in its last heartbeat.
    pub load: Load,
    /// Up to which revision it has seen its assignments, by its last heartbeat.
    pub seen_revision: Revision,
    /// The version of its binary.
    pub version: String,
    /// The schema version of its database.
    pub schema: u32,
    /// The bot it runs, as it said when it registered with this leader.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bot: Option<BotInfo>,
    /// Why it cannot do its work although its lease is renewed, by its last heartbeat; none when it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_ready: Option<String>,
    /// Which targets it is for while a new version is tried.
    #[serde(default)]
    pub track: Track,
    /// Operators let it have no new targets.
    #[serde(default)]
    pub cordoned: bool,
    /// How far its drain is; none when it is not drained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<Drain>,
}

impl PodStatus {
    /// Returns whether it has its lease and can do its work.
    pub fn is_well(&self) -> bool {
        matches!(self.state, PodState::Ready | PodState::Draining) && self.not_ready.is_none()
    }
}

/// `GET /health` of config-service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// `ok` while leading with a ready pod, `degraded` while leading without one, `follower` otherwise.
    pub status: String,
    /// Whether this process is the leader.
    pub leader: bool,
    /// Where the leader is, if known.
    pub leader_address: Option<String>,
    /// The leader's term; zero when this process does not lead.
    pub term: Term,
    /// The newest revision; zero when this process does not lead.
    pub revision: Revision,
    /// Known pods.
    pub pods: u64,
    /// Pods whose lease is being renewed.
    pub ready_pods: u64,
    /// Assigned targets.
    pub targets: u64,
    /// Those whose data is not reachable: nobody serves them.
    #[serde(default)]
    pub quarantined: u64,
    /// Why nothing is placed nor granted although this process leads; none when it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
}

/// `POST /v1/pods/{pod}/accept-data-loss`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AcceptDataLoss {
    /// Why, for the audit: 1 to 1000 characters.
    #[schemars(regex(pattern = REASON), length(max = 1000))]
    pub reason: String,
}

/// The answer to [`AcceptDataLoss`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DataLossAccepted {
    /// The pod.
    pub pod: PodId,
    /// Targets that got a new epoch and begin empty.
    pub targets: u64,
    /// The revision that made it so.
    pub revision: Revision,
    /// True when nothing was changed, because only what would happen was asked for.
    #[serde(default)]
    pub dry_run: bool,
}

/// The answer to [`AcceptDataLoss`] of one target, `POST /v1/targets/{target}/accept-data-loss`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TargetLossAccepted {
    /// The target.
    pub target: TargetId,
    /// Its owner, where it begins empty.
    pub pod: PodId,
    /// The revision that made it so.
    pub revision: Revision,
    /// True when nothing was changed, because only what would happen was asked for.
    #[serde(default)]
    pub dry_run: bool,
}

/// The form of a reason: something that is not white space, and no NUL, which PostgreSQL cannot keep.
pub const REASON: &str = r"^[^\u0000]*[^\u0000\s][^\u0000]*$";

/// The longest reason, in characters.
pub const MAX_REASON: usize = 1_000;

/// A change that says why it is made.
pub trait Because {
    /// Returns why, for the audit.
    fn reason(&self) -> &str;
}

impl Because for AcceptDataLoss {
    fn reason(&self) -> &str {
        &self.reason
    }
}
