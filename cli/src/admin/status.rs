//! `berth status`: one sentence on the cluster, then who is not well.

use super::{
    Common,
    pod::{replica, state},
};
use crate::{
    exit::{Code, Failure},
    output::{self, Format, Table, ago},
};
use bytes::Bytes;
use http::Method;
use serde::Serialize;
use shared::{
    http::Client,
    wire::{
        admin::{Health, PodList},
        control::PodState,
    },
};
use std::time::Duration;

/// Flags of `berth status`.
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Example:\n  berth status\nExits with 0 when everything is ready, 1 when something is not, 6 when config-service does not answer."
)]
pub(crate) struct Args {
    /// What all verbs have.
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Serialize)]
struct Status {
    health: Health,
    #[serde(flatten)]
    pods: PodList,
    http_service: Option<Probe>,
}

/// What http-service says of itself; known only for a cluster of `berth up`.
#[derive(Debug, Serialize)]
struct Probe {
    url: String,
    ready: bool,
    detail: String,
}

/// Asks and prints.
pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    let api = args.common.api()?;
    let health: Health = api.get("/health").await?;
    let pods: PodList = api.get("/v1/pods").await?;
    let http_service = match &api.cluster {
        Some(cluster) if cluster.config_url == api.client.bases() => Some(probe(&cluster.http_url).await?),
        _ => None,
    };
    let status = Status { health, pods, http_service };
    match args.common.output {
        Format::Json => output::print(&output::json(&status))?,
        Format::Jsonl => output::rows(Format::Jsonl, &(), std::slice::from_ref(&status), &[], |_| Vec::new())?,
        Format::Name => output::print(&format!("{}\n", output::plain(&status.health.status)))?,
        Format::Table => output::print(&screen(&status))?,
    }
    let unwell = problems(&status);
    if unwell.is_empty() { Ok(()) } else { Err(Failure::new(Code::Error, unwell.join("; "))) }
}

async fn probe(url: &str) -> Result<Probe, Failure> {
    let client = Client::new(url, None, Duration::from_secs(2))?;
    let (ready, detail) = match client.exchange(Method::GET, "/readyz", &[], Bytes::new()).await {
        Ok(answer) => (answer.status().is_success(), String::from_utf8_lossy(answer.body()).trim().to_owned()),
        Err(why) => (false, why.to_string()),
    };
    Ok(Probe { url: url.to_owned(), ready, detail })
}

fn screen(status: &Status) -> String {
    let health = &status.health;
    let well = problems(status).is_empty();
    let word = if well || health.status != "ok" { output::plain(&health.status) } else { "degraded".to_owned() };
    let unwell = status.pods.pods.iter().filter(|pod| pod.state == PodState::Ready && !pod.is_well()).count();
    let mut text = format!(
        "{word}: {} of {} pods ready, {} target{}, term {}, revision {}\n\n",
        health.ready_pods.saturating_sub(unwell as u64),
        health.pods,
        health.targets,
        if health.targets == 1 { "" } else { "s" },
        health.term,
        health.revision
    );
    let mut table = Table::new(&["NAME", "STATE", "TARGETS", "REPLICA", "LEASE", "ADDRESS"]);
    for pod in &status.pods.pods {
        let lease = pod.lease_age_ms.map_or_else(|| "-".to_owned(), |age| format!("{} old", ago(age)));
        let (name, address) = (pod.info.pod.to_string(), pod.info.address.clone());
        let state = if pod.state == PodState::Ready && !pod.is_well() { "not ready" } else { state(pod.state) };
        table.row([name, state.to_owned(), pod.targets.to_string(), replica(pod), lease, address]);
    }
    if let Some(probe) = &status.http_service {
        let state = if probe.ready { "ready" } else { "not ready" };
        table.row(["http-service", state, "-", "-", "-", &probe.url].map(str::to_owned));
    }
    text.push_str(&table.render());
    text
}

/// Returns a sentence for everything that is not as it should be.
fn problems(status: &Status) -> Vec<String> {
    let mut found = Vec::new();
    found.extend(status.health.stopped.as_deref().map(output::plain));
    let restoring: u64 = status.pods.pods.iter().map(|pod| pod.restoring).sum();
    match restoring {
        0 => {}
        1 => found.push("1 target is being restored from a replica".to_owned()),
        some => found.push(format!("{some} targets are being restored from replicas")),
    }
    match status.health.quarantined.saturating_sub(restoring) {
        0 => {}
        1 => found.push("1 target is quarantined: nobody reachable has its data".to_owned()),
        some => found.push(format!("{some} targets are quarantined: nobody reachable has their data")),
    }
    if status.health.status != "ok" {
        found.push(format!("config-service is {}", status.health.status));
    }
    for pod in &status.pods.pods {
        match &pod.not_ready {
            _ if pod.state != PodState::Ready => found.push(format!("{} is {}", pod.info.pod, state(pod.state))),
            Some(why) => found.push(format!("{}: {}", pod.info.pod, output::plain(why))),
            None => {}
        }
        let lag = pod.load.replication.filter(|_| pod.state == PodState::Ready);
        found.extend(lag.and_then(|lag| lag.trouble()).map(|why| format!("{}: {why}", pod.info.pod)));
    }
    if let Some(probe) = status.http_service.as_ref().filter(|probe| !probe.ready) {
        found.push(format!("http-service is not ready: {}", probe.detail.replace('\n', ", ")));
    }
    found
}

#[cfg(test)]
mod tests;
