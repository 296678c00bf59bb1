//! Keeps the table fed: one watch of config-service (SSE), resumed where it broke off, begun anew when the server says
//! so, and given up when it is silent. Tells the links which pods there are.

use super::{Routes, outage::Outage};
use crate::backoff::Backoff;
use crate::http::{Client, ClientError, Latch};
use crate::router::forward::Links;
use crate::routing::Applied;
use crate::shutdown::Shutdown;
use crate::wire::control::Watch;
use crate::wire::sse::SseReader;
use http_body_util::BodyExt;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// The largest event of the stream: a part of a snapshot.
const MAX_EVENT: usize = 64 << 20;

/// The task that feeds the table.
#[derive(Debug)]
pub struct Feed {
    /// config-service.
    pub client: Client,
    /// Where messages go.
    pub routes: Routes,
    /// Who must know of pods.
    pub links: Links,
    /// Opens with the first whole snapshot.
    pub latch: Latch,
    /// How long the stream may be silent before it counts as dead.
    pub silence: Duration,
}

/// Why a watch ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Call(#[from] ClientError),
    #[error("the watch was silent for {0:?}")]
    Silent(Duration),
    #[error("the watch was closed")]
    Closed,
    #[error("the watch broke off: {0}")]
    Broken(#[from] hyper::Error),
    #[error("the watch sent something unexpected: {0}")]
    Malformed(String),
}

impl Feed {
    /// Runs until `shutdown`.
    pub async fn run(self, shutdown: Shutdown) {
        let _ = shutdown.run_until_cancelled(self.watch_for_ever()).await;
    }

    async fn watch_for_ever(self) {
        let mut backoff =
            Backoff::new(Duration::from_millis(100), Duration::from_secs(2), u64::from(std::process::id()));
        let (mut outage, mut resume) = (Outage::default(), true);
        loop {
            let mut heard = false;
            match self.watch_once(resume, &mut heard, &mut outage).await {
                // The server asks to start over: at once, and without a position.
                Ok(()) => resume = false,
                Err(why) => {
                    // A watch that had begun may be resumed; a refusal may be one of the position.
                    let refused = matches!(&why, Ended::Call(why) if why.problem().is_some());
                    resume = !refused && (resume || heard);
                    if outage.failed(Instant::now()) {
                        let config_service = self.client.bases();
                        if self.routes.resume_at().is_none() {
                            tracing::warn!(config_service, error = %why, "waiting for config-service, the routing table is empty");
                        } else {
                            tracing::warn!(config_service, error = %why, "lost config-service, going on with the last routing table");
                        }
                    }
                }
            }
            if heard {
                backoff.reset();
            }
            sleep(backoff.next_wait()).await;
        }
    }

    /// Watches until the stream ends. `Ok` when the server asks to start over.
    async fn watch_once(&self, resume: bool, heard: &mut bool, outage: &mut Outage) -> Result<(), Ended> {
        let position = self.routes.resume_at().filter(|_| resume).map(|revision| revision.to_string());
        let headers: Vec<_> = position.iter().map(|position| ("last-event-id", position.as_str())).collect();
        let mut body = self.client.stream("/v1/watch", &headers).await?;
        let from = self.client.base().to_owned();
        let mut reader = SseReader::new(MAX_EVENT);
        loop {
            let Ok(frame) = timeout(self.silence, body.frame()).await else {
                self.client.leave(&from);
                return Err(Ended::Silent(self.silence));
            };
            let frame = frame.ok_or(Ended::Closed)??;
            let Some(chunk) = frame.data_ref() else { continue };
            for event in reader.push(chunk).map_err(|why| Ended::Malformed(why.to_string()))? {
                if event.data.is_empty() {
                    continue;
                }
                let message = serde_json::from_str(&event.data).map_err(|why| Ended::Malformed(why.to_string()))?;
                if !std::mem::replace(heard, true)
                    && let Some(after) = &position
                {
                    match message {
                        Watch::Snapshot { .. } | Watch::Resync { .. } => {
                            tracing::info!(config_service = from, "watching again, from the beginning");
                        }
                        Watch::Delta { .. } | Watch::Bookmark { .. } => {
                            tracing::info!(config_service = from, after, "watching again, from where it was");
                        }
                    }
                }
                if outage.ended() {
                    tracing::info!(config_service = self.client.base(), "config-service is back");
                }
                if self.take(message) == Applied::Resync {
                    return Ok(());
                }
            }
        }
    }

    fn take(&self, message: Watch) -> Applied {
        let pods = match &message {
            Watch::Snapshot { more, .. } => !more,
            Watch::Delta { pods, .. } => !pods.is_empty(),
            Watch::Bookmark { .. } | Watch::Resync { .. } => false,
        };
        let first = self.routes.resume_at().is_none();
        let applied = self.routes.apply(message, Instant::now());
        if pods {
            self.links.follow(&self.routes.pods());
        }
        if first && let Applied::Complete(revision) = applied {
            tracing::info!(revision = revision.0, targets = self.routes.summary().targets, "routing table loaded");
            self.latch.open();
        }
        applied
    }
}

#[cfg(test)]
mod tests;
