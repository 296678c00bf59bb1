//! What a plan for a canary may ask for, what the planner is shown for it, and what is kept with it. Pure; who belongs to the share
//! is the planner's.

use super::super::ControlError;
use crate::domain::{By, Canary, Edit, Hold, Model, Write};
use shared::{
    TargetId,
    wire::admin::{CanaryState, PlanHead, PlanSubject},
    wire::control::Track,
};

/// Most targets that are named for a canary: all of them are let go in one transaction.
const MOST_NAMED: usize = 2_000;

/// Says whether it may be asked for.
///
/// # Errors
/// Why not.
pub(super) fn check(subject: &PlanSubject, model: &Model) -> Result<(), ControlError> {
    let refused = |text: String| Err(ControlError::Invalid(text));
    let PlanSubject { share, targets, .. } = subject;
    let canary = model.canary();
    match share {
        None if targets.is_empty() => {
            return refused("a plan for a canary takes a share, a list of targets, or both".into());
        }
        Some(share) if !(0.0..=1.0).contains(share) => return refused("a share is a number from 0 to 1".into()),
        Some(share) if *share == 0.0 && targets.is_empty() => {
            return if canary.runs() { Ok(()) } else { Err(ControlError::NoCanary) };
        }
        Some(share) if *share < canary.share() => {
            let has = canary.share() * 100.0;
            return refused(format!(
                "the canary has {has} % of the targets: its share only grows; a share of 0 ends it"
            ));
        }
        _ => {}
    }
    if let Some(unknown) = targets.iter().find(|target| model.owner(target).is_none()) {
        return Err(ControlError::UnknownTarget(unknown.clone()));
    }
    if model.canary_named().count() + targets.len() > MOST_NAMED {
        return refused(format!("at most {MOST_NAMED} targets are named for a canary"));
    }
    if !model.pods().any(|record| record.track == Track::Canary && !record.buried) {
        return refused("no pod has said that it is of track canary: start one with BERTH_TRACK=canary".into());
    }
    Ok(())
}

/// Returns whether a plan ends the canary.
pub(super) fn ends(subject: &PlanSubject) -> bool {
    subject.share == Some(0.0) && subject.targets.is_empty()
}

/// Returns of which track targets are to be for the planner, as the plan would have it.
pub(super) fn named(subject: &PlanSubject, model: &Model) -> Vec<(TargetId, Option<Track>)> {
    if ends(subject) {
        return model.canary_named().map(|(target, _)| (target, None)).collect();
    }
    subject.targets.iter().map(|target| (target.clone(), Some(Track::Canary))).collect()
}

/// Returns what is kept when such a plan is applied, beside the plan.
pub(super) fn kept(head: &PlanHead, model: &Model, by: &By) -> (Edit, Vec<Write>) {
    let before = model.canary();
    if ends(&head.subject) {
        let aborted = Canary { state: CanaryState::Aborted, share: 0.0, plan: Some(head.id) };
        return (aborted.edit(by), model.canary_unnamed());
    }
    let share = head.subject.share.unwrap_or(before.share());
    let running = Canary { state: CanaryState::Running, share, plan: Some(head.id) };
    let named = head.subject.targets.iter().filter(|target| model.track_said(target) != Some(Track::Canary));
    let write = |target: &TargetId| {
        let hold = model.hold(target).cloned().unwrap_or_default();
        Write::Hold { target: target.clone(), hold: Hold { track: Some(Track::Canary), ..hold } }
    };
    (running.edit(by), named.map(write).collect())
}
