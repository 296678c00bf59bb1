//! `berth replication`: how the pods' replicas stand, and restore drills on demand. Prints what config-service says; a drill is
//! the pod's: whoever stops waiting stops nothing.

mod gc;

use super::{Common, now_ms};
use crate::{
    exit::{Code, Failure},
    output::{self, Format, ago},
};
use serde_json::json;
use shared::{
    PodId, TargetId,
    wire::control::Assignment,
    wire::drill::{Drill, DrillState, PodReplication, ReplicationList},
};
use std::time::Duration;
use tokio::time::Instant;

/// How often a drill is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What to do with replicas.
#[derive(Debug, clap::Subcommand)]
#[command(before_help = "Example:\n  berth replication status")]
pub(crate) enum Verb {
    /// Show how far each pod's replica is, and what its last restore drill came to
    Status(Status),
    /// Have replicas restored to a scratch file and compared with the databases, now
    Verify(Verify),
    /// Remove lineages whose time is over, or say what becomes of each
    Gc(gc::Gc),
}

/// Flags of `berth replication status`.
#[derive(Debug, clap::Args)]
pub(crate) struct Status {
    /// Only this pod
    #[arg(value_name = "POD")]
    pod: Option<PodId>,
    /// What all verbs have.
    #[command(flatten)]
    common: Common,
}

/// Flags of `berth replication verify`.
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Example:\n  berth replication verify gateway-1",
    after_help = "Exits with an error when a replica cannot be restored, or has not what its database has."
)]
pub(crate) struct Verify {
    /// A pod, or a target, whose pod is meant; all pods with a replica, one after another, when it is left out
    #[arg(value_name = "POD|TARGET")]
    which: Option<String>,
    /// Why, for the audit
    #[arg(long, default_value = "asked for by hand", value_name = "TEXT")]
    reason: String,
    /// How long to wait for each; a drill goes on
    #[arg(long, default_value = "30m", value_parser = shared::settings::duration, value_name = "TIME")]
    wait_timeout: Duration,
    /// What all verbs have.
    #[command(flatten)]
    common: Common,
}

const HEAD: [&str; 8] = ["POD", "STATE", "LAG", "UNSENT", "WAITING", "WAL", "LAST DRILL", "LINEAGE"];

/// Does what the verb says.
pub(crate) async fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Status(args) => status(args).await,
        Verb::Verify(args) => verify(args).await,
        Verb::Gc(args) => gc::run(args).await,
    }
}

async fn status(args: Status) -> Result<(), Failure> {
    let query = args.pod.map(|pod| format!("?pod={pod}")).unwrap_or_default();
    let list: ReplicationList = args.common.api()?.get(&format!("/v1/replication{query}")).await?;
    let now = now_ms();
    output::rows(args.common.output, &list, &list.pods, &HEAD, |pod| cells(pod, now))
}

fn cells(pod: &PodReplication, now: u64) -> Vec<String> {
    let Some(state) = &pod.replication else {
        let why = output::plain(pod.error.as_deref().unwrap_or("it does not answer"));
        return [pod.pod.to_string(), format!("unknown: {why}")].into_iter().chain(dashes(6)).collect();
    };
    let row = [pod.pod.to_string(), state.state.to_string()];
    let Some(lineage) = &state.lineage else { return row.into_iter().chain(dashes(6)).collect() };
    let facts = [
        ago(state.lag_ms),
        format!("{} bytes", state.lag_bytes),
        state.waiting.to_string(),
        format!("{} bytes", state.wal_bytes),
        drilled(pod.drill.as_ref(), now),
        lineage.clone(),
    ];
    row.into_iter().chain(facts).collect()
}

fn dashes(n: usize) -> impl Iterator<Item = String> {
    std::iter::repeat_n("-".to_owned(), n)
}

/// Says in a few words how drills stand.
fn drilled(drill: Option<&DrillState>, now: u64) -> String {
    let Some(drill) = drill else { return "-".to_owned() };
    let running = if drill.running { ", one runs" } else { "" };
    match &drill.last {
        None => format!("none yet{running}"),
        Some(last) => {
            let word = if last.ok { "good" } else { "failed" };
            format!("{word} {} ago{running}", ago(now.saturating_sub(last.at_ms)))
        }
    }
}

