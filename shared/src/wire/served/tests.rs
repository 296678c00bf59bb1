use super::*;

fn of(took_ms: &[u64], bad: u64) -> Served {
    let mut served = Served { events: took_ms.len() as u64, errors: bad, ..Served::default() };
    took_ms.iter().for_each(|ms| served.took[Served::place(Duration::from_millis(*ms))] += 1);
    served
}

#[test]
fn percentiles_are_bounds_that_answers_did_not_exceed() {
    assert_eq!(Served::default().percentile_ms(50), None);
    let mut quick = vec![1; 98];
    quick.extend([80, 60_000]);
    let served = of(&quick, 3);
    assert_eq!((served.events, served.errors), (100, 3));
    assert_eq!([50, 98, 99, 100].map(|of| served.percentile_ms(of)), [1.0, 1.0, 100.0, 10_000.0].map(Some));
}

#[test]
fn two_reports_make_what_happened_between_them_unless_the_process_began_anew() {
    let (before, after) = (of(&[1, 1], 1), of(&[1, 1, 30], 1));
    let between = after.since(&before).expect("it grew");
    assert_eq!((between.events, between.errors, between.percentile_ms(99)), (1, 0, Some(50.0)));
    assert_eq!(before.since(&after), None);
    assert_eq!(before.plus(&between).events, 3);
}
