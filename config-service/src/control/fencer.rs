//! Asks witnesses to fence a lease (OWNERSHIP.md, Leases 4): a bounded number of calls at once, each bounded in time. One that
//! fails, or finds no room, is asked for again by the protocol. Decides nothing.

use shared::http::{Client, ClientError};
use shared::settings::Secret;
use shared::wire::peers::{Fence, Fenced};
use std::{collections::HashMap, future::pending, time::Duration};
use tokio::task::JoinSet;

/// The calls under way.
#[derive(Debug)]
pub(super) struct Fencer {
    token: Option<Secret>,
    timeout: Duration,
    limit: usize,
    clients: HashMap<String, Client>,
    calls: JoinSet<Result<Fenced, ClientError>>,
}

impl Fencer {
    /// Makes a fencer of at most `limit` calls at once, each of which may take `timeout`.
    pub(super) fn new(token: Option<Secret>, timeout: Duration, limit: usize) -> Self {
        Self { token, timeout, limit, clients: HashMap::new(), calls: JoinSet::new() }
    }

    /// Begins to ask the witness at `address`.
    pub(super) fn ask(&mut self, address: &str, fence: Fence) {
        if self.calls.len() >= self.limit {
            return;
        }
        let client = match self.client(address) {
            Ok(client) => client,
            Err(why) => return tracing::debug!(address, error = %why, "a witness has no address"),
        };
        self.calls.spawn(async move { client.post("/v1/peers/fence", &fence).await });
    }

    /// Waits for the next answer; for ever when nobody is asked.
    pub(super) async fn answered(&mut self) -> Fenced {
        loop {
            match self.calls.join_next().await {
                None => pending().await,
                Some(Ok(Ok(fenced))) => return fenced,
                Some(Ok(Err(why))) => tracing::debug!(error = %why, "a witness does not fence"),
                Some(Err(why)) => tracing::debug!(error = %why, "a call of a witness was cut off"),
            }
        }
    }

    fn client(&mut self, address: &str) -> Result<Client, ClientError> {
        if let Some(client) = self.clients.get(address) {
            return Ok(client.clone());
        }
        // Addresses change when pods restart; those of old are not kept for ever.
        if self.clients.len() > self.limit * 4 {
            self.clients.clear();
        }
        let client = Client::new(&format!("http://{address}"), self.token.clone(), self.timeout)?;
        self.clients.insert(address.to_owned(), client.clone());
        Ok(client)
    }
}
