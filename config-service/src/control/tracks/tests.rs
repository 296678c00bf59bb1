use super::*;

fn pod() -> PodId {
    "gateway-0".parse().expect("valid")
}

fn served(events: u64, bad: u64) -> Served {
    let mut served = Served { events, errors: bad, ..Served::default() };
    served.took[Served::place(Duration::from_millis(1))] = events;
    served
}

fn later(seconds: u64) -> Mono {
    Mono::ZERO.after(Duration::from_secs(seconds))
}

#[test]
fn only_what_was_answered_in_the_window_counts() {
    let mut reports = Reports::default();
    assert_eq!(reports.of(&pod()), None);
    for n in 0..=1_000 {
        reports.heard(&pod(), Some(served(n * 10, n)), later(n));
    }
    let (time, of) = reports.of(&pod()).expect("reported");
    assert!((300..=305).contains(&time.as_secs()), "{time:?}");
    assert_eq!((of.events, of.errors), (time.as_secs() * 10, time.as_secs()));
}

#[test]
fn a_process_that_begins_anew_is_counted_anew() {
    let mut reports = Reports::default();
    reports.heard(&pod(), Some(served(500, 500)), later(0));
    reports.heard(&pod(), Some(served(3, 0)), later(1));
    reports.heard(&pod(), None, later(2));
    assert_eq!(reports.of(&pod()).map(|(_, of)| of.events), Some(0));
    reports.heard(&pod(), Some(served(10, 1)), later(4));
    assert_eq!(reports.of(&pod()).map(|(time, of)| (time.as_secs(), of.events, of.errors)), Some((3, 7, 1)));
}
