//! `berth plan`: what would move and why, before it does; and carrying it out.

use super::{
    Api, Common,
    because::Because,
    moves::LOOK,
    now_ms,
    pages::pages,
    watching::{Seen, Watched, watch},
};
use crate::{
    exit::{Code, Failure},
    output::{self, Format, ago},
};
use shared::{
    PlanId, PodId, TargetId,
    wire::admin::{ApplyPlan, MakePlan, Plan, PlanHead, PlanKind, PlanList, PlanState, PlannedMove, Reason},
};
use std::time::Duration;

/// What to do with plans.
#[derive(Debug, clap::Subcommand)]
#[command(
    before_help = "Example:\n  berth plan rebalance --reason 'two new pods'\n  berth plan show 4711\n  berth plan apply 4711 --reason 'two new pods' --wait\nNothing moves before a plan is applied."
)]
pub(crate) enum Verb {
    /// Plan an even share for every pod
    Rebalance(Make),
    /// Plan to empty a pod
    Drain(Drain),
    /// Plan for another number of pods: those beyond it, the highest first, are drained
    Scale(Scale),
    /// Plan to put a part of the targets on the pods of track canary
    Canary(Canary),
    /// List plans, newest first
    List(List),
    /// Show a plan with its moves
    Show(One),
    /// Make the moves of a plan
    Apply(Apply),
    /// Call a plan off that is carried out: moves that have not frozen end
    Cancel(End),
    /// Throw a plan away that was not applied
    Discard(End),
}

/// Flags of verbs that make a plan.
#[derive(Debug, clap::Args)]
pub(crate) struct Make {
    /// Why.
    #[command(flatten)]
    because: Because,
    /// What all verbs have.
    #[command(flatten)]
    common: Common,
}

/// Flags of `berth plan drain`.
#[derive(Debug, clap::Args)]
pub(crate) struct Drain {
    /// The pod's name
    #[arg(value_name = "POD")]
    pod: PodId,
    /// The rest.
    #[command(flatten)]
    make: Make,
}

/// Flags of `berth plan scale`.
#[derive(Debug, clap::Args)]
pub(crate) struct Scale {
    /// The number of pods; those that are not there yet are planned for as ordinary ones
    #[arg(value_name = "PODS", value_parser = clap::value_parser!(u32).range(1..))]
    pods: u32,
    /// The rest.
    #[command(flatten)]
    make: Make,
}

/// Flags of `berth plan canary`.
#[derive(Debug, clap::Args)]
pub(crate) struct Canary {
    /// Who belongs to it.
    #[command(flatten)]
    members: Members,
    /// The rest.
    #[command(flatten)]
    make: Make,
}

/// Flags that say which targets belong to the canary.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
pub(super) struct Members {
    /// The share of all targets, like 10% or 0.1; a larger one than before only adds targets
    #[arg(long, value_name = "SHARE", value_parser = share)]
    share: Option<f64>,
    /// A target that belongs to it, whatever the share; may be given more than once
    #[arg(long = "target", value_name = "TARGET")]
    targets: Vec<TargetId>,
}

impl Members {
    /// Returns what is asked for with them.
    pub(super) fn make(self, reason: String) -> MakePlan {
        MakePlan { share: self.share, targets: self.targets, ..asks(PlanKind::Canary, reason) }
    }
}

/// Reads a share: a number from 0 to 1, or percent.
fn share(text: &str) -> Result<f64, String> {
    let (number, of) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 100.0));
    match number.trim().parse::<f64>() {
        Ok(number) if (0.0..=of).contains(&number) => Ok(number / of),
        _ => Err("a share is like 10% or 0.1, and at most all of them".to_owned()),
    }
}

/// Returns what asks for a plan, and nothing more than its kind.
fn asks(kind: PlanKind, reason: String) -> MakePlan {
    let (pod, target, pods, until_ms, share) = (None, None, None, None, None);
    MakePlan { kind, pod, target, pods, until_ms, share, targets: Vec::new(), reason }
}

/// Flags of verbs that have a plan carried out: whether its end is waited for.
#[derive(Debug, clap::Args)]
pub(super) struct Waiting {
    /// Wait for its end; Ctrl-C stops waiting, the plan goes on
    #[arg(long, conflicts_with = "dry_run")]
    wait: bool,
    /// How long to wait at most; the plan goes on
    #[arg(long, default_value = "1h", value_parser = shared::settings::duration, value_name = "TIME")]
    wait_timeout: Duration,
}

/// Flags of `berth plan list`.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// What all verbs have.
    #[command(flatten)]
    common: Common,
}

/// Flags of verbs on one plan.
#[derive(Debug, clap::Args)]
pub(crate) struct One {
    /// The plan's number
    #[arg(value_name = "PLAN")]
    id: PlanId,
    /// What all verbs have.
    #[command(flatten)]
    common: Common,
}

