//! The operator's verbs: they ask config-service and print what it says. Nothing is decided here.

pub(crate) mod pod;
pub(crate) mod status;
pub(crate) mod target;

use crate::{
    exit::{Code, Failure},
    home::{Cluster, DEFAULT, Home},
    output::Format,
    secrets::Made,
};
use shared::{
    http::{Client, ClientError, Tokens},
    settings::Secret,
};
use std::{path::PathBuf, time::Duration};

/// Flags every verb has: where config-service is, and how to print.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Common {
    /// config-service; the one of the data folder's cluster when it is left out
    #[arg(long, env = "BERTH_CONFIG_URL", value_name = "URL")]
    config_url: Option<String>,
    /// Token for the admin API; the data folder's when it is left out
    #[arg(long, env = "BERTH_ADMIN_TOKENS", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    /// The data folder of `berth up`
    #[arg(long, env = "BERTH_DATA", default_value = DEFAULT, value_name = "DIR")]
    data: PathBuf,
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
    cluster: Option<Cluster>,
    data: PathBuf,
}

impl Common {
    /// Finds config-service: the flag, else the data folder's cluster, else this machine's default port. The data folder's
    /// token is shown only to the data folder's own config-service.
    fn api(&self) -> Result<Api, Failure> {
        let home = Home::at(&self.data);
        let cluster = home.cluster()?;
        let known = cluster.as_ref().map(|cluster| cluster.config_url.clone());
        let said = self.config_url.as_deref().map(|url| url.trim_end_matches('/').to_owned());
        let ours = said.is_none() || said == known;
        let url = said.or(known).unwrap_or_else(|| "http://127.0.0.1:3001".to_owned());
        let token = match &self.token {
            Some(said) => Tokens::parse(said).current().cloned(),
            None if ours && cluster.as_ref().is_some_and(|cluster| !cluster.gave("BERTH_ADMIN_TOKENS")) => {
                Made::load(&home)?.map(|made| Secret::new(made.admin_token))
            }
            None => None,
        };
        Ok(Api { client: Client::new(&url, token, self.timeout)?, cluster, data: self.data.clone() })
    }
}

impl Api {
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

    fn failure(&self, why: ClientError) -> Failure {
        let stopped = self.cluster.as_ref().is_none_or(|cluster| !cluster.running);
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
