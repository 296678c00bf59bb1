//! What people did last, out of the audit: who, what, to what, and in whose words why.

use super::{
    Actions,
    words::{Foreign, ago, moment},
};
use maud::{Markup, html};
use shared::wire::admin::Event;

/// Returns the section with what was done last; nothing when nobody did anything.
pub(super) fn actions(now_ms: u64, actions: &Actions) -> Markup {
    html! {
        @match actions {
            Ok(events) if events.is_empty() => {}
            Ok(events) => section aria-labelledby="actions" { h2 #actions { "What people did" } (table(now_ms, events)) },
            Err(why) => section aria-labelledby="actions" {
                h2 #actions { "What people did" }
                p.empty { "It cannot be shown: " (why) "." }
            },
        }
    }
}

fn table(now_ms: u64, events: &[Event]) -> Markup {
    html! {
        table.log role="table" {
            caption { "Actions through the API, the newest first" }
            thead role="rowgroup" {
                tr role="row" {
                    @for head in ["Who", "What", "When"] { th role="columnheader" scope="col" { (head) } }
                }
            }
            tbody role="rowgroup" {
                @for event in events {
                    tr role="row" {
                        th role="rowheader" scope="row" { (Foreign(&event.actor)) }
                        td role="cell" data-label="What" {
                            (Foreign(&event.action)) " " (Foreign(&event.subject)) @if !event.reason.is_empty() { ": " (Foreign(&event.reason)) }
                        }
                        td role="cell" data-label="When" { (moment(event.at_ms)) " " span.aside { (ago(now_ms, event.at_ms)) } }
                    }
                }
            }
        }
    }
}
