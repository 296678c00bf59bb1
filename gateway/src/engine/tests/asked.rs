//! Asynchronous handlers: asked without a transaction, applied as one.

use super::{data::erase, *};
use crate::{
    Bot as AnyBot,
    handlers::{AsyncHandler, BoxFuture, Call, Described, OutboxCall, Said},
};
use std::collections::HashMap;
use tokio::sync::Semaphore;

/// A scripted handler: `play` says what an event gets; bodies that begin with `hold` wait at their gate first, those that
/// begin with `stubborn` wait there and cannot be given up.
struct Scripted {
    described: Described,
    gates: Mutex<HashMap<String, Arc<Semaphore>>>,
    calls: Mutex<Vec<String>>,
    at_once: AtomicU32,
    most_at_once: AtomicU32,
    lost: AtomicU32,
    play: fn(&Scripted, &Call) -> Result<Said, HandlerError>,
}

#[derive(Clone)]
struct Script(Arc<Scripted>);

/// Notes a call that was dropped before it answered.
struct Running<'a>(&'a Scripted, bool);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.at_once.fetch_sub(1, Ordering::SeqCst);
        self.0.lost.fetch_add(u32::from(!self.1), Ordering::SeqCst);
    }
}

impl AsyncHandler for Script {
    fn describe(&self) -> Described {
        self.0.described.clone()
    }

    fn handle<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<Said, HandlerError>> {
        Box::pin(async move {
            let script = &*self.0;
            let now = script.at_once.fetch_add(1, Ordering::SeqCst) + 1;
            script.most_at_once.fetch_max(now, Ordering::SeqCst);
            let mut running = Running(script, false);
            let text = body(&call.event);
            script.calls.lock().expect("whole").push(format!("{}/{text}", call.event.target.id()));
            if text.starts_with("hold") {
                let gate = self.gate(text);
                gate.acquire().await.expect("open").forget();
            }
            if text.starts_with("stubborn") {
                let gate = self.gate(text);
                let opened = || tokio::runtime::Handle::current().block_on(gate.acquire()).expect("open").forget();
                tokio::task::block_in_place(opened);
            }
            let said = (script.play)(script, call);
            running.1 = true;
            said
        })
    }
}

impl Script {
    fn new(play: fn(&Scripted, &Call) -> Result<Said, HandlerError>) -> Self {
        let preload = vec!["log".to_owned(), "n:*".to_owned()];
        Self::described(Described { preload, ..Described::default() }, play)
    }

    fn described(described: Described, play: fn(&Scripted, &Call) -> Result<Said, HandlerError>) -> Self {
        Self(Arc::new(Scripted {
            described,
            gates: Mutex::default(),
            calls: Mutex::default(),
            at_once: AtomicU32::new(0),
            most_at_once: AtomicU32::new(0),
            lost: AtomicU32::new(0),
            play,
        }))
    }

    fn bench(&self) -> Bench {
        Bench::new(AnyBot::asynchronous(self.clone()))
    }

    fn gate(&self, name: &str) -> Arc<Semaphore> {
        Arc::clone(
            self.0.gates.lock().expect("whole").entry(name.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(0))),
        )
    }

    fn open(&self, name: &str) {
        self.gate(name).add_permits(1);
    }

    fn calls(&self) -> Vec<String> {
        self.0.calls.lock().expect("whole").clone()
    }

    fn called(&self, bench: &Bench, what: &str) {
        bench.until(&format!("{what} is asked about"), |_| self.calls().iter().any(|call| call == what));
    }
}

/// A bench on which only being given up ends a call, not its time.
fn patient(script: &Script) -> Bench {
    Bench::with(AnyBot::asynchronous(script.clone()), |options| {
        options.handler.handler_timeout_fast = 600 * SECOND;
        options.handler.handler_timeout_slow = 600 * SECOND;
    })
}

/// Appends what it is sent to the log that came along, and answers with it.
fn note(_: &Scripted, call: &Call) -> Result<Said, HandlerError> {
    let mut log: Vec<String> = call.state.get("log")?.unwrap_or_default();
    if body(&call.event) == "read" {
        return Ok(Said::text(log.join(" ")));
    }
    log.push(call.timer.as_ref().map_or_else(|| body(&call.event).to_owned(), |timer| format!("timer:{}", timer.id)));
    Ok(Said::text(log.join(" ")).set("log", &log))
}

