//! What moves and why, before it does: plans, the canary, the look for an even share, and the autoscaler, as they stand. It
//! changes nothing: what can be done is a link to a page that asks, and a line of `berth`.

use super::{
    Frame,
    deed::ways,
    target::{facts, link, pod_link},
    words::{Foreign, ago, count, moment, span, things},
};
use maud::{Markup, html};
use shared::wire::admin::{
    AutoscalerStatus, CanaryState, CanaryStatus, Plan, PlanHead, PlanState, RebalanceStatus, TrackStatus,
};

/// Most moves of a plan that are shown.
const MOST: usize = 500;

/// What the page of plans shows.
#[derive(Debug, Clone)]
pub(crate) struct PlansFacts {
    /// The canary.
    pub(crate) canary: CanaryStatus,
    /// The look for an even share.
    pub(crate) rebalance: RebalanceStatus,
    /// Whether somebody has paused it.
    pub(crate) paused: bool,
    /// The autoscaler; none while it does not say.
    pub(crate) autoscaler: Option<AutoscalerStatus>,
    /// Plans, the newest first; or why they cannot be shown.
    pub(crate) plans: Result<Vec<PlanHead>, String>,
}

/// Returns the page of plans.
pub(crate) fn plans(frame: &Frame, known: &PlansFacts) -> Markup {
    let main = html! {
        h1 { "What moves, and why" }
        (even(&known.rebalance))
        (ways("rebalance", &"all", &[if known.paused { ("resume", "Resume it") } else { ("pause", "Pause it") }]))
        section aria-labelledby="plans" {
            h2 #plans { "Plans" }
            @match &known.plans {
                Ok(plans) if plans.is_empty() => p.empty { "None yet. Make one with " code { "berth plan rebalance" } "; nothing moves by that." },
                Ok(plans) => (table(frame.now_ms, plans)),
                Err(why) => p.empty { "They cannot be shown: " (Foreign(why)) "." },
            }
        }
        (canary(&known.canary))
        @if let Some(autoscaler) = &known.autoscaler { (scaling(frame.now_ms, autoscaler)) }
    };
    frame.document("Plans", "As the leader knew it at", &main)
}

fn even(status: &RebalanceStatus) -> Markup {
    let next = status.next_ms.map(|ms| format!(" It looks again in {}.", span(ms))).unwrap_or_default();
    html! {
        p.lead {
            @match &status.why_not {
                Some(why) => { "Nothing moves by itself for an even share: " (Foreign(why)) "." },
                None => { "The leader looks every " (span(status.interval_ms)) " whether every pod has its share." (next) },
            }
        }
        @if let Some(last) = &status.last {
            p {
                "Its last look came to " @match last.plan { Some(id) => a href={ "/plans/" (id) } { "plan " (id) }, None => "nothing to move" }
                ", skew " (format!("{:.2}", last.skew)) "."
                @for note in &last.notes { " " (Foreign(note)) "." }
            }
        }
    }
}

fn row(head: &[&str]) -> Markup {
    html! {
        thead role="rowgroup" { tr role="row" { @for head in head { th role="columnheader" scope="col" { (head) } } } }
    }
}

fn table(now_ms: u64, plans: &[PlanHead]) -> Markup {
    html! {
        table.log role="table" {
            caption { "Plans, the newest first" }
            (row(&["Plan", "State", "Progress", "Who and why", "Made"]))
            tbody role="rowgroup" {
                @for head in plans {
                    tr role="row" {
                        th role="rowheader" scope="row" { a href={ "/plans/" (head.id) } { (head.kind.as_str()) " " (head.id) } }
                        td role="cell" data-label="State" { (head.state.as_str()) }
                        td role="cell" data-label="Progress" { (progress(head)) }
                        td role="cell" data-label="Who and why" { (Foreign(&head.actor)) ": " (Foreign(&head.reason)) }
                        td role="cell" data-label="Made" { (moment(head.made_ms)) " " span.aside { (ago(now_ms, head.made_ms)) } }
                    }
                }
            }
        }
    }
}

