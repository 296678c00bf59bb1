use super::*;
use std::time::Duration;

fn target(n: u64) -> TargetId {
    format!("discord:guild:{n}").parse().expect("valid")
}

fn busy(n: u64, events_per_second: f32) -> [TargetWeight; 1] {
    [TargetWeight { target: target(n), events_per_second }]
}

fn large(n: u64, bytes: u64, sockets: u64) -> [TargetSize; 1] {
    [TargetSize { target: target(n), bytes, sockets }]
}

fn minutes(n: u64) -> Mono {
    Mono::ZERO.after(Duration::from_secs(60 * n))
}

#[test]
fn a_busy_target_is_known_at_once_and_forgotten_when_it_falls_quiet() {
    let (mut weights, mut now) = (Weights::default(), minutes(0));
    weights.heard(&busy(1, 0.0), now);
    weights.heard(&busy(1, f32::NAN), now);
    assert!(weights.0.is_empty());
    weights.heard(&busy(1, 100.0), now);
    assert_eq!(weights.of(&target(1), now).events, 100.0);
    now = minutes(5);
    assert!((weights.of(&target(1), now).events - 50.0).abs() < 0.1, "half of it after a half-life");
    weights.heard(&busy(1, 100.0), now);
    assert!((weights.of(&target(1), now).events - 100.0).abs() < 0.1);
    for n in 2..42 {
        weights.heard(&busy(1, 0.0), minutes(5 * n));
    }
    assert!(weights.0.is_empty());
}

#[test]
fn what_a_target_keeps_stays_until_it_is_told_otherwise() {
    let mut weights = Weights::default();
    weights.sized(&large(1, 1_000_000, 3));
    weights.heard(&busy(1, 8.0), minutes(0));
    let weight = weights.of(&target(1), minutes(10));
    assert_eq!((weight.bytes, weight.sockets), (1e6, 3.0));
    assert!((weight.events - 2.0).abs() < 0.1, "{weight:?}");
    weights.heard(&busy(1, 8.0), minutes(10));
    assert_eq!(weights.of(&target(1), minutes(10)).bytes, 1e6);
    weights.sized(&large(2, 1, 1));
    weights.sized(&large(2, 0, 0));
    assert!(weights.0.get(target(2).as_str()).is_none());
}

#[test]
fn another_leader_knows_what_was_written_and_only_changes_are_written() {
    let (mut first, now) = (Weights::default(), minutes(0));
    first.heard(&busy(1, 100.0), now);
    first.sized(&large(2, 5_000, 0));
    let mut written = first.unwritten(10, now);
    written.sort_by(|(a, _), (b, _)| a.cmp(b));
    assert_eq!(written.iter().map(|(target, _)| target.clone()).collect::<Vec<_>>(), [target(1), target(2)]);
    assert!(first.unwritten(10, now).is_empty());
    first.heard(&busy(1, 105.0), minutes(1));
    assert!(first.unwritten(10, minutes(1)).is_empty(), "a little more is not worth writing");

    let mut second = Weights::default();
    second.remember(written, now);
    assert_eq!(second.of(&target(1), now).events, 100.0);
    assert_eq!(second.of(&target(2), now).bytes, 5_000.0);
    second.sized(&large(2, 0, 0));
    assert_eq!(second.unwritten(10, now), [(target(2), Weight::default())], "that it is nothing is written, too");
    assert!(second.0.get(target(2).as_str()).is_none());
    assert_eq!(second.unwritten(1, minutes(300)).len(), 1, "one that fell quiet");
    assert!(second.0.is_empty());
}
