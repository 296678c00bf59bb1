use super::*;
use crate::dispatch::decisions::Undecided;
use shared::wire::data::{DeadLetter, Decided, LetterKind, OnBehalf, Place, Verb};

fn by(actor: &str) -> OnBehalf {
    OnBehalf { actor: actor.into(), reason: "because".into(), request_id: "r1".into() }
}

fn decide(bench: &Bench, kind: LetterKind, seq: u64, verb: Verb) -> Result<Decided, NotDone<Undecided>> {
    let guard = bench.ownership().guard(&A.parse().expect("valid")).expect("owned");
    bench.block_on(bench.engine().decide(guard, (kind, seq), verb, by("anna")))
}

fn dead(bench: &Bench) -> Vec<DeadLetter> {
    bench.block_on(bench.engine().dead_events(10)).expect("read")
}

/// A bot that fails while the gate is closed, and otherwise writes down what it is sent.
fn gated() -> (Arc<AtomicU32>, Bench) {
    let gate = Arc::new(AtomicU32::new(0));
    let open = Arc::clone(&gate);
    let bot = Bot(move |event: &Event, target: &mut Target<'_>| {
        let closed = open.load(Ordering::SeqCst) == 0 && body(event).starts_with("bad");
        if closed { retry("closed") } else { log(event, target) }
    });
    (gate, Bench::with(bot, |options| options.handler_attempts = 1))
}

pub(super) fn erase(bench: &Bench, target: &str) -> Erasure {
    let target: TargetId = target.parse().expect("valid");
    bench.block_on(async {
        let mut erased = std::pin::pin!(bench.engine().erase(&target));
        loop {
            tokio::select! {
                done = &mut erased => return done.expect("erased"),
                () = tokio::time::sleep(Duration::from_millis(2)) => {
                    bench.clock().advance(Duration::from_millis(100));
                    bench.engine().wake().await;
                }
            }
        }
    })
}

fn export(bench: &Bench, target: &str) -> String {
    let target: TargetId = target.parse().expect("valid");
    bench.block_on(async {
        let mut export = bench.engine().export(&target, Epoch(1)).expect("not too many");
        let mut whole = Vec::new();
        while let Some(part) = export.next().await {
            whole.extend_from_slice(&part.expect("not cut"));
        }
        String::from_utf8(whole).expect("UTF-8")
    })
}

#[test]
fn a_dead_event_that_is_retried_runs_behind_what_waits_once_and_also_after_a_crash() {
    let (gate, mut bench) = gated();
    bench.send(say(&bench, A, "bad one"));
    bench.send(say(&bench, A, "bad two"));
    let letters = dead(&bench);
    assert_eq!(letters.iter().map(|letter| letter.seq).collect::<Vec<_>>(), [1, 2]);
    gate.store(1, Ordering::SeqCst);
    let decided = decide(&bench, LetterKind::Event, 1, Verb::Retry).expect("retried");
    assert_eq!((decided.state.as_str(), decided.id.as_str()), ("accepted", letters[0].id.as_str()));
    assert_eq!(read(&bench, A), "bad one");
    assert!(matches!(decide(&bench, LetterKind::Event, 1, Verb::Retry), Err(NotDone::Refused(Undecided::Unknown))));
    gate.store(0, Ordering::SeqCst);
    decide(&bench, LetterKind::Event, 2, Verb::Retry).expect("retried");
    bench.until("it is dead again", |bench| dead(bench).len() == 1);
    gate.store(1, Ordering::SeqCst);
    // Accepted and not run: as long as there is no lease nothing runs.
    decide(&bench, LetterKind::Event, 2, Verb::Retry).expect("retried");
    bench.crash();
    assert_eq!(read(&bench, A), "bad one bad two");
    assert!(dead(&bench).is_empty());
}

