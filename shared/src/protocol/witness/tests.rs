use super::*;
use crate::{Incarnation, Term};
use proptest::prelude::*;

fn name(number: usize) -> PodId {
    format!("gateway-{number}").parse().expect("valid")
}

fn at(ms: u64) -> Mono {
    Mono::from_nanos((100_000 + ms) * 1_000_000)
}

/// A witness that has been running for longer than any promise lasts.
fn witness(marks: Option<Vec<Mark>>) -> Witness {
    Witness::new(name(9), LeaseTerms::default(), Mono::ZERO, marks)
}

fn extend(lease: u64, nonce: u64) -> Input {
    let incarnation: Incarnation = "0190163d-8694-739b-aea5-966c26f8ad01".parse().expect("valid");
    Input::Extend(Extend { pod: name(1), incarnation, lease_id: LeaseId(lease), nonce, extension_ms: 4_000 })
}

fn mark(lease: u64) -> Mark {
    Mark { pod: name(1), lease_id: LeaseId(lease) }
}

fn fence(lease: u64, round: u64) -> Input {
    Input::Fence(Fence { pod: name(1), lease_id: LeaseId(lease), term: Term(3), round })
}

fn answer(answer: Extended) -> [Output; 1] {
    [Output::Answer { to: name(1), answer }]
}

fn fenced(lease: u64, round: u64, remaining_ms: u64) -> [Output; 1] {
    let (by, pod, lease_id, term) = (name(9), name(1), LeaseId(lease), Term(3));
    [Output::Fenced { to_leader: Fenced { by, pod, lease_id, term, round, remaining_ms, lives: vec![] } }]
}

#[test]
fn a_promise_binds_until_every_clock_has_passed_it() {
    let mut witness = witness(Some(vec![]));
    assert_eq!(witness.handle(at(0), extend(5, 1)), answer(Extended::Promised { nonce: 1 }));
    assert_eq!(witness.handle(at(1_000), fence(5, 1)), [Output::Keep(mark(5))]);
    // E(1+ρ) + M = 5.04 s after the question arrived.
    assert_eq!(witness.handle(at(1_200), Input::Kept(mark(5))), fenced(5, 1, 3_840));
}

#[test]
fn nobody_is_promised_more_than_is_remembered() {
    let asks = |nonce, extension_ms| match extend(5, nonce) {
        Input::Extend(question) => Input::Extend(Extend { extension_ms, ..question }),
        other => other,
    };
    let mut witness = witness(Some(vec![]));
    let refused = witness.handle(at(0), asks(1, 4_001));
    let [Output::Answer { answer: Extended::TooLong { nonce: 1, detail }, .. }] = &refused[..] else {
        panic!("{refused:?}")
    };
    assert!(detail.contains("gateway-1") && detail.contains("4001 ms") && detail.contains("for 4000 ms"), "{detail}");
    witness.handle(at(1), fence(4, 1));
    assert_eq!(witness.handle(at(2), Input::Kept(mark(4))), fenced(4, 1, 0), "nothing was promised");
    for (nonce, shorter) in [(2, 4_000), (3, 1_000), (4, 0)] {
        assert_eq!(witness.handle(at(3), asks(nonce, shorter)), answer(Extended::Promised { nonce }));
    }
}

#[test]
fn the_leader_is_told_only_when_the_mark_is_on_disk() {
    let mut witness = witness(Some(vec![]));
    assert_eq!(witness.handle(at(0), fence(5, 1)), [Output::Keep(mark(5))]);
    // Asked again, it asks the disk again; nothing is promised meanwhile.
    assert_eq!(witness.handle(at(100), fence(5, 1)), [Output::Keep(mark(5))]);
    assert_eq!(witness.handle(at(150), extend(5, 7)), answer(Extended::Fenced { nonce: 7, lease_id: LeaseId(5) }));
    assert_eq!(witness.handle(at(200), fence(5, 2)), [Output::Keep(mark(5))]);
    let told = witness.handle(at(300), Input::Kept(mark(5)));
    assert_eq!(told, [fenced(5, 1, 0), fenced(5, 2, 0)].concat());
    // From now on it is known to be there.
    assert_eq!(witness.handle(at(400), fence(5, 3)), fenced(5, 3, 0));
    assert_eq!(witness.handle(at(400), fence(4, 3)), fenced(4, 3, 0));
}

#[test]
fn a_mark_is_never_lowered_and_a_new_lease_is_promised() {
    let mut witness = witness(Some(vec![mark(5)]));
    assert_eq!(witness.handle(at(0), fence(3, 1)), fenced(3, 1, 0));
    assert_eq!(witness.handle(at(0), Input::MarksRead(vec![mark(2)])), []);
    assert_eq!(witness.handle(at(0), extend(5, 1)), answer(Extended::Fenced { nonce: 1, lease_id: LeaseId(5) }));
    assert_eq!(witness.handle(at(0), extend(6, 2)), answer(Extended::Promised { nonce: 2 }));
}

