//! How a pod introduces itself: what others need to reach it and to judge how much it can carry. Knows no protocol.

use crate::Options;
use shared::wire::control::Track;
use std::net::SocketAddr;

/// How a pod introduces itself.
#[derive(Debug, Clone)]
pub(crate) struct Card {
    /// Where others reach it, `host:port`.
    pub(crate) address: String,
    /// Its zone.
    pub(crate) zone: Option<String>,
    /// Which targets it is for while a new version is tried.
    pub(crate) track: Track,
    /// Its relative capacity.
    pub(crate) capacity: f64,
    /// Where its database is replicated to; none without a replica.
    pub(crate) replica: Option<String>,
}

/// The pod does not know where others reach it.
#[derive(Debug, thiserror::Error)]
#[error(
    "BERTH_GATEWAY_ADVERTISE is not set and the pod listens on every address; set it to the HOST:PORT others reach this pod at"
)]
pub(crate) struct NoAddress;

impl Card {
    /// Writes the card of a pod that listens on `bound`. An empty zone is none: that is what an orchestrator passes on that knows
    /// none.
    ///
    /// # Errors
    /// [`NoAddress`].
    pub(crate) fn new(options: &Options, bound: SocketAddr) -> Result<Self, NoAddress> {
        let address = match &options.advertise {
            Some(address) => address.clone(),
            None if bound.ip().is_unspecified() => return Err(NoAddress),
            None => bound.to_string(),
        };
        let on = options.replica.is_on().then(|| options.replica.base().ok()).flatten();
        let replica = on.map(|base| base.to_string());
        Ok(Self {
            address,
            zone: options.zone.clone().filter(|zone| !zone.trim().is_empty()),
            track: options.track,
            capacity: options.capacity,
            replica,
        })
    }
}
