//! A lineage: the copies of one life of one pod's data folder, and what Berth writes beside them (OWNERSHIP.md, Data 1 and 4).
//! Decides the names and forms; knows no store.

use serde::{Deserialize, Serialize};
use shared::{Epoch, Incarnation, PodId};
use std::fmt;

/// The copies of one life of a pod's data folder. Its path is written by nobody else and never used again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Lineage {
    /// The cluster's generation in which that life began. It does not change with the cluster's.
    pub generation: u32,
    /// The pod.
    pub pod: PodId,
    /// That life.
    pub incarnation: Incarnation,
}

impl Lineage {
    /// Returns the path below the base: `GENERATION/POD/INCARNATION`.
    pub fn path(&self) -> String {
        format!("{}/{}/{}", self.generation, self.pod, self.incarnation.as_str())
    }

    /// Reads a path below the base, or anything below it.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let mut parts = path.split('/');
        let lineage = Self {
            generation: parts.next()?.parse().ok()?,
            pod: parts.next()?.parse().ok()?,
            incarnation: parts.next()?.parse().ok()?,
        };
        // A number or a UUID in another spelling is not a path that anybody has made.
        path.strip_prefix(&lineage.path())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            .then_some(lineage)
    }
}

impl fmt::Display for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path())
    }
}

/// `berth/begun.json`: a lineage has begun. Written once, before anything is served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// Which.
    #[serde(flatten)]
    pub lineage: Lineage,
    /// The one before it in the same folder, or whose copy it began with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Lineage>,
    /// Whether its database was empty then: what is not in its files was never more than `local`.
    #[serde(default)]
    pub empty: bool,
    /// When, by the pod's wall clock, in milliseconds since the Unix epoch.
    pub at_ms: u64,
}

impl Begun {
    /// Describes the beginning of a lineage whose database was not empty.
    pub fn of(lineage: &Lineage, previous: Option<&Lineage>, at_ms: u64) -> Self {
        Self { lineage: lineage.clone(), previous: previous.cloned(), empty: false, at_ms }
    }
}

/// `berth/SEALED`: nothing is acknowledged by this lineage's owner any more (OWNERSHIP.md, Data 3 and 4). Written once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// The highest epoch under which somebody else serves what was this lineage's; 0 when its own pod begins anew.
    pub epoch: Epoch,
    /// Who sealed it.
    pub by: PodId,
    /// When, by the sealer's wall clock, in milliseconds since the Unix epoch.
    pub at_ms: u64,
}

#[cfg(test)]
mod tests;
