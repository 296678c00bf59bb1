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
}

impl Leaving {
    /// Makes it ready to ask.
    ///
    /// # Errors
    /// When config-service's URL is none.
    pub(super) fn new(options: &Options, token: Secret) -> Result<Self, ClientError> {
        let client = Client::new(&options.config_url, Some(token), ANSWER)?;
        Ok(Self { client, pod: options.pod.clone(), deadline: options.drain_deadline })
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
                // Nobody there to take the targets; and one that never said so is not leaving.
                Err(why) if !leaving || is_final(&why) => {
                    tracing::debug!(error = %why, "nobody says whether this pod leaves, it stops as one that comes back");
                    return;
                }
                Err(why) => tracing::debug!(error = %why, "cannot ask how far the drain is"),
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

/// An answer that another question would not change.
fn is_final(why: &ClientError) -> bool {
    matches!(why, ClientError::Problem(Problem { status: 400..500, .. }))
}
