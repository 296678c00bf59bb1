//! What travels between services. Everything here carries a version or grows only by adding fields that an older reader
//! skips (DESIGN.md, Versions).

pub mod admin;
pub mod control;
pub mod data;
pub mod discord;
pub mod drill;
pub mod handoff;
pub mod lineages;
pub mod link;
mod load;
pub mod peers;
pub mod provenance;
pub mod quarantine;
pub mod replication;
pub mod rest;
mod served;
pub mod sse;
mod track;
mod weights;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The protocol versions one side speaks. Every connection opens with this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hello {
    /// The oldest version.
    pub min: u16,
    /// The newest version.
    pub max: u16,
}

impl Hello {
    /// What this build speaks.
    pub const CURRENT: Self = Self { min: 1, max: 1 };

    /// Returns the newest version both sides speak.
    pub fn agree(self, other: Self) -> Option<u16> {
        let version = self.max.min(other.max);
        (version >= self.min && version >= other.min).then_some(version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_sides_agree_on_the_newest_common_version() {
        let hello = |min, max| Hello { min, max };
        assert_eq!(hello(1, 3).agree(hello(2, 5)), Some(3));
        assert_eq!(hello(1, 1).agree(hello(1, 2)), Some(1));
        assert_eq!(hello(3, 4).agree(hello(1, 2)), None);
    }
}
