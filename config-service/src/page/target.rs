//! Targets: lists of them, and one with its owner's word on it.

use super::{
    Frame, Listing, OwnerSays, Ownerships, TargetFacts,
    pod::{badge, state},
    words::{Foreign, ago, count, moment},
};
use maud::{Markup, html};
use shared::wire::{
    admin::Ownership,
    control::{Assignment, AssignmentState},
};

/// Returns why a target is where it is, as a sentence goes on.
pub(super) fn why(reason: &str) -> Markup {
    html! {
        @match reason {
            "first-contact" => "its first event came then, and the planner chose the pod with the most room",
            "never-begun" => "the pod it was given to died before it heard of it; it began there, empty",
            "data-loss-accepted" => "an operator accepted the loss of its pod’s data: it began anew, empty",
            "manual" => "an operator moved it there",
            "with-parent" => "its guild moved there",
            "drain" => "the pod it was at was drained",
            "canary" => "it moved to the pods of its track",
            "failover" => "the pod it was at is dead",
            "data-returned" => "the pod that has its data came back",
            "generation" => "a new generation of the cluster began, and this pod has its newest copy",
            other => (Foreign(other)),
        }
    }
}

/// Returns pairs of a name and a value.
pub(super) fn facts(rows: &[(&str, Markup)]) -> Markup {
    html! { dl { @for (name, value) in rows { div { dt { (name) } dd { (value) } } } } }
}

/// Returns a link to a target.
pub(super) fn link(target: &shared::TargetId) -> Markup {
    html! { a.name href={ "/targets/" (target) } { (target) } }
}

/// Returns the mark of a target whose owner does not have its data; nothing for any other.
fn mark(assignment: &Assignment) -> Markup {
    html! { @if assignment.state == AssignmentState::Quarantined { " " span.badge.bad { (assignment.word()) } } }
}

/// Returns where the data of a quarantined target is.
fn whereabouts(assignment: &Assignment) -> Markup {
    html! {
        @if assignment.state == AssignmentState::Quarantined {
            p {
                "It is not served: its owner does not have its data. "
                @match &assignment.data {
                    Some(data) if data.restoring => {
                        "That is being restored from the replica of " (pod_link(&data.pod)) ", incarnation " (data.incarnation)
                        ", epoch " (data.epoch) "."
                    }
                    Some(data) => {
                        "That is in the folder of " (pod_link(&data.pod)) ", incarnation " (data.incarnation) ", epoch " (data.epoch)
                        ". Start that pod with its own folder, and the target is given back."
                    }
                    None => "Nobody knows where that is.",
                }
                @if let Some(why) = assignment.data.as_ref().and_then(|data| data.trouble.as_deref()) {
                    " It could not be restored from the replica: " (super::words::Foreign(why)) "."
                }
            }
        }
    }
}

/// Returns a link to a pod.
pub(super) fn pod_link(pod: &shared::PodId) -> Markup {
    html! { a href={ "/pods/" (pod) } { (pod) } }
}

/// Returns a table of targets.
pub(super) fn table(now_ms: u64, targets: &[Assignment], caption: &str) -> Markup {
    html! {
        table role="table" {
            caption { (caption) }
            thead role="rowgroup" {
                tr role="row" {
                    @for head in ["Target", "Owner", "Since", "Why"] { th role="columnheader" scope="col" { (head) } }
                }
            }
            tbody role="rowgroup" {
                @for assignment in targets {
                    tr role="row" {
                        th role="rowheader" scope="row" { (link(&assignment.target)) }
                        td role="cell" data-label="Owner" { (pod_link(&assignment.pod)) (mark(assignment)) }
                        td role="cell" data-label="Since" { (moment(assignment.since_ms)) " " span.aside { (ago(now_ms, assignment.since_ms)) } }
                        td role="cell" data-label="Why" { (Foreign(&assignment.reason)) }
                    }
                }
            }
        }
    }
}

/// Returns one page of a list, with the way to the next. `path` ends where the cursor's parameter begins.
pub(super) fn listing(frame: &Frame, listing: &Listing, caption: &str, path: &str) -> Markup {
    html! {
        @if listing.targets.is_empty() {
            p.empty { @if listing.after.is_some() { "There are no more." } @else { "None yet. A target appears with its first event." } }
        } @else {
            (table(frame.now_ms, &listing.targets, caption))
        }
        @if listing.after.is_some() || listing.more {
            nav.pages aria-label={ "Pages of " (caption) } {
                @if listing.after.is_some() { a href=(path.trim_end_matches(['?', '&'])) { "From the beginning" } }
                @if let Some(last) = listing.targets.last().filter(|_| listing.more) {
                    a href={ (path) "after=" (last.target) } { "Next " (count(listing.targets.len() as u64)) }
                }
            }
        }
    }
}

