use super::*;

fn at(ms: u64) -> Mono {
    Mono::ZERO.after(Duration::from_millis(ms))
}

fn slice(slots: u32, floor: u32) -> RestSlice {
    RestSlice { version: 3, slots, floor, term_ms: 60_000, paused_ms: 0, invalid: 5_000 }
}

fn with(count: u32, floor: u32) -> Slots {
    let mut slots = Slots::default();
    slots.hear(&slice(count, floor), at(0), Duration::from_secs(11));
    slots
}

#[test]
fn a_slot_is_free_a_second_after_its_answer() {
    let mut slots = with(2, 1);
    for _ in 0..2 {
        assert_eq!(slots.closed(false, at(0)), None);
        slots.take(at(0));
    }
    assert!(slots.closed(false, at(5_000)).is_some(), "both are out");
    slots.ended(true, at(5_000));
    slots.ended(false, at(5_000));
    assert_eq!(slots.closed(true, at(5_000)), None, "one did not leave");
    slots.take(at(5_000));
    assert_eq!(slots.closed(true, at(5_100)), Some(Turn { at: at(6_000), kept: true }));
    assert_eq!(slots.closed(true, at(6_000)), None);
}

/// Requests are answered after any time, and arrive at any time before that.
#[test]
fn no_second_sees_more_requests_than_there_are_slots_however_long_they_are_on_their_way() {
    let mut state = 77_u64;
    let mut any = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let mut slots = with(7, 7);
    let (mut out, mut arrived) = (Vec::new(), Vec::new());
    for now in 0..30_000 {
        while let Some(i) = out.iter().position(|answered| *answered <= now) {
            out.swap_remove(i);
            slots.ended(true, at(now));
        }
        if slots.closed(any(2) == 0, at(now)).is_none() {
            slots.take(at(now));
            let answered = now + any(900);
            arrived.push(now + any(answered - now + 1));
            out.push(answered);
        }
    }
    arrived.sort_unstable();
    assert!(arrived.len() > 100, "{}", arrived.len());
    assert!(arrived.windows(8).all(|window| window[7] - window[0] >= 1_000));
}

#[test]
fn who_came_first_has_a_place_and_who_comes_then_is_behind() {
    let mut slots = with(2, 2);
    (0..2).for_each(|_| slots.take(at(0)));
    (0..2).for_each(|_| slots.ended(true, at(0)));
    let first = slots.closed(false, at(10)).expect("not now");
    let second = slots.closed(false, at(11)).expect("not now");
    assert_eq!(
        (first, second.kept),
        (Turn { at: at(1_000), kept: true }, false),
        "nobody waits for longer than a second"
    );
    assert!(slots.closed(false, at(999)).is_some());
    assert_eq!(slots.closed(true, at(1_000)), None);
}

#[test]
fn without_an_answer_it_goes_on_with_its_floor_and_ends_what_was_lent_in_time() {
    let slots = with(20, 4);
    // A hundredth for the clocks, and time for the last request to end.
    assert_eq!((slots.may_use(at(48_399)), slots.may_use(at(48_400))), (20, 4));
    assert_eq!(with(20, 4).may_use(at(1_000_000)), 4);
}

#[test]
fn what_it_says_that_it_keeps_it_keeps_to_and_what_it_needs_it_asks_for() {
    let mut slots = with(20, 4);
    for _ in 0..20 {
        slots.take(at(0));
    }
    assert!((0..5).all(|_| slots.closed(false, at(0)).is_some()));
    assert_eq!(slots.claim(at(0)), Claim { version: 3, slots: 20, floor: 4, wants: 25 });
    (0..20).for_each(|_| slots.ended(true, at(0)));
    // It needs less and less, and says so.
    let kept: Vec<_> = (1..20).map(|n| slots.claim(at(n * 2_000)).slots).collect();
    assert_eq!((kept[0], kept.last()), (20, Some(&4)));
    assert!(kept.is_sorted_by(|a, b| a >= b), "{kept:?}");
    assert_eq!(slots.may_use(at(40_000)), 4);
    assert!(!slots.is_asking(at(40_000)));
}

#[test]
fn who_is_given_less_than_is_out_says_how_many_are_until_they_are_back() {
    let mut slots = with(20, 4);
    (0..20).for_each(|_| slots.take(at(0)));
    slots.hear(&slice(10, 4), at(100), Duration::from_secs(11));
    assert_eq!((slots.claim(at(200)).slots, slots.closed(true, at(200)).is_some()), (20, true));
    (0..20).for_each(|_| slots.ended(true, at(300)));
    assert_eq!(slots.claim(at(1_299)).slots, 20, "their seconds are not over");
    assert_eq!(slots.claim(at(1_300)).slots, 10);
}

#[test]
fn who_has_nothing_waits_and_asks() {
    let mut slots = Slots::default();
    assert_eq!(slots.closed(false, at(0)), Some(Turn { at: at(1_000), kept: false }));
    assert!(slots.is_asking(at(0)));
    assert_eq!(slots.claim(at(0)).wants, 1);
}
