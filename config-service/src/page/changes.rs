//! The newest changes of the assignment log, as a table.

use super::{
    Changes,
    target::{link, pod_link},
    words::{Foreign, ago, moment, things},
};
use crate::domain::Change;
use maud::{Markup, html};

/// Returns the section with the newest changes.
pub(super) fn changes(now_ms: u64, changes: &Changes) -> Markup {
    html! {
        section aria-labelledby="changes" {
            h2 #changes { "Last changes" }
            @match changes {
                Err(why) => p.empty { "They cannot be shown: " (why) "." },
                Ok(changes) if changes.is_empty() => p.empty { "Nothing has changed yet." },
                Ok(changes) => (table(now_ms, changes)),
            }
        }
    }
}

fn table(now_ms: u64, changes: &[Change]) -> Markup {
    html! {
        table.log role="table" {
            caption { "Changes of assignments and pods, the newest first" }
            thead role="rowgroup" {
                tr role="row" {
                    th.num role="columnheader" scope="col" { "Revision" }
                    th role="columnheader" scope="col" { "What" }
                    th role="columnheader" scope="col" { "When" }
                }
            }
            tbody role="rowgroup" {
                @for change in changes {
                    tr role="row" {
                        th.num role="rowheader" scope="row" { span.only-narrow { "Revision " } (change.revision()) }
                        td role="cell" data-label="What" { span { (what(change)) } }
                        td role="cell" data-label="When" { (when(now_ms, change)) }
                    }
                }
            }
        }
    }
}

fn what(change: &Change) -> Markup {
    html! {
        @match change {
            Change::Pod(record) if record.buried => { (pod_link(&record.info.pod)) " is dead: this life of it is over for good" }
            Change::Members { members, .. } => { "Witness config " (members.version) ": " (things(members.now.len() as u64, "pod")) }
            Change::Fencing { fencing, .. } => { (pod_link(&fencing.pod)) " is being fenced, lease " (fencing.lease_id) }
            Change::Settled { generation, .. } => { "It is known what every pod holds, generation " (generation) }
            Change::Pod(record) => { (pod_link(&record.info.pod)) " registered, lease " (record.lease_id) ", version " (Foreign(&record.version)) }
            Change::Assignment { assignment, from } => {
                (link(&assignment.target))
                @if let Some(from) = from { " from " (pod_link(from)) }
                " to " (pod_link(&assignment.pod)) ", " (Foreign(&assignment.reason))
            }
            Change::Move(entry) => {
                "move of " (link(&entry.target)) " from " (pod_link(&entry.from)) " to " (pod_link(&entry.to)) ": "
                (entry.state.as_str())
            }
            Change::Plan { head } => { "plan " (head.id) " to " (head.kind.as_str()) " is " (head.state.as_str()) }
            Change::Held { target, hold, .. } => {
                (link(target))
                @match &hold.pin {
                    Some(pin) => { " is pinned to " (pod_link(&pin.pod)) }
                    None => { " is pinned no more" }
                }
            }
            Change::Marked { pod, marks, .. } => { (pod_link(pod)) " is " (marks.word()) }
        }
    }
}

fn when(now_ms: u64, change: &Change) -> Markup {
    html! {
        @match change {
            Change::Assignment { assignment, .. } => {
                (moment(assignment.since_ms)) " " span.aside { (ago(now_ms, assignment.since_ms)) }
            }
            _ => span.aside { "not recorded" },
        }
    }
}