/// Returns the page with all targets.
pub(crate) fn targets(frame: &Frame, page: &Listing) -> Markup {
    let (title, path) = match page.quarantined {
        true => ("Targets without data", "/targets?state=quarantined&"),
        false => ("Targets", "/targets?"),
    };
    let caption = if page.quarantined { "Targets that wait for their data" } else { "All targets" };
    let main = html! { h1 { (title) } (listing(frame, page, caption, path)) };
    frame.document(title, "As the leader knew it at", &main)
}

/// Returns the page of a target.
pub(crate) fn target(frame: &Frame, facts: &TargetFacts, says: &OwnerSays, owners: &Ownerships) -> Markup {
    let TargetFacts { assignment, owner, moves } = facts;
    let name = assignment.target.as_str();
    let main = html! {
        h1.name { (name) }
        p.lead { (answer(frame.now_ms, assignment)) (mark(assignment)) }
        (whereabouts(assignment))
        @if let Some(owner) = owner {
            p { (pod_link(&owner.info.pod)) " is " (badge(owner)) "." @if !owner.is_well() {
                " Requests for this target are held until it is back, or refused so that the platform sends them again."
            } }
        }
        section aria-labelledby="ownership" {
            h2 #ownership { "Ownership" }
            (self::facts(&[
                ("Owner", pod_link(&assignment.pod)),
                ("Epoch", html! { (assignment.epoch) }),
                ("Revision", html! { (assignment.revision) }),
                ("Belongs to", html! { @match &assignment.parent { Some(parent) => (link(parent)), None => span.aside { "no guild" } } }),
                ("Reason", html! { (Foreign(&assignment.reason)) }),
            ]))
        }
        (super::moves::moves(frame.now_ms, moves, "How it moved"))
        section aria-labelledby="history" {
            h2 #history { "Who owned it" }
            @match owners {
                Ok(owners) if owners.is_empty() => p.empty { "Nothing is remembered." },
                Ok(owners) => (history(owners)),
                Err(why) => p.empty { "It cannot be shown: " (why) "." },
            }
        }
        section aria-labelledby="state" {
            h2 #state { "What its owner says" }
            @match says {
                Ok(says) => (self::facts(&[
                    ("Events applied", html! { (count(says.applied)) }),
                    ("Came again", html! { (count(says.duplicates)) }),
                    ("Last event", html! { @match &says.last_event_id { Some(id) => (Foreign(id)), None => span.aside { "none" } } }),
                    ("Journal", html! { (count(says.journal_seq)) }),
                    ("Under epoch", html! { (says.epoch) }),
                ])),
                Err(why) => p.empty { (Foreign(why)) },
            }
        }
    };
    let title = match owner {
        Some(owner) => format!("{name} at {}, {}", assignment.pod, state(owner).0),
        None => format!("{name} at {}", assignment.pod),
    };
    frame.document(&title, "As the leader knew it at", &main)
}

fn history(owners: &[Ownership]) -> Markup {
    html! {
        table role="table" {
            caption { "Ownerships, the newest first" }
            thead role="rowgroup" {
                tr role="row" { @for head in ["Owner", "From", "Until", "Why"] { th role="columnheader" scope="col" { (head) } } }
            }
            tbody role="rowgroup" {
                @for owned in owners {
                    tr role="row" {
                        th role="rowheader" scope="row" { (pod_link(&owned.pod)) span.aside { ", epoch " (owned.epoch) } }
                        td role="cell" data-label="From" { (moment(owned.since_ms)) }
                        td role="cell" data-label="Until" { @match owned.until_ms { Some(until) => (moment(until)), None => "now" } }
                        td role="cell" data-label="Why" { (Foreign(&owned.reason)) }
                    }
                }
            }
        }
    }
}

/// Returns where a target is, since when and why, as one sentence.
pub(super) fn answer(now_ms: u64, assignment: &Assignment) -> Markup {
    let age = ago(now_ms, assignment.since_ms);
    html! {
        (link(&assignment.target)) " is at " (pod_link(&assignment.pod)) " since " (moment(assignment.since_ms))
        @if !age.is_empty() { " (" (age) ")" }
        ": " (why(&assignment.reason)) "."
    }
}
