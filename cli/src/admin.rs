//! The operator's verbs: they ask config-service and print what it says. Nothing is decided here.

mod because;
pub(crate) mod canary;
pub(crate) mod discord;
pub(crate) mod event;
pub(crate) mod events;
pub(crate) mod generation;
pub(crate) mod leader;
pub(crate) mod moves;
mod pages;
pub(crate) mod place;
pub(crate) mod plan;
pub(crate) mod pod;
pub(crate) mod rebalance;
pub(crate) mod replication;
pub(crate) mod scale;
pub(crate) mod status;
pub(crate) mod target;
pub(crate) mod token;
mod watching;

use crate::{
    context,
    exit::{Code, Failure},
    home::Cluster,
    output::Format,
};
use hyper::body::Incoming;
use shared::http::{Client, ClientError};
use std::{path::PathBuf, time::Duration};

/// Flags every verb has: where config-service is, and how to print.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Common {
    /// config-service, replicas with commas between them; the context's when it is left out, else the one of the data folder's cluster
    #[arg(long, env = "BERTH_CONFIG_URL", value_name = "URL")]
    config_url: Option<String>,
    /// Token for the admin API; the context's or the data folder's when it is left out
    #[arg(long, env = "BERTH_ADMIN_TOKENS", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    /// The data folder of `berth up`; named, it wins over the context in use [default: ./.berth]
    #[arg(long, env = "BERTH_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// A context of `berth context`, in place of the one in use
    #[arg(long, env = "BERTH_CONTEXT", value_name = "NAME")]
    context: Option<String>,
    /// Where contexts are kept.
    #[command(flatten)]
    contexts: context::File,
    /// How long to wait for an answer
    #[arg(long, default_value = "10s", value_parser = shared::settings::duration, value_name = "TIME")]
    timeout: Duration,
    /// How to print
    #[arg(long, short, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    output: Format,
}

/// config-service, and what is known of the cluster it belongs to.
#[derive(Debug)]
struct Api {
    client: Client,
    /// Whether nobody said which cluster is meant.
    implied: bool,
    cluster: Option<Cluster>,
    data: PathBuf,
}

impl Common {
    /// Finds config-service and the token for it.
    fn api(&self) -> Result<Api, Failure> {
        let place::Place { url, token, implied, cluster, data, .. } = place::find(self)?;
        Ok(Api { client: Client::new(&url, token?, self.timeout)?, implied, cluster, data })
    }
}

impl Api {
    /// Waits longer for an answer.
    fn patient(mut self, timeout: Duration) -> Self {
        self.client = self.client.within(timeout);
        self
    }

    async fn stream(&self, path: &str) -> Result<Incoming, Failure> {
        self.client.stream(path, &[]).await.map_err(|why| self.failure(why))
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.client.get(path).await.map_err(|why| self.failure(why))
    }

    async fn post<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        body: &impl serde::Serialize,
    ) -> Result<T, Failure> {
        self.client.post(path, body).await.map_err(|why| self.failure(why))
    }

    async fn put<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        body: &impl serde::Serialize,
    ) -> Result<T, Failure> {
        let body = serde_json::to_vec(body).map_err(Failure::error)?;
        let head = [("content-type".to_owned(), "application/json".to_owned())];
        let answer = self.client.exchange(http::Method::PUT, path, &head, body.into()).await;
        let answer = answer.map_err(|why| self.failure(why))?;
        if answer.status().is_success() {
            return serde_json::from_slice(answer.body()).map_err(Failure::error);
        }
        let problem: shared::Problem = serde_json::from_slice(answer.body())
            .map_err(|_| Failure::error(format!("config-service answered {}", answer.status())))?;
        Err(self.failure(ClientError::Problem(problem)))
    }

    async fn delete<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.client.delete(path).await.map_err(|why| self.failure(why))
    }

    fn failure(&self, why: ClientError) -> Failure {
        let stopped = self.implied && self.cluster.as_ref().is_none_or(|cluster| !cluster.running);
        match &why {
            ClientError::Unreachable { .. } if stopped => {
                let data = self.data.display();
                let text = format!(
                    "{why}; no cluster runs in {data}: start one with berth up, or name it with --config-url or --data"
                );
                Failure::new(Code::Unreachable, text)
            }
            ClientError::Problem(problem) if problem.status == 401 => {
                Failure::new(Code::Forbidden, format!("{why}; give one with --token or BERTH_ADMIN_TOKENS"))
            }
            _ => why.into(),
        }
    }
}

/// Returns the wall time, in milliseconds since the Unix epoch.
fn now_ms() -> u64 {
    shared::Clock::wall_ms(&shared::clock::BootClock)
}
