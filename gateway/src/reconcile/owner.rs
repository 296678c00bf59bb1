//! Who serves a target now, and from which copy: asked of config-service and of that pod. Decides nothing about what is sent.

use super::Stuck;
use serde::Deserialize;
use shared::{
    Epoch, Incarnation, PodId, TargetId,
    http::{Client, ClientError},
    settings::Secret,
    wire::admin::PodStatus,
    wire::control::{Assignment, AssignmentState},
    wire::quarantine::{Late, LateTaken},
};
use std::{collections::HashMap, time::Duration};

/// How long an owner may take for a batch: each of its events is committed, and maybe replicated, before it answers.
const BATCH: Duration = Duration::from_secs(120);

/// One copy that the rows come from which a pod serves a target from: what its provenance says, as far as it is needed here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Origin {
    /// The last epoch that the target was owned under in it.
    pub(super) epoch: Epoch,
    /// Whose copy it was.
    pub(super) pod: PodId,
    /// Of which life.
    pub(super) incarnation: Incarnation,
    /// Up to which journal row it went.
    pub(super) journal_seq: u64,
}

/// The answer to a question for provenance: one copy, or each that the rows have come through.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Provenance {
    Several(Vec<Origin>),
    One(Origin),
}

/// The owner of a target.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) owner: PodId,
    pub(super) client: Client,
    /// The copies that its rows have come through; none when they were nobody else's.
    pub(super) origins: Vec<Origin>,
}

impl Found {
    /// Returns the copy that was made of rows which a pod owned last under `epoch`, in one of these lives.
    pub(super) fn origin(&self, pod: &PodId, lives: &[Incarnation], epoch: Epoch) -> Option<&Origin> {
        newest(&self.origins, pod, lives, epoch)
    }
}

/// Of the copies that a target's rows have come through, the last one of rows that a pod owned under `epoch` at most in one of
/// these lives.
pub(super) fn newest<'a>(
    origins: &'a [Origin],
    pod: &PodId,
    lives: &[Incarnation],
    epoch: Epoch,
) -> Option<&'a Origin> {
    let of_them = |origin: &&Origin| origin.pod == *pod && lives.contains(&origin.incarnation) && origin.epoch <= epoch;
    origins.iter().filter(of_them).max_by_key(|origin| origin.epoch)
}

/// The ways to owners.
#[derive(Debug)]
pub(super) struct Owners {
    config: Client,
    token: Secret,
    clients: HashMap<String, Client>,
}

impl Owners {
    /// Asks config-service through `config`, and pods with `token`.
    pub(super) fn new(config: Client, token: Secret) -> Self {
        Self { config, token, clients: HashMap::new() }
    }

    /// Finds out who serves a target, which is not `me`, and from which copy.
    pub(super) async fn of(&mut self, target: &TargetId, me: &PodId) -> Result<Found, Stuck> {
        let assignment: Assignment = self.config.get(&format!("/v1/targets/{target}")).await?;
        if assignment.state == AssignmentState::Quarantined {
            let text = format!("{} owns the target and does not serve it yet", assignment.pod);
            return Err(Stuck::Waits(text));
        }
        if assignment.pod == *me {
            return Err(Stuck::Waits("the target is this pod's own again".to_owned()));
        }
        let status: PodStatus = self.config.get(&format!("/v1/pods/{}", assignment.pod)).await?;
        let client = self.client(&status.info.address)?;
        let origins = match client.get(&format!("/v1/local/targets/{target}/provenance")).await {
            Ok(Provenance::Several(origins)) => origins,
            Ok(Provenance::One(origin)) => vec![origin],
            Err(why) if why.problem().is_some_and(|problem| problem.status == 404) => Vec::new(),
            Err(why) => return Err(why.into()),
        };
        Ok(Found { owner: assignment.pod, client, origins })
    }

    fn client(&mut self, address: &str) -> Result<Client, ClientError> {
        if let Some(client) = self.clients.get(address) {
            return Ok(client.clone());
        }
        let client = Client::new(&format!("http://{address}"), Some(self.token.clone()), BATCH)?;
        // Pods come back under other addresses: what was there before is used no more.
        if self.clients.len() > 256 {
            self.clients.clear();
        }
        self.clients.insert(address.to_owned(), client.clone());
        Ok(client)
    }
}

/// Sends a part of a journal's end.
pub(super) async fn tell(client: &Client, target: &TargetId, late: &Late) -> Result<LateTaken, ClientError> {
    client.post(&format!("/v1/late/{target}"), late).await
}