/// Flags of `berth plan apply`.
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Example:\n  berth plan apply 4711 --reason 'two new pods' --wait\nA plan that no longer fits is refused with what would differ; nothing moves then."
)]
pub(crate) struct Apply {
    /// The plan's revision as you have seen it; the one it has now when it is left out
    #[arg(long, value_name = "REVISION")]
    revision: Option<u64>,
    /// Whether to wait.
    #[command(flatten)]
    waiting: Waiting,
    /// Why.
    #[command(flatten)]
    because: Because,
    /// Which plan.
    #[command(flatten)]
    one: One,
}

/// Flags of `berth plan cancel` and `discard`.
#[derive(Debug, clap::Args)]
pub(crate) struct End {
    /// Why.
    #[command(flatten)]
    because: Because,
    /// Which plan.
    #[command(flatten)]
    one: One,
}

/// Does what the verb says.
pub(crate) async fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Rebalance(make) => plan(make, |reason| asks(PlanKind::Rebalance, reason)).await,
        Verb::Drain(Drain { pod, make }) => {
            plan(make, |reason| MakePlan { pod: Some(pod), ..asks(PlanKind::Drain, reason) }).await
        }
        Verb::Scale(Scale { pods, make }) => {
            plan(make, |reason| MakePlan { pods: Some(pods), ..asks(PlanKind::Scale, reason) }).await
        }
        Verb::Canary(Canary { members, make }) => plan(make, |reason| members.make(reason)).await,
        Verb::List(args) => list(args).await,
        Verb::Show(One { id, common }) => show(common.output, &find(&common.api()?, id).await?),
        Verb::Apply(args) => apply(args).await,
        Verb::Cancel(args) => end(args, PlanState::Applying).await,
        Verb::Discard(args) => end(args, PlanState::Proposed).await,
    }
}

async fn plan(make: Make, asks: impl FnOnce(String) -> MakePlan) -> Result<(), Failure> {
    let Make { because, common } = make;
    let path = because.path("/v1/plans");
    let made: Plan = common.api()?.post(&path, &asks(because.reason)).await?;
    show(common.output, &made)
}

/// Makes a plan and has it carried out; only shows it when that is all that is asked for.
pub(super) async fn at_once(
    common: &Common,
    because: Because,
    waiting: &Waiting,
    asks: impl FnOnce(String) -> MakePlan,
) -> Result<(), Failure> {
    let api = common.api()?;
    let made: Plan = api.post(&because.path("/v1/plans"), &asks(because.reason.clone())).await?;
    if because.dry_run {
        return show(common.output, &made);
    }
    carry_out(common, &api, (made.head.id, made.head.revision), because, waiting).await
}

async fn find(api: &Api, id: PlanId) -> Result<Plan, Failure> {
    api.get(&format!("/v1/plans/{id}")).await
}

async fn list(args: List) -> Result<(), Failure> {
    let most = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let found = pages(&args.common.api()?, "/v1/plans?", most, |list: PlanList| (list.plans, list.next)).await?;
    let now = now_ms();
    let document = PlanList { plans: found.rows, next: None };
    output::rows(args.common.output, &document, &document.plans, &HEAD, |head| cells(head, now))
}

async fn apply(args: Apply) -> Result<(), Failure> {
    let Apply { revision, waiting, because, one: One { id, common } } = args;
    let api = common.api()?;
    let revision = match revision {
        Some(revision) => shared::Revision(revision),
        None => find(&api, id).await?.head.revision,
    };
    carry_out(&common, &api, (id, revision), because, &waiting).await
}

async fn carry_out(
    common: &Common,
    api: &Api,
    (id, revision): (PlanId, shared::Revision),
    because: Because,
    waiting: &Waiting,
) -> Result<(), Failure> {
    let path = because.path(&format!("/v1/plans/{id}/apply"));
    let applied: PlanHead = api.post(&path, &ApplyPlan { revision, reason: because.reason }).await?;
    wait_for(common, &applied, waiting).await
}

/// Waits for the end of a plan that is carried out, if that is asked for, and shows it.
pub(super) async fn wait_for(common: &Common, applied: &PlanHead, waiting: &Waiting) -> Result<(), Failure> {
    let (api, id) = (common.api()?, applied.id);
    if !waiting.wait {
        return show_head(common.output, applied);
    }
    let watched = Watched {
        what: format!("plan {id}"),
        look: format!("berth plan show {id}"),
        end: format!("berth plan cancel {id} --reason …"),
    };
    let over = watch(&watched, LOOK, waiting.wait_timeout, async || {
        let head = find(&api, id).await?.head;
        Ok(if head.state.is_over() { Seen::Over(head) } else { Seen::On(Some(progress(&head))) })
    });
    let over = over.await?;
    show_head(common.output, &over)?;
    match over.state {
        PlanState::Done => Ok(()),
        state => {
            let why = over.detail.as_deref().unwrap_or("somebody called it off");
            Err(Failure::new(Code::Partial, format!("plan {id} is {}: {why}", state.as_str())))
        }
    }
}

