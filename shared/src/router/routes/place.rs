//! First contacts and refreshes: asks config-service where targets are. While one call is under way the next ones gather
//! and travel together; a target asked for many times travels once. The answer is learned into the table before anyone
//! who waits hears of it.

use super::{Routes, outage::Outage};
use crate::http::{Client, ClientError};
use crate::shutdown::Shutdown;
use crate::telemetry::trace::{SpanKind, TraceContext, Tracer};
use crate::wire::control::{Beside, Place, PlaceTarget, Placed};
use crate::{Epoch, TargetId};
use prometheus_client::metrics::counter::Counter;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
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
    /// The epoch under which the table had it when it was asked for.
    known: Option<Epoch>,
    reply: oneshot::Sender<Result<(), PlaceFailed>>,
    trace: Option<TraceContext>,
}

/// Asks for targets' homes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Placer {
    asks: mpsc::Sender<Ask>,
    routes: Routes,
}

/// The task behind [`Placer`].
#[derive(Debug)]
pub struct PlaceTask {
    asks: mpsc::Receiver<Ask>,
    client: Client,
    routes: Routes,
    tracer: Tracer,
    batch: usize,
    every: Duration,
    calls: Counter,
}

impl Placer {
    /// Makes the handle and its task. At most `queue` askers wait.
    pub fn new(client: Client, routes: Routes, queue: usize) -> (Self, PlaceTask) {
        let (sender, asks) = mpsc::channel(queue.max(1));
        let placer = Self { asks: sender, routes: routes.clone() };
        let (batch, every, calls) = (MAX_BATCH, Duration::ZERO, Counter::default());
        (placer, PlaceTask { asks, client, routes, tracer: Tracer::off(), batch, every, calls })
    }

    /// Asks where a target is and, if nowhere yet, for a home; `beside` says where that would best be. When it returns, the table
    /// knows the answer. What the table has learned meanwhile is an answer, too.
    ///
    /// # Errors
    /// [`PlaceFailed`].
    pub async fn place(
        &self,
        target: &TargetId,
        parent: Option<&TargetId>,
        beside: Option<Beside>,
    ) -> Result<(), PlaceFailed> {
        let (reply, answer) = oneshot::channel();
        let known = self.routes.epoch(target);
        let target = PlaceTarget { target: target.clone(), parent: parent.cloned(), beside };
        let trace = TraceContext::current();
        self.asks.try_send(Ask { target, known, reply, trace }).map_err(|_| PlaceFailed::Full)?;
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

    /// Counts its calls there, too.
    #[must_use]
    pub fn counted(mut self, calls: Counter) -> Self {
        self.calls = calls;
        self
    }

    /// Lets at most `batch` targets travel together (5,000 are the most), and a call begin `every` so often at most. What is asked
    /// for between two calls gathers.
    #[must_use]
    pub fn paced(mut self, batch: usize, every: Duration) -> Self {
        (self.batch, self.every) = (batch.clamp(1, MAX_BATCH), every);
        self
    }

    /// Runs until `shutdown`.
    pub async fn run(mut self, shutdown: Shutdown) {
        let (mut asks, mut outage) = (Vec::new(), Outage::default());
        let mut not_before = Instant::now();
        loop {
            let batch = self.batch;
            let gathered = async {
                tokio::time::sleep_until(not_before).await;
                self.asks.recv_many(&mut asks, batch).await
            };
            let count = tokio::select! {
                () = shutdown.cancelled() => return,
                count = gathered => count,
            };
            if count == 0 {
                return;
            }
            let mut traces = Vec::new();
            let mut batch: BTreeMap<TargetId, (PlaceTarget, Vec<_>)> = BTreeMap::new();
            // Who has gone away meanwhile is not asked for.
            for ask in asks.drain(..).filter(|ask| !ask.reply.is_closed()) {
                if self.routes.epoch(&ask.target.target) > ask.known {
                    // The one before, or the watch, has brought the answer. Whoever asked may have given up.
                    let _ = ask.reply.send(Ok(()));
                    continue;
                }
                let entry = batch.entry(ask.target.target.clone()).or_insert((ask.target, Vec::new()));
                entry.1.push(ask.reply);
                traces.extend(ask.trace);
            }
            if batch.is_empty() {
                continue;
            }
            not_before = Instant::now() + self.every;
            self.calls.inc();
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
