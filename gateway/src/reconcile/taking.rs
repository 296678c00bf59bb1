//! The owner's side: first it writes down what the other pod has called, then the events enter the target's mailbox like any
//! other, in order, one after another. What the inbox knows changes nothing. Nobody is sent an answer.

use crate::{Engine, ownership::Guard};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use shared::{
    PodId, Problem, TargetId,
    event::Event,
    wire::link::Outcome,
    wire::quarantine::{Late, LateEvent, LateFate, LateTaken},
};
use std::time::Duration;

/// How long one event may take until it is committed.
const EACH: Duration = Duration::from_secs(10);

/// Takes the end of a journal in, as far as it can be committed now. `guard` gives the right to act, anew for each event.
///
/// # Errors
/// When not even the calls could be written down.
pub(crate) async fn take(
    engine: &Engine,
    guard: impl Fn() -> Result<Guard, Problem>,
    target: &TargetId,
    late: Late,
) -> Result<LateTaken, Problem> {
    if !late.calls.is_empty() {
        let told = engine.told(guard()?, late.from.clone(), late.calls).await;
        told.map_err(|_| {
            Problem::unavailable("not-committed", "the calls could not be written down; send them again")
        })?;
    }
    let mut taken = LateTaken::default();
    for event in late.events {
        match apply(engine, &guard, target, &late.from, event).await {
            Ok(fate) => taken.events.push(fate),
            Err(why) => {
                taken.detail = Some(why.to_string());
                break;
            }
        }
    }
    let known = taken.events.iter().filter(|fate| **fate == LateFate::Known).count();
    tracing::info!(%target, from = %late.from, incarnation = late.incarnation.as_str(), events = taken.events.len(),
        known, "late events came");
    Ok(taken)
}

async fn apply(
    engine: &Engine,
    guard: &impl Fn() -> Result<Guard, Problem>,
    target: &TargetId,
    from: &PodId,
    event: LateEvent,
) -> Result<LateFate, Problem> {
    let event = opened(target, from, event)?;
    let answer_by = engine.clock().now().after(EACH);
    match engine.submit(guard()?, event, answer_by).await {
        Outcome::Committed { duplicate: true, .. } => Ok(LateFate::Known),
        Outcome::Committed { duplicate: false, .. } => Ok(LateFate::Applied),
        other => Err(Problem::unavailable("not-committed", format!("the next event is {}", other.word()))),
    }
}

fn opened(target: &TargetId, from: &PodId, late: LateEvent) -> Result<Event, Problem> {
    let body = STANDARD.decode(&late.body).map_err(|why| Problem::bad_request(format!("event {}: {why}", late.seq)))?;
    let mut event = Event {
        target: target.clone(),
        parent: late.parent,
        platform: target.platform(),
        kind: late.kind,
        source: late.source,
        id: late.id,
        received_at: late.received_at,
        headers: late.headers,
        body: body.into(),
    };
    event.mark_late(from);
    Ok(event)
}
