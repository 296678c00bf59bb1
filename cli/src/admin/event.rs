//! `berth event`: what targets' journals hold, which events and calls are dead, and what becomes of those.

mod letter;

use super::{
    Common, now_ms,
    pages::{pages, percent_encode},
};
use crate::{
    exit::{Code, Failure},
    output::{self, Format, ago},
};
use letter::Letter;
use serde::Serialize;
use serde_json::json;
use shared::{
    PodId, TargetId,
    wire::data::{DeadLetter, DeadLetters, Decided, JournalEvent, JournalPage, LetterKind, PodError},
};

/// What to do with events.
#[derive(Debug, clap::Subcommand)]
#[command(before_help = "Example:\n  berth event list --dead")]
pub(crate) enum Verb {
    /// List a target's journal, or what is dead and waits for you
    List(List),
    /// Give a dead event to its handler again, or make a dead call again
    #[command(
        before_help = "Example:\n  berth event retry discord:guild:123/events/7 --reason 'handler mended'",
        after_help = "An event goes behind what waits for its target. A call that is `uncertain` may have been made: then it is made twice."
    )]
    Retry(Decide),
    /// Give a dead event or call up
    #[command(
        before_help = "Example:\n  berth event drop discord:guild:123/calls/4 --reason 'too late now'",
        after_help = "It is shown no more, and leaves when its retention is over; until then `berth event retry` has it back."
    )]
    Drop(Decide),
}

/// Flags of `berth event list`.
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Examples:\n  berth event list --dead\n  berth event list --target discord:guild:123",
    group(clap::ArgGroup::new("what").args(["dead", "target"]).required(true).multiple(true))
)]
pub(crate) struct List {
    /// Dead events, dead calls, and calls of unknown outcome
    #[arg(long)]
    dead: bool,
    /// Only this target's; without --dead, its journal, newest first
    #[arg(long, value_name = "TARGET")]
    target: Option<TargetId>,
    /// Only this pod's
    #[arg(long, value_name = "NAME", requires = "dead")]
    pod: Option<PodId>,
    /// Only events, or only calls
    #[arg(long, value_name = "KIND", requires = "dead", value_parser = kind)]
    kind: Option<LetterKind>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// What all verbs have.
    #[command(flatten)]
    common: Common,
}

/// Flags of the verbs on one dead letter.
#[derive(Debug, clap::Args)]
pub(crate) struct Decide {
    /// Which, as `berth event list --dead -o name` prints it: `TARGET/events/N` or `TARGET/calls/N`
    #[arg(value_name = "LETTER")]
    letter: Letter,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// What all verbs have.
    #[command(flatten)]
    common: Common,
}

fn kind(word: &str) -> Result<LetterKind, String> {
    LetterKind::from_plural(&format!("{word}s")).ok_or_else(|| "it is event or call".to_owned())
}

/// Does what the verb says.
pub(crate) async fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List(args) if args.dead => dead(args).await,
        Verb::List(args) => journal(args).await,
        Verb::Retry(args) => decide(args, shared::wire::data::Verb::Retry).await,
        Verb::Drop(args) => decide(args, shared::wire::data::Verb::Drop).await,
    }
}

/// What `-o json` prints of dead letters.
#[derive(Debug, Serialize)]
struct Dead {
    items: Vec<DeadLetter>,
    pods: Vec<PodError>,
}

const DEAD_HEAD: [&str; 7] = ["LETTER", "STATE", "ID", "TRIES", "AGE", "POD", "REASON"];

