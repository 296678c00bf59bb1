//! Fencing tokens: numbers that only grow. Comparing two of different kinds does not compile.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! token {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

token! {
    /// The fencing token of a target's ownership: strictly increasing per target, issued only in a committed
    /// control-plane transaction. Layout: cluster generation `<< 40 |` counter (OWNERSHIP.md, rule 11).
    Epoch
}
token! {
    /// The fencing token of the config-service leader, checked in every mutating transaction.
    Term
}
token! {
    /// A position in the log of assignment changes; what watchers resume from. Commit-ordered.
    Revision
}
token! {
    /// The number of a pod's lease: increasing per pod, issued by the database (OWNERSHIP.md, rule 1).
    LeaseId
}

token! {
    /// The number of a move: the revision that began it.
    MoveId
}

token! {
    /// The number of a plan: the revision that made it.
    PlanId
}

macro_rules! said_as_a_number {
    ($($name:ident),+) => {
        $(impl std::str::FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        })+
    };
}

said_as_a_number!(MoveId, PlanId);

impl Epoch {
    /// The bits below the cluster generation.
    pub const COUNTER_BITS: u32 = 40;

    /// The last cluster generation: databases count with a sign, and a margin stays for what a generation adds.
    pub const LAST_GENERATION: u32 = (1 << 22) - 1;

    /// Returns the first epoch of a target in a cluster generation.
    pub const fn first(generation: u32) -> Self {
        Self(((generation as u64) << Self::COUNTER_BITS) | 1)
    }

    /// Returns the epoch after this one, in the same generation.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// Returns the cluster generation that issued this epoch.
    pub const fn generation(self) -> u32 {
        (self.0 >> Self::COUNTER_BITS) as u32
    }
}
