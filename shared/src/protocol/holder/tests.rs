mod extension;

use super::*;
use crate::Term;
use proptest::prelude::*;

const D: Duration = Duration::from_secs(6);

fn incarnation(last: u8) -> Incarnation {
    format!("0190163d-8694-739b-aea5-966c26f8ad{last:02x}").parse().expect("valid")
}

fn at(ms: u64) -> Mono {
    Mono::from_nanos((10_000 + ms) * 1_000_000)
}

fn registered(lease: u64) -> Input {
    Input::Registered(Registered {
        version: 1,
        lease_id: LeaseId(lease),
        generation: 0,
        heartbeat_ms: 1_000,
        lease_ms: 6_000,
        fenced: vec![],
        report: false,
    })
}

fn grant(lease: u64, nonce: u64) -> Grant {
    Grant {
        lease_id: LeaseId(lease),
        incarnation: incarnation(1),
        nonce,
        term: Term(1),
        lease_ms: 6_000,
        revision: Revision(40),
        witnesses: witnesses(1, 2),
    }
}

fn name(number: usize) -> PodId {
    format!("gateway-{number}").parse().expect("valid")
}

/// The first `count` other gateways.
fn witnesses(version: u64, count: usize) -> Witnesses {
    let peer = |number| Peer { pod: name(number), address: format!("{}:9200", name(number)) };
    Witnesses { version, pods: (1..=count).map(peer).collect() }
}

fn stranger() -> Holder {
    Holder::new(name(0), incarnation(1), LeaseTerms::default(), 7, None)
}

fn not_granted(nonce: u64, failure: Failure) -> Input {
    Input::NotGranted { nonce, failure }
}

/// What comes of an input beside questions to witnesses, when the lease file is written at once.
fn step(pod: &mut Holder, now: Mono, input: Input) -> Vec<Output> {
    let mut done = Vec::new();
    for output in pod.handle(now, input) {
        match output {
            Output::Keep(remembered) => done.extend(step(pod, now, Input::Kept(remembered.witnesses.version))),
            Output::Extend { .. } => {}
            other => done.push(other),
        }
    }
    done
}

fn refused(status: u16) -> Failure {
    Failure::Refused(Problem::new(http::StatusCode::from_u16(status).expect("valid"), "code", ""))
}

fn nonce(outputs: &[Output]) -> u64 {
    let beat = outputs.iter().find_map(|output| match output {
        Output::Beat { nonce, .. } => Some(*nonce),
        _ => None,
    });
    beat.unwrap_or_else(|| panic!("no heartbeat in {outputs:?}"))
}

/// A pod that has just been registered under `lease` and sent its first heartbeat.
fn tenant(lease: u64) -> (Holder, u64) {
    let mut pod = stranger();
    assert_eq!(pod.handle(at(0), Input::Tick), [Output::Register]);
    let nonce = nonce(&pod.handle(at(10), registered(lease)));
    (pod, nonce)
}

fn hold(lease: u64, sent: Mono) -> Output {
    let valid_until = sent.after(D.mul_f64(0.99));
    Output::Hold { lease: Lease { id: LeaseId(lease), valid_until }, not_before: Some(Revision(40)) }
}

#[test]
fn a_grant_counts_from_before_its_heartbeat_was_sent() {
    let (mut pod, nonce) = tenant(3);
    assert_eq!(step(&mut pod, at(700), Input::Granted(grant(3, nonce))), [hold(3, at(10))]);
    assert_eq!(pod.wake_at(), Some(at(1_010)));
}

#[test]
fn heartbeats_go_out_every_second_and_one_at_a_time() {
    let (mut pod, first) = tenant(1);
    assert_eq!(step(&mut pod, at(1_500), Input::Tick), []);
    let late = step(&mut pod, at(1_510), not_granted(first, Failure::Unreachable("late".into())));
    let second = nonce(&late);
    assert_ne!(first, second);
    assert_eq!(step(&mut pod, at(1_600), Input::Granted(grant(1, second))), [hold(1, at(1_510))]);
    assert_eq!(step(&mut pod, at(2_400), Input::Tick), []);
    assert_ne!(nonce(&step(&mut pod, at(2_510), Input::Tick)), second);
}

