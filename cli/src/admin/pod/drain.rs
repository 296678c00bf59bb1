//! `berth pod drain`, `undrain`, `cordon` and `uncordon`: what operators say of a pod, and watching a drain to its end. The
//! drain is the leader's: whoever stops watching stops nothing.

use super::{
    super::{because::Because, moves::LOOK},
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
use std::{io::IsTerminal, time::Duration};
use tokio::time::Instant;

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
    #[arg(long, default_value = "10m", value_parser = shared::settings::duration, value_name = "TIME")]
    wait_timeout: Duration,
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
    let (deadline, mut said) = (Instant::now() + args.wait_timeout, None);
    loop {
        let status: Result<PodStatus, Failure> = api.get(&path).await;
        match status {
            Ok(status) if status.state == PodState::Drained => {
                return output::print(&format!("{} is drained: it is safe to remove\n", done.pod));
            }
            Ok(status) if status.drain.is_none() => {
                return Err(Failure::new(Code::Conflict, format!("the drain of {} was ended by somebody", done.pod)));
            }
            Ok(status) => tell(&status, &mut said),
            // Another leads in a moment.
            Err(why) if why.code == Code::Unreachable => {}
            Err(why) => return Err(why),
        }
        if Instant::now() >= deadline {
            let text = format!("{} is still being drained; it goes on: berth pod get {}", done.pod, done.pod);
            return Err(Failure::new(Code::StillRunning, text));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Tells how far it is, when that has changed; to people only.
fn tell(status: &PodStatus, said: &mut Option<String>) {
    let line = progress(status);
    if said.as_ref() != Some(&line) && std::io::stderr().is_terminal() {
        eprintln!("{line}");
    }
    *said = Some(line);
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
