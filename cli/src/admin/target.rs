//! `berth target`: which targets there are, where each is, and what its owner holds of it.

mod erase;
mod explain;
pub(super) mod export;
mod history;
mod loss;
mod pin;

use super::{
    Api, Common, moves, now_ms,
    pages::{pages, percent_encode},
};
use crate::{
    exit::{Code, Failure},
    output::{self, Format, ago},
};
use serde::Serialize;
use shared::{
    Platform, PodId, TargetId,
    wire::{
        admin::TargetList,
        control::{Assignment, AssignmentState, TargetState},
    },
};

/// Most targets asked for in one request.
const PAGE: usize = 1_000;

/// What to do with targets.
#[derive(Debug, clap::Subcommand)]
#[command(before_help = "Example:\n  berth target where discord:guild:123")]
pub(crate) enum Verb {
    /// List targets with their owners
    List(List),
    /// Show one target: its owner, and what the owner holds of it
    Get(One),
    /// Say which pod owns a target
    Where(One),
    /// Say why a target is where it is, and what speaks for and against every pod
    Explain(One),
    /// List who owned a target, since when and why
    History(history::History),
    /// Move a target to another pod while it is served
    Move(moves::Begin),
    /// Move a target to a pod and keep it there
    Pin(pin::Pin),
    /// End a pin: the target stays where it is until something moves it
    Unpin(pin::Unpin),
    /// Write everything a target has to a file
    Export(export::Export),
    /// Delete everything a target has, for good
    Erase(erase::Erase),
    /// Give up the data that a quarantined target waits for: it begins empty
    AcceptDataLoss(loss::Accept),
}

/// Flags of `berth target list`.
#[derive(Debug, clap::Args)]
#[command(before_help = "Example:\n  berth target list --pod gateway-1 -o name")]
pub(crate) struct List {
    /// Only this platform's
    #[arg(long, value_name = "NAME")]
    platform: Option<Platform>,
    /// Only this pod's
    #[arg(long, value_name = "NAME")]
    pod: Option<PodId>,
    /// At most so many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// What all verbs have.
    #[command(flatten)]
    common: Common,
}

/// Flags of verbs on one target.
#[derive(Debug, clap::Args)]
pub(crate) struct One {
    /// The target, `platform:kind:id`
    #[arg(value_name = "TARGET")]
    target: TargetId,
    /// What all verbs have.
    #[command(flatten)]
    common: Common,
}

/// A target with its owner's word on it.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    assignment: Assignment,
    state: Option<TargetState>,
    /// Why there is no state.
    #[serde(skip_serializing_if = "Option::is_none")]
    state_error: Option<String>,
}

/// Does what the verb says.
pub(crate) async fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List(args) => list(args).await,
        Verb::Get(args) => get(args).await,
        Verb::Where(args) => place(args).await,
        Verb::Explain(args) => explain::run(args).await,
        Verb::History(args) => history::run(args).await,
        Verb::Move(args) => moves::begin(args).await,
        Verb::Pin(args) => pin::pin(args).await,
        Verb::Unpin(args) => pin::unpin(args).await,
        Verb::Export(args) => export::run(args).await,
        Verb::Erase(args) => erase::run(args).await,
        Verb::AcceptDataLoss(args) => loss::run(args).await,
    }
}

async fn list(args: List) -> Result<(), Failure> {
    let api = args.common.api()?;
    let most = args.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let mut whole: Option<TargetList> = None;
    let mut cursor = None;
    loop {
        let have = whole.as_ref().map_or(0, |list| list.targets.len());
        let page: TargetList = api.get(&page_path(&args, PAGE.min(most - have), cursor.as_deref())).await?;
        cursor = page.next.clone();
        match &mut whole {
            None => whole = Some(page),
            Some(list) => {
                list.targets.extend(page.targets);
                list.next.clone_from(&cursor);
            }
        }
        if cursor.is_none() || whole.as_ref().is_some_and(|list| list.targets.len() >= most) {
            break;
        }
    }
    let Some(list) = whole else { return Ok(()) };
    let now = now_ms();
    output::rows(args.common.output, &list, &list.targets, &HEAD, |found| cells(found, now))?;
    if args.common.output == Format::Table && list.next.is_some() {
        eprintln!("there are more; raise --limit or leave it out");
    }
    Ok(())
}