#[test]
fn a_restarted_witness_reports_what_the_process_before_it_may_have_promised() {
    let mut witness = Witness::new(name(9), LeaseTerms::default(), at(0), Some(vec![mark(5)]));
    assert_eq!(witness.handle(at(1_000), fence(5, 1)), fenced(5, 1, 4_040));
    assert_eq!(witness.handle(at(1_500), extend(6, 1)), answer(Extended::Promised { nonce: 1 }));
    assert_eq!(witness.handle(at(2_000), fence(5, 2)), fenced(5, 2, 4_540));
    assert_eq!(witness.handle(at(8_000), fence(5, 3)), fenced(5, 3, 0));
}

#[test]
fn a_witness_that_may_have_lost_its_marks_neither_promises_nor_fences_until_it_has_read_them_back() {
    let mut witness = witness(None);
    assert_eq!(witness.handle(at(0), extend(5, 1)), answer(Extended::NotReady { nonce: 1 }));
    assert_eq!(witness.handle(at(0), fence(5, 1)), []);
    assert_eq!(witness.handle(at(10), Input::MarksRead(vec![mark(4)])), [Output::KeepAll(vec![mark(4)])]);
    assert!(witness.is_ready());
    // The marks count at once; that they are on disk is said only when they are.
    assert_eq!(witness.handle(at(20), extend(4, 2)), answer(Extended::Fenced { nonce: 2, lease_id: LeaseId(4) }));
    assert_eq!(witness.handle(at(20), fence(4, 1)), [Output::Keep(mark(4))]);
    assert_eq!(witness.handle(at(30), Input::Kept(mark(4))), fenced(4, 1, 0));
    // A file that was never written whole is written also when there is nothing to write.
    let mut new = Witness::new(name(9), LeaseTerms::default(), Mono::ZERO, None);
    assert_eq!(new.handle(at(10), Input::MarksRead(vec![])), [Output::KeepAll(vec![])]);
    assert_eq!(new.handle(at(10), Input::MarksRead(vec![])), []);
}

#[test]
fn a_witness_that_config_service_answers_offers_to_relay_for_two_heartbeats() {
    let mut witness = witness(Some(vec![mark(4)]));
    witness.handle(at(0), Input::Granted);
    assert_eq!(witness.handle(at(1_999), extend(5, 1)), answer(Extended::Relay { nonce: 1 }));
    assert_eq!(witness.handle(at(1_999), extend(4, 2)), answer(Extended::Fenced { nonce: 2, lease_id: LeaseId(4) }));
    assert_eq!(witness.handle(at(2_000), extend(5, 3)), answer(Extended::Promised { nonce: 3 }));
    // A degraded one promises: its word on config-service does not count.
    witness.handle(at(2_000), Input::Granted);
    witness.handle(at(2_000), Input::Degraded(true));
    assert_eq!(witness.handle(at(2_001), extend(5, 4)), answer(Extended::Promised { nonce: 4 }));
}

#[derive(Debug, Clone)]
enum Fate {
    Extend(u64),
    Fence(u64),
    Kept,
    Restart,
    Wait(u64),
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        4 => (1_u64..6).prop_map(Fate::Extend),
        3 => (1_u64..6).prop_map(Fate::Fence),
        3 => Just(Fate::Kept),
        1 => Just(Fate::Restart),
        3 => (1_u64..3_000).prop_map(Fate::Wait),
    ]
}

proptest! {
    /// Whatever happens, restarts that lose what was not on disk included: once the leader was told that a lease is
    /// fenced, it is never promised again, and what was promised before is never reported as shorter than it is.
    #[test]
    fn what_was_told_to_the_leader_holds(fates in prop::collection::vec(fate(), 1..80)) {
        let (mut pod, mut ms, mut disk) = (witness(Some(vec![])), 0, Vec::new());
        let (mut told, mut writing, mut bound): (u64, Option<Mark>, Mono) = (0, None, Mono::ZERO);
        for (nonce, fate) in fates.into_iter().enumerate() {
            let outputs = match fate {
                Fate::Wait(by) => { ms += by; continue }
                Fate::Restart => {
                    writing = None;
                    pod = Witness::new(name(9), LeaseTerms::default(), at(ms), Some(disk.clone()));
                    continue
                }
                Fate::Extend(lease) => pod.handle(at(ms), extend(lease, nonce as u64)),
                Fate::Fence(lease) => pod.handle(at(ms), fence(lease, nonce as u64)),
                Fate::Kept => match writing.take() {
                    Some(mark) => { disk.push(mark.clone()); pod.handle(at(ms), Input::Kept(mark)) }
                    None => continue,
                },
            };
            for output in outputs {
                match output {
                    Output::Answer { answer: Extended::Promised { .. }, .. } => {
                        let Fate::Extend(lease) = fate else { unreachable!() };
                        prop_assert!(lease > told);
                        bound = bound.max(LeaseTerms::default().promised_until(at(ms)));
                    }
                    Output::Keep(mark) => writing = Some(mark),
                    Output::Fenced { to_leader } => {
                        told = told.max(to_leader.lease_id.0);
                        prop_assert!(at(ms).after(Duration::from_millis(to_leader.remaining_ms)) >= bound);
                        prop_assert!(disk.iter().any(|mark| mark.lease_id >= to_leader.lease_id));
                    }
                    _ => {}
                }
            }
        }
    }
}
