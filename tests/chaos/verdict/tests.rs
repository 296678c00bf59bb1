use super::*;
use crate::evidence::Arrived;

const EVENTS: u64 = 20;

/// A run of one target in which all went well.
fn sound() -> Evidence {
    let journal: Vec<_> = (0..EVENTS).map(|n| load::event_id(0, n)).collect();
    let own = Holding {
        pod: "gateway-1".to_owned(),
        state: "owned".to_owned(),
        journal: journal.clone(),
        handled: EVENTS,
        ..Holding::default()
    };
    let left = Holding { pod: "gateway-0".to_owned(), state: "released".to_owned(), ..Holding::default() };
    let wanted = (0..EVENTS).filter(|n| load::effect(*n) != Effect::None).map(|n| load::event_id(0, n));
    let calls = wanted.map(|event| Arrived { key: Some(format!("key of {event}")), event }).collect();
    Evidence {
        owners: BTreeMap::from([(load::target(0), "gateway-1".to_owned())]),
        holdings: BTreeMap::from([(load::target(0), vec![left, own])]),
        calls,
    }
}

fn judged(spoil: impl FnOnce(&mut Evidence, &mut Holding)) -> Verdict {
    let mut evidence = sound();
    let mut own = evidence.holdings.get_mut(&load::target(0)).and_then(Vec::pop).expect("the owner's");
    spoil(&mut evidence, &mut own);
    evidence.holdings.entry(load::target(0)).or_default().push(own);
    let mut verdict = Verdict::default();
    verdict.judge(&[EVENTS], &evidence);
    verdict
}

#[test]
fn a_run_in_which_all_went_well_is_clean() {
    assert_eq!(judged(|_, _| {}), Verdict::default());
}

#[test]
fn an_event_that_is_gone_is_found_lost() {
    let verdict = judged(|_, own| {
        own.journal.remove(4);
        own.handled -= 1;
    });
    assert_eq!((verdict.lost.len(), verdict.doubled.len()), (1, 0), "{verdict:?}");
}

#[test]
fn an_event_that_lies_only_with_a_pod_that_is_not_the_owner_is_found_lost() {
    let verdict = judged(|evidence, own| {
        let mut elsewhere = own.clone();
        elsewhere.state = "quarantined".to_owned();
        evidence.holdings.entry(load::target(0)).or_default().push(elsewhere);
        own.journal.pop();
        own.handled -= 1;
    });
    assert_eq!(verdict.lost.len(), 1, "{verdict:?}");
}

#[test]
fn a_target_that_nobody_serves_is_found_lost() {
    let verdict = judged(|_, own| own.state = "quarantined".to_owned());
    assert_eq!(verdict.lost.len(), 1, "{verdict:?}");
}

#[test]
fn an_event_without_its_effect_on_the_state_is_found_lost() {
    assert_eq!(judged(|_, own| own.handled -= 1).lost.len(), 1);
}

#[test]
fn an_event_that_never_got_done_is_found_lost() {
    let verdict = judged(|_, own| {
        own.undone.push(load::event_id(0, 5));
        own.handled -= 1;
    });
    assert_eq!(verdict.lost.len(), 1, "{verdict:?}");
}

#[test]
fn an_event_that_changed_state_twice_is_found_doubled() {
    assert_eq!(judged(|_, own| own.handled += 1).doubled.len(), 1);
    let again = judged(|_, own| {
        own.journal.push(load::event_id(0, EVENTS - 1));
        own.handled += 1;
    });
    assert!(!again.doubled.is_empty(), "{again:?}");
}

#[test]
fn an_effect_that_happened_twice_is_found_doubled() {
    let once = judged(|evidence, _| {
        let call = evidence.calls.iter().find(|call| call.event == load::event_id(0, 7)).expect("a call").clone();
        evidence.calls.push(call);
    });
    assert_eq!(once.doubled.len(), 1, "{once:?}");
    let repeated = judged(|evidence, _| {
        let call = evidence.calls.iter().find(|call| call.event == load::event_id(0, 3)).expect("a call").clone();
        evidence.calls.push(call);
    });
    assert_eq!(repeated, Verdict::default(), "the same key is the same call");
    let under_two_keys = judged(|evidence, _| {
        evidence.calls.push(Arrived { event: load::event_id(0, 3), key: Some("another".to_owned()) });
    });
    assert_eq!(under_two_keys.doubled.len(), 1);
}

#[test]
fn an_effect_that_never_happened_is_lost_unless_it_is_counted_uncertain() {
    let take_away = |evidence: &mut Evidence| evidence.calls.retain(|call| call.event != load::event_id(0, 7));
    assert_eq!(judged(|evidence, _| take_away(evidence)).lost.len(), 1);
    let known = judged(|evidence, own| {
        take_away(evidence);
        own.uncertain.push(load::event_id(0, 7));
    });
    assert_eq!((known.is_clean(), known.uncertain), (true, 1), "{known:?}");
}

#[test]
fn events_in_another_order_are_found() {
    assert_eq!(judged(|_, own| own.journal.swap(3, 9)).disordered.len(), 1);
}
