//! Pods: the table of all, and one with its targets.

use super::{
    Frame, PodFacts,
    bar::meter,
    deed::ways,
    health::Tone,
    target,
    words::{Foreign, count, share, size, span, things},
};
use maud::{Markup, html};
use shared::wire::{admin::PodStatus, control::PodState};

/// The most rows of the table; a cluster with more pods shows those that need attention first.
const MOST: usize = 500;

/// Returns the word for how a pod is, and how bad it is.
pub(super) const fn state(pod: &PodStatus) -> (&'static str, Tone) {
    match pod.state {
        PodState::Ready if pod.not_ready.is_some() => ("not ready", Tone::Bad),
        PodState::Ready => ("ready", Tone::Good),
        PodState::Joining => ("joining", Tone::Watch),
        PodState::Restarting => ("restarting", Tone::Watch),
        PodState::Suspect => ("suspect", Tone::Watch),
        PodState::Expired => ("expired", Tone::Bad),
        PodState::Draining => ("draining", Tone::Watch),
        PodState::Drained => ("drained", Tone::Good),
        PodState::Dead => ("dead", Tone::Bad),
    }
}

/// Returns a pod's state as a mark that needs no colour.
pub(super) fn badge(pod: &PodStatus) -> Markup {
    let (word, tone) = state(pod);
    html! { span.badge.(tone.class()) { (word) } }
}

/// Returns the pods in the order people count: `gateway-2` before `gateway-10`.
pub(super) fn in_order(pods: &[PodStatus]) -> Vec<&PodStatus> {
    let mut pods: Vec<_> = pods.iter().collect();
    pods.sort_by_key(|pod| {
        let name = pod.info.pod.as_str();
        (name.trim_end_matches(|c: char| c.is_ascii_digit()), pod.info.pod.ordinal(), name)
    });
    pods
}

/// Returns the table of pods.
pub(super) fn table(pods: &[&PodStatus], targets: u64) -> Markup {
    let largest = pods.iter().map(|pod| pod.targets).max().unwrap_or_default();
    let (mut shown, all) = (pods.to_vec(), pods.len());
    if all > MOST {
        shown.sort_by_key(|pod| state(pod).1);
        shown.truncate(MOST);
    }
    html! {
        table role="table" {
            caption {
                (things(all as u64, "pod"))
                @if all > MOST { ", of which the " (MOST) " that need attention most" }
            }
            thead role="rowgroup" {
                tr role="row" {
                    @for head in ["Pod", "State", "Targets", "Lease", "Load", "Zone", "Version"] {
                        th role="columnheader" scope="col" .num[head == "Targets"] { (head) }
                    }
                }
            }
            tbody role="rowgroup" {
                @for pod in shown {
                    tr role="row" {
                        th role="rowheader" scope="row" { a href={ "/pods/" (pod.info.pod) } { (pod.info.pod) } }
                        td role="cell" data-label="State" { (badge(pod)) @if let Some(age) = pod.state_age_ms { " " span.aside { "for " (span(age)) } } }
                        td.num role="cell" data-label="Targets" {
                            span.stack { span { (count(pod.targets)) " " span.aside { (share(pod.targets, targets)) } } (meter(pod.targets, largest)) }
                            @if pod.quarantined > 0 { " " span.badge.bad { (count(pod.quarantined)) " quarantined" } }
                        }
                        td role="cell" data-label="Lease" { (lease(pod)) }
                        td role="cell" data-label="Load" { (load(pod)) }
                        td role="cell" data-label="Zone" { (zone(pod)) }
                        td role="cell" data-label="Version" { (Foreign(&pod.version)) }
                    }
                }
            }
        }
    }
}

fn lease(pod: &PodStatus) -> Markup {
    let left = match pod.lease_remaining_ms {
        0 => "over".to_owned(),
        left => format!("{} left", span(left)),
    };
    html! { (left) @if let Some(age) = pod.lease_age_ms { " " span.aside { "granted " (span(age)) " ago" } } }
}

fn load(pod: &PodStatus) -> Markup {
    html! { (format!("{:.1}", pod.load.events_per_second)) " events/s " span.aside { (size(pod.load.bytes)) } }
}

fn zone(pod: &PodStatus) -> Markup {
    html! { @match pod.info.zone.as_deref() { Some(zone) => (Foreign(zone)), None => span.aside { "none" } } }
}

fn replica(pod: &PodStatus) -> Markup {
    html! {
        @match (pod.load.replication, pod.replica.as_deref()) {
            (Some(lag), place) => {
                (lag.state)
                @if lag.ms > 0 { ", " (span(lag.ms)) " behind" }
                @if lag.bytes > 0 { " " span.aside { (size(lag.bytes)) } }
                @if let Some(place) = place { " " span.aside { (Foreign(place)) } }
            },
            (None, Some(place)) => { span.aside { (Foreign(place)) ", it has not said how far it is" } },
            (None, None) => span.aside { "none" },
        }
    }
}

/// What can be done with a pod, as it stands.
fn deeds(status: &PodStatus) -> Vec<(&'static str, &'static str)> {
    let cordon = if status.cordoned { ("uncordon", "Uncordon") } else { ("cordon", "Cordon") };
    let drain = if status.drain.is_some() { ("undrain", "End its drain") } else { ("drain", "Drain") };
    vec![drain, cordon]
}

/// Returns the page of a pod.
pub(crate) fn pod(frame: &Frame, facts: &PodFacts) -> Markup {
    let status = &facts.status;
    let (word, _) = state(status);
    let name = status.info.pod.as_str();
    let rows = [
        (
            "Targets",
            html! {
                (count(status.targets))
                @if status.quarantined > 0 { ", of which " (count(status.quarantined)) " wait for data that is not here" }
                @if status.restoring > 0 { "; it restores " (count(status.restoring)) " from replicas" }
            },
        ),
        (
            "Put aside",
            html! {
                @if status.load.aside == 0 { "nothing" }
                @else { "rows of " (things(status.load.aside, "target")) ", see " code { "berth pod quarantine list " (name) } }
            },
        ),
        ("Replica", replica(status)),
        ("Lease", lease(status)),
        ("Load", load(status)),
        ("Zone", zone(status)),
        ("Track", html! { (status.track) }),
        ("Address", html! { (Foreign(&status.info.address)) }),
        ("Capacity", html! { (status.info.capacity) }),
        ("Version", html! { (Foreign(&status.version)) ", schema " (status.schema) }),
        ("Incarnation", html! { (status.info.incarnation) }),
        ("Revision", html! { (status.seen_revision) " seen, registered at " (status.info.revision) }),
    ];
    let main = html! {
        h1 { (name) }
        p.lead {
            (badge(status)) @if let Some(age) = status.state_age_ms { " for " (span(age)) }
            ", owns " (things(status.targets, "target")) "."
        }
        @if status.state == PodState::Drained { p { "It is drained: nothing is left of it, it is safe to remove." } }
        @else if let Some(how_far) = &status.drain { (super::moves::drain(how_far)) }
        @else if status.cordoned { p { "It is cordoned: it gets no new targets." } }
        @if let Some(why) = &status.not_ready { p { "It says: " (Foreign(why)) "." } }
        (ways("pod", &status.info.pod, &deeds(status)))
        section aria-labelledby="facts" { h2 #facts { "What is known" } (target::facts(&rows)) }
        section aria-labelledby="targets" {
            h2 #targets { "Its targets" }
            (target::listing(frame, &facts.listing, &format!("Targets of {name}"), &format!("/pods/{name}?")))
        }
    };
    frame.document(&format!("{name}, {word}"), "As the leader knew it at", &main)
}
