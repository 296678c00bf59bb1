//! `berth target erase`: asks twice, since nothing brings back what it takes.

use super::Common;
use crate::{
    exit::{Code, Failure},
    output::{self, Format},
};
use serde_json::json;
use shared::{TargetId, wire::data::Erased};
use std::{io::IsTerminal, io::Write, time::Duration};

/// How long to wait for the end of an erasure; it goes on without being waited for.
const PATIENCE: Duration = Duration::from_secs(180);

/// Flags of `berth target erase`.
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Deletes everything that a target has on its pod: state, journal, calls, timers, own tables. Nothing brings it back.\nExample:\n  berth target export discord:guild:123 --file guild-123.jsonl\n  berth target erase discord:guild:123 --reason 'guild asked for it'",
    after_help = "Events that come meanwhile are parked. Afterwards the target begins anew, empty; an event sent again is applied anew, too."
)]
pub(crate) struct Erase {
    /// The target, `platform:kind:id`
    #[arg(value_name = "TARGET")]
    target: TargetId,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// The target's name once more, instead of typing it when asked
    #[arg(long, value_name = "TARGET")]
    yes: Option<String>,
    /// What all verbs have.
    #[command(flatten)]
    common: Common,
}

/// Does it.
pub(super) async fn run(args: Erase) -> Result<(), Failure> {
    let Erase { target, reason, yes, common } = args;
    let typed = match yes {
        Some(name) => name,
        None => ask(&target)?,
    };
    if typed.trim() != target.as_str() {
        return Err(Failure::new(Code::Refused, format!("that is not {target}; nothing was erased")));
    }
    let api = common.api()?.patient(PATIENCE);
    let body = json!({ "reason": reason, "confirm": target });
    let erased: Erased = api.post(&format!("/v1/targets/{target}/erase"), &body).await?;
    match common.output {
        Format::Json => output::print(&output::json(&erased))?,
        Format::Jsonl => output::rows(Format::Jsonl, &(), std::slice::from_ref(&erased), &[], |_| Vec::new())?,
        Format::Name => output::print(&format!("{target}\n"))?,
        Format::Table => output::print(&sheet(&erased))?,
    }
    if erased.done {
        return Ok(());
    }
    let text =
        format!("{target} is still being erased; it goes on by itself, also through a restart of {}", erased.pod);
    Err(Failure::new(Code::StillRunning, text))
}

fn ask(target: &TargetId) -> Result<String, Failure> {
    if !std::io::stdin().is_terminal() {
        let text = format!("this deletes everything of {target} for good; confirm with --yes {target}");
        return Err(Failure::new(Code::Refused, text));
    }
    eprint!("This deletes everything of {target} for good. Type its name to go on: ");
    let mut typed = String::new();
    std::io::stderr()
        .flush()
        .and_then(|()| std::io::stdin().read_line(&mut typed))
        .map_err(|why| Failure::error(format!("cannot read the answer: {why}")))?;
    Ok(typed)
}

fn sheet(erased: &Erased) -> String {
    let mut table = output::Table::new(&["TABLE", "ROWS"]);
    for (name, rows) in &erased.rows {
        table.row([name.clone(), rows.to_string()]);
    }
    let mut text = table.render();
    text.push_str("\nWhat remains:\n");
    for remains in &erased.remains {
        text.push_str(&format!("  - {}\n", output::plain(remains)));
    }
    text
}
