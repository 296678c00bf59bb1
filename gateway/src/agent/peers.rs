//! Calls to the other pods: questions for promises, and heartbeats that one of them passes on. Decides nothing about
//! leases; every call has its bound.

use super::register::failure;
use shared::PodId;
use shared::http::Client;
use shared::protocol::holder::{Failure, Input};
use shared::settings::Secret;
use shared::wire::control::{Grant, Heartbeat, Peer};
use shared::wire::peers::{Extend, Extended, Relay};
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

/// How long another pod may take for an answer. What it promises is worth less the older it is.
const CALL: Duration = Duration::from_secs(1);

/// The ways to the other pods.
#[derive(Debug)]
pub(super) struct Peers {
    token: Secret,
    addresses: BTreeMap<PodId, String>,
    clients: HashMap<String, Client>,
}

impl Peers {
    /// Makes ways to nobody.
    pub(super) fn new(token: Secret) -> Self {
        Self { token, addresses: BTreeMap::new(), clients: HashMap::new() }
    }

    /// Returns a call that asks a witness for its promise.
    pub(super) fn extend(&mut self, to: Peer, question: Extend) -> impl Future<Output = Input> + Send + use<> {
        let client = self.client(&to.address);
        self.addresses.insert(to.pod.clone(), to.address);
        async move {
            let nonce = question.nonce;
            let Some(client) = client else { return Input::Unanswered { by: to.pod, nonce } };
            match client.post("/v1/peers/extend", &question).await {
                Ok(answer) => {
                    if let Extended::TooLong { detail, .. } = &answer {
                        tracing::warn!(witness = %to.pod, why = detail, "a witness promises nothing");
                    }
                    Input::Answered { by: to.pod, answer }
                }
                Err(why) => {
                    tracing::debug!(witness = %to.pod, error = %why, "a witness has not answered");
                    Input::Unanswered { by: to.pod, nonce }
                }
            }
        }
    }

    /// Returns a call that sends a heartbeat through a witness, which was asked before.
    pub(super) fn relay(&mut self, via: &PodId, relay: Relay) -> impl Future<Output = Input> + Send + use<> {
        let address = self.addresses.get(via).cloned();
        let client = address.and_then(|address| self.client(&address));
        async move {
            let nonce = relay.heartbeat.nonce;
            let unreachable = || Failure::Unreachable("the witness has no address".to_owned());
            let Some(client) = client else { return Input::NotGranted { nonce, failure: unreachable() } };
            match client.post("/v1/peers/relay", &relay).await {
                Ok(grant) => Input::Granted(grant),
                Err(why) => Input::NotGranted { nonce, failure: failure(why) },
            }
        }
    }

    fn client(&mut self, address: &str) -> Option<Client> {
        if let Some(client) = self.clients.get(address) {
            return Some(client.clone());
        }
        // Pods come and go, and each may come back under another address.
        if self.clients.len() > 2 * self.addresses.len() + 16 {
            self.clients.clear();
        }
        match Client::new(&format!("http://{address}"), Some(self.token.clone()), CALL) {
            Ok(client) => {
                self.clients.insert(address.to_owned(), client.clone());
                Some(client)
            }
            Err(why) => {
                tracing::warn!(address, error = %why, "another pod's address cannot be used");
                None
            }
        }
    }
}

/// Passes another pod's heartbeat on to config-service (OWNERSHIP.md, Leases 3).
#[derive(Debug, Clone)]
pub(crate) struct Courier(Client);

impl Courier {
    /// Makes a courier to config-service. It is slow to nobody's advantage: the pod that asks has less time than that.
    pub(super) fn new(client: &Client) -> Self {
        Self(client.clone().within(CALL))
    }

    /// Passes it on and returns what config-service says.
    ///
    /// # Errors
    /// When it refuses, or does not answer.
    pub(crate) async fn pass_on(&self, pod: &PodId, heartbeat: &Heartbeat) -> Result<Grant, Failure> {
        self.0.post(&format!("/v1/pods/{pod}/heartbeat"), heartbeat).await.map_err(failure)
    }
}