#[test]
fn what_it_says_is_applied_once_and_a_duplicate_asks_nobody() {
    let script = Script::new(note);
    let bench = script.bench();
    let event = say(&bench, A, "one");
    assert_eq!(committed(&bench.send(event.clone())), ("one".into(), false));
    assert_eq!(committed(&bench.send(say(&bench, A, "two"))), ("one two".into(), false));
    assert_eq!(committed(&bench.send(event.clone())), ("one".into(), true));
    assert_eq!(script.calls(), ["A/one", "A/two"]);
    let state = bench.state(&event.target);
    assert_eq!((state.applied, state.duplicates, state.journal_seq), (2, 1, 2));
}

#[test]
fn events_of_one_target_are_asked_about_one_after_another_and_see_what_came_before() {
    let script = Script::new(note);
    let bench = script.bench();
    let sent: Vec<_> = (0..20).map(|n| bench.post(say(&bench, A, &n.to_string()))).collect();
    let all = (0..20).map(|n| n.to_string()).collect::<Vec<_>>();
    for (n, sent) in sent.into_iter().enumerate() {
        assert_eq!(committed(&sent.outcome(&bench)).0, all[..=n].join(" "));
    }
    assert_eq!(script.0.most_at_once.load(Ordering::SeqCst), 1);
    assert_eq!(read(&bench, A), all.join(" "));
}

#[test]
fn a_handler_that_is_at_work_for_one_target_holds_up_no_other() {
    let script = Script::new(note);
    let bench = script.bench();
    let held = bench.post(say(&bench, A, "hold"));
    let behind = bench.post(say(&bench, A, "behind"));
    script.called(&bench, "A/hold");
    for n in 0..10 {
        assert!(!committed(&bench.send(say(&bench, B, &n.to_string()))).1);
    }
    assert!(!held.is_done() && !behind.is_done());
    assert_eq!(bench.engine().stuck(), None);
    script.open("hold");
    assert_eq!(committed(&held.outcome(&bench)).0, "hold");
    assert_eq!(committed(&behind.outcome(&bench)).0, "hold behind");
}

#[test]
fn a_sender_who_tries_again_joins_the_call_that_is_out() {
    let script = Script::new(note);
    let bench = script.bench();
    let event = say(&bench, A, "hold");
    let first = bench.post(event.clone());
    script.called(&bench, "A/hold");
    let second = bench.post(event.clone());
    script.open("hold");
    assert_eq!(committed(&first.outcome(&bench)), ("hold".into(), false));
    assert_eq!(committed(&second.outcome(&bench)), ("hold".into(), true));
    assert_eq!(script.calls().len(), 1);
    assert_eq!((bench.state(&event.target).applied, bench.state(&event.target).duplicates), (1, 1));
}

#[test]
fn a_duplicate_of_what_was_committed_does_not_wait_behind_a_call_that_is_out() {
    let script = Script::new(note);
    let bench = script.bench();
    let event = say(&bench, A, "one");
    bench.send(event.clone());
    let held = bench.post(say(&bench, A, "hold"));
    script.called(&bench, "A/hold");
    assert_eq!(committed(&bench.send(event)), ("one".into(), true));
    assert!(!held.is_done());
    script.open("hold");
    held.outcome(&bench);
}

#[test]
fn a_call_that_is_late_is_answered_deferred_and_its_reply_leaves_when_it_returns() {
    let script = Script::new(note);
    let bench = script.bench();
    let form = "command=%2Fx&text=&user_id=u&response_url=https%3A%2F%2Fhooks.slack.com%2Fx";
    let event = Event { body: format!("hold&{form}").into(), ..say(&bench, A, "") };
    let (target, what) = (event.target.clone(), format!("A/hold&{form}"));
    let sent = bench.post(event.clone());
    script.called(&bench, &what);
    bench.advance(2 * SECOND);
    let deferred = Outcome::Committed { answer: platform::deferred(EventKind::SlackCommand), duplicate: false };
    assert_eq!(sent.outcome(&bench), deferred);
    assert_eq!(bench.state(&target).applied, 0);
    assert!(committed(&bench.send(event)).1, "what was accepted is known");
    script.open(&format!("hold&{form}"));
    bench.until("it is applied", |bench| bench.state(&target).applied == 1);
    assert_eq!(script.calls().len(), 1, "it was asked once");
    bench.until("its late reply is tried", |bench| bench.metrics().contains("berth_outbox_attempts_total{"));
}

