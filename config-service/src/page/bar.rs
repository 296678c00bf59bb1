//! How targets are spread over pods, as a bar and as a sentence that says the same.

use super::words::{count, share, things};
use maud::{Markup, html};
use shared::wire::admin::PodStatus;

/// The width of the drawing, in its own units.
const WIDTH: f64 = 1_000.0;

/// Returns the figure; nothing when there is nothing to be spread.
pub(super) fn distribution(pods: &[&PodStatus], targets: u64, platforms: &str) -> Markup {
    if pods.is_empty() || targets == 0 {
        return html! {};
    }
    let gap = (WIDTH / 4.0 / pods.len() as f64).min(3.0);
    let carrying = pods.iter().filter(|pod| pod.targets > 0);
    let segments: Vec<_> = carrying
        .scan(0.0, |at, pod| {
            let (start, width) = (*at, pod.targets as f64 / targets as f64 * WIDTH);
            *at += width;
            Some((start, (width - gap).max(0.5)))
        })
        .collect();
    html! {
        figure.spread {
            svg role="img" aria-labelledby="spread-text" viewBox="0 0 1000 20" preserveAspectRatio="none" {
                @for (i, (start, width)) in segments.iter().enumerate() {
                    rect.{ "tint" (i % 2) } x=(format!("{start:.2}")) y="0" width=(format!("{width:.2}")) height="20" {}
                }
            }
            figcaption #spread-text { (sentence(pods, targets)) " " (platforms) }
        }
    }
}

fn sentence(pods: &[&PodStatus], targets: u64) -> String {
    let named =
        |pod: &PodStatus| format!("{} has {} ({})", pod.info.pod, count(pod.targets), share(pod.targets, targets));
    let most = pods.iter().max_by_key(|pod| pod.targets);
    let fewest = pods.iter().min_by_key(|pod| pod.targets);
    match (most, fewest) {
        (Some(most), Some(fewest)) if most.targets - fewest.targets > 1 => {
            let (most, fewest) = (named(most), named(fewest));
            format!("{} over {}: {most}, {fewest}.", things(targets, "target"), things(pods.len() as u64, "pod"))
        }
        (Some(one), _) if pods.len() == 1 => format!("{} on {}.", things(targets, "target"), one.info.pod),
        _ => format!("{}, spread evenly over {}.", things(targets, "target"), things(pods.len() as u64, "pod")),
    }
}

/// Returns a small bar beside a number that says the same.
pub(super) fn meter(part: u64, largest: u64) -> Markup {
    let width = part as f64 / largest.max(1) as f64 * 100.0;
    html! {
        svg.meter aria-hidden="true" viewBox="0 0 100 8" preserveAspectRatio="none" {
            rect.rail x="0" y="0" width="100" height="8" {}
            rect.fill x="0" y="0" width=(format!("{width:.1}")) height="8" {}
        }
    }
}
