use super::*;
use crate::dispatch::{Submitted, admission::Admission};
use shared::{event::EventKind, lease::Lease, lease::LeaseTerms, wire::control::Watch};
use std::{sync::Arc, time::Duration};

const T0: Mono = Mono::from_nanos(20_000_000_000);

struct Boxes {
    boxes: Mailboxes,
    ownership: crate::ownership::Ownership,
    admission: Admission,
}

impl Boxes {
    fn new(targets: u32) -> Self {
        let clock = shared::clock::ManualClock::new(0);
        let pod = "gateway-0".parse().expect("valid");
        let ownership = crate::ownership::Ownership::new(pod, Arc::new(clock), LeaseTerms::default());
        ownership
            .hold(Lease { id: shared::LeaseId(1), valid_until: Mono::from_nanos(u64::MAX) }, Some(shared::Revision(0)));
        let mut boxes = Mailboxes::default();
        for n in 0..targets {
            let assignment = shared::wire::control::Assignment {
                target: target(n),
                pod: ownership.pod().clone(),
                epoch: Epoch(1),
                revision: shared::Revision(0),
                parent: None,
                reason: String::new(),
                since_ms: 0,
                state: Default::default(),
                data: None,
            };
            let delta = Watch::Delta {
                revision: shared::Revision(0),
                pods: vec![],
                assignments: vec![assignment],
                moves: vec![],
            };
            ownership.apply(delta);
            boxes.open(target(n), crate::store::LocalId::of_test(i64::from(n)), Epoch(1));
        }
        Self { boxes, ownership, admission: Admission::new(1_000, 1_000_000) }
    }

    fn send(&mut self, to: u32, id: &str) -> (Entered, oneshot::Receiver<Outcome>) {
        let event = Event {
            target: target(to),
            parent: None,
            platform: shared::Platform::Slack,
            kind: EventKind::SlackEvent,
            source: "slack".into(),
            id: id.into(),
            received_at: 0,
            headers: vec![],
            body: bytes::Bytes::new(),
        };
        let (reply, outcome) = oneshot::channel();
        let sent = Submitted {
            guard: self.ownership.guard(&event.target).expect("owned"),
            key: event.key(),
            payload_hash: event.payload_hash(),
            behind: None,
            defer_at: T0.after(Duration::from_secs(2)),
            answer_by: T0.after(Duration::from_secs(3)),
            permit: self.admission.admit(1).expect("room"),
            trace: Traced::default(),
            event,
            reply,
        };
        let no = self.boxes.find(&target(to)).expect("open");
        (self.boxes.enter(no, Box::new(sent), T0, 3), outcome)
    }

    fn next(&mut self, now: Mono) -> Option<(SlotNo, Waiting)> {
        self.boxes.wake(now);
        self.boxes.next(now)
    }

    fn run_all(&mut self) -> Vec<String> {
        let mut ran = Vec::new();
        while let Some((no, waiting)) = self.next(T0) {
            ran.push(format!("{}/{}", self.boxes.slot(no).target.id(), waiting.event.id));
            self.boxes.turn_over(no);
        }
        ran
    }
}

fn target(n: u32) -> TargetId {
    format!("slack:guild:{n}").parse().expect("valid")
}

#[test]
fn targets_take_turns_and_each_keeps_its_order() {
    let mut boxes = Boxes::new(2);
    for id in ["a", "b", "c"] {
        boxes.send(0, id);
    }
    boxes.send(1, "x");
    assert_eq!(boxes.run_all(), ["0/a", "1/x", "0/b", "0/c"]);
    boxes.send(0, "d");
    assert_eq!(boxes.run_all(), ["0/d"]);
}

#[test]
fn an_event_that_has_to_wait_keeps_its_place_and_holds_up_only_its_own_target() {
    let mut boxes = Boxes::new(2);
    for id in ["a", "b"] {
        boxes.send(0, id);
    }
    let (no, mut first) = boxes.next(T0).expect("a");
    let later = T0.after(Duration::from_secs(1));
    first.not_before = later;
    boxes.boxes.put_back(no, first);
    boxes.send(1, "x");
    boxes.send(0, "c");
    assert_eq!(boxes.run_all(), ["1/x"]);
    assert_eq!(boxes.boxes.next_at(), Some(later));
    for expected in ["a", "b", "c"] {
        let (no, waiting) = boxes.next(later).expect("waits");
        assert_eq!(waiting.event.id, expected);
        boxes.boxes.turn_over(no);
    }
    assert!(boxes.next(later).is_none());
}

#[test]
fn what_was_taken_out_of_the_middle_comes_back_to_its_place() {
    let mut boxes = Boxes::new(1);
    for id in ["a", "b", "c"] {
        boxes.send(0, id);
    }
    let no = boxes.boxes.find(&target(0)).expect("open");
    let middle = boxes.boxes.slot_mut(no).queue.remove(1).expect("b");
    boxes.boxes.put_back(no, middle);
    assert_eq!(boxes.run_all(), ["0/a", "0/b", "0/c"]);
}

#[test]
fn the_same_id_joins_the_one_that_waits_and_both_are_answered() {
    let mut boxes = Boxes::new(1);
    let (_, mut first) = boxes.send(0, "a");
    let (entered, mut second) = boxes.send(0, "a");
    assert!(matches!(entered, Entered::Joined { same: true }));
    let (_, mut waiting) = boxes.next(T0).expect("waits");
    assert_eq!(waiting.joined(), 1);
    waiting.answer(&Outcome::Committed { answer: shared::event::Answer::empty(200), duplicate: false });
    let duplicate = |outcome: Outcome| matches!(outcome, Outcome::Committed { duplicate: true, .. });
    assert!(!duplicate(first.try_recv().expect("answered")));
    assert!(duplicate(second.try_recv().expect("answered")));
    assert!(boxes.next(T0).is_none());
}

#[test]
fn a_full_mailbox_takes_no_more() {
    let mut boxes = Boxes::new(1);
    for id in ["a", "b", "c"] {
        assert!(matches!(boxes.send(0, id).0, Entered::Queued));
    }
    assert!(matches!(boxes.send(0, "d").0, Entered::Full(_)));
    assert!(matches!(boxes.send(0, "c").0, Entered::Joined { .. }));
}

#[test]
fn only_what_still_waits_has_to_be_deferred() {
    let mut boxes = Boxes::new(1);
    boxes.send(0, "a");
    boxes.send(0, "b");
    let (no, _) = boxes.next(T0).expect("a");
    boxes.boxes.turn_over(no);
    let due = T0.after(Duration::from_secs(2));
    assert_eq!(boxes.boxes.next_deferred(T0), None);
    assert_eq!(boxes.boxes.next_deferred(due), Some((no, 1)));
    assert_eq!(boxes.boxes.next_deferred(due), None);
}
