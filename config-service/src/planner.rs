//! Decides which pod has which target (PLACEMENT.md): where a new one goes ([`place`]), and what moves and why ([`plan`]).
//! One planner for production, dry runs, `berth simulate` and tests. Pure and synchronous: the same snapshot, the same policy
//! and the same time give the same answer, in every process. Knows no clock, no database and no lease, and moves nothing.

pub mod autoscale;
mod beside;
mod bound;
mod contact;
mod cooldown;
mod forced;
mod hash;
mod level;
mod lint;
mod lists;
mod make;
mod plan;
mod policy;
mod polish;
pub mod scaling;
mod skew;
mod snapshot;
mod stale;
mod state;
mod units;
mod wave;
mod weight;
mod why;
mod world;

pub use crate::domain::Weight;
pub use contact::{Candidate, Decisions, Refused, Seen, Wanted, explain, place, track_of};
pub use cooldown::Moved;
pub use hash::score;
pub use lint::{Fault, left_out, lint};
pub use make::plan;
pub use plan::{Cost, Plan, PlannedMove, Rank, Reason, Skew, Warning};
pub use policy::{Limits, Pause, Policy, Polish};
pub use skew::{EVEN, skew};
pub use snapshot::{Builder, Entry, Group, Phase, Pin, PodView, Rules, Snapshot, TargetView, ZoneRule};
pub use stale::{Difference, Stale, difference, is_stale};
pub use wave::{Ready, Traffic, next_wave};
pub use why::{Answer, Consideration, Considered, Decider, Verdict, consider};

pub use shared::wire::control::Track;

/// Says whether a pod whose bot's tables have schema `to` may be given the rows of a target from one that has `from`: never
/// an older schema, since rows would lose what it does not know. A bot without tables is older than any with tables.
pub fn may_receive(from: Option<u32>, to: Option<u32>) -> bool {
    to >= from
}

#[cfg(test)]
mod tests;
