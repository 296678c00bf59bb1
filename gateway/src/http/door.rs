//! The door: what a request of a router has to pass before its event enters the target's mailbox. Decides who may come in,
//! under which epoch (OWNERSHIP.md, Epochs); knows no frames and no database.

use crate::ownership::{Denied, Guard, Ownership};
use crate::{Engine, metrics::GatewayMetrics};
use futures_util::FutureExt;
use shared::lease::Use;
use shared::wire::link::{Outcome, Request};
use shared::{Epoch, Mono, TargetId};
use std::{panic::AssertUnwindSafe, time::Duration};

/// How long a pod that is behind the router waits for its own assignment stream (DESIGN.md, First contact).
const CATCH_UP: Duration = Duration::from_millis(500);

/// The door. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    ownership: Ownership,
    engine: Engine,
    metrics: GatewayMetrics,
}

impl Door {
    /// Makes the door of a pod.
    pub(crate) fn new(ownership: Ownership, engine: Engine, metrics: GatewayMetrics) -> Self {
        Self { ownership, engine, metrics }
    }

    /// Returns what the pod may act for.
    pub(crate) fn ownership(&self) -> &Ownership {
        &self.ownership
    }

    /// Returns its rows.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Returns the counters.
    pub(crate) fn metrics(&self) -> &GatewayMetrics {
        &self.metrics
    }

    /// Answers a request that arrived at `arrived`, within its deadline.
    pub(crate) async fn answer(&self, request: Request, arrived: Mono) -> Outcome {
        let deadline = Duration::from_millis(request.deadline_ms.into());
        let answer_by = arrived.after(deadline);
        let work = async {
            match admit(&self.ownership, &request.event.target, &request, deadline).await {
                Ok(guard) => self.engine.submit(guard, request.event, answer_by).await,
                Err(refused) => refused,
            }
        };
        // The engine answers in time by itself; this is for the case that it cannot. A panic is a defect, and one
        // request's matter: whether its event was committed is not known, and the same id is safe to send again.
        let outcome = match tokio::time::timeout(deadline, AssertUnwindSafe(work).catch_unwind()).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => {
                tracing::error!("a request panicked");
                Outcome::Late
            }
            Err(_) => Outcome::Late,
        };
        self.metrics.request(&outcome);
        outcome
    }
}

/// Gives the guard under which a request's event may be accepted.
async fn admit(
    ownership: &Ownership,
    target: &TargetId,
    request: &Request,
    deadline: Duration,
) -> Result<Guard, Outcome> {
    // Without a lease there is nothing worth waiting for here: the router parks.
    ownership.check_lease(Use::Accept).map_err(|denied| refusal(ownership, target, denied))?;
    ownership.heard_of(target, request.epoch, CATCH_UP.min(deadline)).await;
    let guard = ownership.guard(target).map_err(|denied| refusal(ownership, target, denied))?;
    // Epochs only grow: the router's table is old, or this pod's is. Either way nobody may guess.
    if guard.epoch() != request.epoch {
        return Err(not_owner(ownership, target, guard.epoch()));
    }
    Ok(guard)
}

fn refusal(ownership: &Ownership, target: &TargetId, denied: Denied) -> Outcome {
    match denied {
        Denied::NotOwner { epoch } => not_owner(ownership, target, epoch),
        Denied::NotServing(detail) => Outcome::NotServing { detail: detail.to_owned() },
    }
}

fn not_owner(ownership: &Ownership, target: &TargetId, epoch: Epoch) -> Outcome {
    Outcome::NotOwner { owner: ownership.owner(target), epoch }
}

#[cfg(test)]
mod tests;