const HEAD: [&str; 7] = ["TARGET", "POD", "STATE", "EPOCH", "REVISION", "REASON", "AGE"];

fn cells(found: &Assignment, now: u64) -> Vec<String> {
    vec![
        found.target.to_string(),
        found.pod.to_string(),
        found.word().to_owned(),
        found.epoch.to_string(),
        found.revision.to_string(),
        found.reason.clone(),
        ago(now.saturating_sub(found.since_ms)),
    ]
}

fn page_path(args: &List, limit: usize, cursor: Option<&str>) -> String {
    let mut path = format!("/v1/targets?limit={limit}");
    if let Some(platform) = args.platform {
        path.push_str(&format!("&platform={platform}"));
    }
    if let Some(pod) = &args.pod {
        path.push_str(&format!("&pod={pod}"));
    }
    if let Some(cursor) = cursor {
        path.push_str("&cursor=");
        path.push_str(&percent_encode(cursor));
    }
    path
}

async fn get(args: One) -> Result<(), Failure> {
    let api = args.common.api()?;
    let assignment = assignment(&api, &args.target).await?;
    let state: Result<TargetState, Failure> = api.get(&format!("/v1/targets/{}/state", args.target)).await;
    let (state, state_error) = match state {
        Ok(state) => (Some(state), None),
        Err(why) => (None, Some(why.to_string())),
    };
    let shown = Shown { assignment, state, state_error };
    match args.common.output {
        Format::Json => output::print(&output::json(&shown)),
        Format::Jsonl => output::rows(Format::Jsonl, &(), &[shown], &[], |_| Vec::new()),
        Format::Name => output::print(&format!("{}\n", shown.assignment.target)),
        Format::Table => output::print(&sheet(&shown, now_ms())),
    }
}

/// Lists what is known of one target, a line a fact.
fn sheet(shown: &Shown, now: u64) -> String {
    let found = &shown.assignment;
    let mut table = output::Table::new(&["target", found.target.as_str()]);
    let mut fact = |name: &str, value: String| table.row([name.to_owned(), value]);
    fact("pod", found.pod.to_string());
    fact("epoch", found.epoch.to_string());
    fact("revision", found.revision.to_string());
    fact("reason", found.reason.clone());
    if found.state == AssignmentState::Quarantined {
        let place = match &found.data {
            None => "nobody knows where its data is".to_owned(),
            Some(data) if data.restoring => {
                format!("its data is being restored from the replica of {}, incarnation {}", data.pod, data.incarnation)
            }
            Some(data) => format!("its data is in the folder of {}, incarnation {}", data.pod, data.incarnation),
        };
        fact(found.word(), format!("{place}; nothing is served"));
        if let Some(why) = found.data.as_ref().and_then(|data| data.trouble.as_deref()) {
            fact("not restored", output::plain(why));
        }
    }
    fact("since", format!("{} ago", ago(now.saturating_sub(found.since_ms))));
    if let Some(parent) = &found.parent {
        fact("parent", parent.to_string());
    }
    match (&shown.state, &shown.state_error) {
        (Some(state), _) => {
            fact("applied", state.applied.to_string());
            fact("duplicates", state.duplicates.to_string());
            fact("last event", state.last_event_id.clone().unwrap_or_else(|| "-".to_owned()));
            fact("journal", state.journal_seq.to_string());
        }
        (None, why) => fact("state", format!("unknown: {}", why.as_deref().unwrap_or("the owner did not say"))),
    }
    table.render()
}

async fn place(args: One) -> Result<(), Failure> {
    let api = args.common.api()?;
    let found = assignment(&api, &args.target).await?;
    match args.common.output {
        Format::Name => output::print(&format!("{}\n", found.pod)),
        format => output::rows(format, &found, std::slice::from_ref(&found), &HEAD, |found| cells(found, now_ms())),
    }
}

async fn assignment(api: &Api, target: &TargetId) -> Result<Assignment, Failure> {
    api.get(&format!("/v1/targets/{target}")).await.map_err(|why| match why.code {
        Code::NotFound => Failure::new(Code::NotFound, format!("{target} has no owner: no event of it has come yet")),
        _ => why,
    })
}

#[cfg(test)]
mod tests;
