//! Tells config-service that a gateway's process has ended and does not come back soon (OWNERSHIP.md, Leases 9): its targets
//! need not wait until witnesses agree, which they may never. Decides after which deaths that is said.

use super::restart::Next;
use crate::home::Home;
use gateway::retire;
use shared::{
    PodId, Problem,
    http::{Client, ClientError},
    settings::Secret,
    wire::{
        admin::{DeadDeclared, PodStatus, Reaped},
        control::PodState,
    },
};
use std::{path::PathBuf, time::Duration};

/// How long the pod's process is away at least: its witnesses would have it failed over before it is back (D + M). A shorter
/// wait ends with the same process in the same place, and nothing has moved.
const AWAY: Duration = Duration::from_secs(7);

/// How long config-service may take: a leader that has just taken over waits for D + M first.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who tells it.
#[derive(Debug, Clone)]
pub(super) struct Mourner {
    config_url: String,
    token: Secret,
    home: PathBuf,
}

impl Mourner {
    /// Makes a mourner who asks with the services' token.
    pub(super) fn new(home: &Home, config_url: String, token: Secret) -> Self {
        Self { config_url, token, home: home.path().to_owned() }
    }

    /// Says whether a death is one to be told.
    pub(super) fn cares(name: &str, next: Next) -> bool {
        name.starts_with("gateway-") && matches!(next, Next::After(wait) if wait >= AWAY)
    }

    /// Tells that the pod's process has ended, and says to people what came of it.
    pub(super) async fn tell(self, name: String) {
        match self.reaped(&name).await {
            Ok(Some(targets)) => {
                eprintln!("{name} is away: {targets} targets of it get other owners, and wait there for its data")
            }
            Ok(None) => {}
            Err(why) => eprintln!("{name} is away, and config-service could not be told: {why:#}"),
        }
    }

    /// Returns how many targets it had; none when there was nothing to be told.
    async fn reaped(&self, name: &str) -> anyhow::Result<Option<u64>> {
        let (pod, path) = (name.parse::<PodId>()?, format!("/v1/pods/{name}"));
        let client = Client::new(&self.config_url, Some(self.token.clone()), PATIENCE)?;
        // The lease that is read while nobody can use the folder is that of a process that has ended. One that is started
        // afterwards finds no lease there to go on with, and registers for the next.
        let retired = retire(&self.home.join(name), &pod)?;
        let status: PodStatus = match client.get(&path).await {
            Ok(status) => status,
            Err(ClientError::Problem(Problem { status: 404, .. })) => return Ok(None),
            Err(why) => return Err(why.into()),
        };
        drop(retired);
        if status.state == PodState::Dead {
            return Ok(None);
        }
        let word = Reaped { incarnation: status.info.incarnation, lease_id: status.lease_id };
        let done: DeadDeclared = client.post(&format!("{path}/reaped"), &word).await?;
        Ok(Some(done.targets))
    }
}
