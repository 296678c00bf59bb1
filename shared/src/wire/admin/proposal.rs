//! What the paths of the original proposal answer, for tools that were written against it.

use super::{Because, REASON};
use crate::wire::control::PodState;
use crate::{Epoch, PodId, TargetId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `GET /guild/{id}/assignment`: where a guild is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GuildAssignment {
    /// The guild's id, without platform and kind.
    pub guild_id: String,
    /// The whole name.
    pub target: TargetId,
    /// Its pod.
    pub pod: PodId,
    /// Where the pod is reached, `host:port`; none when the pod is not known any more.
    pub address: Option<String>,
    /// The fencing token of the assignment.
    pub epoch: Epoch,
    /// Since when, in milliseconds since the Unix epoch.
    pub since_ms: u64,
}

/// `POST /guild/{id}/reassign`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reassign {
    /// Where to; the planner chooses when it is left out.
    #[serde(default)]
    pub pod: Option<PodId>,
    /// Why, for the audit.
    #[schemars(regex(pattern = REASON), length(max = 1000))]
    pub reason: String,
}

impl Because for Reassign {
    fn reason(&self) -> &str {
        &self.reason
    }
}

/// A pod in `GET /pods/health`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PodHealth {
    /// Whether its lease is being renewed and it can do its work.
    pub healthy: bool,
    /// What becomes of it.
    pub state: PodState,
    /// Why it cannot do its work although its lease is renewed; none when it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_ready: Option<String>,
    /// Where it is reached, `host:port`.
    pub address: String,
    /// How long ago its last heartbeat was granted, in milliseconds; none when this leader has granted none.
    pub last_heartbeat_ms: Option<u64>,
    /// Targets assigned to it.
    pub targets: u64,
}

/// `GET /pods/health`: all pods by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PodsHealth {
    /// Pods that have their lease and can do their work.
    pub healthy: u64,
    /// All pods.
    pub total: u64,
    /// The pods.
    pub pods: BTreeMap<PodId, PodHealth>,
}

/// `GET /api/admin/metrics`: the cluster in numbers. Prometheus reads `/metrics`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterMetrics {
    /// Assigned guilds, of all platforms.
    pub guilds: u64,
    /// Assigned targets, of all kinds.
    pub targets: u64,
    /// Assigned targets by platform.
    pub targets_by_platform: BTreeMap<String, u64>,
    /// Known pods.
    pub pods: u64,
    /// Pods whose lease is being renewed.
    pub ready_pods: u64,
    /// Events per second, as the pods say.
    pub events_per_second: f64,
    /// Bytes of the pods' databases, as they say.
    pub database_bytes: u64,
    /// The newest revision.
    pub revision: u64,
}

/// An instance in `GET /api/admin/health/instances`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Instance {
    /// `config-service`, or the pod's name.
    pub name: String,
    /// Its role: `config-service` or `gateway`.
    pub role: String,
    /// Where it is reached, `host:port`.
    pub address: String,
    /// Whether it does its work.
    pub healthy: bool,
    /// Its state: `leader`, or a pod's.
    pub state: String,
    /// Why it cannot do its work although its lease is renewed; none when it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_ready: Option<String>,
    /// The version of its binary.
    pub version: String,
}

/// `GET /api/admin/health/instances`: the instances that config-service knows of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Instances {
    /// The instances, config-service first.
    pub instances: Vec<Instance>,
}
