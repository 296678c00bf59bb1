//! `berth events`: the audit, who did what, when and why.

use super::{
    Api, Common, now_ms,
    pages::{pages, percent_encode},
};
use crate::{
    exit::Failure,
    output::{self, Format, ago},
};
use shared::wire::admin::{Event, EventList};
use std::time::Duration;

/// How often `--follow` asks.
const EVERY: Duration = Duration::from_secs(2);

/// Flags of `berth events`.
#[derive(Debug, clap::Args)]
#[command(before_help = "Example:\n  berth events --subject discord:guild:123")]
pub(crate) struct Args {
    /// Only this action, for example `erase-target`
    #[arg(long, value_name = "ACTION")]
    kind: Option<String>,
    /// Only what was done to this pod, target with its events and calls, token or setting
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
    /// Only what this one did
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// Go on with what is done from now on, oldest first, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// What all verbs have.
    #[command(flatten)]
    common: Common,
}

const HEAD: [&str; 6] = ["AGE", "ACTOR", "ACTION", "SUBJECT", "REASON", "REQUEST"];

/// Does it.
pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    let api = args.common.api()?;
    let most = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let mut found = pages(&api, &path(&args), most, |page: EventList| (page.events, page.next)).await?;
    if args.follow {
        found.rows.reverse();
        return follow(&api, &args, found.rows).await;
    }
    let now = now_ms();
    let document = EventList { events: found.rows, next: None };
    output::rows(args.common.output, &document, &document.events, &HEAD, |event| {
        cells(event, args.common.output, now)
    })?;
    if found.more && args.common.output == Format::Table {
        eprintln!("there are more; raise --limit");
    }
    Ok(())
}

fn path(args: &Args) -> String {
    let filters = [("kind", &args.kind), ("subject", &args.subject), ("actor", &args.actor)];
    let mut path = "/v1/events?".to_owned();
    for (name, value) in filters {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={}", percent_encode(value)));
        }
    }
    path
}

/// Returns the cells of an entry, or its id where only names are wanted.
fn cells(event: &Event, format: Format, now: u64) -> Vec<String> {
    if format == Format::Name {
        return vec![event.id.to_string()];
    }
    vec![
        ago(now.saturating_sub(event.at_ms)),
        event.actor.clone(),
        event.action.clone(),
        event.subject.clone(),
        event.reason.clone(),
        event.request_id.clone(),
    ]
}

/// Prints `begin`, and then whatever is done, as it is done. A list that never ends has a line an entry in every format.
async fn follow(api: &Api, args: &Args, begin: Vec<Event>) -> Result<(), Failure> {
    let format = match args.common.output {
        Format::Json => Format::Jsonl,
        other => other,
    };
    let mut last = begin.last().map_or(0, |event| event.id);
    let now = now_ms();
    output::rows(format, &(), &begin, &HEAD, |event| cells(event, format, now))?;
    loop {
        tokio::time::sleep(EVERY).await;
        let mut fresh = Vec::new();
        // Newest first: pages are read until what is known already.
        let mut cursor = String::new();
        loop {
            let page: EventList = api.get(&format!("{}&limit=100{cursor}", path(args))).await?;
            let known = page.events.iter().any(|event| event.id <= last);
            fresh.extend(page.events.into_iter().filter(|event| event.id > last));
            match page.next.filter(|_| !known) {
                Some(next) => cursor = format!("&cursor={}", percent_encode(&next)),
                None => break,
            }
        }
        fresh.reverse();
        last = fresh.last().map_or(last, |event| event.id);
        let now = now_ms();
        for event in &fresh {
            match format {
                Format::Table => output::print(&(output::plain(&cells(event, format, now).join("  ")) + "\n"))?,
                format => {
                    output::rows(format, &(), std::slice::from_ref(event), &HEAD, |event| cells(event, format, now))?
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
