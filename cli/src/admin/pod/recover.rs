//! `berth pod recover`: what a dead pod had is restored from its replica.

use super::{One, unknown};
use crate::{
    admin::because::Because,
    exit::Failure,
    output::{self, Format},
};
use shared::wire::admin::{PodRecovery, RecoverPod};

/// Flags of `berth pod recover`.
#[derive(Debug, clap::Args)]
#[command(
    before_help = "What the setting `restore` does by itself: this is for `by-hand`, and after an attempt that came to nothing.\nExample:\n  berth pod recover gateway-1 --dry-run --reason 'its disk is gone'"
)]
pub(crate) struct Recover {
    /// Why.
    #[command(flatten)]
    because: Because,
    /// Which pod.
    #[command(flatten)]
    one: One,
}

/// Does it.
pub(super) async fn run(args: Recover) -> Result<(), Failure> {
    let pod = &args.one.pod;
    let path = args.because.path(&format!("/v1/pods/{pod}/recover"));
    let word = RecoverPod { reason: args.because.reason };
    let done: PodRecovery = args.one.common.api()?.post(&path, &word).await.map_err(|why| unknown(why, pod))?;
    match args.one.common.output {
        Format::Json => output::print(&output::json(&done)),
        Format::Jsonl => output::rows(Format::Jsonl, &(), &[done], &[], |_| Vec::new()),
        Format::Name => output::print(&format!("{}\n", done.pod)),
        Format::Table => output::print(&told(&done)),
    }
}

/// Says it in lines.
fn told(done: &PodRecovery) -> String {
    let what = if done.dry_run { "would be restored" } else { "are being restored" };
    let mut text = format!("{} targets of {} {what} (revision {})\n", done.targets, done.pod, done.revision);
    for heir in &done.heirs {
        text.push_str(&format!("  {} of them by {}\n", heir.targets, heir.pod));
    }
    if done.unable > 0 {
        text.push_str(&format!("  {} wait at pods that cannot: no replica, or another place for it\n", done.unable));
    }
    text
}
