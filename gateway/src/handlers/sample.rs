//! An event for tests of what handlers read and say.

use super::{Event, EventKind, TargetId};

/// Makes an event whose target, kind and body are what matters.
pub(crate) fn event(target: &str, kind: EventKind, body: &str) -> Event {
    let target: TargetId = target.parse().expect("valid");
    Event {
        platform: target.platform(),
        target,
        parent: None,
        kind,
        source: "test".into(),
        id: "1".into(),
        received_at: 0,
        headers: vec![],
        body: body.to_owned().into(),
    }
}
