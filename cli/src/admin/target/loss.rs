//! `berth target accept-data-loss`: a target whose data is gone for good begins empty.

use super::One;
use crate::{
    admin::because::Because,
    exit::Failure,
    output::{self, Format},
};
use shared::wire::admin::{AcceptDataLoss, TargetLossAccepted};

/// Flags of `berth target accept-data-loss`.
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Only when the copy that the target waits for is gone for good; `berth target get` says where it is.\nExample:\n  berth target accept-data-loss discord:guild:123 --reason 'that disk died, no copy'"
)]
pub(crate) struct Accept {
    /// Why.
    #[command(flatten)]
    because: Because,
    /// Which target.
    #[command(flatten)]
    one: One,
}

/// Does it.
pub(super) async fn run(args: Accept) -> Result<(), Failure> {
    let path = args.because.path(&format!("/v1/targets/{}/accept-data-loss", args.one.target));
    let body = AcceptDataLoss { reason: args.because.reason };
    let done: TargetLossAccepted = args.one.common.api()?.post(&path, &body).await?;
    match args.one.common.output {
        Format::Json => output::print(&output::json(&done)),
        Format::Jsonl => output::rows(Format::Jsonl, &(), &[done], &[], |_| Vec::new()),
        Format::Name => output::print(&format!("{}\n", done.target)),
        Format::Table => {
            let what = if done.dry_run { "would begin" } else { "begins" };
            output::print(&format!("{} {what} empty at {} (revision {})\n", done.target, done.pod, done.revision))
        }
    }
}