#[test]
fn a_dropped_event_is_shown_no_more_says_who_dropped_it_and_can_be_had_back() {
    let (gate, bench) = gated();
    let event = say(&bench, A, "bad one");
    bench.send(event.clone());
    assert_eq!(decide(&bench, LetterKind::Event, 1, Verb::Drop).expect("dropped").state, "dropped");
    assert!(dead(&bench).is_empty());
    let journal = bench.block_on(bench.engine().journal(&event.target, None, 10)).expect("read");
    let (state, reason) = (journal[0].state.as_str(), journal[0].reason.as_deref());
    assert_eq!((state, reason), ("dropped", Some("dropped by anna: because")));
    // Its id is known: the sender's repetition is a duplicate.
    assert!(committed(&bench.send(event)).1);
    assert!(matches!(decide(&bench, LetterKind::Event, 1, Verb::Drop), Err(NotDone::Refused(Undecided::Unknown))));
    gate.store(1, Ordering::SeqCst);
    decide(&bench, LetterKind::Event, 1, Verb::Retry).expect("had back");
    assert_eq!(read(&bench, A), "bad one");
}

#[test]
fn a_dropped_event_leaves_with_its_retention_and_a_dead_one_stays() {
    let (_gate, bench) = gated();
    bench.send(say(&bench, A, "bad one"));
    bench.send(say(&bench, A, "bad two"));
    decide(&bench, LetterKind::Event, 1, Verb::Drop).expect("dropped");
    bench.advance(8 * 86_400 * SECOND);
    let target: TargetId = A.parse().expect("valid");
    bench.until("the dropped one is gone", |bench| {
        bench.advance(SECOND);
        bench.block_on(bench.engine().journal(&target, None, 10)).expect("read").len() == 1
    });
    assert_eq!(dead(&bench)[0].seq, 2);
}

#[test]
fn without_ownership_nothing_is_decided() {
    let (_gate, bench) = gated();
    bench.send(say(&bench, A, "bad one"));
    let guard = bench.ownership().guard(&A.parse().expect("valid")).expect("owned");
    bench.own(A, 2);
    let stale = bench.block_on(bench.engine().decide(guard, (LetterKind::Event, 1), Verb::Drop, by("anna")));
    assert!(matches!(stale, Err(NotDone::Unknown)), "{stale:?}");
    assert_eq!(dead(&bench).len(), 1);
}

#[test]
fn dead_letters_come_page_by_page_events_before_calls() {
    let (_gate, bench) = gated();
    for target in [A, B] {
        for n in 0..3 {
            bench.send(say(&bench, target, &format!("bad {n}")));
        }
    }
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let wanted = Wanted { kind: None, target: None, after: after.take(), most: 2 };
        let (page, next) = bench.block_on(bench.engine().dead_letters(wanted)).expect("read");
        seen.extend(page.into_iter().map(|letter| (letter.target.to_string(), letter.seq)));
        let Some(next) = next else { break };
        after = Some(next.to_string().parse().expect("a place reads as it was written"));
    }
    let wanted: Vec<_> = [A, B].iter().flat_map(|target| (1..=3).map(|seq| ((*target).to_owned(), seq))).collect();
    assert_eq!(seen, wanted);
    let only = Wanted { kind: None, target: Some(B.parse().expect("valid")), after: None, most: 10 };
    assert_eq!(bench.block_on(bench.engine().dead_letters(only)).expect("read").0.len(), 3);
    assert!("events/1".parse::<Place>().is_err() && "events/x/slack:guild:A".parse::<Place>().is_err());
}

#[test]
fn an_erased_target_begins_anew_and_its_neighbour_keeps_everything() {
    let bench = Bench::new(Bot(log));
    let event = say(&bench, A, "SECRETMARK");
    bench.send(event.clone());
    for n in 0..50 {
        bench.send(say(&bench, A, &format!("SECRETMARK {n}")));
        bench.send(say(&bench, B, &format!("kept {n}")));
    }
    let erasure = erase(&bench, A);
    assert_eq!((erasure.rows["journal"], erasure.rows["inbox"], erasure.rows["kv"]), (51, 51, 1));
    assert!(erasure.compacted && erasure.truncated);
    for file in ["berth.db", "berth.db-wal"] {
        let bytes = std::fs::read(bench.folder().join(file)).expect("a file of the database");
        assert!(!bytes.windows(10).any(|window| window == b"SECRETMARK"), "{file}");
    }
    let state = bench.state(&event.target);
    assert_eq!((state.applied, state.duplicates, state.last_event_id, state.epoch), (0, 0, None, Epoch(1)));
    assert_eq!(state.journal_seq, 51, "positions never go back");
    // What was known is forgotten with the rest: the same event is applied anew.
    assert_eq!(committed(&bench.send(event)), ("SECRETMARK".into(), false));
    assert_eq!(read(&bench, B).split(' ').count(), 100);
}

