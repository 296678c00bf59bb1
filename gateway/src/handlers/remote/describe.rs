//! Keeps a remote handler's description fresh: asked at start until it answers, then now and then, and at once when somebody
//! could not reach it. Decides whether the handler is up; its calls wait while it is not.

use super::{
    super::contract::{self, Unusable},
    Health, Remote,
};
use http::Method;
use shared::backoff::Backoff;
use std::{sync::Arc, sync::PoisonError, time::Duration};
use tokio::time::timeout;

/// The waits between two attempts while it is down.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(2);

/// The handler speaks no version that this gateway speaks: waiting does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Incompatible(pub(crate) String);

impl Remote {
    /// Watches the handler until it turns out to be incompatible before it ever was compatible. One that becomes it later
    /// counts as down: a roll back may be under way.
    pub(crate) async fn watch(&self) -> Incompatible {
        let (inner, mut known) = (&*self.0, false);
        let mut backoff = Backoff::new(FIRST, LONGEST, 0);
        loop {
            let health = self.look().await;
            let before = inner.health.send_replace(health.clone());
            match (&health, before == health) {
                (_, true) => {}
                (Health::Up, _) => {
                    let described = self.description();
                    let (name, version) = (&described.described.name, &described.described.version);
                    tracing::info!(url = inner.settings.url, name, version, "the handler is up");
                }
                (Health::Down(why) | Health::Incompatible(why), _) => {
                    tracing::warn!(error = why, "the handler is down; its events wait");
                }
            }
            match health {
                Health::Up => {
                    known = true;
                    backoff.reset();
                    tokio::select! {
                        () = tokio::time::sleep(inner.settings.probe) => {}
                        () = inner.doubted.notified() => {}
                    }
                }
                Health::Incompatible(why) if !known => return Incompatible(why),
                Health::Down(_) | Health::Incompatible(_) => tokio::time::sleep(backoff.next_wait()).await,
            }
        }
    }

    async fn look(&self) -> Health {
        let inner = &*self.0;
        let patience = inner.settings.patience;
        let asked = inner.wire.send(Method::GET, contract::DESCRIBE, &[], Vec::new());
        let url = &inner.settings.url;
        match timeout(patience, asked).await {
            Err(_) => Health::Down(format!(
                "the handler at {url} does not answer GET {} within {patience:?}",
                contract::DESCRIBE
            )),
            Ok(Err(why)) => Health::Down(why.to_string()),
            Ok(Ok((status, _))) if !status.is_success() => {
                Health::Down(format!("the handler at {url} answers GET {} with {status}", contract::DESCRIBE))
            }
            Ok(Ok((_, body))) => match contract::parse_description(&body) {
                Ok(description) => {
                    let description = Arc::new(description);
                    *inner.description.write().unwrap_or_else(PoisonError::into_inner) = description;
                    Health::Up
                }
                Err(why @ Unusable::Version { .. }) => Health::Incompatible(why.to_string()),
                Err(why) => Health::Down(format!("the handler at {url} cannot be used: {why}")),
            },
        }
    }
}
