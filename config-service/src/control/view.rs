//! What the leader knows, for those who only read: pods, targets and moves as they stand, and what a change would do that
//! is only tried. Changes nothing.

use super::{
    ControlError, Errand, Marking, Proof, Settings, burial, errand,
    fleet::Fleet,
    generation, loss, moves,
    moves::{Moves, World},
    recover,
};
use crate::{
    domain::{Batch, Model, PodRecord},
    planner,
};
use shared::wire::admin::{
    DataLossAccepted, DeadDeclared, GenerationBegun, PodMarked, PodRecovery, PodStatus, TargetLossAccepted,
};
use shared::wire::control::LastLife;
use shared::wire::handoff::Move;
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
    pub(super) settings: &'a Settings,
    pub(super) now: Mono,
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
        planner::explain(&self.fleet.candidates(self.model, self.now), &self.settings.policy, target)
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
        let world = World { model: self.model, fleet: &fleet, policy: &self.settings.policy, now: self.now };
        self.moves.would_move(&world, target, to, actor)
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