#[test]
fn a_grant_that_answers_something_else_is_ignored() {
    for wrong in [
        |g: &mut Grant| g.nonce += 1,
        |g: &mut Grant| g.lease_id = LeaseId(2),
        |g: &mut Grant| g.incarnation = incarnation(2),
    ] {
        let (mut pod, nonce) = tenant(1);
        let mut bad = grant(1, nonce);
        wrong(&mut bad);
        assert!(matches!(step(&mut pod, at(20), Input::Granted(bad))[..], [Output::Ignored(_)]));
        // The heartbeat it came for is over; its true grant, should it still come, is worth nothing.
        assert!(matches!(step(&mut pod, at(30), Input::Granted(grant(1, nonce)))[..], [Output::Ignored(_)]));
    }
}

#[test]
fn a_lease_that_config_service_does_not_know_is_dropped_and_the_pod_registers_anew() {
    for status in [404, 409, 410] {
        let (mut pod, nonce) = tenant(1);
        assert!(matches!(step(&mut pod, at(20), not_granted(nonce, refused(status)))[..], [Output::Drop(_)]));
        let again = pod.wake_at().expect("a retry");
        assert!(again > at(20) && again <= at(120), "{again:?}");
        assert_eq!(step(&mut pod, again, Input::Tick), [Output::Register]);
    }
}

#[test]
fn a_moments_refusal_keeps_the_lease() {
    for failure in [refused(503), refused(500), refused(401), Failure::Unreachable("cut".into())] {
        let (mut pod, nonce) = tenant(1);
        assert_eq!(step(&mut pod, at(20), not_granted(nonce, failure)), []);
        assert!(matches!(step(&mut pod, at(1_010), Input::Tick)[..], [Output::Beat { lease_id: LeaseId(1), .. }]));
    }
}

