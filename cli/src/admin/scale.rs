//! `berth scale`: how many pods there are, should be and will be. The order is the leader's: whoever stops watching stops
//! nothing.

use super::{
    Api, Common,
    because::Because,
    moves::LOOK,
    watching::{Seen, Watched, watch},
};
use crate::{
    exit::{Code, Failure},
    output::{self, Format, ago},
};
use shared::wire::admin::{AutoscalerStatus, ScaleOrdered, ScaleTo};
use std::time::Duration;

/// What to do.
#[derive(Debug, clap::Subcommand)]
#[command(before_help = "Example:\n  berth scale status\n  berth scale to 5 --reason 'a launch tonight' --wait")]
pub(crate) enum Verb {
    /// Say how many pods there are and should be, and why
    Status(Status),
    /// Have so many pods run
    To(To),
}

/// Flags of `berth scale status`.
#[derive(Debug, clap::Args)]
#[command(before_help = "Example:\n  berth scale status")]
pub(crate) struct Status {
    /// What all verbs have.
    #[command(flatten)]
    common: Common,
}

/// Flags of `berth scale to`.
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Example:\n  berth scale to 2 --reason 'a quiet month' --wait\nThose that go, the highest numbers, are drained before they are stopped. A later order replaces an earlier one."
)]
pub(crate) struct To {
    /// How many pods
    #[arg(value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    to: u32,
    /// Wait until it is done; Ctrl-C stops waiting, the order goes on
    #[arg(long, conflicts_with = "dry_run")]
    wait: bool,
    /// How long to wait at most; the order goes on
    #[arg(long, default_value = "30m", value_parser = shared::settings::duration, value_name = "TIME")]
    wait_timeout: Duration,
    /// Why.
    #[command(flatten)]
    because: Because,
    /// What all verbs have.
    #[command(flatten)]
    common: Common,
}

/// Asks and prints.
pub(crate) async fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Status(args) => status(&args).await,
        Verb::To(args) => to(&args).await,
    }
}

async fn status(args: &Status) -> Result<(), Failure> {
    let status = look(&args.common.api()?).await?;
    match args.common.output {
        Format::Json => output::print(&output::json(&status)),
        Format::Jsonl => output::rows(Format::Jsonl, &(), std::slice::from_ref(&status), &[], |_| Vec::new()),
        Format::Name => output::print(&format!("{}\n", shown(status.desired))),
        Format::Table => output::print(&text(&status, super::now_ms())),
    }
}

async fn look(api: &Api) -> Result<AutoscalerStatus, Failure> {
    api.get("/v1/autoscaler").await
}

fn shown(count: Option<u32>) -> String {
    count.map_or_else(|| "?".to_owned(), |count| count.to_string())
}

/// Everything an operator asks, as text.
fn text(status: &AutoscalerStatus, now_ms: u64) -> String {
    let mut text = String::new();
    let home = status.home.as_deref().unwrap_or("nothing that is known");
    let mut line = |left: &str, right: String| text.push_str(&format!("{left:<12}{}\n", output::plain(&right)));
    line(
        "pods",
        format!("{} meant to run, {} ready; {home} starts and stops them", shown(status.replicas), status.ready),
    );
    line("autoscaler", format!("{}, from {} to {} pods", status.mode, status.min, status.max));
    line("desired", format!("{}: {}", shown(status.desired), status.why));
    for why in &status.why_not {
        line("  but", why.detail.clone());
    }
    if let Some(order) = &status.order {
        let since = ago(now_ms.saturating_sub(order.begun_ms));
        line(
            "under way",
            format!("{} to {} pods, for {since}, by {}: {}", order.from, order.to, order.actor, order.reason),
        );
        line("  waits", order.waiting.clone());
    }
    for dimension in &status.dimensions {
        let ratio = dimension.ratio.map_or_else(|| "not known".to_owned(), |ratio| format!("{:.0} %", ratio * 100.0));
        line(&format!("  {}", dimension.name), format!("{ratio} of {} per pod", dimension.goal));
    }
    for pod in status.pods.iter().filter(|pod| pod.missing.is_some()) {
        line(&format!("  {}", pod.pod), pod.missing.clone().unwrap_or_default());
    }
    let counts = &status.statistics;
    let (ups, downs, failed) = (counts.total_scale_ups, counts.total_scale_downs, counts.failed_scale_ops);
    line(
        "so far",
        format!("{ups} up, {downs} down, {failed} failed, {:.0} s on average", counts.average_scale_duration),
    );
    if let Some(last) = &counts.last_scale_event {
        let ended = last.failure.as_ref().map_or_else(|| "done".to_owned(), |why| format!("failed: {why}"));
        let since = ago(now_ms.saturating_sub(last.ended_ms));
        line("last", format!("{} to {} pods, {since} ago, by {}: {ended}", last.from, last.to, last.actor));
    }
    text
}

async fn to(args: &To) -> Result<(), Failure> {
    let (api, reason) = (args.common.api()?, args.because.reason.clone());
    let done: ScaleOrdered = api.post(&args.because.path("/v1/scale"), &ScaleTo { to: args.to, reason }).await?;
    if args.wait {
        wait(&api, &done, args.wait_timeout).await?;
    }
    match args.common.output {
        Format::Json => output::print(&output::json(&done)),
        Format::Jsonl => output::rows(Format::Jsonl, &(), std::slice::from_ref(&done), &[], |_| Vec::new()),
        Format::Name => output::print(&format!("{}\n", done.to)),
        Format::Table => {
            let what = match (done.dry_run, args.wait) {
                (true, _) => "would go",
                (false, true) => "went",
                (false, false) => "goes",
            };
            let leaving: Vec<_> = done.leaving.iter().map(ToString::to_string).collect();
            let drained =
                if leaving.is_empty() { String::new() } else { format!(", {} drained first", leaving.join(", ")) };
            output::print(&format!("the cluster {what} from {} to {} pods{drained}\n", done.from, done.to))
        }
    }
}

/// Waits until the order is done; others may replace it meanwhile.
async fn wait(api: &Api, ordered: &ScaleOrdered, limit: Duration) -> Result<(), Failure> {
    let watched = Watched {
        what: format!("the order for {} pods", ordered.to),
        look: "berth scale status".to_owned(),
        end: format!("berth scale to {} --reason …", ordered.from),
    };
    let ended = watch(&watched, LOOK, limit, async || {
        let status = look(api).await?;
        match &status.order {
            Some(order) if order.to != ordered.to => {
                let text = format!("{} has ordered {} pods meanwhile", order.actor, order.to);
                Err(Failure::new(Code::Conflict, text))
            }
            Some(order) => Ok(Seen::On(Some(output::plain(&order.waiting)))),
            None => Ok(Seen::Over(status.statistics.last_scale_event.and_then(|last| last.failure))),
        }
    });
    ended.await?.map_or(Ok(()), |why| Err(Failure::error(why)))
}
