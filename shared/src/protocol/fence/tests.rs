use super::*;
use crate::lease::LeaseTerms;
use proptest::prelude::*;

fn name(text: &str) -> PodId {
    text.parse().expect("valid")
}

fn set(names: &str) -> BTreeSet<PodId> {
    names.split_whitespace().map(name).collect()
}

fn round() -> Round {
    Round::new(LeaseId(5), 2, Term(7))
}

fn answer(by: &str, remaining_ms: u64) -> Fenced {
    Fenced { by: name(by), pod: name("x"), lease_id: LeaseId(5), term: Term(7), round: 2, remaining_ms, lives: vec![] }
}

#[test]
fn an_answer_of_another_round_term_or_lease_does_not_count() {
    for wrong in [
        |fenced: &mut Fenced| fenced.round = 1,
        |fenced: &mut Fenced| fenced.term = Term(6),
        |fenced: &mut Fenced| fenced.lease_id = LeaseId(4),
    ] {
        let (mut round, mut fenced) = (round(), answer("a", 0));
        wrong(&mut fenced);
        assert!(!round.answered(Mono::ZERO, &fenced));
        assert!(!round.has_quorum(&name("x"), [&set("a x")].into_iter()));
        assert!(round.answered(Mono::ZERO, &answer("a", 0)));
        assert!(round.has_quorum(&name("x"), [&set("a x")].into_iter()));
    }
}

#[test]
fn every_set_the_pod_may_hold_has_to_fence_it() {
    let (before, now) = (set("a b x"), set("c d e x"));
    let mut round = round();
    for by in ["c", "d", "e"] {
        round.answered(Mono::ZERO, &answer(by, 0));
    }
    assert!(round.has_quorum(&name("x"), [&now].into_iter()));
    assert!(!round.has_quorum(&name("x"), [&before, &now].into_iter()));
    let asked: Vec<_> =
        round.questions(&name("x"), [&before, &now].into_iter()).into_iter().map(|(to, _)| to).collect();
    assert_eq!(asked, [name("a"), name("b")], "who has answered is not asked again");
    round.answered(Mono::ZERO, &answer("a", 0));
    assert!(!round.has_quorum(&name("x"), [&before, &now].into_iter()), "QF of two is both");
    round.answered(Mono::ZERO, &answer("b", 0));
    assert!(round.has_quorum(&name("x"), [&before, &now].into_iter()));
}

#[test]
fn a_pod_without_witnesses_is_never_fenced() {
    assert!(!round().has_quorum(&name("x"), [&set("x")].into_iter()));
}

#[test]
fn the_largest_remaining_promise_is_waited_for_from_when_it_was_heard_of() {
    let (mut round, at) = (round(), |ms: u64| Mono::from_nanos(ms * 1_000_000));
    round.answered(at(1_000), &answer("a", 3_000));
    round.answered(at(2_000), &answer("b", 500));
    assert_eq!(round.promises_end(), at(4_000));
    // Told again, it is not over any earlier.
    round.answered(at(2_500), &answer("a", 0));
    assert_eq!(round.promises_end(), at(4_000));
}

proptest! {
    /// For any delays on the way and any three clock rates within ρ: whoever was promised has stopped before the leader has
    /// waited the promise out. Real time in milliseconds; the question is sent at 0.
    #[test]
    fn the_pod_stops_before_the_promise_is_waited_out(
        to_witness in 0_f64..20_000.0, asked_after in 0_f64..6_000.0, to_leader in 0_f64..5_000.0,
        pod in 0.99_f64..1.01, witness in 0.99_f64..1.01, leader in 0.99_f64..1.01,
    ) {
        let terms = LeaseTerms::default();
        let stops = terms.extended_until(Mono::ZERO).since(Mono::ZERO).as_secs_f64() * 1_000.0 / pod;
        let bound = terms.promised_until(Mono::ZERO).since(Mono::ZERO).as_secs_f64() * 1_000.0;
        let remaining = (bound - asked_after * witness).max(0.0).ceil() as u64;
        let told = to_witness + asked_after + to_leader;
        let mut round = round();
        round.answered(Mono::from_nanos((told * leader * 1e6) as u64), &answer("a", remaining));
        let free = round.promises_end().as_nanos() as f64 / 1e6 / leader;
        prop_assert!(stops < free + 1e-3, "stops {stops} ms, free {free} ms");
    }
}

#[test]
fn a_witness_that_answers_twice_is_one_witness_and_its_longest_promise_counts() {
    let all = set("a b c x");
    let mut round = round();
    round.answered(Mono::ZERO, &answer("a", 2_000));
    round.answered(Mono::ZERO, &answer("a", 500));
    assert!(!round.has_quorum(&name("x"), [&all].into_iter()), "QF of three is two of them");
    assert_eq!(round.promises_end(), Mono::from_nanos(2_000_000_000));
    round.answered(Mono::ZERO, &answer("b", 0));
    assert!(round.has_quorum(&name("x"), [&all].into_iter()));
}