async fn dead(args: List) -> Result<(), Failure> {
    let api = args.common.api()?;
    let mut path = "/v1/dead-letters?".to_owned();
    let filters = [
        ("target", args.target.as_ref().map(ToString::to_string)),
        ("pod", args.pod.as_ref().map(ToString::to_string)),
        ("kind", args.kind.map(|kind| kind.to_string())),
    ];
    for (name, value) in filters {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={}", percent_encode(&value)));
        }
    }
    let mut silent: Vec<PodError> = Vec::new();
    let found = pages(&api, &path, most(&args), |page: DeadLetters| {
        silent.extend(page.pods);
        (page.items, page.next)
    });
    let found = found.await?;
    silent.sort_by(|a, b| a.pod.cmp(&b.pod));
    silent.dedup_by(|a, b| a.pod == b.pod);
    let (now, dead) = (now_ms(), Dead { items: found.rows, pods: silent });
    output::rows(args.common.output, &dead, &dead.items, &DEAD_HEAD, |letter| dead_cells(letter, now))?;
    tell_of_more(&args, found.more);
    if dead.pods.is_empty() {
        return Ok(());
    }
    let silent: Vec<_> = dead.pods.iter().map(|pod| format!("{}: {}", pod.pod, pod.error)).collect();
    Err(Failure::new(Code::Partial, format!("not all pods were asked: {}", silent.join("; "))))
}

fn dead_cells(letter: &DeadLetter, now: u64) -> Vec<String> {
    vec![
        Letter { target: letter.target.clone(), kind: letter.kind, seq: letter.seq }.to_string(),
        letter.state.clone(),
        letter.id.clone(),
        letter.attempts.to_string(),
        ago(now.saturating_sub(letter.at_ms)),
        letter.pod.to_string(),
        letter.reason.clone(),
    ]
}

const JOURNAL_HEAD: [&str; 7] = ["SEQ", "STATE", "KIND", "ID", "FAILED", "AGE", "REASON"];

async fn journal(args: List) -> Result<(), Failure> {
    let api = args.common.api()?;
    let Some(target) = &args.target else { return Ok(()) };
    let path = format!("/v1/targets/{target}/events?");
    let found = pages(&api, &path, most(&args), |page: JournalPage| (page.events, page.next)).await?;
    let now = now_ms();
    let document = json!({ "target": target, "events": found.rows });
    output::rows(args.common.output, &document, &found.rows, &JOURNAL_HEAD, |event| {
        if args.common.output == Format::Name { vec![event_name(target, event)] } else { journal_cells(event, now) }
    })?;
    tell_of_more(&args, found.more);
    Ok(())
}

/// Returns an event's name: what `retry` and `drop` take.
fn event_name(target: &TargetId, event: &JournalEvent) -> String {
    Letter { target: target.clone(), kind: LetterKind::Event, seq: event.seq }.to_string()
}

fn journal_cells(event: &JournalEvent, now: u64) -> Vec<String> {
    vec![
        event.seq.to_string(),
        event.state.clone(),
        event.kind.clone(),
        event.id.clone(),
        event.attempts.to_string(),
        ago(now.saturating_sub(event.at_ms)),
        event.reason.clone().unwrap_or_default(),
    ]
}

fn most(args: &List) -> usize {
    usize::try_from(args.limit).unwrap_or(usize::MAX)
}

fn tell_of_more(args: &List, more: bool) {
    if more && args.common.output == Format::Table {
        eprintln!("there are more; raise --limit");
    }
}

async fn decide(args: Decide, verb: shared::wire::data::Verb) -> Result<(), Failure> {
    let Letter { target, kind, seq } = &args.letter;
    let path = format!("/v1/dead-letters/{target}/{}/{seq}/{}", kind.plural(), verb.word());
    let decided: Decided = args.common.api()?.post(&path, &json!({ "reason": args.reason })).await?;
    match args.common.output {
        Format::Json => output::print(&output::json(&decided)),
        Format::Jsonl => output::rows(Format::Jsonl, &(), &[decided], &[], |_| Vec::new()),
        Format::Name => output::print(&format!("{}\n", args.letter)),
        Format::Table => {
            let note = if decided.note.is_empty() { String::new() } else { format!(": {}", decided.note) };
            output::print(&output::plain(&format!("{} is {}{note}", args.letter, decided.state)))?;
            output::print("\n")
        }
    }
}

#[cfg(test)]
mod tests;
