//! Events that are sent before the one before them is answered: committed behind that, or sent again.

use super::*;

/// An event that is only to be committed behind another one.
fn behind(bench: &Bench, text: &str, before: &Event) -> Event {
    let mut event = say(bench, A, text);
    event.comes_behind(Some(&before.id));
    event
}

fn comes_back(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Busy { retry_after_ms: 1..=50 })
}

#[test]
fn an_event_that_comes_before_the_one_it_stands_behind_is_sent_again() {
    let bench = Bench::new(Bot(|event: &Event, target: &mut Target<'_>| {
        assert!(event.headers.is_empty(), "handlers are told nothing of it");
        log(event, target)
    }));
    let first = say(&bench, A, "one");
    let second = behind(&bench, "two", &first);
    assert!(comes_back(&bench.send(second.clone())));
    assert_eq!(bench.state(&first.target).journal_seq, 0);
    bench.send(first);
    assert_eq!(committed(&bench.send(second.clone())), ("one two".into(), false));
    assert_eq!(committed(&bench.send(second)), ("one two".into(), true));
    // What stands behind nothing comes whenever it comes.
    let mut third = say(&bench, A, "three");
    third.comes_behind(Some("nobody has this id"));
    assert!(comes_back(&bench.send(third.clone())));
    third.comes_behind(None);
    assert_eq!(committed(&bench.send(third)), ("one two three".into(), false));
}

#[test]
fn those_that_wait_together_are_written_and_accepted_in_their_order_and_no_others() {
    let failures = AtomicU32::new(1);
    let bench = Bench::new(Bot(move |event: &Event, target: &mut Target<'_>| {
        let first = failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
        if first { retry("not yet") } else { log(event, target) }
    }));
    let one = say(&bench, A, "one");
    let (two, absent) = (behind(&bench, "two", &one), say(&bench, A, "absent"));
    let lost = behind(&bench, "lost", &absent);
    let all = [one, two, lost].map(|event| bench.post(event));
    bench.until("the first has failed", |bench| bench.metrics().contains(r#"result="retried"} 1"#));
    // The sender has to be answered: what stands in its order is accepted.
    bench.advance(2 * SECOND);
    bench.until("two are applied", |bench| bench.state(&A.parse().expect("valid")).applied == 2);
    let [one, two, lost] = all.map(|sent| sent.outcome(&bench));
    assert!(matches!((&one, &two), (Outcome::Committed { .. }, Outcome::Committed { .. })), "{one:?}, {two:?}");
    assert!(comes_back(&lost), "{lost:?}");
    assert_eq!(read(&bench, A), "one two");
}