async fn verify(args: Verify) -> Result<(), Failure> {
    let pods = pods(&args).await?;
    let mut made = Vec::new();
    for pod in pods {
        made.push((pod.clone(), one(&args, &pod).await?));
    }
    let failed: Vec<_> = made.iter().filter(|(_, drill)| !drill.ok).map(|(pod, _)| pod.to_string()).collect();
    let named = |(pod, drill): &(PodId, Drill)| json!({ "pod": pod, "drill": drill });
    match args.common.output {
        Format::Json => output::print(&output::json(&made.iter().map(named).collect::<Vec<_>>()))?,
        Format::Table => made.iter().try_for_each(|(pod, drill)| output::print(&sheet(pod, drill)))?,
        format => {
            let rows: Vec<_> = made.iter().map(named).collect();
            output::rows(format, &rows, &rows, &["POD"], |row| vec![row["pod"].as_str().unwrap_or_default().into()])?;
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::error(format!("the replica of {} is not good; nothing can be restored from it", failed.join(", "))))
}

/// Finds out whose replicas are meant.
async fn pods(args: &Verify) -> Result<Vec<PodId>, Failure> {
    let api = args.common.api()?;
    let Some(which) = &args.which else {
        let list: ReplicationList = api.get("/v1/replication").await?;
        let with = |pod: &PodReplication| pod.drill.is_some() || pod.error.is_some();
        let pods: Vec<_> = list.pods.into_iter().filter(with).map(|pod| pod.pod).collect();
        if pods.is_empty() {
            return Err(Failure::new(Code::NotFound, "no pod has a replica".to_owned()));
        }
        return Ok(pods);
    };
    if which.contains(':') {
        let target: TargetId = which.parse().map_err(|why| Failure::error(format!("{which}: {why}")))?;
        let found: Assignment = api.get(&format!("/v1/targets/{target}")).await?;
        return Ok(vec![found.pod]);
    }
    which.parse().map(|pod| vec![pod]).map_err(|why| Failure::error(format!("{which}: {why}")))
}

/// Has one made, and waits for what it comes to.
async fn one(args: &Verify, pod: &PodId) -> Result<Drill, Failure> {
    let api = args.common.api()?;
    let path = format!("/v1/pods/{pod}/drill");
    let before: DrillState = api.get(&path).await?;
    let before_ms = before.last.map_or(0, |last| last.at_ms);
    let _: DrillState = api.post(&path, &json!({ "reason": args.reason })).await?;
    let deadline = Instant::now() + args.wait_timeout;
    loop {
        let state: DrillState = api.get(&path).await?;
        if let Some(last) = state.last.filter(|last| last.at_ms > before_ms) {
            return Ok(last);
        }
        if Instant::now() >= deadline {
            let text =
                format!("the restore drill of {pod} still runs; `berth replication status` says when it is over");
            return Err(Failure::new(Code::StillRunning, text));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Lists what a drill came to.
fn sheet(pod: &PodId, drill: &Drill) -> String {
    let word = if drill.ok { "good" } else { "not good" };
    let mut text = format!(
        "{pod}: {word}, {} bytes restored of {} in {}, {} targets with {} rows compared, {} went on meanwhile\n",
        drill.bytes,
        drill.lineage,
        ago(drill.took_ms),
        drill.targets,
        drill.rows,
        drill.moving
    );
    if let Some(detail) = &drill.detail {
        text.push_str(&format!("  {}\n", output::plain(detail)));
    }
    if !drill.differences.is_empty() {
        let mut table = output::Table::new(&["TARGET", "WHAT", "HERE", "REPLICA"]);
        for one in &drill.differences {
            table.row([&one.target, &one.what, &one.here, &one.copy].map(|text| output::plain(text)));
        }
        text.push_str(&table.render());
        if drill.found > drill.differences.len() as u64 {
            text.push_str(&format!("{} differences in all\n", drill.found));
        }
    }
    text
}
