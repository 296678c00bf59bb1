//! A router that starts while config-service is gone: begins with the table it kept last, and asks the gateways what they
//! own, until config-service is heard. The highest epoch wins. Places nothing and decides no ownership.

use super::{Routes, kept::Kept, outage::Outage};
use crate::http::{Client, ClientError, Latch};
use crate::router::forward::Links;
use crate::routing::Route;
use crate::settings::Secret;
use crate::shutdown::Shutdown;
use crate::wire::control::{Assignment, PodInfo};
use crate::{Incarnation, Revision, TargetId};
use http_body_util::BodyExt;
use serde::Deserialize;
use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf, time::Duration};
use tokio::time::{Instant, sleep, timeout};

/// The longest line of a pod's list.
const MAX_LINE: usize = 64 << 10;

/// How long config-service is waited for before the gateways are asked, and then between two rounds.
const ROUND: Duration = Duration::from_secs(1);

/// The task.
#[derive(Debug)]
pub struct Alone {
    /// What is to be filled.
    pub routes: Routes,
    /// Who must know of pods.
    pub links: Links,
    /// Opens when known targets can be served.
    pub latch: Latch,
    /// The table kept last.
    pub file: Option<PathBuf>,
    /// The gateways, `host:port` each; a name may stand for many.
    pub gateways: Vec<String>,
    /// What the services know each other by.
    pub token: Secret,
    /// How long a gateway may be silent.
    pub patience: Duration,
}

/// Why a gateway's list is not taken.
#[derive(Debug, thiserror::Error)]
enum Unlisted {
    #[error(transparent)]
    Call(#[from] ClientError),
    #[error("the list broke off")]
    Cut,
    #[error("the list cannot be read: {0}")]
    Malformed(String),
}

/// A line of a gateway's list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Owned(Box<Assignment>),
    End { end: bool },
}

impl Alone {
    /// Runs until config-service is heard, or `shutdown`.
    pub async fn run(self, shutdown: Shutdown) {
        let _ = shutdown.run_until_cancelled(self.fill()).await;
    }

    async fn fill(self) {
        self.begin().await;
        let mut outage = Outage::default();
        sleep(ROUND).await;
        while self.routes.resume_at().is_none() && !self.gateways.is_empty() {
            for address in self.addresses().await {
                match self.ask(address).await {
                    Ok((pods, routes)) => self.take(pods, routes),
                    Err(why) if outage.failed(Instant::now()) => {
                        tracing::warn!(gateway = %address, error = %why, "a gateway does not say what it owns");
                    }
                    Err(_) => {}
                }
            }
            sleep(ROUND).await;
        }
    }

    /// Takes the table that was kept last.
    async fn begin(&self) {
        let Some(file) = self.file.clone() else { return };
        let shown = file.display().to_string();
        let read = tokio::task::spawn_blocking(move || Kept::read(&file)).await.map_err(std::io::Error::other);
        match read.and_then(|read| read) {
            Ok(Kept { revision, pods, routes, .. }) => {
                tracing::info!(file = shown, %revision, targets = routes.len(), "begins with the routing table kept last");
                self.take(
                    pods,
                    routes.into_iter().map(|(target, pod, epoch)| (target, Route { pod, epoch })).collect(),
                );
            }
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => {}
            Err(why) => tracing::warn!(file = shown, error = %why, "the routing table kept last is not used"),
        }
    }

    fn take(&self, pods: Vec<PodInfo>, routes: Vec<(TargetId, Route)>) {
        if self.routes.adopt(pods, routes) {
            self.links.follow(&self.routes.pods());
            self.latch.open();
        }
    }

    async fn addresses(&self) -> BTreeSet<SocketAddr> {
        let mut all = BTreeSet::new();
        for name in &self.gateways {
            match timeout(self.patience, tokio::net::lookup_host(name.as_str())).await {
                Ok(Ok(found)) => all.extend(found),
                Ok(Err(why)) => tracing::debug!(name, error = %why, "a gateway's name has no address"),
                Err(_) => tracing::debug!(name, "no answer to a gateway's name"),
            }
        }
        all
    }

    /// Reads what one gateway owns, to its last line: a list that was cut off says nothing of what is missing.
    async fn ask(&self, at: SocketAddr) -> Result<(Vec<PodInfo>, Vec<(TargetId, Route)>), Unlisted> {
        let client = Client::new(&format!("http://{at}"), Some(self.token.clone()), self.patience)?;
        let mut body = client.stream("/v1/local/owned", &[]).await?;
        let (mut rest, mut pods, mut routes) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            let frame = timeout(self.patience, body.frame()).await.map_err(|_| Unlisted::Cut)?;
            let frame = frame.ok_or(Unlisted::Cut)?.map_err(|_| Unlisted::Cut)?;
            let Some(piece) = frame.data_ref() else { continue };
            rest.extend_from_slice(piece);
            let mut from = 0;
            while let Some(length) = rest[from..].iter().position(|byte| *byte == b'\n') {
                let line = serde_json::from_slice(&rest[from..from + length]);
                from += length + 1;
                match line.map_err(|why| Unlisted::Malformed(why.to_string()))? {
                    Line::Owned(assignment) => {
                        let Assignment { target, pod, epoch, .. } = *assignment;
                        if pods.is_empty() {
                            pods.push(reached(pod.clone(), at));
                        }
                        routes.push((target, Route { pod, epoch }));
                    }
                    Line::End { end: true } => return Ok((pods, routes)),
                    Line::End { end: false } => return Err(Unlisted::Cut),
                }
            }
            rest.drain(..from);
            if rest.len() > MAX_LINE {
                return Err(Unlisted::Malformed(format!("a line of more than {MAX_LINE} bytes")));
            }
        }
    }
}

/// A pod as it was reached; config-service will say the rest.
fn reached(pod: crate::PodId, at: SocketAddr) -> PodInfo {
    PodInfo {
        pod,
        address: at.to_string(),
        incarnation: Incarnation::unknown(),
        zone: None,
        capacity: 1.0,
        revision: Revision(0),
    }
}

#[cfg(test)]
mod tests;
