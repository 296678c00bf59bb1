//! How long a target stays where it was moved to: when it moved last, as its assignment tells, and how often in a row.

use super::{
    World, drains,
    wishes::{CANARY, MANUAL, PINNED, REBALANCE, WITH_PARENT},
};
use crate::{
    domain::{Hold, Write},
    planner::{Moved, Policy},
};
use shared::wire::handoff::Move;

/// Why a target is where it is when it was moved there, and not placed or failed over.
const MOVED: [&str; 6] = [MANUAL, WITH_PARENT, drains::REASON, REBALANCE, PINNED, CANARY];

/// Returns when a target was moved last, and how often in a row, by its assignment and what holds it; none when it never was.
pub(in crate::control) fn moved(reason: &str, since_ms: u64, hold: Option<&Hold>) -> Option<Moved> {
    if !MOVED.contains(&reason) {
        return None;
    }
    let streak = hold.map_or(0, |hold| hold.streak);
    Some(Moved { at_ms: since_ms, times: u8::try_from(streak.max(1)).unwrap_or(u8::MAX) })
}

/// Returns what a committed move changes in how long its target stays: the rebalancer's moves in a row are counted, anybody
/// else's begin anew.
pub(super) fn after(world: &World<'_>, entry: &Move) -> Option<Write> {
    let hold = world.model.hold(&entry.target).cloned().unwrap_or_default();
    let owner = world.model.assignment(&entry.target);
    let before = owner.and_then(|owner| moved(&owner.reason, owner.since_ms, Some(&hold)));
    let times = match entry.reason == REBALANCE {
        true => Moved::again(before, world.policy, world.now_ms).times,
        false => 1,
    };
    warn(entry, times, world.policy);
    // Once is what the assignment tells by itself.
    let streak = if times > 1 { u32::from(times) } else { 0 };
    let target = entry.target.clone();
    (streak != hold.streak).then_some(Write::Hold { target, hold: Hold { streak, ..hold } })
}

fn warn(entry: &Move, times: u8, policy: &Policy) {
    if times >= policy.freeze_after {
        tracing::warn!(target_id = %entry.target, times, "a target moves again and again: it stays where it is now");
    }
}
