//! Where other pods are, as the assignment stream says. Decides nothing.

use shared::http::Client;
use shared::settings::Secret;
use shared::{PodId, wire::control::PodInfo};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// How long a parcel may take.
const PARCEL: Duration = Duration::from_secs(10);

/// Clients of the other pods. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub(super) struct Peers {
    token: Secret,
    known: Arc<Mutex<HashMap<PodId, (String, Client)>>>,
}

impl Peers {
    /// Knows nobody yet.
    pub(super) fn new(token: Secret) -> Self {
        Self { token, known: Arc::default() }
    }

    /// Notes where pods are.
    pub(super) fn met(&self, pods: &[PodInfo]) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for PodInfo { pod, address, .. } in pods {
            if known.get(pod).is_some_and(|(had, _)| had == address) {
                continue;
            }
            match Client::new(&format!("http://{address}"), Some(self.token.clone()), PARCEL) {
                Ok(client) => drop(known.insert(pod.clone(), (address.clone(), client))),
                Err(why) => tracing::warn!(%pod, error = %why, "a pod's address cannot be used"),
            }
        }
    }

    /// Returns a pod's client.
    pub(super) fn client(&self, pod: &PodId) -> Option<Client> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(pod).map(|(_, client)| client.clone())
    }
}
