//! Stories of the whole engine: a real database, real threads, clocks moved by hand.

mod asked;
mod behind;
mod data;
mod disk;
mod gated;
mod guilds;
mod kept;
mod timers;
mod turns;
mod volatile;

use super::*;
use crate::{
    handlers::{Handler, HandlerError, Reply, Target, Timer},
    testing::{Bench, text_of},
};
use shared::clock::{Clock, ManualClock};
use std::sync::{
    OnceLock,
    atomic::{AtomicI64, AtomicU32, Ordering},
};

const A: &str = "slack:guild:A";
const B: &str = "slack:guild:B";
const SECOND: Duration = Duration::from_secs(1);

/// A handler made of a function. Timers that fire are noted under `fired`.
struct Bot<F>(F);

impl<F> Handler for Bot<F>
where
    F: Fn(&Event, &mut Target<'_>) -> Result<Reply, HandlerError> + Send + Sync + 'static,
{
    fn handle(&self, event: &Event, target: &mut Target<'_>) -> Result<Reply, HandlerError> {
        (self.0)(event, target)
    }

    fn on_timer(&self, timer: &Timer, target: &mut Target<'_>) -> Result<(), HandlerError> {
        if timer.payload == "poison" {
            return Err(HandlerError::Retry("poison".into()));
        }
        append(target, &format!("{}@{}", timer.id, timer.due_ms))
    }
}

fn append(target: &mut Target<'_>, text: &str) -> Result<(), HandlerError> {
    let mut log: Vec<String> = target.kv().get("log")?.unwrap_or_default();
    log.push(text.to_owned());
    target.kv().set("log", &log)
}

/// Writes down what it is sent and answers with how much there is; `read` only answers with all of it.
fn log(event: &Event, target: &mut Target<'_>) -> Result<Reply, HandlerError> {
    if body(event) != "read" {
        append(target, body(event))?;
    }
    let log: Vec<String> = target.kv().get("log")?.unwrap_or_default();
    Ok(Reply::text(log.join(" ")))
}

fn body(event: &Event) -> &str {
    std::str::from_utf8(&event.body).expect("text")
}

fn say(bench: &Bench, target: &str, text: &str) -> Event {
    bench.event(target, EventKind::SlackCommand, text)
}

fn read(bench: &Bench, target: &str) -> String {
    match bench.send(say(bench, target, "read")) {
        Outcome::Committed { answer, .. } => text_of(&answer),
        other => panic!("{other:?}"),
    }
}

fn committed(outcome: &Outcome) -> (String, bool) {
    match outcome {
        Outcome::Committed { answer, duplicate } => (text_of(answer), *duplicate),
        other => panic!("not committed: {other:?}"),
    }
}

fn retry<T>(text: &str) -> Result<T, HandlerError> {
    Err(HandlerError::Retry(text.to_owned()))
}

#[test]
fn an_event_sent_twice_is_applied_once_and_answered_the_same() {
    let bench = Bench::new(Bot(log));
    let event = say(&bench, A, "one");
    let first = bench.send(event.clone());
    assert_eq!(committed(&first), ("one".into(), false));
    bench.send(say(&bench, A, "two"));
    assert_eq!(committed(&bench.send(event.clone())), ("one".into(), true));
    assert_eq!(read(&bench, A), "one two");
    let state = bench.state(&event.target);
    assert_eq!((state.applied, state.duplicates, state.journal_seq), (3, 1, 3));
    assert!(bench.metrics().contains(r#"berth_duplicate_events_total{platform="slack"} 1"#));
}

#[test]
fn the_same_id_of_another_source_is_another_event_and_another_payload_is_an_alarm() {
    let bench = Bench::new(Bot(log));
    let event = say(&bench, A, "one");
    bench.send(event.clone());
    let other_source = Event { source: "elsewhere".into(), ..event.clone() };
    assert!(!committed(&bench.send(other_source)).1);
    let other_payload = Event { body: "evil".into(), ..event };
    assert_eq!(committed(&bench.send(other_payload)), ("one".into(), true));
    assert_eq!(read(&bench, A), "one one");
    assert!(bench.metrics().contains(r#"berth_altered_events_total{platform="slack"} 1"#));
}

#[test]
fn a_stored_reply_outlives_a_crash() {
    let mut bench = Bench::new(Bot(log));
    let event = say(&bench, A, "one");
    bench.send(event.clone());
    let incarnation = bench.engine().incarnation();
    bench.crash();
    assert_eq!(committed(&bench.send(event)), ("one".into(), true));
    assert_eq!(bench.engine().incarnation(), incarnation);
    assert_eq!(read(&bench, A), "one");
}

#[test]
fn a_failing_event_is_retried_in_its_place_and_holds_up_only_its_own_target() {
    let failures = AtomicU32::new(2);
    let bench = Bench::new(Bot(move |event: &Event, target: &mut Target<'_>| {
        append(target, body(event))?;
        let failing = body(event) == "hard"
            && failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
        if failing { retry("not yet") } else { log(&Event { body: "read".into(), ..event.clone() }, target) }
    }));
    let hard = bench.post(say(&bench, A, "hard"));
    let easy = bench.post(say(&bench, A, "easy"));
    assert_eq!(committed(&bench.send(say(&bench, B, "other"))).0, "other");
    assert!(!hard.is_done() && !easy.is_done());
    bench.advance(SECOND);
    bench.until("the second attempt failed", |bench| bench.metrics().contains(r#"result="retried"} 2"#));
    assert!(!easy.is_done());
    // The third comes after the sender has been answered: both are accepted, in order.
    bench.advance(2 * SECOND);
    bench.until("both are applied", |bench| bench.state(&A.parse().expect("valid")).applied == 2);
    assert_eq!(read(&bench, A), "hard easy read");
    assert!(matches!(hard.outcome(&bench), Outcome::Committed { .. }));
    assert!(matches!(easy.outcome(&bench), Outcome::Committed { .. }));
}

#[test]
fn a_retry_of_the_sender_joins_the_one_that_waits() {
    let failures = AtomicU32::new(1);
    let bench = Bench::new(Bot(move |event: &Event, target: &mut Target<'_>| {
        let first = failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
        if first { retry("not yet") } else { log(event, target) }
    }));
    let event = say(&bench, A, "one");
    let first = bench.post(event.clone());
    bench.until("it has failed", |bench| bench.metrics().contains(r#"result="retried"} 1"#));
    let second = bench.post(event.clone());
    bench.advance(SECOND);
    assert_eq!(committed(&first.outcome(&bench)), ("one".into(), false));
    assert_eq!(committed(&second.outcome(&bench)), ("one".into(), true));
    let state = bench.state(&event.target);
    assert_eq!((state.applied, state.duplicates), (1, 1));
}

#[test]
fn a_handler_that_is_late_is_deferred_and_its_event_survives_a_crash_in_order() {
    let gate = Arc::new(AtomicU32::new(0));
    let open = Arc::clone(&gate);
    let mut bench = Bench::new(Bot(move |event: &Event, target: &mut Target<'_>| {
        if body(event) != "read" && open.load(Ordering::SeqCst) == 0 { retry("closed") } else { log(event, target) }
    }));
    let events = ["one", "two", "three"].map(|text| say(&bench, A, text));
    let sent = events.clone().map(|event| bench.post(event));
    bench.advance(2 * SECOND);
    for sent in sent {
        assert_eq!(
            sent.outcome(&bench),
            Outcome::Committed { answer: platform::deferred(EventKind::SlackCommand), duplicate: false }
        );
    }
    let again = bench.send(events[1].clone());
    assert_eq!(again, Outcome::Committed { answer: platform::deferred(EventKind::SlackCommand), duplicate: true });
    let target = &events[0].target;
    assert_eq!((bench.state(target).applied, bench.state(target).duplicates), (0, 1));
    bench.crash();
    let again = bench.send(events[2].clone());
    assert_eq!(again, Outcome::Committed { answer: platform::deferred(EventKind::SlackCommand), duplicate: true });
    gate.store(1, Ordering::SeqCst);
    bench.advance(60 * SECOND);
    bench.until("all are applied", |bench| bench.state(target).applied == 3);
    assert_eq!(read(&bench, A), "one two three");
    assert_eq!(bench.state(target).duplicates, 2);
}

#[test]
fn an_event_that_was_accepted_is_not_applied_twice_by_a_second_crash() {
    let gate = Arc::new(AtomicU32::new(0));
    let open = Arc::clone(&gate);
    let mut bench =
        Bench::new(Bot(
            move |event: &Event, target: &mut Target<'_>| {
                if open.load(Ordering::SeqCst) == 0 { retry("closed") } else { log(event, target) }
            },
        ));
    let event = say(&bench, A, "one");
    let sent = bench.post(event.clone());
    bench.advance(2 * SECOND);
    sent.outcome(&bench);
    gate.store(1, Ordering::SeqCst);
    bench.crash();
    bench.until("it is applied", |bench| bench.state(&event.target).applied == 1);
    bench.crash();
    assert_eq!(read(&bench, A), "one");
}

#[test]
fn poison_becomes_dead_after_its_attempts_and_the_next_event_runs() {
    let bench = Bench::with(
        Bot(|event: &Event, target: &mut Target<'_>| match body(event) {
            "poison" => panic!("poison"),
            _ => log(event, target),
        }),
        |options| options.handler_attempts = 3,
    );
    let poison = bench.post(say(&bench, A, "poison"));
    let next = bench.post(say(&bench, A, "next"));
    bench.until("poison is dead and the next has run", |bench| {
        bench.advance(SECOND);
        bench.state(&A.parse().expect("valid")).applied == 1
    });
    assert!(matches!(poison.outcome(&bench), Outcome::Committed { .. }));
    assert!(matches!(next.outcome(&bench), Outcome::Committed { .. }));
    let dead = bench.block_on(bench.engine().dead_events(10)).expect("read");
    assert_eq!(dead.len(), 1);
    assert_eq!((dead[0].target.as_str(), dead[0].attempts, dead[0].reason.as_str()), (A, 3, "the handler panicked"));
    assert_eq!(read(&bench, A), "next");
}

#[test]
fn what_a_handler_refuses_for_good_is_recorded_and_not_tried_again() {
    let tries = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&tries);
    let bench = Bench::new(Bot(move |_: &Event, target: &mut Target<'_>| {
        seen.fetch_add(1, Ordering::SeqCst);
        append(target, "lost")?;
        Err(HandlerError::Permanent("never".into()))
    }));
    let event = say(&bench, A, "one");
    assert_eq!(committed(&bench.send(event.clone())), ("This did not work. Nothing was changed.".into(), false));
    assert!(committed(&bench.send(event.clone())).1);
    assert_eq!((tries.load(Ordering::SeqCst), bench.state(&event.target).applied), (1, 1));
}

#[test]
fn another_payload_under_the_id_of_an_accepted_event_is_an_alarm_too() {
    let bench = Bench::new(Bot(|_: &Event, _: &mut Target<'_>| retry("closed")));
    let event = say(&bench, A, "one");
    let sent = bench.post(event.clone());
    bench.until("it has failed", |bench| bench.metrics().contains(r#"result="retried"} 1"#));
    bench.advance(2 * SECOND);
    assert!(!committed(&sent.outcome(&bench)).1);
    assert!(committed(&bench.send(event.clone())).1);
    assert!(!bench.metrics().contains(r#"berth_altered_events_total{platform="slack"} 1"#));
    assert!(committed(&bench.send(Event { body: "evil".into(), ..event })).1);
    assert!(bench.metrics().contains(r#"berth_altered_events_total{platform="slack"} 1"#));
}

#[test]
fn a_wall_clock_that_leaps_ahead_lets_no_event_be_forgotten() {
    let bench = Bench::new(Bot(log));
    let event = say(&bench, A, "one");
    bench.send(event.clone());
    bench.clock().step_wall(bench.clock().wall_ms() + 8 * 86_400_000);
    // Long enough for a round of the sweep.
    bench.advance(180 * SECOND);
    assert_eq!(committed(&bench.send(event)), ("one".into(), true));
}

#[test]
fn a_reply_that_is_too_large_makes_its_event_dead_at_once_and_leaves_nothing_behind() {
    let bench = Bench::with(
        Bot(|event: &Event, target: &mut Target<'_>| match body(event) {
            "large" => append(target, "large").map(|()| Reply::text("x".repeat(1_000))),
            _ => log(event, target),
        }),
        |options| options.max_reply = 1_000,
    );
    let event = say(&bench, A, "large");
    assert_eq!(committed(&bench.send(event.clone())), ("This did not work. Nothing was changed.".into(), false));
    assert!(committed(&bench.send(event)).1);
    assert_eq!(read(&bench, A), "");
    assert!(bench.metrics().contains(r#"berth_dead_letters_total{kind="event"} 1"#));
}

#[test]
fn no_setting_lets_a_reply_become_larger_than_a_frame() {
    let bench = Bench::with(Bot(|_: &Event, _: &mut Target<'_>| Ok(Reply::text("x".repeat(9_000)))), |options| {
        (options.max_reply, options.max_frame) = (1 << 30, 10_000);
    });
    assert_eq!(committed(&bench.send(say(&bench, A, "x"))).0, "This did not work. Nothing was changed.");
}

#[test]
fn a_handler_that_takes_too_long_leaves_nothing_behind() {
    let clock: Arc<OnceLock<ManualClock>> = Arc::default();
    let (hands, slow) = (Arc::clone(&clock), AtomicU32::new(1));
    let bench = Bench::new(Bot(move |event: &Event, target: &mut Target<'_>| {
        append(target, body(event))?;
        if body(event) == "slow" && slow.swap(0, Ordering::SeqCst) == 1 {
            hands.get().expect("set").advance(Duration::from_millis(60));
            // Even a handler that swallows what the target says is not believed.
            let _ = append(target, "swallowed");
        }
        Ok(Reply::none())
    }));
    clock.set(bench.clock().clone()).expect("once");
    let sent = bench.post(say(&bench, A, "slow"));
    bench.until("it was tried", |bench| bench.metrics().contains(r#"result="retried"} 1"#));
    assert_eq!(bench.state(&A.parse().expect("valid")).applied, 0);
    bench.advance(SECOND);
    assert!(matches!(sent.outcome(&bench), Outcome::Committed { duplicate: false, .. }));
    let target = A.parse().expect("valid");
    assert_eq!((bench.state(&target).applied, bench.state(&target).journal_seq), (1, 1));
}

#[test]
fn a_lease_lost_between_handler_and_commit_undoes_the_event() {
    let ownership: Arc<OnceLock<Ownership>> = Arc::default();
    let owns = Arc::clone(&ownership);
    let bench = Bench::new(Bot(move |event: &Event, target: &mut Target<'_>| {
        if body(event) == "lose" {
            owns.get().expect("set").drop_lease();
        }
        log(event, target)
    }));
    ownership.set(bench.ownership().clone()).expect("once");
    bench.send(say(&bench, A, "one"));
    let event = say(&bench, A, "lose");
    assert!(matches!(bench.send(event.clone()), Outcome::NotServing { .. }));
    assert_eq!(bench.state(&event.target).applied, 1);
    bench.renew_lease();
    assert_eq!(read(&bench, A), "one");
    assert!(bench.metrics().contains("berth_fenced_writes_total 1"));
}

#[test]
fn an_epoch_that_changed_between_handler_and_commit_undoes_the_event() {
    let ownership: Arc<OnceLock<Ownership>> = Arc::default();
    let owns = Arc::clone(&ownership);
    let bench = Bench::new(Bot(move |event: &Event, target: &mut Target<'_>| {
        if body(event) == "lose" {
            let assignment = shared::wire::control::Assignment {
                target: event.target.clone(),
                pod: "gateway-1".parse().expect("valid"),
                epoch: Epoch(9),
                revision: shared::Revision(0),
                parent: None,
                reason: String::new(),
                since_ms: 0,
                state: Default::default(),
                data: None,
            };
            let revision = shared::Revision(0);
            let delta = shared::wire::control::Watch::Delta {
                revision,
                pods: vec![],
                assignments: vec![assignment],
                moves: vec![],
            };
            owns.get().expect("set").apply(delta);
        }
        log(event, target)
    }));
    ownership.set(bench.ownership().clone()).expect("once");
    let innocent = bench.post(say(&bench, B, "one"));
    let event = say(&bench, A, "lose");
    let outcome = bench.send(event.clone());
    assert_eq!(outcome, Outcome::NotOwner { owner: Some("gateway-1".parse().expect("valid")), epoch: Epoch(9) });
    assert_eq!(bench.state(&event.target).applied, 0);
    assert_eq!(committed(&innocent.outcome(&bench)).0, "one");
}

#[test]
fn what_was_accepted_waits_for_the_lease_and_then_goes_on() {
    let gate = Arc::new(AtomicU32::new(0));
    let open = Arc::clone(&gate);
    let bench = Bench::new(Bot(
        move |event: &Event, target: &mut Target<'_>| {
            if open.load(Ordering::SeqCst) == 0 { retry("closed") } else { log(event, target) }
        },
    ));
    let event = say(&bench, A, "one");
    let sent = bench.post(event.clone());
    bench.advance(2 * SECOND);
    assert!(matches!(sent.outcome(&bench), Outcome::Committed { .. }));
    bench.ownership().drop_lease();
    gate.store(1, Ordering::SeqCst);
    bench.advance(60 * SECOND);
    bench.until("the writer has looked", |bench| bench.engine().load().targets == 1);
    assert_eq!(bench.state(&event.target).applied, 0);
    bench.renew_lease();
    bench.until("it is applied", |bench| {
        bench.advance(SECOND);
        bench.state(&event.target).applied == 1
    });
}

#[test]
fn a_sender_who_was_told_that_it_is_too_late_finds_nothing_done() {
    let bench = Bench::new(Bot(log));
    bench.own(A, 1);
    let event = say(&bench, A, "one");
    let sent = bench.post_within(event.clone(), Duration::ZERO);
    assert_eq!(sent.outcome(&bench), Outcome::Late);
    assert_eq!(read(&bench, A), "");
}

#[test]
fn a_full_pod_says_when_to_come_back() {
    let bench = Bench::with(Bot(|_: &Event, _: &mut Target<'_>| retry("closed")), |options| {
        (options.mailbox, options.mailbox_total) = (2, 3);
    });
    let waiting = [A, A, B].map(|target| bench.post(say(&bench, target, "x")));
    assert!(matches!(bench.send(say(&bench, "slack:guild:C", "x")), Outcome::Busy { .. }));
    bench.advance(3 * SECOND);
    for sent in waiting {
        assert!(matches!(sent.outcome(&bench), Outcome::Committed { .. } | Outcome::Late));
    }
}

#[test]
fn a_target_that_is_taken_away_is_no_longer_served_and_comes_back_with_what_it_had() {
    let bench = Bench::new(Bot(log));
    let target = bench.own(A, 1);
    bench.send(say(&bench, A, "one"));
    bench.let_go(&target);
    assert!(matches!(bench.send(say(&bench, A, "two")), Outcome::NotServing { .. }));
    bench.give_back(&target, 1);
    assert_eq!(read(&bench, A), "one");
    assert_eq!(bench.block_on(bench.engine().highest_epoch()).expect("read"), Epoch(1));
}

#[test]
fn events_of_many_targets_are_all_there_after_a_crash() {
    let mut bench = Bench::new(Bot(log));
    let targets: Vec<String> = (0..50).map(|n| format!("slack:guild:{n}")).collect();
    let mut sent = Vec::new();
    for round in 0..20 {
        for target in &targets {
            let event = say(&bench, target, &round.to_string());
            sent.push(bench.post(event.clone()));
            if round % 5 == 0 {
                sent.push(bench.post(event));
            }
        }
    }
    let outcomes: Vec<Outcome> = sent.into_iter().map(|sent| sent.outcome(&bench)).collect();
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Committed { .. })));
    bench.crash();
    let all = (0..20).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
    for target in &targets {
        assert_eq!(read(&bench, target), all);
        let state = bench.state(&target.parse().expect("valid"));
        assert_eq!((state.applied, state.duplicates), (21, 4));
    }
}

#[test]
fn a_command_is_deferred_two_seconds_after_it_reached_the_http_tier() {
    let now = Mono::from_nanos(100_000_000_000);
    let ms = Duration::from_millis;
    let after = |kind, left: u64| defer_at(kind, now, now.after(ms(left))).since(now);
    assert_eq!(after(EventKind::DiscordCommand, 2_500), ms(2_000));
    assert_eq!(after(EventKind::DiscordCommand, 1_500), ms(1_000));
    assert_eq!(after(EventKind::DiscordCommand, 400), ms(0));
    assert_eq!(after(EventKind::TelegramUpdate, 5_000), ms(4_700));
    assert_eq!(after(EventKind::GithubEvent, 9_500), ms(8_000));
    assert_eq!(after(EventKind::GithubEvent, 4_000), ms(3_700));
}

#[test]
fn a_duplicate_of_what_was_committed_does_not_wait_behind_an_event_that_is_being_retried() {
    let bench = Bench::new(Bot(|event: &Event, target: &mut Target<'_>| match body(event) {
        "stuck" => retry("closed"),
        _ => log(event, target),
    }));
    let event = say(&bench, A, "one");
    bench.send(event.clone());
    let stuck = bench.post(say(&bench, A, "stuck"));
    bench.until("it has failed", |bench| bench.metrics().contains(r#"result="retried"} 1"#));
    assert_eq!(committed(&bench.send(event.clone())), ("one".into(), true));
    assert!(!stuck.is_done());
    assert_eq!((bench.state(&event.target).applied, bench.state(&event.target).duplicates), (1, 1));
}
