//! `berth pod`: which gateway pods there are, whether they hold a lease and what they carry.

mod drain;
mod quarantine;
mod recover;

use super::Common;
use crate::{
    exit::{Code, Failure},
    output::{self, Format, ago},
};
use shared::{
    PodId,
    wire::{
        admin::{AcceptDataLoss, DataLossAccepted, DeadDeclared, DeclareDead, PodList, PodStatus},
        control::PodState,
    },
};

/// What to do with pods.
#[derive(Debug, clap::Subcommand)]
#[command(before_help = "Example:\n  berth pod list")]
pub(crate) enum Verb {
    /// List pods
    List(All),
    /// Show one pod
    Get(One),
    /// Move everything away from a pod
    Drain(drain::Drain),
    /// End the drain of a pod: it keeps what it has
    Undrain(drain::Mark),
    /// Give a pod no new targets
    Cordon(drain::Mark),
    /// Give a pod new targets again
    Uncordon(drain::Mark),
    /// Rows that a pod has put aside, since another pod was given their target
    #[command(subcommand)]
    Quarantine(quarantine::Verb),
    /// Give up what a pod's lost data folder held: its targets begin empty
    AcceptDataLoss(Accept),
    /// Say that a pod is dead for good: its targets get other owners
    DeclareDead(Declare),
    /// Restore what a dead pod had from its replica
    Recover(recover::Recover),
}

/// Flags of `berth pod list`.
#[derive(Debug, clap::Args)]
pub(crate) struct All {
    /// What all verbs have.
    #[command(flatten)]
    common: Common,
}

/// Flags of verbs on one pod.
#[derive(Debug, clap::Args)]
pub(crate) struct One {
    /// The pod's name
    #[arg(value_name = "POD")]
    pod: PodId,
    /// What all verbs have.
    #[command(flatten)]
    common: Common,
}

/// Flags of `berth pod accept-data-loss`.
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Only when the pod's data folder is gone for good; put it back if you can.\nExample:\n  berth pod accept-data-loss gateway-1 --reason 'disk died, no copy'"
)]
pub(crate) struct Accept {
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Which pod.
    #[command(flatten)]
    one: One,
}

/// Flags of `berth pod declare-dead`.
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Only when its process has ended for good: one that acts on is not noticed, and targets would have two owners.\nExample:\n  berth pod declare-dead gateway-1 --i-know --reason 'the machine was scrapped'"
)]
pub(crate) struct Declare {
    /// Says that the pod's process certainly has ended, and its machine acts no more
    #[arg(long)]
    i_know: bool,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Which pod.
    #[command(flatten)]
    one: One,
}

/// Does what the verb says.
pub(crate) async fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List(args) => list(args).await,
        Verb::Get(args) => get(args).await,
        Verb::Drain(args) => drain::drain(args).await,
        Verb::Undrain(args) => drain::mark(args, "undrain").await,
        Verb::Cordon(args) => drain::mark(args, "cordon").await,
        Verb::Uncordon(args) => drain::mark(args, "uncordon").await,
        Verb::Quarantine(verb) => quarantine::run(verb).await,
        Verb::AcceptDataLoss(args) => accept_data_loss(args).await,
        Verb::DeclareDead(args) => declare_dead(args).await,
        Verb::Recover(args) => recover::run(args).await,
    }
}

async fn list(args: All) -> Result<(), Failure> {
    let list: PodList = args.common.api()?.get("/v1/pods").await?;
    output::rows(args.common.output, &list, &list.pods, &HEAD, cells)
}

/// How long the end of a declared death is waited for.
const DECLARE: std::time::Duration = std::time::Duration::from_secs(30);

const HEAD: [&str; 9] = ["POD", "STATE", "TRACK", "TARGETS", "EVENTS/S", "REPLICA", "LEASE", "ADDRESS", "VERSION"];

fn cells(pod: &PodStatus) -> Vec<String> {
    vec![
        pod.info.pod.to_string(),
        state(pod.state).to_owned(),
        pod.track.to_string(),
        pod.targets.to_string(),
        format!("{:.1}", pod.load.events_per_second),
        replica(pod),
        pod.lease_age_ms.map_or_else(|| "-".to_owned(), |age| format!("{} old", ago(age))),
        pod.info.address.clone(),
        pod.version.clone(),
    ]
}

/// Returns the word for a pod's state, as the API has it.
pub(super) const fn state(state: PodState) -> &'static str {
    state.as_str()
}

/// Says in two words how a pod's replica stands.
pub(super) fn replica(pod: &PodStatus) -> String {
    match pod.load.replication {
        None => "-".to_owned(),
        Some(lag) if lag.ms == 0 => lag.state.to_string(),
        Some(lag) => format!("{}, {}", lag.state, ago(lag.ms)),
    }
}