#[test]
fn a_lease_that_runs_out_is_told_once_and_comes_back_with_the_next_grant() {
    let (mut pod, first) = tenant(1);
    step(&mut pod, at(20), Input::Granted(grant(1, first)));
    let mut last = nonce(&step(&mut pod, at(1_010), Input::Tick));
    let mut told = 0;
    for ms in (1_100..9_000).step_by(100) {
        for output in step(&mut pod, at(ms), not_granted(last, Failure::Unreachable("gone".into()))) {
            match output {
                Output::RanOut => {
                    told += 1;
                    // 5.94 s after the last granted heartbeat, less the 0.9 s in which no new work is taken.
                    assert_eq!(ms, 5_100);
                }
                Output::Beat { nonce, .. } => last = nonce,
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(told, 1);
    let back = nonce(&step(&mut pod, at(9_100), Input::Tick));
    assert_eq!(step(&mut pod, at(9_200), Input::Granted(grant(1, back))), [hold(1, at(9_100))]);
}

#[test]
fn the_machine_wakes_when_the_lease_ends_also_while_a_heartbeat_is_under_way() {
    let (mut pod, first) = tenant(1);
    step(&mut pod, at(20), Input::Granted(grant(1, first)));
    step(&mut pod, at(1_010), Input::Tick);
    let ask = pod.wake_at().expect("the time to ask");
    assert_eq!(ask, at(10 + 2_440).after(Duration::from_nanos(1)));
    let end = at(10 + 5_040).after(Duration::from_nanos(1));
    assert_eq!(step(&mut pod, end, Input::Tick), [Output::RanOut]);
}

#[test]
fn a_paused_machine_drops_its_lease_and_registers_anew() {
    let (mut pod, nonce) = tenant(1);
    step(&mut pod, at(20), Input::Granted(grant(1, nonce)));
    assert!(matches!(step(&mut pod, at(30), Input::Drifted)[..], [Output::Drop(_)]));
    assert!(matches!(step(&mut pod, at(40), Input::Granted(grant(1, nonce)))[..], [Output::Ignored(_)]));
    let again = pod.wake_at().expect("a retry");
    assert_eq!(step(&mut pod, again, Input::Tick), [Output::Register]);
}

#[test]
fn registering_is_tried_again_ever_more_slowly_until_it_works() {
    let mut pod = stranger();
    let (mut now, mut waits) = (at(0), vec![]);
    for _ in 0..12 {
        assert_eq!(step(&mut pod, now, Input::Tick), [Output::Register]);
        step(&mut pod, now, Input::NotRegistered(Failure::Unreachable("refused".into())));
        let next = pod.wake_at().expect("a retry");
        waits.push(next.since(now));
        now = next;
    }
    assert!(waits[0] <= RETRY.0 && waits[11] <= RETRY.1 && waits[11] > RETRY.1 / 2, "{waits:?}");
    step(&mut pod, now, Input::Tick);
    assert!(matches!(step(&mut pod, now, registered(4))[..], [Output::Beat { lease_id: LeaseId(4), .. }]));
}

#[test]
fn a_pod_that_leaves_says_goodbye_once_and_does_not_take_the_lease_again() {
    let (mut pod, first) = tenant(1);
    assert_eq!(step(&mut pod, at(20), Input::Leave), []);
    let goodbye = step(&mut pod, at(30), Input::Granted(grant(1, first)));
    assert!(matches!(goodbye[..], [Output::Hold { .. }, Output::Beat { leaving: true, .. }]), "{goodbye:?}");
    assert_eq!(step(&mut pod, at(40), Input::Granted(grant(1, nonce(&goodbye)))), [Output::Gone]);
    assert_eq!(step(&mut pod, at(5_000), Input::Tick), []);

    let (mut cut_off, first) = tenant(1);
    step(&mut cut_off, at(20), Input::Leave);
    let goodbye = nonce(&step(&mut cut_off, at(30), not_granted(first, refused(503))));
    assert_eq!(step(&mut cut_off, at(40), not_granted(goodbye, refused(503))), [Output::Gone]);

    let mut stranger = stranger();
    assert_eq!(step(&mut stranger, at(0), Input::Leave), [Output::Gone]);
}

/// What the world does next to a pod, in a random walk.
#[derive(Debug, Clone)]
enum Fate {
    Wait(u64),
    Answer,
    AnswerWrong,
    Fail(u16),
    Lose,
    Drift,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        4 => (1_u64..3_000).prop_map(Fate::Wait),
        6 => Just(Fate::Answer),
        1 => Just(Fate::AnswerWrong),
        1 => prop_oneof![Just(404), Just(409), Just(503)].prop_map(Fate::Fail),
        2 => Just(Fate::Lose),
        1 => Just(Fate::Drift),
    ]
}

proptest! {
    /// Whatever happens, no lease is held longer than a grant that answered its own heartbeat allows, at most one call is
    /// under way, and no nonce comes twice.
    #[test]
    fn a_lease_is_never_held_longer_than_it_was_granted(fates in prop::collection::vec(fate(), 1..200), seed: u64) {
        let mut pod = Holder::new(name(0), incarnation(1), LeaseTerms::default(), seed, None);
        let (mut ms, mut lease) = (0, 0);
        let (mut registering, mut beat): (bool, Option<(u64, Mono)>) = (false, None);
        let mut nonces = std::collections::HashSet::new();
        for fate in fates {
            let mut allowed = None;
            let input = match fate {
                Fate::Wait(by) => { ms += by; Input::Tick }
                Fate::Drift => { (registering, beat) = (false, None); Input::Drifted }
                Fate::Answer if registering => { registering = false; lease += 1; registered(lease) }
                Fate::Lose | Fate::Fail(_) | Fate::AnswerWrong if registering => {
                    registering = false;
                    Input::NotRegistered(refused(503))
                }
                Fate::Answer | Fate::AnswerWrong | Fate::Fail(_) | Fate::Lose => match beat.take() {
                    None => Input::Tick,
                    Some((nonce, sent)) => match fate {
                        Fate::Answer => { allowed = Some(sent.after(D.mul_f64(0.99))); Input::Granted(grant(lease, nonce)) }
                        Fate::AnswerWrong => Input::Granted(grant(lease, nonce ^ 1)),
                        Fate::Fail(status) => not_granted(nonce, refused(status)),
                        _ => not_granted(nonce, Failure::Unreachable("lost".into())),
                    },
                },
            };
            for output in step(&mut pod, at(ms), input) {
                match output {
                    Output::Register => { prop_assert!(!registering && beat.is_none()); registering = true; }
                    Output::Beat { lease_id, nonce, .. } => {
                        prop_assert!(!registering && beat.is_none() && lease_id == LeaseId(lease));
                        prop_assert!(nonces.insert(nonce));
                        beat = Some((nonce, at(ms)));
                    }
                    Output::Hold { lease: held, .. } => {
                        prop_assert_eq!(held.id, LeaseId(lease));
                        prop_assert!(allowed.is_some_and(|allowed| held.valid_until <= allowed));
                    }
                    Output::Drop(_) => prop_assert!(beat.is_none() && !registering),
                    Output::RanOut | Output::Ignored(_) | Output::Gone => {}
                    Output::Keep(_) | Output::Extend { .. } => unreachable!("carried out by the step"),
                }
            }
        }
    }
}
