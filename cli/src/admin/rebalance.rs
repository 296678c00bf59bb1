//! `berth rebalance`: what the leader moves by itself for an even share, and pausing that.

use super::{Common, plan::progress};
use crate::{
    exit::Failure,
    output::{self, Format, ago},
};
use shared::wire::admin::{RebalanceStatus, SetSetting, SettingChanged};

/// What to do with it.
#[derive(Debug, clap::Subcommand)]
#[command(before_help = "Example:\n  berth rebalance status\n  berth rebalance pause --reason 'big event tonight'")]
pub(crate) enum Verb {
    /// Say what the leader does for an even share, and why it does not
    Status(Status),
    /// Have it move nothing by itself; plans, drains and failovers go on
    Pause(Switch),
    /// Have it look again
    Resume(Switch),
}

/// Flags of `berth rebalance status`.
#[derive(Debug, clap::Args)]
pub(crate) struct Status {
    /// What all verbs have.
    #[command(flatten)]
    common: Common,
}

/// Flags of `berth rebalance pause` and `resume`.
#[derive(Debug, clap::Args)]
pub(crate) struct Switch {
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// What all verbs have.
    #[command(flatten)]
    common: Common,
}

/// Does what the verb says.
pub(crate) async fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Status(Status { common }) => {
            let status: RebalanceStatus = common.api()?.get("/v1/rebalance").await?;
            match common.output {
                Format::Table => output::print(&sheet(&status)),
                Format::Jsonl => output::rows(Format::Jsonl, &(), &[status], &[], |_| Vec::new()),
                Format::Json | Format::Name => output::print(&output::json(&status)),
            }
        }
        Verb::Pause(args) => switch(args, true).await,
        Verb::Resume(args) => switch(args, false).await,
    }
}

async fn switch(args: Switch, paused: bool) -> Result<(), Failure> {
    let body = SetSetting { value: paused.into(), reason: args.reason };
    let done: SettingChanged = args.common.api()?.put("/v1/settings/rebalance-paused", &body).await?;
    match args.common.output {
        Format::Table | Format::Name => {
            let what = if paused { "nothing moves by itself for an even share" } else { "it looks again" };
            output::print(&format!("{what} (revision {})\n", done.revision))
        }
        Format::Jsonl => output::rows(Format::Jsonl, &(), &[done], &[], |_| Vec::new()),
        Format::Json => output::print(&output::json(&done)),
    }
}

fn sheet(status: &RebalanceStatus) -> String {
    let mut table = output::Table::new(&["rebalance", if status.active { "on" } else { "waits" }]);
    let mut fact = |name: &str, value: String| table.row([name.to_owned(), value]);
    if let Some(why) = &status.why_not {
        fact("why not", output::plain(why));
    }
    fact("interval", if status.interval_ms == 0 { "never".to_owned() } else { ago(status.interval_ms) });
    if let Some(next) = status.next_ms {
        fact("next look", format!("in {}", ago(next)));
    }
    fact("looks", format!("{} since this leader took over", status.rounds));
    if let Some(last) = &status.last {
        let plan = last.plan.map_or_else(|| "nothing to move".to_owned(), |id| format!("plan {id}"));
        fact("last look", format!("{plan}, {} targets, skew {:.2}", last.targets, last.skew));
        for note in &last.notes {
            fact("note", output::plain(note));
        }
    }
    for head in &status.running {
        fact("carried out", format!("plan {}: {}", head.id, progress(head)));
    }
    table.render()
}
