//! What the planner says, in words for operators.

use crate::planner::{Difference, PlannedMove, Warning};
use serde::Serialize;

/// How many moves of a difference are named.
const NAMED: usize = 5;

/// Returns the word for something that is a word on the wire.
pub(crate) fn word(of: impl Serialize) -> String {
    serde_json::to_value(of).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Returns a warning as a sentence.
pub(super) fn warning(of: &Warning) -> String {
    match of {
        Warning::NoPod { targets, example, reason } => {
            format!("no pod may take {targets} targets, {example} among them: {}", reason.sentence())
        }
        Warning::Above { pod, load } => {
            format!("{pod} stays above its share, at {load:.2} of the mean: nothing it has fits elsewhere")
        }
        Warning::Below { pod, load } => {
            format!("{pod} stays below its share, at {load:.2} of the mean: nothing that others have fits there")
        }
        Warning::TooFewPods { track, load } => {
            format!("the pods of track {} carry {load:.2} of what they are meant to: more are needed", word(track))
        }
        Warning::NoCanaryPod => "no pod of track canary takes targets".to_owned(),
        Warning::PinsDisagree { target } => format!("{target} and what belongs to it are pinned to different pods"),
        Warning::PinGivesWay { target, pod } => {
            format!("{target} is pinned to {pod}, which is gone or to be empty: it is elsewhere until that is back")
        }
        Warning::Frozen { target } => format!("{target} has moved too often in a row: it stays where it is"),
    }
}

/// Returns how a plan differs from the one that would be made now, as a sentence.
pub(super) fn difference(of: &Difference) -> String {
    if of.is_empty() {
        return "its moves are the same, but a pod or the policy is another than when it was made".to_owned();
    }
    let mut text = format!(
        "a plan made now has {} other moves, {} more and {} less",
        of.changed.len(),
        of.added.len(),
        of.removed.len()
    );
    let all = [("", &of.changed), ("+", &of.added), ("-", &of.removed)];
    let named = all.into_iter().flat_map(|(sign, moves)| moves.iter().map(move |step| (sign, step)));
    for (at, (sign, step)) in named.take(NAMED).enumerate() {
        text.push_str(if at == 0 { ": " } else { ", " });
        text.push_str(&line(sign, step));
    }
    text
}

fn line(sign: &str, step: &PlannedMove) -> String {
    let from = step.from.as_ref().map_or("nowhere", |from| from.as_str());
    format!("{sign}{} {from} → {}", step.target, step.to)
}
