//! Why the control plane refused. `http/problems.rs` says how that reads on the wire.

use shared::wire::admin::PlanState;
use shared::wire::handoff::MoveState;
use shared::{Epoch, MoveId, PlanId, PodId, Revision, TargetId, Term};
use std::time::Duration;

/// Why the control plane refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ControlError {
    /// This process does not lead.
    #[error("this config-service does not lead")]
    NotLeader {
        /// Where the leader is, if known.
        leader: Option<String>,
    },
    /// The store did not answer, or refused; the cause is in the log.
    #[error("the store is not available")]
    Store,
    /// The pod never registered.
    #[error("pod {0} is not known")]
    UnknownPod(PodId),
    /// The target has no home.
    #[error("target {0} is not known")]
    UnknownTarget(TargetId),
    /// The pod's data folder is not the one that its targets are in.
    #[error("pod {0} has another incarnation")]
    WrongIncarnation(PodId),
    /// This life of the pod was failed over: it is over for good.
    #[error("this incarnation of pod {0} is over for good: it was failed over")]
    Buried(PodId),
    /// Two processes go on as this life of the pod.
    #[error("two processes go on as pod {0}: a machine or a data folder was copied")]
    Cloned(PodId),
    /// The pod has to wait: it was declared dead, was copied, or its name still stands for the life before.
    #[error("pod {0} is granted nothing for now")]
    Suspended(PodId),
    /// The pod knows a newer witness config than this database.
    #[error("pod {0} knows a newer witness config than the database")]
    ConfigAhead(PodId),
    /// The pod has not said yet what its database holds.
    #[error("pod {0} has not reported yet what it holds")]
    ReportFirst(PodId),
    /// Nothing is placed before it is known who holds what.
    #[error("generation {0} of the cluster is new, and not every pod has reported what it holds")]
    Unsettled(u32),
    /// Another life of the pod may still act.
    #[error("the lease of pod {pod} may be valid for another {remaining:?}")]
    LeaseHeld {
        /// The pod.
        pod: PodId,
        /// How long at most.
        remaining: Duration,
    },
    /// The pod has registered again since.
    #[error("pod {0} has a newer lease")]
    LeaseSuperseded(PodId),
    /// The pod has seen what this database never issued.
    #[error("pod {pod} has seen epoch {seen}, the database is of generation {generation}")]
    GenerationAhead {
        /// The pod.
        pod: PodId,
        /// The epoch it has seen.
        seen: Epoch,
        /// The database's generation.
        generation: u32,
    },
    /// The pod has seen a revision that this database has not reached.
    #[error("pod {pod} has seen revision {seen}, the database is at {known}")]
    RevisionAhead {
        /// The pod.
        pod: PodId,
        /// What it has seen.
        seen: Revision,
        /// What the database has.
        known: Revision,
    },
    /// The pod has heard of a leader that this database has never had.
    #[error("pod {pod} has heard of term {seen}, the database is at {known}")]
    TermAhead {
        /// The pod.
        pod: PodId,
        /// What it has heard of.
        seen: Term,
        /// What the database has.
        known: Term,
    },
    /// Pod and config-service have no version of the protocol in common.
    #[error("no version of the protocol in common")]
    Version,
    /// What was sent cannot be.
    #[error("{0}")]
    Invalid(String),
    /// No token has this id.
    #[error("token {0} is not known")]
    UnknownToken(String),
    /// A token of this name is in force.
    #[error("there is a token named {0}")]
    TokenExists(String),
    /// As many tokens are in force as there may be.
    #[error("there are {0} tokens")]
    TooManyTokens(usize),
    /// No move has this number, or it was over long ago.
    #[error("move {0} is not known")]
    UnknownMove(MoveId),
    /// The target is on the move already.
    #[error("move {id} of {target} is under way")]
    MoveRunning {
        /// The target.
        target: TargetId,
        /// The move.
        id: MoveId,
    },
    /// The move has its outcome.
    #[error("move {id} is {}", state.as_str())]
    MoveDecided {
        /// The move.
        id: MoveId,
        /// What it is.
        state: MoveState,
    },
    /// The owner does not have the target's data.
    #[error("{0} is quarantined: its owner does not have its data")]
    TargetQuarantined(TargetId),
    /// The target's owner has its data: there is no loss to accept.
    #[error("{0} is not quarantined: its data is not missing")]
    TargetNotQuarantined(TargetId),
    /// No target waits for what the pod had.
    #[error("no target waits for data of pod {0}")]
    NothingToRecover(PodId),
    /// The pod cannot do its part.
    #[error("pod {0} is not ready")]
    PodNotReady(PodId),
    /// The target cannot go there, or nowhere.
    #[error("{0}")]
    NoDestination(String),
    /// As many moves are under way as may be.
    #[error("{0} moves are under way")]
    TooManyMoves(usize),
    /// No plan has this number, or it was over long ago.
    #[error("plan {0} is not known")]
    UnknownPlan(PlanId),
    /// The plan is past what was asked for it.
    #[error("plan {id} is {}", state.as_str())]
    PlanDecided {
        /// The plan.
        id: PlanId,
        /// How it stands.
        state: PlanState,
    },
    /// The plan has changed since it was looked at.
    #[error("plan {id} was looked at at revision {seen} and is at {known}")]
    PlanRevision {
        /// The plan.
        id: PlanId,
        /// The revision that somebody has seen.
        seen: Revision,
        /// Its revision.
        known: Revision,
    },
    /// What the plan names is not as it was.
    #[error("plan {id} is stale: {text}")]
    StalePlan {
        /// The plan.
        id: PlanId,
        /// How a plan made now differs.
        text: String,
    },
    /// Another plan is carried out.
    #[error("plan {0} is carried out")]
    PlanRunning(PlanId),
    /// Too many plans wait for the planner.
    #[error("too many plans wait to be made")]
    TooManyPlans,
    /// Nothing holds the target.
    #[error("{0} is not pinned")]
    NotPinned(TargetId),
    /// Nothing to be promoted or aborted.
    #[error("no canary is under way")]
    NoCanary,
    /// Too many first contacts wait.
    #[error("too many targets wait to be placed")]
    PlaceQueueFull,
    /// No more watchers are taken.
    #[error("too many watchers")]
    TooManyWatchers,
}
