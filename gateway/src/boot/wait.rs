//! Asks config-service about the pod's last life, and waits until it may be succeeded, or gone on with. Decides how often to ask and what to say
//! meanwhile.

use super::{
    BootError,
    decide::{Facts, Succession, Waiting, hindrance, succession},
};
use crate::Options;
use shared::{
    Mono, PodId,
    clock::{BootClock, Clock},
    http::{Client, Tokens},
    settings::{SettingError, value_or_file},
    shutdown::Shutdown,
    wire::{admin::DeadDeclared, admin::Reaped, control::LastLife},
};
use std::time::Duration;
use tokio::time::sleep;

/// How long a question may take.
const CALL: Duration = Duration::from_secs(3);
/// How often it is asked.
const ASK: Duration = Duration::from_secs(1);
/// How often people hear what is waited for.
const SAY: Duration = Duration::from_secs(15);

/// config-service, as `prepare` asks it.
#[derive(Debug)]
pub(super) struct Plane {
    client: Client,
    pod: PodId,
}

impl Plane {
    /// Names it.
    pub(super) fn new(options: &Options) -> Result<Self, BootError> {
        let name = "BERTH_SERVICE_TOKENS";
        let list = value_or_file(name, options.service_tokens.as_deref(), options.service_tokens_file.as_deref())?;
        let token =
            Tokens::parse(list.as_deref().unwrap_or_default()).current().cloned().ok_or(SettingError::Missing {
                name,
                remedy: "set it to the secret that Berth's services share, the same for all of them",
            })?;
        let client =
            Client::new(&options.config_url, Some(token), CALL).map_err(|why| BootError::Config(why.to_string()))?;
        Ok(Self { client, pod: options.pod.clone() })
    }

    /// Asks once.
    pub(super) async fn life(&self) -> Result<LastLife, String> {
        self.client.get(&format!("/v1/pods/{}/life", self.pod)).await.map_err(|why| why.to_string())
    }

    /// Waits until the last life may be succeeded, or gone on with, and returns what is known of it then. With `reaped`, whoever started this
    /// process has seen the pod's last one end, and config-service is told.
    pub(super) async fn wait(&self, facts: &Facts<'_>, reaped: bool, stop: &Shutdown) -> Result<LastLife, BootError> {
        let (clock, mut said) = (BootClock, None);
        loop {
            let waits = match self.life().await {
                Ok(life) if hindrance(&Facts { life: Some(&life), ..*facts }).is_none() => return Ok(life),
                Ok(life) => match succession(facts, &life) {
                    Succession::Now => return Ok(life),
                    Succession::Wait(Waiting::Burial) if reaped && self.tell_reaped(&life).await => continue,
                    Succession::Wait(waiting) => self.words(waiting),
                },
                Err(why) => {
                    format!("config-service has to say what it knows of {}, and cannot be asked: {why}", self.pod)
                }
            };
            let now = clock.now();
            if said.is_none_or(|at: Mono| now.since(at) >= SAY) {
                tracing::info!(pod = %self.pod, "waiting: {waits}");
                said = Some(now);
            }
            tokio::select! {
                () = sleep(ASK) => {}
                () = stop.cancelled() => return Err(BootError::Stopped),
            }
        }
    }

    /// Tells that the process of the last life has ended; returns whether that was taken.
    async fn tell_reaped(&self, life: &LastLife) -> bool {
        let (Some(incarnation), Some(lease_id)) = (life.incarnation.clone(), life.lease_id) else { return false };
        let word = Reaped { incarnation, lease_id };
        let told = self.client.post::<DeadDeclared>(&format!("/v1/pods/{}/reaped", self.pod), &word).await;
        told.map_err(
            |why| tracing::info!(error = %why, "config-service does not take it yet that the last process has ended"),
        )
        .is_ok()
    }

    fn words(&self, waiting: Waiting) -> String {
        let pod = &self.pod;
        match waiting {
            Waiting::Lease(left) => {
                format!("the last process of {pod} may still act for {}s; does it run elsewhere?", left.div_ceil(1_000))
            }
            Waiting::Burial => format!(
                "the last life of {pod} was in another data folder, and has to be failed over first; when no process of it runs any more, type: berth pod declare-dead {pod} --i-know --reason …"
            ),
        }
    }
}