fn progress(head: &PlanHead) -> String {
    let at = &head.progress;
    let mut text = format!("{} of {} moved", count(at.moved), count(head.cost.targets));
    if at.in_flight > 0 {
        text.push_str(&format!(", {} moving", count(at.in_flight)));
    }
    if at.aborted > 0 {
        text.push_str(&format!(", {} aborted and tried again", count(at.aborted)));
    }
    if at.dropped > 0 {
        text.push_str(&format!(", {} not needed any more", count(at.dropped)));
    }
    text
}

/// Returns the page of a plan.
pub(crate) fn plan(frame: &Frame, plan: &Plan) -> Markup {
    let (head, id) = (&plan.head, plan.head.id);
    let title = format!("{} plan {id}", head.kind.as_str());
    let cost = &head.cost;
    let bound = if cost.bound > 0.0 { format!("{:.2}", cost.moved / cost.bound) } else { "nothing has to".to_owned() };
    let mut rows = vec![
        ("Reason", html! { (Foreign(&head.reason)) ", by " (Foreign(&head.actor)) }),
        ("Progress", html! { (progress(head)) }),
        (
            "Moves",
            html! { (things(cost.targets, "target")) ", " (super::words::size(cost.bytes)) ", pauses of " (span(cost.pause_ms)) " together" },
        ),
        ("Moved ÷ bound", html! { (bound) }),
        ("Skew", html! { (format!("{:.2} before, {:.2} after", cost.skew_before, cost.skew_after)) }),
        ("Revision", html! { (head.revision) ", made from " (head.made_from) }),
    ];
    if let Some(verdict) = &head.verdict {
        rows.push(("Pauses", html! {
            (verdict.pause_p50_ms) " ms half of them, " (verdict.pause_p99_ms) " ms 99 of 100, " (verdict.pause_max_ms) " ms the longest"
        }));
    }
    let main = html! {
        h1 { (title) }
        p.lead { "It is " (head.state.as_str()) @if let Some(why) = &head.detail { ": " (Foreign(why)) } "." }
        @for pod in &head.drains { p { (pod_link(pod)) " is drained by it." } }
        @for warning in &head.warnings { p { (Foreign(warning)) "." } }
        @match head.state {
            PlanState::Proposed => {
                p { "Nothing has moved. To have it done, or to throw it away:" }
                (ways("plan", &id, &[("apply", "Apply"), ("discard", "Discard")]))
                p { code { "berth plan apply " (id) " --revision " (head.revision) " --reason … --wait" } }
                p { code { "berth plan discard " (id) " --reason …" } }
            },
            PlanState::Applying => {
                (ways("plan", &id, &[("cancel", "Call it off")]))
                p { "From a shell: " code { "berth plan cancel " (id) " --reason …" } }
            },
            _ => {},
        }
        section aria-labelledby="facts" { h2 #facts { "What is known" } (facts(&rows)) }
        section aria-labelledby="moves" {
            h2 #moves { "Its moves" }
            @if plan.moves.is_empty() { p.empty { "Nothing is to move." } } @else { (steps(plan)) }
        }
    };
    frame.document(&title, "As the leader knew it at", &main)
}

fn steps(plan: &Plan) -> Markup {
    html! {
        table.log role="table" {
            caption {
                (things(plan.moves.len() as u64, "move")) ", in the order in which they are made"
                @if plan.moves.len() > MOST { ", the first " (MOST) " of them" }
            }
            (row(&["Target", "From", "To", "Why"]))
            tbody role="rowgroup" {
                @for step in plan.moves.iter().take(MOST) {
                    tr role="row" {
                        th role="rowheader" scope="row" { (link(&step.target)) }
                        td role="cell" data-label="From" { (pod_link(&step.from)) }
                        td role="cell" data-label="To" { (pod_link(&step.to)) }
                        td role="cell" data-label="Why" { (Foreign(&step.reason)) " " span.aside { (Foreign(&step.rank)) } }
                    }
                }
            }
        }
    }
}

fn canary(status: &CanaryStatus) -> Markup {
    let pods = status.tracks.iter().any(|track| track.track != Default::default() && !track.pods.is_empty());
    if status.state == CanaryState::None && !pods {
        return html! {};
    }
    html! {
        section aria-labelledby="canary" {
            h2 #canary { "Canary" }
            p {
                @match status.state {
                    CanaryState::None => "None is under way; pods of track canary have no targets.",
                    CanaryState::Running => {
                        (format!("{:.1} % of the targets", status.share * 100.0)) ", and " (things(status.named, "named one")) ", are tried on the pods of track canary."
                    },
                    CanaryState::Promoted => "It was promoted: its pods count as all others.",
                    CanaryState::Aborted => "It was aborted: pods of track canary have no targets.",
                }
                @if let (Some(actor), Some(reason)) = (&status.actor, &status.reason) { " " (Foreign(actor)) ": " (Foreign(reason)) "." }
            }
            @for warning in &status.warnings { p { (Foreign(warning)) "." } }
            (tracks(status))
        }
    }
}

fn tracks(status: &CanaryStatus) -> Markup {
    let ms = |ms: Option<f64>| ms.map_or_else(|| "none yet".to_owned(), |ms| format!("≤ {ms} ms"));
    let errors = |track: &TrackStatus| match track.error_rate {
        Some(rate) => format!("{} ({:.2} %)", count(track.errors), rate * 100.0),
        None => count(track.errors),
    };
    html! {
        table.log role="table" {
            caption { "Both tracks, over the last " (span(status.window_ms)) " at most" }
            (row(&["Track", "Pods", "Targets", "Events", "Errors", "Half of the answers", "99 of 100", "Versions"]))
            tbody role="rowgroup" {
                @for track in &status.tracks {
                    tr role="row" {
                        th role="rowheader" scope="row" { (track.track) }
                        td role="cell" data-label="Pods" { (track.pods.len()) }
                        td role="cell" data-label="Targets" { (count(track.targets)) }
                        td role="cell" data-label="Events" { (count(track.events)) }
                        td role="cell" data-label="Errors" { (errors(track)) }
                        td role="cell" data-label="Half of the answers" { (ms(track.p50_ms)) }
                        td role="cell" data-label="99 of 100" { (ms(track.p99_ms)) }
                        td role="cell" data-label="Versions" { (Foreign(&track.versions.join(" "))) }
                    }
                }
            }
        }
    }
}

fn scaling(now_ms: u64, status: &AutoscalerStatus) -> Markup {
    let number = |n: Option<u32>| n.map_or_else(|| "not known".to_owned(), |n| n.to_string());
    let mut rows = vec![
        ("Mode", html! { (Foreign(&status.mode)) ", " (status.min) " to " (status.max) " pods" }),
        ("Pods", html! { (number(status.replicas)) " meant to run, " (status.ready) " ready" }),
        ("Wanted", html! { (number(status.desired)) ": " (Foreign(&status.why)) }),
    ];
    for held in &status.why_not {
        rows.push(("Why not", html! { (Foreign(&held.detail)) }));
    }
    if let Some(order) = &status.order {
        rows.push(("Under way", html! {
            "from " (order.from) " to " (order.to) ", for " (Foreign(&order.actor)) ": " (Foreign(&order.reason)) "; " (Foreign(&order.waiting))
        }));
    }
    for used in &status.dimensions {
        let ratio =
            used.ratio.map_or_else(|| "not known".to_owned(), |ratio| format!("{:.0} % of the goal", ratio * 100.0));
        rows.push(("Used", html! { (Foreign(&used.name)) ": " (ratio) }));
    }
    if let Some(last) = status.decisions.first() {
        rows.push((
            "Last decided",
            html! { (moment(last.at_ms)) " " span.aside { (ago(now_ms, last.at_ms)) } ": " (Foreign(&last.why)) },
        ));
    }
    html! {
        section aria-labelledby="autoscaler" {
            h2 #autoscaler { "Autoscaler" }
            (facts(&rows))
        }
    }
}
