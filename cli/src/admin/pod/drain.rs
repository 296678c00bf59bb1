//! `berth pod drain`, `undrain`, `cordon` and `uncordon`: what operators say of a pod, and watching a drain to its end. The
//! drain is the leader's: whoever stops watching stops nothing.

use super::{
    super::{
        because::Because,
        moves::LOOK,
        watching::{Seen, Watched, watch},
    },
    One, unknown,
};
use crate::{
    exit::{Code, Failure},
    output::{self, Format, ago},
};
use shared::wire::{
    admin::{PodMarked, PodStatus, Reason},
    control::PodState,
};
use std::time::Duration;

/// Flags of `berth pod cordon`, `uncordon` and `undrain`.
#[derive(Debug, clap::Args)]
pub(crate) struct Mark {
    /// Why.
    #[command(flatten)]
    because: Because,
    /// Which pod.
    #[command(flatten)]
    one: One,
}

/// Flags of `berth pod drain`.
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Example:\n  berth pod drain gateway-2 --reason 'kernel update' --wait\nIt stands until `berth pod undrain`, also over restarts of the pod. In state drained the pod is safe to remove."
)]
pub(crate) struct Drain {
    /// Wait until nothing is left; Ctrl-C stops waiting, the drain goes on
    #[arg(long, conflicts_with = "dry_run")]
    wait: bool,
    /// How long to wait at most; the drain goes on
    #[arg(long, visible_alias = "wait-timeout", default_value = "10m", value_parser = shared::settings::duration, value_name = "TIME")]
    deadline: Duration,
    /// The rest.
    #[command(flatten)]
    mark: Mark,
}

/// Says something of a pod.
pub(super) async fn mark(args: Mark, what: &str) -> Result<(), Failure> {
    let done = say(&args, what).await?;
    show(&args, &done)
}

/// Drains a pod.
pub(super) async fn drain(args: Drain) -> Result<(), Failure> {
    let done = say(&args.mark, "drain").await?;
    if !args.wait {
        return show(&args.mark, &done);
    }
    let (api, path) = (args.mark.one.common.api()?, format!("/v1/pods/{}", args.mark.one.pod));
    let pod = &done.pod;
    let watched = Watched {
        what: format!("the drain of {pod}"),
        look: format!("berth pod get {pod}"),
        end: format!("berth pod undrain {pod} --reason …"),
    };
    let drained = watch(&watched, LOOK, args.deadline, async || {
        let status: PodStatus = api.get(&path).await?;
        match (status.state, &status.drain) {
            (PodState::Drained, _) => Ok(Seen::Over(())),
            (PodState::Dead, _) => {
                let text = format!(
                    "{pod} died while it was drained: what it had not given away yet waits for its data; keep its disk"
                );
                Err(Failure::new(Code::Conflict, text))
            }
            (_, None) => Err(Failure::new(Code::Conflict, format!("the drain of {pod} was ended by somebody"))),
            (_, Some(_)) => Ok(Seen::On(Some(progress(&status)))),
        }
    });
    drained.await?;
    output::print(&format!("{pod} is drained: it is safe to remove\n"))
}

/// Returns how far a drain is, as a sentence.
pub(super) fn progress(status: &PodStatus) -> String {
    let Some(drain) = &status.drain else { return String::new() };
    let mut text = format!("{} targets left, {} moving, {} moved", drain.left, drain.in_flight, drain.moved);
    if drain.aborted > 0 {
        text.push_str(&format!(", {} aborted and tried again", drain.aborted));
    }
    if let Some(eta) = drain.eta_ms {
        text.push_str(&format!(", {:.0}/s, {} to go", drain.per_second, ago(eta)));
    }
    if let Some(why) = &drain.waiting {
        text.push_str(&format!("; waits: {}", output::plain(why)));
    }
    text
}

async fn say(args: &Mark, what: &str) -> Result<PodMarked, Failure> {
    let path = args.because.path(&format!("/v1/pods/{}/{what}", args.one.pod));
    let body = Reason { reason: args.because.reason.clone() };
    args.one.common.api()?.post(&path, &body).await.map_err(|why| unknown(why, &args.one.pod))
}

fn show(args: &Mark, done: &PodMarked) -> Result<(), Failure> {
    match args.one.common.output {
        Format::Json => output::print(&output::json(done)),
        Format::Jsonl => output::rows(Format::Jsonl, &(), std::slice::from_ref(done), &[], |_| Vec::new()),
        Format::Name => output::print(&format!("{}\n", done.pod)),
        Format::Table => {
            let word = match (done.draining, done.cordoned) {
                (true, _) => "is being drained",
                (false, true) => "is cordoned",
                (false, false) => "takes targets",
            };
            let would = if done.dry_run { " (nothing was changed)" } else { "" };
            output::print(&format!("{} {word}, it owns {} targets{would}\n", done.pod, done.targets))
        }
    }
}
