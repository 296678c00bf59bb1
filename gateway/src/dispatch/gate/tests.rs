use super::*;
use crate::dispatch::mailbox::Mailboxes;
use shared::event::OutboxCall;
use shared::{Epoch, LeaseId, lease::Lease, lease::LeaseTerms};
use std::{sync::Arc, time::Duration};

fn slots() -> (SlotNo, SlotNo) {
    let mut boxes = Mailboxes::default();
    let open = |boxes: &mut Mailboxes, name: &str| {
        boxes.open(name.parse().expect("a target"), crate::store::LocalId::of_test(1), Epoch(1))
    };
    (open(&mut boxes, "slack:guild:A"), open(&mut boxes, "slack:guild:B"))
}

fn at(ms: u64) -> Mono {
    Mono::ZERO.after(Duration::from_millis(ms))
}

fn guard() -> Guard {
    let clock = shared::clock::ManualClock::new(0);
    let target: shared::TargetId = "slack:guild:A".parse().expect("a target");
    let ownership =
        crate::ownership::Ownership::new("gateway-0".parse().expect("a pod"), Arc::new(clock), LeaseTerms::default());
    ownership.hold(Lease { id: LeaseId(1), valid_until: at(100_000) }, None);
    ownership.take_up(vec![(target.clone(), Epoch(1))], shared::Revision(0), 0);
    ownership.guard(&target).expect("a guard")
}

fn said(answer_by: Mono) -> (What, oneshot::Receiver<Outcome>) {
    let (reply, heard) = oneshot::channel();
    let waiters = vec![Waiter { reply, answer_by, joined: false, _permit: None }];
    (What::Said(Said { guard: guard(), waiters, answer: Answer::empty(200), duplicate: false, _permit: None }), heard)
}

fn call(seq: u64) -> What {
    let url = "https://slack.com/x".to_owned();
    let call = OutboxCall { id: "x".into(), method: "PUT".into(), url, headers: vec![], body: String::new() };
    let call = OpenCall::new(seq, &call, true);
    What::Calls(Acknowledge::Replicated, vec![call])
}

/// The places of the calls that are let out up to a commit, 0 for everything else.
fn out(gate: &mut Gate, seq: u64) -> Vec<u64> {
    std::iter::from_fn(|| gate.replicated(seq))
        .map(|held| match held.what {
            What::Calls(_, calls) => calls[0].seq,
            _ => 0,
        })
        .collect()
}

#[test]
fn nothing_leaves_before_its_commit_is_replicated_and_all_leaves_in_order() {
    let ((a, b), mut gate) = (slots(), Gate::default());
    let (first, _heard) = said(at(10_000));
    gate.hold(5, at(0), a, first);
    gate.hold(5, at(0), b, call(1));
    gate.hold(7, at(1), a, call(2));
    assert_eq!(gate.last(), Some(7));
    assert_eq!(gate.waiting(), (1, Some(at(0))));
    assert!(out(&mut gate, 4).is_empty());
    assert_eq!(out(&mut gate, 6), [0, 1]);
    assert!(gate.holds_calls(a) && !gate.holds_calls(b) && !gate.waits(a));
    assert_eq!(out(&mut gate, 7), [2]);
    assert_eq!((gate.last(), gate.waiting()), (None, (0, None)));
}

#[test]
fn what_comes_late_to_the_gate_waits_behind_what_is_there() {
    let ((a, _), mut gate) = (slots(), Gate::default());
    gate.hold(7, at(0), a, call(1));
    gate.hold(5, at(0), a, call(2));
    assert!(out(&mut gate, 6).is_empty());
    assert_eq!(out(&mut gate, 7), [1, 2]);
}

#[test]
fn a_target_that_goes_takes_along_what_is_its_own_and_nothing_else() {
    let ((a, b), mut gate) = (slots(), Gate::default());
    let (first, _one) = said(at(10_000));
    let (second, _two) = said(at(10_000));
    gate.hold(1, at(0), a, first);
    gate.hold(1, at(0), b, second);
    gate.hold(1, at(0), a, call(1));
    assert!(gate.waits(a) && gate.waits(b));
    gate.forget_calls(a);
    assert!(gate.waits(a) && !gate.holds_calls(a));
    assert_eq!(gate.give_back(a).len(), 1);
    assert!(!gate.waits(a) && gate.waits(b));
    assert_eq!(gate.waiting().0, 1);
    assert_eq!(out(&mut gate, 9).len(), 1);
}

#[test]
fn answers_whose_senders_have_given_up_are_let_go_of_and_calls_are_not() {
    let ((a, _), mut gate) = (slots(), Gate::default());
    let (early, _one) = said(at(1_000));
    let (late, _two) = said(at(9_000));
    let (hung_up, gone) = said(at(9_000));
    drop(gone);
    for what in [early, late, hung_up, call(1)] {
        gate.hold(1, at(0), a, what);
    }
    assert_eq!(gate.expired(at(1_000)).len(), 2);
    assert_eq!(gate.waiting().0, 1);
    assert_eq!(gate.expired(at(1_000)).len(), 0);
    assert_eq!(out(&mut gate, 1), [0, 1]);
}
