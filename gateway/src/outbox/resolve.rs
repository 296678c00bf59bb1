//! Names to addresses for outgoing calls. The check is made on what the name resolved to, at the moment of connecting, so
//! that a name cannot lead inside after it has been looked at.

use super::policy::Allowed;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::{net::SocketAddr, sync::Arc};

/// Resolves by the machine's resolver and keeps only what the policy allows.
#[derive(Debug)]
pub(super) struct Checked(pub(super) Arc<Allowed>);

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed = Arc::clone(&self.0);
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let mut refused = None;
            let kept: Vec<SocketAddr> = found
                .into_iter()
                .filter(|address| allowed.check_address(address.ip()).map_err(|why| refused = Some(why)).is_ok())
                .collect();
            match refused {
                Some(why) if kept.is_empty() => Err(why.into()),
                _ => Ok(Box::new(kept.into_iter()) as Addrs),
            }
        })
    }
}
