//! First contacts and refreshes: asks config-service where targets are. While one call is under way the next ones gather
//! and travel together; a target asked for many times travels once. The answer is learned into the table before anyone
//! who waits hears of it.

use super::{Routes, outage::Outage};
use crate::TargetId;
use crate::http::{Client, ClientError};
use crate::shutdown::Shutdown;
use crate::telemetry::trace::{SpanKind, TraceContext, Tracer};
use crate::wire::control::{Place, PlaceTarget, Placed};
use std::collections::{BTreeMap, HashMap};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// The most targets in one call.
const MAX_BATCH: usize = 5_000;

/// Why a target has no home yet. Trying again may help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceFailed {
    /// config-service has nowhere to put it; `code` is its stable word.
    #[error("the target could not be placed: {code}")]
    Refused {
        /// For example `no-ready-pod`.
        code: String,
    },
    /// config-service could not be asked.
    #[error("config-service could not be asked")]
    Unreachable,
    /// More targets wait than may.
    #[error("too many targets wait to be placed")]
    Full,
}

#[derive(Debug)]
struct Ask {
    target: PlaceTarget,
    reply: oneshot::Sender<Result<(), PlaceFailed>>,
    trace: Option<TraceContext>,
}

/// Asks for targets' homes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Placer(mpsc::Sender<Ask>);

/// The task behind [`Placer`].
#[derive(Debug)]
pub struct PlaceTask {
    asks: mpsc::Receiver<Ask>,
    client: Client,
    routes: Routes,
    tracer: Tracer,
}

impl Placer {
    /// Makes the handle and its task. At most `queue` askers wait.
    pub fn new(client: Client, routes: Routes, queue: usize) -> (Self, PlaceTask) {
        let (sender, asks) = mpsc::channel(queue.max(1));
        (Self(sender), PlaceTask { asks, client, routes, tracer: Tracer::off() })
    }

    /// Asks where a target is and, if nowhere yet, for a home. When it returns, the table knows the answer.
    ///
    /// # Errors
    /// [`PlaceFailed`].
    pub async fn place(&self, target: &TargetId, parent: Option<&TargetId>) -> Result<(), PlaceFailed> {
        let (reply, answer) = oneshot::channel();
        let target = PlaceTarget { target: target.clone(), parent: parent.cloned() };
        let trace = TraceContext::current();
        self.0.try_send(Ask { target, reply, trace }).map_err(|_| PlaceFailed::Full)?;
        answer.await.unwrap_or(Err(PlaceFailed::Unreachable))
    }
}

impl PlaceTask {
    /// Lets calls have spans. One that many ask for belongs to the first one's trace and names the others'.
    #[must_use]
    pub fn traced(mut self, tracer: Tracer) -> Self {
        self.tracer = tracer;
        self
    }

    /// Runs until `shutdown`.
    pub async fn run(mut self, shutdown: Shutdown) {
        let (mut asks, mut outage) = (Vec::new(), Outage::default());
        loop {
            let count = tokio::select! {
                () = shutdown.cancelled() => return,
                count = self.asks.recv_many(&mut asks, MAX_BATCH) => count,
            };
            if count == 0 {
                return;
            }
            let mut traces = Vec::new();
            let mut batch: BTreeMap<TargetId, (PlaceTarget, Vec<_>)> = BTreeMap::new();
            // Who has gone away meanwhile is not asked for.
            for ask in asks.drain(..).filter(|ask| !ask.reply.is_closed()) {
                let entry = batch.entry(ask.target.target.clone()).or_insert((ask.target, Vec::new()));
                entry.1.push(ask.reply);
                traces.extend(ask.trace);
            }
            if batch.is_empty() {
                continue;
            }
            let place = Place { targets: batch.values().map(|(target, _)| target.clone()).collect() };
            let (first, others) = traces.split_first().map_or((None, &[][..]), |(first, others)| (Some(first), others));
            let mut span = self.tracer.start_linked("POST /v1/targets/place", SpanKind::Client, first, others);
            span.describe(|live| {
                live.set("http.request.method", "POST").set("berth.targets", batch.len() as i64);
            });
            let answer = tokio::select! {
                () = shutdown.cancelled() => return,
                answer = span.scope(self.client.post::<Placed>("/v1/targets/place", &place)) => answer,
            };
            if let Err(why) = &answer {
                let status = why.problem().map(|problem| problem.status);
                span.describe(|live| {
                    live.set("error.type", status.map_or("unreachable".to_owned(), |status| status.to_string()))
                        .fail("");
                });
            }
            drop(span);
            let results = self.settle(answer, &mut outage);
            for (target, (_, replies)) in batch {
                let result = results(&target);
                for reply in replies {
                    // Who asked may have given up; the table has the answer all the same.
                    let _ = reply.send(result.clone());
                }
            }
        }
    }

    fn settle(
        &self,
        answer: Result<Placed, ClientError>,
        outage: &mut Outage,
    ) -> impl Fn(&TargetId) -> Result<(), PlaceFailed> + use<> {
        let mut refused = HashMap::new();
        let reached = match answer {
            Ok(placed) => {
                if outage.ended() {
                    tracing::info!("targets are placed again");
                }
                self.routes.learn(&placed);
                refused.extend(placed.refused.into_iter().map(|refused| (refused.target, refused.code)));
                true
            }
            Err(why) => {
                if outage.failed(Instant::now()) {
                    tracing::warn!(error = %why, "targets cannot be placed");
                }
                false
            }
        };
        move |target| match refused.get(target) {
            Some(code) => Err(PlaceFailed::Refused { code: code.clone() }),
            None if reached => Ok(()),
            None => Err(PlaceFailed::Unreachable),
        }
    }
}

#[cfg(test)]
mod tests;
