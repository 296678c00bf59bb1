//! What the leader knows, for those who only read: pods, targets and moves as they stand, and what a change would do that
//! is only tried. Changes nothing.

use super::{
    ControlError, Errand, Marking, Proof, Settings, burial, errand,
    fleet::Fleet,
    generation, loss, moves,
    moves::{Moves, World},
    needs,
    plans::{Draft, Plans, Shape},
    recover,
};
use crate::{
    domain::{Batch, Model, PodRecord},
    planner,
};
use shared::wire::admin::{
    DataLossAccepted, DeadDeclared, GenerationBegun, PlanHead, PodMarked, PodRecovery, PodStatus, RebalanceStatus,
    TargetLossAccepted,
};
use shared::wire::control::{LastLife, Life};
use shared::wire::handoff::Move;
use shared::wire::lineages::LineageNeeds;
use shared::{Mono, MoveId, PodId, TargetId, Term};
use std::time::Duration;

/// What the leader knows, for those who only read.
pub(crate) struct View<'a> {
    /// The leader's term.
    pub(crate) term: Term,
    /// Pods and assignments.
    pub(crate) model: &'a Model,
    /// How long ago the database last confirmed that this leader leads.
    pub(crate) confirmed: Duration,
    /// Why nothing is granted nor placed, when a pod has seen what this database does not have.
    pub(crate) behind: Option<&'a ControlError>,
    pub(super) generation_seen: u32,
    pub(super) fleet: &'a Fleet,
    pub(super) moves: &'a Moves,
    pub(super) plans: &'a Plans,
    pub(super) settings: &'a Settings,
    pub(super) now: Mono,
    pub(super) now_ms: u64,
}

/// A question about a target that takes the planner some time.
#[derive(Debug)]
pub(crate) struct Question {
    draft: Draft,
    policy: planner::Policy,
    now_ms: u64,
    target: TargetId,
}

impl Question {
    /// Returns what the planner says; nothing when nobody owns the target.
    pub(crate) fn answer(self) -> Option<planner::Consideration> {
        planner::consider(&self.draft.snapshot(), &self.policy, self.now_ms, &self.target, None)
    }
}

