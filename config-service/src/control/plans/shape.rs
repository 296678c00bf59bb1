//! What the planner is shown: pods and targets as the leader has them, and what an operator asks for on top. Pure; plans
//! nothing.

use super::{
    super::{ControlError, fleet::Fleet},
    canary,
    draft::Draft,
};
use crate::{
    domain::{Model, PodRecord},
    planner::{Phase, Pin, PodView, Policy, Track},
};
use shared::wire::admin::{CanaryState, MakePlan, PlanHead, PlanKind, PlanSubject};
use shared::wire::control::PodState;
use shared::wire::handoff::{Move, MoveState};
use shared::{Mono, PodId};
use std::{collections::HashMap, time::Duration};

/// A band within which every pod lies: nothing moves for an even share.
const ANY: f64 = 1e9;

/// Most pods that somebody may plan for.
const MOST_PODS: u32 = 100_000;

/// What the planner is shown is made from this.
pub(in crate::control) struct Shape<'a> {
    pub(in crate::control) model: &'a Model,
    pub(in crate::control) fleet: &'a Fleet,
    pub(in crate::control) policy: &'a Policy,
    /// How often the leader looks by itself; zero for never.
    pub(in crate::control) interval: Duration,
    pub(in crate::control) now: Mono,
    pub(in crate::control) now_ms: u64,
}

impl Shape<'_> {
    /// Returns what a plan of that kind aims at: only one for an even share moves anything for an even share.
    pub(super) fn policy(&self, kind: PlanKind, subject: &PlanSubject) -> Policy {
        let mut policy = *self.policy;
        policy.canary = subject.share.unwrap_or(policy.canary);
        if kind != PlanKind::Rebalance {
            policy.band = ANY;
            policy.polish.evaluations = 0;
        }
        policy
    }

    /// Returns pods and targets as they are.
    pub(in crate::control) fn draft(&self) -> Draft {
        self.build(self.model.canary().state == CanaryState::Promoted, |pods| pods)
    }

    /// Returns what a plan is made from that somebody asks for, and which pods are drained by it.
    ///
    /// # Errors
    /// It cannot be asked for.
    pub(super) fn asked(&self, make: &MakePlan) -> Result<(Draft, Vec<PodId>), ControlError> {
        let (kind, subject) = (&make.kind, PlanSubject::of(make));
        let PlanSubject { pod, target, pods, .. } = &subject;
        check(*kind, &subject)?;
        if *kind == PlanKind::Canary {
            canary::check(&subject, self.model)?;
        }
        let drains = match kind {
            PlanKind::Drain => pod.iter().cloned().collect(),
            PlanKind::Scale => self.beyond(pods.unwrap_or_default()),
            _ => Vec::new(),
        };
        if let Some(unknown) = drains.iter().chain(pod).find(|pod| self.model.pod(pod).is_none()) {
            return Err(ControlError::UnknownPod(unknown.clone()));
        }
        if let Some(unknown) = target.as_ref().filter(|target| self.model.owner(target).is_none()) {
            return Err(ControlError::UnknownTarget(unknown.clone()));
        }
        Ok((self.with(*kind, &subject, &drains), drains))
    }

    /// Returns what a plan is judged by that was made before.
    ///
    /// # Errors
    /// It cannot be asked for any more.
    pub(super) fn again(&self, head: &PlanHead) -> Result<Draft, ControlError> {
        if head.kind == PlanKind::Canary {
            canary::check(&head.subject, self.model)?;
        }
        Ok(self.with(head.kind, &head.subject, &head.drains))
    }

    /// Returns what a plan of that kind is made from, by which those pods are drained.
    pub(super) fn with(&self, kind: PlanKind, subject: &PlanSubject, drains: &[PodId]) -> Draft {
        // A canary that begins is tried on the pods that announce it, whatever became of the one before.
        let promoted = self.model.canary().state == CanaryState::Promoted && kind != PlanKind::Canary;
        let mut draft = self.build(promoted, |mut pods| {
            pods.iter_mut().filter(|view| drains.contains(&view.pod)).for_each(|view| view.phase = Phase::Draining);
            let known = pods.iter().filter_map(|view| ordinal(&view.pod)).max().map_or(0, |(_, highest)| highest + 1);
            let stem = pods.iter().find_map(|view| ordinal(&view.pod)).map(|(stem, _)| stem.to_owned());
            let new = stem.map(|stem| (known..subject.pods.unwrap_or_default()).map(move |n| format!("{stem}{n}")));
            pods.extend(new.into_iter().flatten().filter_map(|name| name.parse().ok()).map(PodView::ready));
            pods
        });
        if let (Some(target), Some(pod)) = (&subject.target, &subject.pod) {
            draft.pin = Some((target.clone(), Pin { pod: pod.clone(), until_ms: subject.until_ms }));
        }
        if kind == PlanKind::Canary {
            draft.named = canary::named(subject, self.model);
        }
        draft
    }

    /// Returns the pods beyond the first so many, the highest first.
    fn beyond(&self, pods: u32) -> Vec<PodId> {
        let alive = self.model.pods().filter(|record| !record.buried);
        let mut beyond: Vec<_> = alive
            .filter_map(|record| ordinal(&record.info.pod).map(|(_, n)| (n, record.info.pod.clone())))
            .filter(|(n, _)| *n >= pods)
            .collect();
        beyond.sort();
        beyond.into_iter().rev().map(|(_, pod)| pod).collect()
    }

    /// `promoted` takes every pod for an ordinary one.
    fn build(&self, promoted: bool, change: impl FnOnce(Vec<PodView>) -> Vec<PodView>) -> Draft {
        let model = self.model;
        let phases: HashMap<_, _> = self
            .fleet
            .states(model, self.now)
            .map(|(record, state)| (record.info.pod.clone(), phase(record, state)))
            .collect();
        let track = |record: &PodRecord| if promoted { Track::Stable } else { record.track };
        let view = |record: &PodRecord| PodView {
            in_range: self.fleet.in_range(&record.info.pod),
            ..view(record, phases[&record.info.pod], track(record))
        };
        // One that is about to be called off, since its destination is drained, is at its source.
        let off = |entry: &&Move| {
            let drained = model.pod(&entry.to).is_some_and(|record| record.marks.draining);
            entry.state == MoveState::Copying && drained
        };
        let running = model.moves().filter(|entry| entry.state != MoveState::Committed && !off(entry));
        Draft {
            revision: model.revision(),
            pods: change(model.pods().map(view).collect()),
            assignments: model.all().clone(),
            moving: running.map(|entry| (entry.target.clone(), entry.to.clone())).collect(),
            phases,
            holds: model.holds().clone(),
            weights: self.fleet.weights().clone(),
            pin: None,
            named: Vec::new(),
            policy: *self.policy,
            interval: self.interval,
            now: self.now,
            now_ms: self.now_ms,
        }
    }
}

