use super::*;

fn at(seconds: u64) -> Mono {
    Mono::from_nanos(seconds * 1_000_000_000)
}

#[test]
fn after_a_mass_silence_all_timers_start_afresh_and_failovers_are_paced_until_nobody_is_silent() {
    let mut silence = Silence::new(at(1));
    assert_eq!((silence.since(at(0)), silence.since(at(4))), (at(1), at(4)));
    assert_eq!(silence.look(at(10), 2, 4), None, "half of the pods are no mass");
    assert_eq!(silence.look(at(11), 3, 4), Some(Turn::Mass));
    assert!(silence.is_mass());
    assert_eq!(silence.look(at(20), 3, 4), None);
    assert_eq!(silence.look(at(30), 1, 4), Some(Turn::Over));
    assert!(!silence.is_mass() && silence.is_paced());
    assert_eq!(silence.since(at(5)), at(30));
    assert_eq!(silence.look(at(40), 1, 4), None);
    assert_eq!(silence.look(at(41), 0, 4), Some(Turn::Calm));
    assert!(!silence.is_paced());
}

#[test]
fn paced_failovers_are_a_second_apart_and_at_most_a_third_of_the_pods_in_a_minute() {
    let mut pace = Pace::default();
    let (mut now, mut when) = (at(100), vec![]);
    while when.len() < 7 {
        now = pace.next(9).max(now);
        pace.note(now);
        when.push(now.since(at(100)).as_secs());
    }
    assert_eq!(when, [0, 1, 2, 60, 61, 62, 120]);
    // Of few pods, one in a minute.
    let mut pace = Pace::default();
    pace.note(at(100));
    assert_eq!(pace.next(2), at(160));
}