impl View<'_> {
    /// Returns a pod as it stands now.
    pub(crate) fn pod(&self, pod: &PodId) -> Option<PodStatus> {
        self.model.pod(pod).map(|record| self.status(record))
    }

    /// Returns what is known of the last life of a pod's data folder; of one that was never heard of, that.
    pub(crate) fn life(&self, pod: &PodId) -> LastLife {
        let generation = self.model.epoch().generation();
        let Some(record) = self.model.pod(pod) else {
            return LastLife {
                generation,
                incarnation: None,
                lease_id: None,
                buried: false,
                may_act_ms: 0,
                targets: 0,
                loss_accepted: false,
                goodbye: None,
            };
        };
        LastLife {
            generation,
            incarnation: Some(record.info.incarnation.clone()),
            lease_id: Some(record.lease_id),
            buried: record.buried,
            may_act_ms: u64::try_from(self.fleet.may_act_for(pod, self.now).as_millis()).unwrap_or(u64::MAX),
            targets: self.model.targets_of(pod),
            loss_accepted: record.loss_accepted,
            goodbye: self.fleet.goodbye(record),
        }
    }

    /// Returns how placement sees each pod for a target now, the one it would choose first.
    pub(crate) fn candidates(&self, target: &TargetId) -> Vec<planner::Seen> {
        let said = self.model.track_said(target);
        planner::explain(&self.fleet.candidates(self.model, self.now), &self.settings.policy, target, said)
    }

    fn status(&self, record: &PodRecord) -> PodStatus {
        let mut status = self.fleet.status(record, self.model, self.now);
        self.moves.complete(&mut status, self.model);
        status
    }

    /// Returns a move that is not over, with what was reported of its progress.
    pub(crate) fn moving(&self, id: MoveId) -> Option<Move> {
        self.moves.shown(self.model, id)
    }

    /// Returns whether a committed move would be closed by being called off.
    pub(crate) fn would_close(&self, id: MoveId) -> bool {
        Moves::would_close(self.model, id)
    }

    /// Says what a move of a target would be.
    pub(crate) fn would_move(&self, target: &TargetId, to: Option<&PodId>, actor: &str) -> Result<Move, ControlError> {
        let fleet = self.fleet.candidates(self.model, self.now);
        self.moves.would_move(&self.world(&fleet), target, to, actor)
    }

    fn world<'b>(&'b self, fleet: &'b [planner::Candidate]) -> World<'b> {
        let Settings { policy, .. } = self.settings;
        World { model: self.model, fleet, policy, now: self.now, now_ms: self.now_ms, awaited: self.plans.awaited() }
    }

    fn shape(&self) -> Shape<'_> {
        let Settings { policy, rebalance: interval, .. } = self.settings;
        let (interval, now, now_ms) = (*interval, self.now, self.now_ms);
        Shape { model: self.model, fleet: self.fleet, policy, interval, now, now_ms }
    }

    /// Returns what the planner is to be asked about a target, for another thread.
    pub(crate) fn question(&self, target: &TargetId) -> Question {
        let Settings { policy, .. } = self.settings;
        Question { draft: self.shape().draft(), policy: *policy, now_ms: self.now_ms, target: target.clone() }
    }

    /// Returns the plans that are carried out, as they stand.
    pub(crate) fn plans(&self) -> Vec<PlanHead> {
        self.moves.plans_now(&self.world(&self.fleet.candidates(self.model, self.now)))
    }

    /// Returns what the leader does by itself for an even share.
    pub(crate) fn rebalance(&self) -> RebalanceStatus {
        self.plans.rounds.status(&self.shape(), self.plans())
    }

    /// Says what would stand when something was said of a pod.
    pub(crate) fn would_mark(&self, pod: &PodId, marking: Marking) -> Result<PodMarked, ControlError> {
        moves::would_mark(self.model, pod, marking)
    }

    /// Says what the loss of a pod's data would mean.
    pub(crate) fn would_lose(&self, pod: &PodId) -> Result<DataLossAccepted, ControlError> {
        loss::would_lose(pod, self.model, self.fleet, self.now)
    }

    /// Says what restoring a dead pod's replica would mean.
    pub(crate) fn would_recover(&self, pod: &PodId) -> Result<PodRecovery, ControlError> {
        recover::would_recover(pod, self.model)
    }

    /// Says which lives' replicas are needed now, which is `now_ms` by the wall clock.
    pub(crate) fn needs(&self, now_ms: u64) -> LineageNeeds {
        needs::needs(self.model, self.fleet, self.now, now_ms)
    }

    /// Says whether the replica of one life is needed now.
    pub(crate) fn needs_life(&self, life: &Life, now_ms: u64) -> bool {
        needs::is_needed(&self.needs(now_ms), life)
    }

    /// Says what the loss of one target's data would mean.
    pub(crate) fn would_lose_of(&self, target: &TargetId) -> Result<TargetLossAccepted, ControlError> {
        loss::would_lose_of(target, self.model)
    }

    /// Says why nothing is placed although this process leads; none when it is.
    pub(crate) fn stopped(&self) -> Option<String> {
        let unsettled = || ControlError::Unsettled(self.model.epoch().generation()).to_string();
        let behind = self.behind.map(|why| format!("{why}: begin a new generation, or bring back the newest database"));
        behind.or_else(|| (!self.model.is_settled()).then(unsettled))
    }

    /// Says what the death of a pod would mean.
    pub(crate) fn would_bury(&self, pod: &PodId, proof: &Proof) -> Result<DeadDeclared, ControlError> {
        burial::would_bury(pod, proof, self.model, self.fleet, self.now)
    }

    /// Says what a new generation would mean.
    pub(crate) fn would_begin_generation(&self) -> GenerationBegun {
        generation::would_begin(self.model, self.generation_seen)
    }

    /// Says whether an errand could be done.
    pub(crate) fn would_do(&self, errand: &Errand) -> Result<(), ControlError> {
        errand::check(errand, self.model, &Batch::default(), self.settings.max_tokens)
    }

    /// Returns all pods as they stand now, by name.
    pub(crate) fn pods(&self) -> impl Iterator<Item = PodStatus> {
        self.model.pods().map(|record| self.status(record))
    }
}
