//! `berth target pin` and `unpin`: a target stays on a pod, whatever the load.

use super::One;
use crate::{
    admin::{because::Because, now_ms, plan::show_head},
    exit::Failure,
    output::{self, Format},
};
use shared::{
    PodId,
    wire::admin::{PinTarget, PlanHead, Reason, Unpinned},
};
use std::time::Duration;

/// Flags of `berth target pin`.
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Example:\n  berth target pin discord:guild:123 --to gateway-1 --for 8h --reason 'event tonight'\nIt goes there now, and neither load nor other plans move it; a drain or a death of that pod does."
)]
pub(crate) struct Pin {
    /// The pod
    #[arg(long, value_name = "POD")]
    to: PodId,
    /// For how long; for ever when it is left out
    #[arg(long = "for", value_parser = shared::settings::duration, value_name = "TIME")]
    lasts: Option<Duration>,
    /// The rest.
    #[command(flatten)]
    unpin: Unpin,
}

/// Flags of `berth target unpin`.
#[derive(Debug, clap::Args)]
pub(crate) struct Unpin {
    /// Why.
    #[command(flatten)]
    because: Because,
    /// Which target.
    #[command(flatten)]
    one: One,
}

/// Pins a target.
pub(super) async fn pin(args: Pin) -> Result<(), Failure> {
    let Pin { to, lasts, unpin: Unpin { because, one } } = args;
    let path = because.path(&format!("/v1/targets/{}/pin", one.target));
    let until = |lasts: Duration| now_ms().saturating_add(u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX));
    let body = PinTarget { pod: to, until_ms: lasts.map(until), reason: because.reason };
    let plan: PlanHead = one.common.api()?.post(&path, &body).await?;
    show_head(one.common.output, &plan)
}

/// Ends a pin.
pub(super) async fn unpin(args: Unpin) -> Result<(), Failure> {
    let Unpin { because, one } = args;
    let path = because.path(&format!("/v1/targets/{}/unpin", one.target));
    let done: Unpinned = one.common.api()?.post(&path, &Reason { reason: because.reason }).await?;
    match one.common.output {
        Format::Json => output::print(&output::json(&done)),
        Format::Jsonl => output::rows(Format::Jsonl, &(), &[done], &[], |_| Vec::new()),
        Format::Name => output::print(&format!("{}\n", done.target)),
        Format::Table => {
            let would = if done.dry_run { " (nothing was changed)" } else { "" };
            output::print(&format!("{} is pinned no more, and stays where it is{would}\n", done.target))
        }
    }
}