#[test]
fn a_crash_while_a_call_is_out_asks_again_and_applies_once() {
    let script = Script::new(note);
    let mut bench = script.bench();
    let event = say(&bench, A, "hold");
    let sent = bench.post(event.clone());
    script.called(&bench, "A/hold");
    bench.advance(2 * SECOND);
    sent.outcome(&bench);
    bench.crash();
    bench.until("it is asked again", |_| script.calls().len() == 2);
    script.open("hold");
    script.open("hold");
    bench.until("it is applied", |bench| bench.state(&event.target).applied == 1);
    assert_eq!(read(&bench, A), "hold");
    assert_eq!(script.0.lost.load(Ordering::SeqCst), 1, "the first call was given up");
}

#[test]
fn failures_are_retried_in_place_and_poison_becomes_dead() {
    let script = Script::new(|script, call| match body(&call.event) {
        "panic" => panic!("poison"),
        "poison" => retry(&format!("attempt {}", call.attempt)),
        _ => note(script, call),
    });
    let bench = Bench::with(AnyBot::asynchronous(script.clone()), |options| options.handler_attempts = 3);
    let sent = ["poison", "panic", "next"].map(|text| bench.post(say(&bench, A, text)));
    bench.until("the next has run", |bench| {
        bench.advance(SECOND);
        bench.state(&A.parse().expect("valid")).applied == 1
    });
    for sent in sent {
        assert!(matches!(sent.outcome(&bench), Outcome::Committed { .. }));
    }
    let dead = bench.block_on(bench.engine().dead_events(10)).expect("read");
    let reasons: Vec<_> = dead.iter().map(|dead| (dead.attempts, dead.reason.as_str())).collect();
    assert_eq!(reasons, [(3, "attempt 3"), (3, "the handler panicked")]);
    assert_eq!(script.calls().iter().filter(|call| call.ends_with("poison")).count(), 3);
    assert_eq!(read(&bench, A), "next");
}

#[test]
fn what_is_refused_for_good_is_recorded_and_what_is_not_for_it_counts_as_handled() {
    let script = Script::new(|_, call| match body(&call.event) {
        "never" => Err(HandlerError::Permanent("never".into())),
        _ => Err(HandlerError::Ignore),
    });
    let bench = script.bench();
    let (never, other) = (say(&bench, A, "never"), say(&bench, A, "other"));
    assert_eq!(committed(&bench.send(never.clone())).0, "This did not work. Nothing was changed.");
    let ignored = Outcome::Committed { answer: platform::acknowledged(EventKind::SlackCommand), duplicate: false };
    assert_eq!(bench.send(other.clone()), ignored);
    assert!(committed(&bench.send(never)).1 && committed(&bench.send(other.clone())).1);
    assert_eq!((script.calls().len(), bench.state(&other.target).applied), (2, 2));
}

#[test]
fn a_synchronous_handler_may_ignore_too_and_keeps_nothing_of_it() {
    let bench = Bench::new(Bot(|event: &Event, target: &mut Target<'_>| match body(event) {
        "other" => append(target, "lost").and(Err(HandlerError::Ignore)),
        _ => log(event, target),
    }));
    let event = say(&bench, A, "other");
    assert!(!committed(&bench.send(event.clone())).1);
    assert!(committed(&bench.send(event.clone())).1);
    assert_eq!((read(&bench, A).as_str(), bench.state(&event.target).applied), ("", 2));
}

#[test]
fn an_answer_of_which_one_part_cannot_be_done_keeps_nothing() {
    let script = Script::new(|script, call| match body(&call.event) {
        "read" => note(script, call),
        _ => Ok(Said::text("done").set("log", &["lost"]).set("n:1", &"x".repeat(2 << 20))),
    });
    let bench = Bench::with(AnyBot::asynchronous(script), |options| options.handler_attempts = 1);
    let said = committed(&bench.send(say(&bench, A, "large"))).0;
    assert_eq!(said, "This did not work. Nothing was changed.");
    assert_eq!(read(&bench, A), "");
}

/// A call to a host that is not on the list.
fn not_allowed() -> OutboxCall {
    let url = "https://not-allowed.test/".to_owned();
    OutboxCall { id: "1".into(), method: "POST".into(), url, headers: Vec::new(), body: String::new() }
}

