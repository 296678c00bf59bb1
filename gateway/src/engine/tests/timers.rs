use super::*;

fn set_timer(event: &Event, target: &mut Target<'_>) -> Result<Reply, HandlerError> {
    match body(event).split_whitespace().collect::<Vec<_>>()[..] {
        ["at", id, after] => {
            let due = target.now_ms() + after.parse::<u64>().expect("a number") * 1_000;
            target.timer().at(id, due, "")?;
        }
        ["poison"] => {
            let due = target.now_ms() + 1_000;
            target.timer().at("poison", due, "poison")?;
        }
        ["cancel", id] => drop(target.timer().cancel(id)?),
        _ => return log(event, target),
    }
    Ok(Reply::none())
}

#[test]
fn a_timer_fires_once_at_its_time_in_order_and_not_when_it_was_taken_back() {
    let bench = Bench::new(Bot(set_timer));
    for text in ["at b 20", "at a 10", "at never 15", "at moved 5", "at moved 30", "cancel never"] {
        bench.send(say(&bench, A, text));
    }
    bench.advance(9 * SECOND);
    assert_eq!(read(&bench, A), "");
    bench.advance(31 * SECOND);
    bench.until("the last has fired", |bench| read(bench, A).contains("moved"));
    let start = 1_700_000_000_000_u64;
    let expected = [("a", 10), ("b", 20), ("moved", 30)].map(|(id, s)| format!("{id}@{}", start + s * 1_000)).join(" ");
    assert_eq!(read(&bench, A), expected);
}

#[test]
fn a_timer_that_is_set_again_for_the_same_time_fires_again() {
    fn at_once(event: &Event, target: &mut Target<'_>) -> Result<Reply, HandlerError> {
        if body(event) != "now" {
            return log(event, target);
        }
        target.timer().at("now", 0, "")?;
        Ok(Reply::none())
    }
    let bench = Bench::new(Bot(at_once));
    for times in 1..=3 {
        bench.send(say(&bench, A, "now"));
        bench.until("it has fired", |bench| read(bench, A).matches("now@0").count() == times);
    }
}

#[test]
fn a_timer_missed_while_the_pod_was_down_fires_once_late_and_a_clock_that_jumps_fires_none_twice() {
    let mut bench = Bench::new(Bot(set_timer));
    bench.send(say(&bench, A, "at a 10"));
    bench.clock().advance(3_600 * SECOND);
    bench.renew_lease();
    bench.crash();
    bench.until("it has fired", |bench| read(bench, A).contains('@'));
    let once = read(&bench, A);
    bench.clock().step_wall(1_700_000_000_000);
    bench.crash();
    bench.advance(60 * SECOND);
    bench.advance(3_600 * SECOND);
    assert_eq!(read(&bench, A), once);
    assert_eq!(once.matches('@').count(), 1);
}

#[test]
fn a_timer_that_fails_keeps_its_attempts_through_a_crash_and_does_not_hold_up_others_for_ever() {
    let mut bench = Bench::with(Bot(set_timer), |options| options.handler_attempts = 4);
    bench.send(say(&bench, A, "poison"));
    bench.advance(SECOND);
    bench.until("it has failed once", |bench| bench.metrics().contains(r#"result="retried"} 1"#));
    bench.crash();
    bench.until("it is dead", |bench| {
        bench.advance(SECOND);
        bench.block_on(bench.engine().dead_events(10)).expect("read").len() == 1
    });
    let dead = bench.block_on(bench.engine().dead_events(10)).expect("read");
    assert_eq!((dead[0].source.as_deref(), dead[0].attempts), (Some("timer"), 4));
    bench.send(say(&bench, A, "after"));
    assert_eq!(read(&bench, A), "after");
}

#[test]
fn a_timer_that_was_set_anew_while_it_waited_fires_only_at_its_new_time() {
    let failures = AtomicU32::new(1);
    let bench = Bench::new(Bot(move |event: &Event, target: &mut Target<'_>| {
        if body(event) != "move" {
            return set_timer(event, target);
        }
        if failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok() {
            return retry("not yet");
        }
        let due = target.now_ms() + 60_000;
        target.timer().at("a", due, "")?;
        Ok(Reply::none())
    }));
    bench.send(say(&bench, A, "at a 1"));
    bench.clock().advance(Duration::from_millis(500));
    let moving = bench.post(say(&bench, A, "move"));
    // The timer is due while the event before it waits to be tried again.
    bench.advance(2 * SECOND);
    assert!(matches!(moving.outcome(&bench), Outcome::Committed { .. }));
    bench.advance(30 * SECOND);
    assert_eq!(read(&bench, A), "");
    bench.advance(40 * SECOND);
    bench.until("it fires", |bench| read(bench, A).matches('@').count() == 1);
}

#[test]
fn a_timer_that_was_taken_back_while_it_waited_does_not_fire_when_an_event_behind_it_is_accepted() {
    let failures = AtomicU32::new(2);
    let bench = Bench::with(
        Bot(move |event: &Event, target: &mut Target<'_>| {
            let hard = body(event) == "cancel a"
                && failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
            if hard { retry("not yet") } else { set_timer(event, target) }
        }),
        |options| options.group_commit = 1,
    );
    bench.send(say(&bench, A, "at a 1"));
    let cancel = bench.post(bench.event(A, EventKind::GithubEvent, "cancel a"));
    bench.until("it has failed", |bench| bench.metrics().contains(r#"result="retried"} 1"#));
    bench.advance(SECOND);
    bench.until("the timer waits behind it", |bench| bench.metrics().contains(r#"result="retried"} 2"#));
    let behind = bench.post(say(&bench, A, "behind"));
    // At one glance: the first may run, and the last has to be answered.
    bench.clock().advance(2 * SECOND);
    bench.block_on(bench.engine().wake());
    assert!(matches!(cancel.outcome(&bench), Outcome::Committed { .. }));
    assert!(matches!(behind.outcome(&bench), Outcome::Committed { .. }));
    bench.advance(5 * SECOND);
    assert_eq!(read(&bench, A), "behind");
}
