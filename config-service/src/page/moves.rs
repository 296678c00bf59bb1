//! Moves of targets between pods: those under way, or those of one target.

use super::{
    Moves,
    deed::ways,
    target::{link, pod_link},
    words::{Foreign, ago, count, moment, span},
};
use maud::{Markup, html};
use shared::wire::admin::Drain;
use shared::wire::handoff::{Move, MoveState};

/// Returns the section with moves under a heading; nothing when there are none.
pub(super) fn moves(now_ms: u64, moves: &Moves, heading: &str) -> Markup {
    html! {
        @match moves {
            Ok(moves) if moves.is_empty() => {}
            Ok(moves) => section aria-labelledby="moves" { h2 #moves { (heading) } (table(now_ms, moves)) },
            Err(why) => section aria-labelledby="moves" {
                h2 #moves { (heading) }
                p.empty { "They cannot be shown: " (Foreign(why)) "." }
            },
        }
    }
}

fn table(now_ms: u64, moves: &[Move]) -> Markup {
    html! {
        table.log role="table" {
            caption { "Moves, the newest first" }
            thead role="rowgroup" {
                tr role="row" {
                    @for head in ["Target", "Way", "State", "Pause", "Began"] { th role="columnheader" scope="col" { (head) } }
                }
            }
            tbody role="rowgroup" {
                @for entry in moves {
                    tr role="row" {
                        th role="rowheader" scope="row" { (link(&entry.target)) }
                        td role="cell" data-label="Way" { (pod_link(&entry.from)) " to " (pod_link(&entry.to)) ", " (Foreign(&entry.reason)) }
                        td role="cell" data-label="State" {
                            (entry.state.as_str()) @if let Some(why) = &entry.detail { ": " (Foreign(why)) }
                            @if matches!(entry.state, MoveState::Copying | MoveState::Frozen) { (ways("move", &entry.id, &[("cancel", "Call it off")])) }
                        }
                        td role="cell" data-label="Pause" { @match entry.pause_ms { Some(ms) => (span(ms)), None => span.aside { "none yet" } } }
                        td role="cell" data-label="Began" { (moment(entry.started_ms)) " " span.aside { (ago(now_ms, entry.started_ms)) } }
                    }
                }
            }
        }
    }
}

/// Returns how far the drain of a pod is, as a sentence.
pub(super) fn drain(drain: &Drain) -> Markup {
    html! {
        p {
            "It is being drained: " (count(drain.left)) " targets left, " (count(drain.in_flight)) " moving, "
            (count(drain.moved)) " moved"
            @if drain.aborted > 0 { ", " (count(drain.aborted)) " aborted and tried again" }
            @if let Some(eta) = drain.eta_ms { ", " (format!("{:.0}", drain.per_second)) " a second, " (span(eta)) " to go" }
            "."
            @if let Some(why) = &drain.waiting { " Nothing more begins: " (Foreign(why)) "." }
        }
    }
}