#[test]
fn an_answer_that_asks_for_what_berth_refuses_is_tried_again_and_then_dead() {
    let script = Script::new(|script, call| match body(&call.event) {
        "host" => Ok(Said::text("done").call(not_allowed())),
        "sql" => Ok(Said::text("done").sql("SELEKT 1", ())),
        "key" => Ok(Said::text("done").set(&"k".repeat(600), &1)),
        "reply" => Ok(Said::text("x".repeat(2_000))),
        _ => note(script, call),
    });
    let bench = Bench::with(AnyBot::asynchronous(script.clone()), |options| {
        (options.handler_attempts, options.max_reply) = (2, 1_000);
    });
    let bad = ["host", "sql", "key", "reply"];
    let sent: Vec<_> = bad.iter().chain(&["next"]).map(|text| bench.post(say(&bench, A, text))).collect();
    bench.until("the next has run", |bench| {
        bench.advance(SECOND);
        bench.state(&A.parse().expect("valid")).applied == 1
    });
    for sent in sent {
        assert!(matches!(sent.outcome(&bench), Outcome::Committed { .. }));
    }
    let dead = bench.block_on(bench.engine().dead_events(10)).expect("read");
    assert_eq!(dead.iter().map(|dead| dead.attempts).collect::<Vec<_>>(), [2; 4], "{dead:?}");
    assert!(dead[0].reason.starts_with("outbox[0]: "), "{dead:?}");
    let asked = |text: &str| script.calls().iter().filter(|call| call.ends_with(text)).count();
    assert_eq!(bad.map(asked), [2; 4]);
    assert_eq!(read(&bench, A), "next");
}

#[test]
fn what_berth_refuses_a_synchronous_handler_makes_its_event_dead_at_once() {
    let bench = Bench::new(Bot(|event: &Event, target: &mut Target<'_>| {
        if body(event) == "host" {
            append(target, "lost")?;
            target.outbox().call(&not_allowed())?;
        }
        log(event, target)
    }));
    assert_eq!(committed(&bench.send(say(&bench, A, "host"))).0, "This did not work. Nothing was changed.");
    let dead = bench.block_on(bench.engine().dead_events(10)).expect("read");
    assert_eq!(dead.iter().map(|dead| dead.attempts).collect::<Vec<_>>(), [1]);
    assert_eq!(read(&bench, A), "");
}