#[test]
fn while_a_target_is_erased_its_events_are_parked_and_nothing_of_it_runs() {
    let bench = Bench::new(Bot(|event: &Event, target: &mut Target<'_>| match body(event) {
        "stuck" => retry("closed"),
        _ => log(event, target),
    }));
    let target = bench.own(A, 1);
    let stuck = bench.post(say(&bench, A, "stuck"));
    bench.until("it has failed", |bench| bench.metrics().contains(r#"result="retried"} 1"#));
    bench.ownership().drop_lease();
    let refused = bench.block_on(bench.engine().erase(&target));
    assert!(matches!(refused, Err(NotDone::Refused(_))), "without a lease nothing is erased");
    bench.renew_lease();
    // Asked once and not waited for.
    let asked = bench.block_on(async { tokio::time::timeout(Duration::ZERO, bench.engine().erase(&target)).await });
    assert!(asked.is_err(), "{asked:?}");
    assert!(matches!(stuck.outcome(&bench), Outcome::NotServing { .. }));
    assert!(matches!(bench.send(say(&bench, A, "meanwhile")), Outcome::NotServing { .. }));
    bench.until("it is served again, though nobody waits for the end", |bench| {
        bench.advance(SECOND);
        matches!(bench.send(say(bench, A, "after")), Outcome::Committed { .. })
    });
    assert_eq!(read(&bench, A), "after");
}

#[test]
fn an_erasure_that_a_crash_broke_off_is_finished_before_the_target_is_served() {
    let mut bench = Bench::new(Bot(log));
    for n in 0..20 {
        bench.send(say(&bench, A, &n.to_string()));
    }
    // As a crash right after the mark leaves it.
    bench.block_on(bench.engine().meddle(|store| store.pragma("UPDATE target SET erasing = 1")));
    bench.crash();
    bench.until("it is served again", |bench| {
        bench.advance(SECOND);
        matches!(bench.send(say(bench, A, "after")), Outcome::Committed { .. })
    });
    assert_eq!(read(&bench, A), "after");
}

#[test]
fn an_export_is_whole_and_of_one_moment_and_of_one_target() {
    let bench = Bench::new(Bot(log));
    bench.send(say(&bench, A, "one"));
    bench.send(say(&bench, B, "other"));
    let text = export(&bench, A);
    let lines: Vec<serde_json::Value> = text.lines().map(|line| line.parse().expect("JSON")).collect();
    let (head, end) = (&lines[0], lines.last().expect("lines"));
    assert_eq!((&head["berth"], &head["target"]), (&"export".into(), &A.into()));
    assert_eq!(end["rows"], lines.len() - 2);
    let tables: Vec<_> =
        lines[1..lines.len() - 1].iter().map(|line| line["table"].as_str().expect("a table")).collect();
    assert_eq!(tables, ["target", "inbox", "journal", "kv"]);
    assert!(!text.contains("other") && !text.contains("target_id"), "{text}");
    let body = text.rfind("{\"end\"").expect("an end");
    let hash: String = sha2::Digest::finalize(<sha2::Sha256 as sha2::Digest>::new_with_prefix(&text[..body]))
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(end["sha256"], hash.as_str());
}

#[test]
fn an_export_that_nobody_takes_is_cut_and_is_known_to_be() {
    let bench = Bench::with(Bot(log), |options| {
        (options.exports, options.export_stall) = (1, Duration::from_secs(2));
    });
    let large = "x".repeat(200_000);
    for _ in 0..10 {
        bench.send(say(&bench, A, &large));
    }
    let target: TargetId = A.parse().expect("valid");
    bench.block_on(async {
        let mut export = bench.engine().export(&target, Epoch(1)).expect("the first");
        let taken = async { bench.engine().export(&target, Epoch(1)).is_none() };
        assert!(taken.await, "there is room for one");
        tokio::time::timeout(Duration::from_secs(60), async {
            while bench.engine().export(&target, Epoch(1)).is_none() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .expect("the one that nobody takes makes room");
        let mut cut = false;
        while let Some(part) = export.next().await {
            cut |= part.is_err();
        }
        assert!(cut);
    });
}
