//! `berth move`: planned moves of targets between pods, and waiting for the end of one.

use super::{
    Api, Common, now_ms,
    pages::{pages, percent_encode},
};
use crate::{
    exit::{Code, Failure},
    output::{self, Format, ago},
};
use shared::{
    MoveId, PodId, TargetId,
    wire::{
        admin::{MoveList, MoveTarget, Reason},
        handoff::{Move, MoveState},
    },
};
use std::time::Duration;
use tokio::time::Instant;

/// How often it is asked how far something is.
pub(super) const LOOK: Duration = Duration::from_millis(250);

/// What to do with moves.
#[derive(Debug, clap::Subcommand)]
#[command(before_help = "Example:\n  berth move list --pod gateway-0")]
pub(crate) enum Verb {
    /// List moves, newest first
    List(List),
    /// Show one move
    Get(One),
    /// Call a move off that is not committed: the source serves on. Or close a committed one whose target has begun anew
    /// elsewhere since: the source drops the rows it has kept
    Cancel(Cancel),
}

/// Flags of `berth move list`.
#[derive(Debug, clap::Args)]
#[command(before_help = "Example:\n  berth move list --state copying")]
pub(crate) struct List {
    /// Only those in this state: copying, frozen, imported, committed, cleaned, aborted
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// Only this target's
    #[arg(long, value_name = "TARGET")]
    target: Option<TargetId>,
    /// Only those from or to this pod
    #[arg(long, value_name = "POD")]
    pod: Option<PodId>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// What all verbs have.
    #[command(flatten)]
    common: Common,
}

/// Flags of verbs on one move.
#[derive(Debug, clap::Args)]
pub(crate) struct One {
    /// The move's number
    #[arg(value_name = "MOVE")]
    id: MoveId,
    /// What all verbs have.
    #[command(flatten)]
    common: Common,
}

/// Flags of `berth move cancel`.
#[derive(Debug, clap::Args)]
#[command(before_help = "Example:\n  berth move cancel 4711 --reason 'not while the raid runs'")]
pub(crate) struct Cancel {
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Which move.
    #[command(flatten)]
    one: One,
}

/// Flags of `berth target move`.
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Example:\n  berth target move discord:guild:123 --to gateway-1 --reason 'hot guild'\nIt is served all the time but for a short pause; a guild's channels go with it."
)]
pub(crate) struct Begin {
    /// The target, `platform:kind:id`
    #[arg(value_name = "TARGET")]
    target: TargetId,
    /// Where to; the planner chooses when it is left out
    #[arg(long, value_name = "POD")]
    to: Option<PodId>,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Change nothing, and say what would be
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
    /// Wait for its end
    #[arg(long)]
    wait: bool,
    /// How long to wait at most; the move goes on
    #[arg(long, default_value = "5m", value_parser = shared::settings::duration, value_name = "TIME")]
    wait_timeout: Duration,
    /// What all verbs have.
    #[command(flatten)]
    common: Common,
}

/// Does what the verb says.
pub(crate) async fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List(args) => list(args).await,
        Verb::Get(args) => {
            let found = find(&args.common.api()?, args.id).await?;
            show(args.common.output, &found)
        }
        Verb::Cancel(Cancel { reason, one }) => {
            let path = format!("/v1/moves/{}/cancel", one.id);
            let over: Move = one.common.api()?.post(&path, &Reason { reason }).await?;
            show(one.common.output, &over)
        }
    }
}

/// Moves a target.
pub(super) async fn begin(args: Begin) -> Result<(), Failure> {
    let api = args.common.api()?;
    let body = MoveTarget { to: args.to, reason: args.reason };
    let query = if args.dry_run { "?dry_run=true" } else { "" };
    let mut entry: Move = api.post(&format!("/v1/targets/{}/move{query}", args.target), &body).await?;
    if args.wait {
        entry = wait(&api, entry, args.wait_timeout).await?;
    }
    show(args.common.output, &entry)
}

/// Waits until a move is committed: from then on its destination serves.
async fn wait(api: &Api, mut entry: Move, timeout: Duration) -> Result<Move, Failure> {
    let deadline = Instant::now() + timeout;
    while !entry.state.is_over() && entry.pause_ms.is_none() {
        if Instant::now() >= deadline {
            let text =
                format!("move {} is still {}; it goes on: berth move get {}", entry.id, entry.state.as_str(), entry.id);
            return Err(Failure::new(Code::StillRunning, text));
        }
        tokio::time::sleep(LOOK).await;
        match find(api, entry.id).await {
            Ok(newer) => entry = newer,
            // Another leads in a moment.
            Err(why) if why.code == Code::Unreachable => {}
            Err(why) => return Err(why),
        }
    }
    if entry.state == MoveState::Aborted {
        let why = entry.detail.as_deref().unwrap_or("no reason was recorded");
        return Err(Failure::new(
            Code::Error,
            format!("move {} was aborted, {} serves on: {why}", entry.id, entry.from),
        ));
    }
    Ok(entry)
}

async fn find(api: &Api, id: MoveId) -> Result<Move, Failure> {
    api.get(&format!("/v1/moves/{id}")).await
}

async fn list(args: List) -> Result<(), Failure> {
    let filters = [
        ("state", args.state),
        ("target", args.target.map(|target| target.to_string())),
        ("pod", args.pod.map(|pod| pod.to_string())),
    ];
    let asked = filters.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", percent_encode(&value?))));
    let path = format!("/v1/moves?{}", asked.collect::<Vec<_>>().join("&"));
    let most = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let found = pages(&args.common.api()?, &path, most, |list: MoveList| (list.moves, list.next)).await?;
    let now = now_ms();
    let document = MoveList { moves: found.rows, next: None };
    output::rows(args.common.output, &document, &document.moves, &HEAD, |entry| cells(entry, now))?;
    if args.common.output == Format::Table && found.more {
        eprintln!("there are more; raise --limit");
    }
    Ok(())
}

const HEAD: [&str; 8] = ["MOVE", "TARGET", "FROM", "TO", "STATE", "REASON", "PAUSE", "BEGAN"];

fn cells(entry: &Move, now: u64) -> Vec<String> {
    vec![
        entry.id.to_string(),
        entry.target.to_string(),
        entry.from.to_string(),
        entry.to.to_string(),
        entry.state.as_str().to_owned(),
        entry.reason.clone(),
        entry.pause_ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms}ms")),
        format!("{} ago", ago(now.saturating_sub(entry.started_ms))),
    ]
}

fn show(format: Format, entry: &Move) -> Result<(), Failure> {
    let now = now_ms();
    if format != Format::Table {
        return output::rows(format, entry, std::slice::from_ref(entry), &HEAD, |entry| cells(entry, now));
    }
    let mut table = output::Table::new(&["move", &entry.id.to_string()]);
    let mut fact = |name: &str, value: String| table.row([name.to_owned(), value]);
    fact("target", entry.target.to_string());
    fact("from", entry.from.to_string());
    fact("to", entry.to.to_string());
    fact("state", entry.state.as_str().to_owned());
    if let Some(why) = &entry.detail {
        fact("why", output::plain(why));
    }
    fact("reason", format!("{}, by {}", entry.reason, output::plain(&entry.actor)));
    fact("travelled", format!("{} rows, {} bytes", entry.rows, entry.bytes));
    if let Some(pause) = entry.pause_ms {
        fact("pause", format!("{pause}ms"));
    }
    if entry.started_ms > 0 {
        fact("began", format!("{} ago", ago(now.saturating_sub(entry.started_ms))));
    }
    output::print(&table.render())
}
