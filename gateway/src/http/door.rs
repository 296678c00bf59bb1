//! The door: what a request of a router has to pass before its event enters the target's mailbox. Decides who may come in,
//! under which epoch (OWNERSHIP.md, Epochs); knows no frames and no database.

use super::link::Answerer;
use crate::ownership::{Denied, Guard, Ownership};
use crate::{Engine, metrics::GatewayMetrics};
use futures_util::FutureExt;
use shared::lease::Use;
use shared::telemetry::trace::{Span, SpanKind};
use shared::wire::link::{Outcome, Request};
use shared::{Epoch, TargetId};
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
}

impl Answerer for Door {
    fn answer(&self, request: Request) -> impl Future<Output = Outcome> + Send + 'static {
        let Self { ownership, engine, metrics } = self.clone();
        let deadline = Duration::from_millis(request.deadline_ms.into());
        let (began, clock) = (ownership.clock().now(), ownership.clock().clone());
        let (answer_by, answers) = (began.after(deadline), engine.answers().clone());
        let mut span = begin(&engine, &request);
        let work = span.scope(async move {
            match admit(&ownership, &request.event.target, request.epoch, deadline).await {
                Ok(guard) => engine.submit(guard, request.event, answer_by).await,
                Err(why) => refusal(&ownership, &request.event.target, why),
            }
        });
        async move {
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
            metrics.request(&outcome);
            answers.answered(&outcome, clock.now().since(began));
            span.describe(|live| {
                live.set("berth.outcome", outcome.word());
                if matches!(outcome, Outcome::NotCommitted { .. } | Outcome::Late) {
                    live.set("error.type", outcome.word()).fail(outcome.word());
                }
            });
            outcome
        }
    }
}

/// Begins the span of a request: below the router's, or a trace of its own when the router does not trace.
fn begin(engine: &Engine, request: &Request) -> Span {
    let mut span = engine.tracer().start("receive", SpanKind::Server, request.trace.as_ref());
    span.describe(|live| {
        let event = &request.event;
        live.rename(format!("receive {}", event.kind))
            .set("berth.platform", event.platform.as_str())
            .set("berth.target", event.target.to_string())
            .set("berth.event.kind", event.kind.as_str())
            .set("berth.event.id", event.id.clone())
            .set("berth.epoch", request.epoch.0.cast_signed());
    });
    span
}

fn refusal(ownership: &Ownership, target: &TargetId, why: Denied) -> Outcome {
    match why {
        Denied::NotOwner { epoch } => Outcome::NotOwner { owner: ownership.owner(target), epoch },
        Denied::NotServing(_) | Denied::Quarantined | Denied::Moving => Outcome::NotServing { detail: why.to_string() },
    }
}

/// Gives the guard under which a router's request may be accepted. A pod that is behind the router waits a little for its
/// own assignment stream, at most for `most`.
///
/// # Errors
/// [`Denied`].
pub(super) async fn admit(
    ownership: &Ownership,
    target: &TargetId,
    epoch: Epoch,
    most: Duration,
) -> Result<Guard, Denied> {
    // Without a lease there is nothing worth waiting for here: the router parks.
    ownership.check_lease(Use::Accept)?;
    ownership.heard_of(target, epoch, CATCH_UP.min(most)).await;
    let guard = ownership.guard(target)?;
    // Epochs only grow: the router's table is old, or this pod's is. Either way nobody may guess.
    if guard.epoch() != epoch {
        return Err(Denied::NotOwner { epoch: guard.epoch() });
    }
    Ok(guard)
}

#[cfg(test)]
mod tests;
