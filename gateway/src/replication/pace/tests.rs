use super::*;

const MS: Duration = Duration::from_millis(1);

fn at(ms: u32) -> Mono {
    Mono::ZERO.after(ms * MS)
}

/// Uploads that begin within `most`, when somebody waits all the time and each takes 10 ms.
fn uploads(pace: &mut Pace, most: Duration) -> Vec<Mono> {
    let (mut now, end, mut begun) = (at(0), at(0).after(most), Vec::new());
    loop {
        now = pace.next_at(now).max(now);
        if now >= end {
            return begun;
        }
        pace.take(now);
        begun.push(now);
        now = now.after(10 * MS);
    }
}

#[test]
fn a_lone_event_waits_for_nothing_and_a_few_after_a_quiet_time_neither() {
    let mut pace = Pace::new(at(0), 20, 2.0);
    for n in 0..4 {
        assert_eq!(pace.next_at(at(n)), at(n), "upload {n}");
        pace.take(at(n));
    }
}

#[test]
fn a_busy_pod_uploads_its_burst_and_then_its_average() {
    let mut pace = Pace::new(at(0), 20, 2.0);
    let begun = uploads(&mut pace, Duration::from_secs(60));
    assert!((120..=141).contains(&begun.len()), "{}", begun.len());
    let last_minute = uploads(&mut Pace::new(at(0), 1, 2.0), Duration::from_secs(60));
    assert!((119..=121).contains(&last_minute.len()), "{}", last_minute.len());
}

#[test]
fn the_pause_grows_from_nothing_to_the_average_one_and_never_beyond() {
    let mut pace = Pace::new(at(0), 20, 2.0);
    let mut before = Duration::ZERO;
    for _ in 0..40 {
        pace.take(at(1));
        let pause = pace.pause();
        assert!(pause >= before && pause <= 500 * MS, "{before:?} then {pause:?}");
        before = pause;
    }
    assert_eq!(before, 500 * MS);
}

#[test]
fn what_cannot_wait_is_paid_for_later() {
    let mut pace = Pace::new(at(0), 2, 2.0);
    for _ in 0..3 {
        pace.take(at(0));
    }
    assert_eq!(pace.next_at(at(0)), at(1_000), "one owed, one needed, two a second");
}

#[test]
fn a_quiet_time_fills_the_bucket_and_not_more() {
    let mut pace = Pace::new(at(0), 20, 2.0);
    let _ = uploads(&mut pace, Duration::from_secs(30));
    assert!(pace.pause() > 450 * MS);
    let _ = pace.next_at(at(600_000));
    assert_eq!(pace.pause(), Duration::ZERO);
    assert!((pace.tokens - 20.0).abs() < 0.001);
}
