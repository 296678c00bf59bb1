//! Which events of a journal's end are sent to the target's owner, and why others are not. Pure.

use crate::store::TailEvent;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use shared::{
    event::EventKind,
    wire::quarantine::{LateEvent, Skipped},
};

/// What is done with an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// It is sent.
    Send(Box<LateEvent>),
    /// The event at this place is not sent.
    Skip(u64, Skipped),
}

/// Sorts events, in their order. What was committed before `since_ms` may be forgotten by the owner, and would be applied a
/// second time: it stays (OWNERSHIP.md, Data 5).
pub(super) fn sorted(tail: Vec<TailEvent>, since_ms: u64) -> Vec<Step> {
    tail.into_iter()
        .map(|event| {
            if event.kind == EventKind::Timer {
                return Step::Skip(event.seq, Skipped::Timer);
            }
            if event.at_ms < since_ms {
                return Step::Skip(event.seq, Skipped::TooOld);
            }
            let Some(body) = event.body else { return Step::Skip(event.seq, Skipped::NoPayload) };
            Step::Send(Box::new(LateEvent {
                seq: event.seq,
                kind: event.kind,
                source: event.source,
                id: event.id,
                parent: event.parent,
                received_at: event.received_at,
                headers: event.headers,
                body: STANDARD.encode(body),
            }))
        })
        .collect()
}

#[cfg(test)]
mod tests;