/// Says whether what is asked for is all there, and nothing else.
fn check(kind: PlanKind, subject: &PlanSubject) -> Result<(), ControlError> {
    let PlanSubject { pod, target, pods, until_ms, share, targets } = subject;
    let given = (pod.is_some(), target.is_some(), pods.is_some(), until_ms.is_some());
    let refused = |text: &str| Err(ControlError::Invalid(text.to_owned()));
    if kind != PlanKind::Canary && (share.is_some() || !targets.is_empty()) {
        return refused("only a plan for a canary takes a share or a list of targets");
    }
    match (kind, given) {
        (PlanKind::Rebalance, (false, false, false, false)) | (PlanKind::Drain, (true, false, false, false)) => Ok(()),
        (PlanKind::Pin, (true, true, false, _)) if until_ms.is_none_or(is_kept) => Ok(()),
        (PlanKind::Pin, (true, true, false, _)) => refused("until_ms is later than any time that is kept"),
        (PlanKind::Scale, (false, false, true, false)) if (1..=MOST_PODS).contains(&pods.unwrap_or_default()) => Ok(()),
        (PlanKind::Rebalance, _) => refused("a plan to rebalance takes neither pod nor target nor number"),
        (PlanKind::Drain, _) => refused("a plan to drain takes a pod, and nothing else"),
        (PlanKind::Pin, _) => refused("a plan to pin takes a target and a pod, and maybe until_ms"),
        (PlanKind::Scale, _) => refused("a plan to scale takes a number of pods, at least 1, and nothing else"),
        (PlanKind::Canary, (false, false, false, false)) => Ok(()),
        (PlanKind::Canary, _) => {
            refused("a plan for a canary takes a share, a list of targets, or both, and nothing else")
        }
    }
}

/// Whether the database keeps such a number.
fn is_kept(number: u64) -> bool {
    i64::try_from(number).is_ok()
}

/// The name of a pod without the number at its end, and the number.
fn ordinal(pod: &PodId) -> Option<(&str, u32)> {
    let name = pod.as_str();
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    Some((stem, name[stem.len()..].parse().ok()?))
}

fn view(record: &PodRecord, phase: Phase, track: Track) -> PodView {
    PodView {
        pod: record.info.pod.clone(),
        capacity: record.info.capacity,
        zone: record.info.zone.clone(),
        track,
        phase,
        cordoned: record.marks.cordoned,
        in_range: true,
        schema: record.bot.as_ref().map(|bot| bot.schema),
    }
}

fn phase(record: &PodRecord, state: PodState) -> Phase {
    match state {
        PodState::Dead => Phase::Dead,
        _ if record.marks.draining => Phase::Draining,
        PodState::Joining => Phase::Joining,
        PodState::Ready => Phase::Ready,
        PodState::Suspect | PodState::Expired | PodState::Restarting => Phase::Suspect,
        PodState::Draining | PodState::Drained => Phase::Draining,
    }
}
