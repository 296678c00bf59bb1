//! What a pod does between being told to stop and stopping: it asks whether its number is to run again (OPERATORS.md,
//! Kubernetes: SIGTERM does not say why). A pod that comes back stops at once and keeps its targets; one that leaves serves on
//! until all of them have moved away. Decides how long that may take.

use crate::Options;
use shared::http::{Client, ClientError};
use shared::settings::Secret;
use shared::wire::admin::Stopping;
use shared::{PodId, Problem};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long config-service may take to answer.
const ANSWER: Duration = Duration::from_secs(3);
/// How often it is asked while targets move away.
const AGAIN: Duration = Duration::from_millis(500);

/// Who asks.
#[derive(Debug)]
pub(super) struct Leaving {
    client: Client,
    pod: PodId,
    deadline: Duration,
    /// For how long it is asked again whether it leaves, when nobody says.
    patience: Duration,
}

/// What becomes of a pod that could not hear how it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unheard {
    /// It stops.
    Stop,
    /// It asks again.
    Again,
}

impl Leaving {
    /// Makes it ready to ask.
    ///
    /// # Errors
    /// When config-service's URL is none.
    pub(super) fn new(options: &Options, token: Secret) -> Result<Self, ClientError> {
        let client = Client::new(&options.config_url, Some(token), ANSWER)?;
        let (deadline, patience) = (options.drain_deadline, options.leaving_patience.min(options.drain_deadline));
        Ok(Self { client, pod: options.pod.clone(), deadline, patience })
    }

    /// Returns when the pod may stop: at once when it comes back, or nobody says that it does not.
    pub(super) async fn may_stop(&self) {
        let begun = Instant::now();
        let mut leaving = false;
        loop {
            match self.client.post::<Stopping>(&format!("/v1/pods/{}/stopping", self.pod), &()).await {
                Ok(Stopping { may_stop: true, .. }) => {
                    if leaving {
                        tracing::info!("every target has moved away, the pod stops");
                    }
                    return;
                }
                Ok(Stopping { targets, .. }) => {
                    if !leaving {
                        let deadline = self.deadline.as_secs();
                        tracing::info!(
                            targets,
                            deadline,
                            "this pod leaves for good: it serves until its targets have moved away"
                        );
                    }
                    leaving = true;
                }
                Err(why) if unheard(&why, leaving, begun.elapsed() < self.patience) == Unheard::Stop => {
                    tracing::info!(error = %why, "nobody says whether this pod leaves, it stops as one that comes back");
                    return;
                }
                Err(why) if leaving => tracing::debug!(error = %why, "cannot ask how far the drain is"),
                Err(why) => tracing::debug!(error = %why, "it is not known yet whether this pod leaves, it asks again"),
            }
            if begun.elapsed() >= self.deadline {
                tracing::warn!(
                    deadline = self.deadline.as_secs(),
                    "the pod stops with targets left; they wait until it is failed over"
                );
                return;
            }
            sleep(AGAIN).await;
        }
    }
}

/// Decides what a pod does that is not told how it stands. One that `leaves` waits for its targets; of another nobody knows, and it
/// asks as long as there `is_time`, unless another question would change nothing.
fn unheard(why: &ClientError, leaves: bool, is_time: bool) -> Unheard {
    match why {
        ClientError::Problem(Problem { status: 400..500, .. }) => Unheard::Stop,
        _ if leaves => Unheard::Again,
        // Nobody listens there: nobody would take the targets either.
        ClientError::Unreachable { sent: false, .. } => Unheard::Stop,
        // It stalls, was cut, or has no leader just now.
        _ if is_time => Unheard::Again,
        _ => Unheard::Stop,
    }
}

#[cfg(test)]
mod tests;