async fn get(args: One) -> Result<(), Failure> {
    let found: Result<PodStatus, Failure> = args.common.api()?.get(&format!("/v1/pods/{}", args.pod)).await;
    let pod = found.map_err(|why| unknown(why, &args.pod))?;
    match args.common.output {
        Format::Table => output::print(&sheet(&pod)),
        format => output::rows(format, &pod, std::slice::from_ref(&pod), &HEAD, cells),
    }
}

fn unknown(why: Failure, pod: &PodId) -> Failure {
    match why.code {
        Code::NotFound => Failure::new(Code::NotFound, format!("no pod {pod} has registered")),
        _ => why,
    }
}

/// Lists what is known of one pod, a line a fact.
fn sheet(pod: &PodStatus) -> String {
    let mut table = output::Table::new(&["pod", pod.info.pod.as_str()]);
    let mut fact = |name: &str, value: String| table.row([name.to_owned(), value]);
    fact("state", state(pod.state).to_owned());
    if let Some(why) = &pod.not_ready {
        fact("not ready", output::plain(why));
    }
    if pod.state == PodState::Drained {
        fact("drain", "nothing is left: it is safe to remove".to_owned());
    } else if pod.drain.is_some() {
        fact("drain", drain::progress(pod));
    } else if pod.cordoned {
        fact("cordoned", "it gets no new targets".to_owned());
    }
    fact("address", pod.info.address.clone());
    fact("zone", pod.info.zone.clone().unwrap_or_else(|| "-".to_owned()));
    fact("track", pod.track.to_string());
    fact("capacity", pod.info.capacity.to_string());
    fact("targets", format!("{} assigned, {} held", pod.targets, pod.load.targets));
    if pod.quarantined > 0 {
        fact("quarantined", format!("{} wait for data that is not here; nothing of them is served", pod.quarantined));
    }
    if pod.load.aside > 0 {
        fact(
            "put aside",
            format!("rows of {} targets; see berth pod quarantine list {}", pod.load.aside, pod.info.pod),
        );
    }
    if pod.restoring > 0 {
        fact("restoring", format!("{} of them from replicas", pod.restoring));
    }
    if let Some(replica) = &pod.replica {
        fact("replica", output::plain(replica));
    }
    if let Some(lag) = &pod.load.replication {
        fact("replication", format!("{}, {} and {} bytes behind", lag.state, ago(lag.ms), lag.bytes));
    }
    fact("events/s", format!("{:.1}", pod.load.events_per_second));
    fact("database", format!("{} bytes, schema {}", pod.load.bytes, pod.schema));
    let age = pod
        .lease_age_ms
        .map_or_else(|| "not granted by this leader yet".to_owned(), |age| format!("granted {} ago", ago(age)));
    fact("lease", format!("{}, {age}, over in {}", pod.lease_id, ago(pod.lease_remaining_ms)));
    fact("incarnation", pod.info.incarnation.to_string());
    fact("revision", format!("{} seen, registered at {}", pod.seen_revision, pod.info.revision));
    fact("version", pod.version.clone());
    if let Some(bot) = &pod.bot {
        let version = bot.version.as_ref().map_or_else(String::new, |version| format!(" {version}"));
        let schema = bot.schema.map_or_else(|| "no tables".to_owned(), |schema| format!("schema {schema}"));
        fact("bot", format!("{}{version}, {schema}", bot.name));
    }
    table.render()
}

async fn declare_dead(args: Declare) -> Result<(), Failure> {
    // The leader may have to wait until no lease of the pod can be valid.
    let api = args.one.common.api()?.patient(DECLARE);
    let path = format!("/v1/pods/{}/declare-dead", args.one.pod);
    let word = DeclareDead { i_know: args.i_know, reason: args.reason };
    let done: DeadDeclared = api.post(&path, &word).await.map_err(|why| unknown(why, &args.one.pod))?;
    match args.one.common.output {
        Format::Json => output::print(&output::json(&done)),
        Format::Jsonl => output::rows(Format::Jsonl, &(), &[done], &[], |_| Vec::new()),
        Format::Name => output::print(&format!("{}\n", done.pod)),
        Format::Table => output::print(&format!(
            "{} is dead; {} targets get other owners, and wait there for its data (revision {})\n",
            done.pod, done.targets, done.revision
        )),
    }
}

async fn accept_data_loss(args: Accept) -> Result<(), Failure> {
    let api = args.one.common.api()?;
    let path = format!("/v1/pods/{}/accept-data-loss", args.one.pod);
    let done: DataLossAccepted =
        api.post(&path, &AcceptDataLoss { reason: args.reason }).await.map_err(|why| unknown(why, &args.one.pod))?;
    match args.one.common.output {
        Format::Json => output::print(&output::json(&done)),
        Format::Jsonl => output::rows(Format::Jsonl, &(), &[done], &[], |_| Vec::new()),
        Format::Name => output::print(&format!("{}\n", done.pod)),
        Format::Table => output::print(&format!(
            "{} may register with its new data folder; {} targets begin empty (revision {})\n",
            done.pod, done.targets, done.revision
        )),
    }
}