async fn end(args: End, expected: PlanState) -> Result<(), Failure> {
    let End { because, one: One { id, common } } = args;
    let api = common.api()?;
    let state = find(&api, id).await?.head.state;
    if state != expected {
        let other = match state {
            PlanState::Proposed => "it was not applied; berth plan discard throws it away",
            PlanState::Applying => "it is carried out; berth plan cancel calls it off",
            _ => "there is nothing to end",
        };
        return Err(Failure::new(Code::Conflict, format!("plan {id} is {}: {other}", state.as_str())));
    }
    let path = because.path(&format!("/v1/plans/{id}/cancel"));
    let ended: PlanHead = api.post(&path, &Reason { reason: because.reason }).await?;
    show_head(common.output, &ended)
}

const HEAD: [&str; 8] = ["PLAN", "KIND", "STATE", "TARGETS", "MOVED", "LEFT", "ACTOR", "MADE"];

fn cells(head: &PlanHead, now: u64) -> Vec<String> {
    vec![
        head.id.to_string(),
        head.kind.as_str().to_owned(),
        head.state.as_str().to_owned(),
        head.cost.targets.to_string(),
        head.progress.moved.to_string(),
        head.progress.left.to_string(),
        head.actor.clone(),
        format!("{} ago", ago(now.saturating_sub(head.made_ms))),
    ]
}

/// Returns how far a plan is, as a sentence.
pub(super) fn progress(head: &PlanHead) -> String {
    let at = &head.progress;
    let mut text = format!("{} moved, {} moving, {} left", at.moved, at.in_flight, at.left);
    if at.aborted > 0 {
        text.push_str(&format!(", {} aborted and tried again", at.aborted));
    }
    if at.dropped > 0 {
        text.push_str(&format!(", {} not needed any more", at.dropped));
    }
    text
}

fn sheet(head: &PlanHead) -> String {
    let mut table = output::Table::new(&["plan", &head.id.to_string()]);
    let mut fact = |name: &str, value: String| table.row([name.to_owned(), value]);
    let subject = &head.subject;
    fact("kind", head.kind.as_str().to_owned());
    let pods = subject.pods.map(|pods| format!("{pods} pods"));
    let about = [subject.target.as_ref().map(ToString::to_string), subject.pod.as_ref().map(ToString::to_string), pods];
    let share = subject.share.map(|share| format!("{} % of the targets", share * 100.0));
    let named = (!subject.targets.is_empty()).then(|| format!("{} named targets", subject.targets.len()));
    let about: Vec<_> = about.into_iter().chain([share, named]).flatten().collect();
    if !about.is_empty() {
        fact("for", about.join(" "));
    }
    fact("state", head.state.as_str().to_owned());
    if let Some(why) = &head.detail {
        fact("why", output::plain(why));
    }
    fact("reason", format!("{}, by {}", output::plain(&head.reason), output::plain(&head.actor)));
    fact("revision", format!("{}, made from {}", head.revision, head.made_from));
    let cost = &head.cost;
    fact("moves", format!("{} targets, {} bytes, {} ms of pauses", cost.targets, cost.bytes, cost.pause_ms));
    if cost.bound > 0.0 {
        fact("moved ÷ bound", format!("{:.2}", cost.moved / cost.bound));
    }
    fact("skew", format!("{:.2} before, {:.2} after", cost.skew_before, cost.skew_after));
    if head.state != PlanState::Proposed && head.state != PlanState::Discarded {
        fact("progress", progress(head));
    }
    if let Some(verdict) = &head.verdict {
        let bound = verdict.moved_over_bound.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
        let (p50, p99, max) = (verdict.pause_p50_ms, verdict.pause_p99_ms, verdict.pause_max_ms);
        fact("verdict", format!("moved ÷ bound {bound}, skew {:.2}", verdict.skew));
        fact("pauses", format!("{p50} ms half of them, {p99} ms 99 of 100, {max} ms the longest"));
    }
    for pod in &head.drains {
        fact("drains", pod.to_string());
    }
    for warning in &head.warnings {
        fact("warning", output::plain(warning));
    }
    table.render()
}

fn show(format: Format, plan: &Plan) -> Result<(), Failure> {
    let now = now_ms();
    if format != Format::Table {
        return output::rows(format, plan, std::slice::from_ref(&plan.head), &HEAD, |head| cells(head, now));
    }
    output::print(&sheet(&plan.head))?;
    if plan.moves.is_empty() {
        return output::print("\nnothing is to move\n");
    }
    output::print("\n")?;
    output::rows(format, plan, &plan.moves, &["TARGET", "FROM", "TO", "REASON", "RANK"], |step: &PlannedMove| {
        let words = [step.target.to_string(), step.from.to_string(), step.to.to_string()];
        words.into_iter().chain([step.reason.clone(), step.rank.clone()]).collect()
    })
}

/// Prints a plan without its moves.
pub(super) fn show_head(format: Format, head: &PlanHead) -> Result<(), Failure> {
    let now = now_ms();
    match format {
        Format::Table => output::print(&sheet(head)),
        format => output::rows(format, head, std::slice::from_ref(head), &HEAD, |head| cells(head, now)),
    }
}