#[test]
fn a_call_beyond_its_time_is_given_up_and_tried_again() {
    let script = Script::new(note);
    let bench = Bench::with(AnyBot::asynchronous(script.clone()), |options| {
        options.handler.handler_timeout_fast = Duration::from_secs(2);
    });
    let sent = bench.post(say(&bench, A, "hold"));
    bench.until("it has failed", |bench| bench.metrics().contains(r#"result="retried"} 1"#));
    assert_eq!(script.0.lost.load(Ordering::SeqCst), 1);
    script.open("hold");
    bench.advance(SECOND);
    assert_eq!(committed(&sent.outcome(&bench)), ("hold".into(), false));
}

#[test]
fn an_answer_that_comes_after_its_target_was_taken_away_is_refused() {
    let script = Script::new(note);
    let bench = patient(&script);
    let event = say(&bench, A, "hold");
    let sent = bench.post(event.clone());
    script.called(&bench, "A/hold");
    bench.let_go(&event.target);
    assert!(matches!(sent.outcome(&bench), Outcome::NotOwner { .. }));
    bench.until("the call was given up", |_| script.0.lost.load(Ordering::SeqCst) == 1);
    script.open("hold");
    bench.give_back(&event.target, 1);
    assert_eq!((read(&bench, A).as_str(), bench.state(&event.target).applied), ("", 1));
}

#[test]
fn an_answer_that_comes_while_its_target_is_erased_is_refused_and_its_sender_comes_again() {
    let script = Script::new(note);
    let bench = patient(&script);
    bench.send(say(&bench, A, "before"));
    let event = say(&bench, A, "stubborn");
    let sent = bench.post(event.clone());
    script.called(&bench, "A/stubborn");
    // Asked once and not waited for: as long as no time passes, it does not end.
    let begun =
        bench.block_on(async { tokio::time::timeout(Duration::ZERO, bench.engine().erase(&event.target)).await });
    assert!(begun.is_err(), "{begun:?}");
    assert!(matches!(sent.outcome(&bench), Outcome::NotServing { .. }));
    let answers = |bench: &Bench, n: u32| {
        let line = format!("berth_handler_duration_seconds_count {n}");
        bench.metrics().lines().any(|found| found == line)
    };
    assert!(answers(&bench, 1), "{}", bench.metrics());
    script.open("stubborn");
    bench.until("the answer has come", |bench| answers(bench, 2));
    let erasure = erase(&bench, A);
    assert_eq!(
        (erasure.rows.get("journal"), erasure.rows.get("inbox"), erasure.rows.get("kv")),
        (Some(&1), Some(&1), Some(&1))
    );
    let state = bench.state(&event.target);
    assert_eq!((state.applied, state.last_event_id), (0, None));
    assert_eq!(script.0.lost.load(Ordering::SeqCst), 0, "it did answer");
    script.open("stubborn");
    assert_eq!(committed(&bench.send(event)), ("stubborn".into(), false));
}

#[test]
fn an_event_that_was_accepted_goes_with_its_erased_target_and_its_call_is_given_up() {
    let script = Script::new(note);
    let bench = patient(&script);
    let event = say(&bench, A, "hold");
    let sent = bench.post(event.clone());
    script.called(&bench, "A/hold");
    bench.advance(2 * SECOND);
    assert!(matches!(sent.outcome(&bench), Outcome::Committed { .. }));
    let erasure = erase(&bench, A);
    assert_eq!(erasure.rows.get("journal"), Some(&1), "{:?}", erasure.rows);
    bench.until("the call was given up", |_| script.0.lost.load(Ordering::SeqCst) == 1);
    script.open("hold");
    assert_eq!((read(&bench, A).as_str(), bench.state(&event.target).applied), ("", 1));
    assert_eq!(script.calls(), ["A/hold", "A/read"]);
}

#[test]
fn an_answer_from_an_older_epoch_is_refused_and_the_event_asked_about_again() {
    let script = Script::new(note);
    let bench = script.bench();
    let event = say(&bench, A, "hold");
    let sent = bench.post(event.clone());
    script.called(&bench, "A/hold");
    bench.advance(2 * SECOND);
    sent.outcome(&bench);
    // Accepted, and out under epoch 1; now the same pod owns the target under epoch 2.
    bench.own(A, 2);
    script.open("hold");
    bench.until("it is asked about again", |bench| {
        bench.advance(SECOND);
        script.calls().len() == 2
    });
    assert_eq!(bench.state(&event.target).applied, 0);
    script.open("hold");
    bench.until("it is applied", |bench| bench.state(&event.target).applied == 1);
    assert_eq!(read(&bench, A), "hold");
}

#[test]
fn an_answer_that_comes_without_a_lease_is_not_applied() {
    let script = Script::new(note);
    let bench = script.bench();
    let event = say(&bench, A, "hold");
    let sent = bench.post(event.clone());
    script.called(&bench, "A/hold");
    bench.ownership().drop_lease();
    script.open("hold");
    assert!(matches!(sent.outcome(&bench), Outcome::NotServing { .. }));
    bench.renew_lease();
    assert_eq!((read(&bench, A).as_str(), bench.state(&event.target).applied), ("", 1));
}

#[test]
fn no_more_calls_are_out_at_once_than_are_wanted_and_targets_take_turns() {
    let script = Script::described(Described { max_concurrency: Some(2), ..Described::default() }, note);
    let bench = script.bench();
    let targets: Vec<_> = (0..6).map(|n| format!("slack:guild:{n}")).collect();
    let sent: Vec<_> = targets.iter().map(|target| bench.post(say(&bench, target, "hold"))).collect();
    bench.until("two are out", |_| script.calls().len() == 2);
    for n in 3..=6 {
        script.open("hold");
        bench.until("the next is out", |_| script.calls().len() == n);
    }
    script.gate("hold").add_permits(2);
    assert!(sent.into_iter().all(|sent| !committed(&sent.outcome(&bench)).1));
    assert_eq!(script.0.most_at_once.load(Ordering::SeqCst), 2);
    let mut calls = script.calls();
    // The first two begin together, in either order.
    calls[..2].sort();
    assert_eq!(calls, (0..6).map(|n| format!("{n}/hold")).collect::<Vec<_>>());
}

#[test]
fn an_answer_outlives_a_commit_that_fails_and_nobody_is_asked_again() {
    let script = Script::new(note);
    let bench = script.bench();
    bench.own(B, 1);
    let event = say(&bench, A, "hold");
    let sent = bench.post(event.clone());
    script.called(&bench, "A/hold");
    bench.advance(2 * SECOND);
    sent.outcome(&bench);
    bench.block_on(bench.engine().meddle(|store| store.pragma("PRAGMA query_only = ON")));
    script.open("hold");
    bench.until("the pod says that it cannot write", |bench| !bench.engine().writable());
    assert!(matches!(bench.send(say(&bench, B, "one")), Outcome::NotCommitted { .. }));
    bench.block_on(bench.engine().meddle(|store| store.pragma("PRAGMA query_only = OFF")));
    bench.until("it is applied", |bench| {
        bench.advance(SECOND);
        bench.state(&event.target).applied == 1
    });
    assert_eq!(script.calls().iter().filter(|call| *call == "A/hold").count(), 1);
    assert_eq!(read(&bench, A), "hold");
}

#[test]
fn a_timer_asks_the_handler_once_and_one_that_was_taken_back_asks_nobody() {
    let script = Script::new(|script, call| match body(&call.event) {
        "set" => {
            let due = call.event.received_at + 1_000;
            Ok(Said::nothing().timer("keep", due, "k").timer("drop", due, "d"))
        }
        "cancel" => Ok(Said::nothing().cancel_timer("drop")),
        _ => note(script, call),
    });
    let bench = script.bench();
    bench.send(say(&bench, A, "set"));
    bench.send(say(&bench, A, "cancel"));
    bench.advance(3 * SECOND);
    let target = A.parse().expect("valid");
    bench.until("the timer is done", |bench| bench.state(&target).applied == 3);
    assert_eq!(read(&bench, A), "timer:keep");
    assert_eq!(script.calls().iter().filter(|call| *call == "A/k").count(), 1);
    assert!(!script.calls().contains(&"A/d".to_owned()));
}

#[test]
fn reads_beside_those_that_came_along_see_what_was_committed() {
    struct Reads;
    impl AsyncHandler for Reads {
        fn handle<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<Said, HandlerError>> {
            Box::pin(async move {
                let before: u64 = call.local.get("n:1").await?.unwrap_or(0);
                let all: Vec<(String, u64)> = call.local.scan("n:", 10).await?;
                Ok(Said::text(format!("{before} of {}", all.len())).set("n:1", &(before + 1)).set("n:2", &0))
            })
        }
    }
    let bench = Bench::new(AnyBot::asynchronous(Reads));
    assert_eq!(committed(&bench.send(say(&bench, A, "x"))).0, "0 of 0");
    assert_eq!(committed(&bench.send(say(&bench, A, "x"))).0, "1 of 2");
    assert_eq!(committed(&bench.send(say(&bench, B, "x"))).0, "0 of 0", "another target's keys are not seen");
}

#[test]
fn more_state_than_may_be_sent_along_fails_the_event_with_the_setting_to_change() {
    let script = Script::new(|script, call| match body(&call.event) {
        "fill" => Ok(Said::nothing().set("n:1", &"x".repeat(500))),
        _ => note(script, call),
    });
    let bench = Bench::with(AnyBot::asynchronous(script), |options| {
        options.handler.handler_max_state = 400;
        options.handler_attempts = 1;
    });
    bench.send(say(&bench, A, "fill"));
    let said = committed(&bench.send(say(&bench, A, "x"))).0;
    assert_eq!(said, "This did not work. Nothing was changed.");
    let dead = bench.block_on(bench.engine().dead_events(10)).expect("read");
    assert!(dead[0].reason.contains("BERTH_HANDLER_MAX_STATE") && dead[0].reason.contains("n:*"), "{}", dead[0].reason);
}

#[test]
fn a_pod_that_stops_lets_the_handler_finish_and_begins_nothing_new() {
    let script = Script::new(note);
    let bench = script.bench();
    let event = say(&bench, A, "hold");
    let sent = bench.post(event.clone());
    script.called(&bench, "A/hold");
    bench.advance(2 * SECOND);
    sent.outcome(&bench);
    let engine = bench.engine().clone();
    let mut finishing = tokio::task::JoinSet::new();
    bench.block_on(async { finishing.spawn(async move { engine.finish_calls().await }).id() });
    let late = bench.post(say(&bench, B, "late"));
    script.open("hold");
    bench.block_on(finishing.join_next()).expect("one").expect("finished");
    assert_eq!(bench.state(&event.target).applied, 1);
    assert!(!late.is_done());
    assert!(!script.calls().contains(&"B/late".to_owned()));
}
