//! From ended spans to batches: a bounded queue that never makes anybody wait, and the task that empties it. Decides what
//! goes together, when it goes, how often it is tried and when it is given up; what a collector's answer means is told to
//! it.

use super::{
    collector::{Collector, Sent},
    meters::{Fate, Meters},
};
use crate::{backoff::Backoff, shutdown::Shutdown};
use opentelemetry::Context;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanProcessor},
};
use std::time::Duration;
use tokio::{sync::mpsc, time::Instant};

/// How often a batch is tried before it is given up.
const TRIES: u32 = 5;
/// The first wait between two tries, and the longest.
const WAITS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// The queue's end where spans come in.
#[derive(Debug)]
pub(super) struct Queue {
    spans: mpsc::Sender<SpanData>,
    meters: Meters,
}

impl Queue {
    /// Makes a queue for `most` spans.
    pub(super) fn new(most: usize, meters: Meters) -> (Self, mpsc::Receiver<SpanData>) {
        let (spans, ended) = mpsc::channel(most.max(1));
        (Self { spans, meters }, ended)
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if self.spans.try_send(span).is_err() {
            self.meters.count(Fate::QueueFull, 1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// The task that empties the queue.
#[derive(Debug)]
pub(super) struct Batches {
    pub(super) ended: mpsc::Receiver<SpanData>,
    pub(super) collector: Collector,
    pub(super) meters: Meters,
    /// Most spans in a batch.
    pub(super) most: usize,
    /// How long a span waits for others.
    pub(super) delay: Duration,
    /// How long the rest may take at the end.
    pub(super) flush: Duration,
    /// Spans that are out of the queue and not accounted for.
    pub(super) out: usize,
    /// Whether the collector is away; said once when it goes, and once when it is back.
    pub(super) away: bool,
}

impl Batches {
    /// Runs until `stop`, then delivers what waits, within the time there is for that.
    pub(super) async fn run(mut self, stop: Shutdown) {
        let flush = self.flush;
        let cut_off = async {
            stop.cancelled().await;
            tokio::time::sleep(flush).await;
        };
        tokio::select! {
            () = self.work(&stop) => return,
            () = cut_off => {}
        }
        let spans = self.out + self.ended.len();
        self.meters.count(Fate::Failed, spans);
        tracing::warn!(spans, "the last spans could not be delivered in time");
    }

    async fn work(&mut self, stop: &Shutdown) {
        loop {
            let (batch, stopping) = self.gather(stop).await;
            self.deliver(batch, stop).await;
            if stopping {
                break;
            }
        }
        self.ended.close();
        loop {
            let mut batch = Vec::new();
            if self.ended.recv_many(&mut batch, self.most).await == 0 {
                return;
            }
            self.deliver(batch, stop).await;
        }
    }

    /// Returns the next batch, and whether it is time to stop.
    async fn gather(&mut self, stop: &Shutdown) -> (Vec<SpanData>, bool) {
        let mut batch = Vec::new();
        let mut due = None;
        while batch.len() < self.most {
            let left = self.most - batch.len();
            let full = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return (batch, true),
                count = self.ended.recv_many(&mut batch, left) => {
                    if count == 0 {
                        return (batch, true);
                    }
                    due.get_or_insert_with(|| Instant::now() + self.delay);
                }
                () = full => break,
            }
        }
        (batch, false)
    }

    /// Delivers a batch, or gives it up. A process that stops tries once.
    async fn deliver(&mut self, batch: Vec<SpanData>, stop: &Shutdown) {
        if batch.is_empty() {
            return;
        }
        self.out = batch.len();
        let fate = self.offer(batch, stop).await;
        self.meters.count(fate, std::mem::take(&mut self.out));
    }

    async fn offer(&mut self, batch: Vec<SpanData>, stop: &Shutdown) -> Fate {
        let (spans, body) = (batch.len(), self.collector.encode(batch));
        let mut waits = Backoff::new(WAITS.0, WAITS.1, spans as u64);
        for tries in 1..=TRIES {
            match self.collector.send(body.clone()).await {
                Sent::Taken { rejected } => {
                    self.is_away(None);
                    let rejected = rejected.min(spans);
                    self.meters.count(Fate::Rejected, rejected);
                    self.out -= rejected;
                    return Fate::Exported;
                }
                Sent::Refused(why) => {
                    self.is_away(Some(&why));
                    return Fate::Rejected;
                }
                Sent::Later { why, after } => {
                    self.is_away(Some(&why));
                    if tries == TRIES || stop.is_cancelled() {
                        break;
                    }
                    tokio::select! {
                        () = tokio::time::sleep(after.unwrap_or_default().min(WAITS.1).max(waits.next_wait())) => {}
                        () = stop.cancelled() => {}
                    }
                }
            }
        }
        Fate::Failed
    }

    fn is_away(&mut self, why: Option<&str>) {
        let was = std::mem::replace(&mut self.away, why.is_some());
        match why {
            Some(reason) if !was => {
                tracing::warn!(endpoint = self.collector.endpoint(), reason, "spans cannot be delivered");
            }
            None if was => tracing::info!(endpoint = self.collector.endpoint(), "spans are delivered again"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
