//! Acknowledged means replicated: what leaves the pod when the replica is slow, gone, or another pod's.

use super::*;
use crate::{dispatch::moving::MoveCommand, replication::agent::Replica};
use futures_util::future::BoxFuture;
use shared::wire::replication::Standing;
use std::{
    io::{Read, Write},
    net::TcpListener,
};
use tokio::sync::watch;

const CHAT: &str = "telegram:channel:-1";

/// What the replica does with an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    Uploads,
    /// One upload; the next one hangs.
    UploadsOnce,
    Hangs,
    Fails,
}

/// A replica that does what it is told.
#[derive(Debug)]
struct Told {
    does: watch::Sender<Does>,
    sealed: std::sync::atomic::AtomicBool,
    uploads: AtomicU32,
}

impl Told {
    fn to(does: Does) -> Arc<Self> {
        let (sealed, uploads) = (std::sync::atomic::AtomicBool::new(false), AtomicU32::new(0));
        Arc::new(Self { does: watch::Sender::new(does), sealed, uploads })
    }

    fn now(&self, does: Does) {
        self.does.send_replace(does);
    }
}

impl Replica for Told {
    fn sync(&self) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async {
            let mut told = self.does.subscribe();
            let does = *told.wait_for(|does| *does != Does::Hangs).await.expect("the double stays");
            self.uploads.fetch_add(1, Ordering::SeqCst);
            if does == Does::UploadsOnce {
                self.now(Does::Hangs);
            }
            if does == Does::Fails { Err("the store is down".to_owned()) } else { Ok(()) }
        })
    }

    fn is_sealed(&self) -> BoxFuture<'_, Result<bool, String>> {
        Box::pin(async { Ok(self.sealed.load(Ordering::SeqCst)) })
    }
}

/// A bench whose replica keeps up; then it does as it is told.
fn bench(bot: impl Into<crate::Bot>, then: Does) -> (Bench, Arc<Told>) {
    let told = Told::to(Does::Uploads);
    let bench = Bench::replicating(bot, |_| {}, told.clone());
    bench.until("the first upload is confirmed", |bench| stands(bench) == Standing::Replicating);
    told.now(then);
    (bench, told)
}

fn stands(bench: &Bench) -> Standing {
    bench.engine().replication_state().state
}

fn update(bench: &Bench, text: &str) -> Event {
    Event { source: "telegram/mod".into(), ..bench.event(CHAT, EventKind::TelegramUpdate, text) }
}

fn applied(bench: &Bench, target: &str, count: u64) {
    let target: TargetId = target.parse().expect("a target");
    bench.until("it is applied", |bench| {
        bench.block_on(bench.engine().state(&target)).expect("read").is_some_and(|row| row.applied == count)
    });
}

/// Time passes, and nothing is said that may not be said.
fn stays_silent(bench: &Bench, sent: &crate::testing::Sent) {
    for _ in 0..20 {
        bench.advance(SECOND / 50);
        assert!(!sent.is_done(), "it was answered before it was replicated");
    }
}

#[test]
fn the_handler_runs_at_once_and_its_answer_leaves_when_the_commit_is_uploaded() {
    let (bench, told) = bench(Bot(log), Does::Hangs);
    let sent = bench.post(update(&bench, "one"));
    applied(&bench, CHAT, 1);
    stays_silent(&bench, &sent);
    assert_eq!(bench.engine().replication_state().waiting, 1);
    told.now(Does::Uploads);
    assert!(matches!(sent.outcome(&bench), Outcome::Committed { duplicate: false, .. }));
    let state = bench.engine().replication_state();
    assert_eq!((state.waiting, state.lag_bytes), (0, 0), "{state:?}");
    assert_eq!(state.replicated_seq, state.committed_seq);
    assert!(bench.metrics().contains(r#"berth_replication_acknowledged_events_total{mode="replicated"} 1"#));
}

#[test]
fn one_upload_lets_all_answers_go_that_were_committed_before_it() {
    let (bench, told) = bench(Bot(log), Does::Hangs);
    let first = bench.post(update(&bench, "first"));
    applied(&bench, CHAT, 1);
    let before = told.uploads.load(Ordering::SeqCst);
    let sent: Vec<_> = (0..50).map(|n| bench.post(update(&bench, &format!("{n}")))).collect();
    applied(&bench, CHAT, 51);
    told.now(Does::Uploads);
    for sent in sent.into_iter().chain([first]) {
        assert!(matches!(sent.outcome(&bench), Outcome::Committed { .. }));
    }
    let uploads = told.uploads.load(Ordering::SeqCst) - before;
    assert!(uploads <= 2, "{uploads} uploads for 51 events: the one that was under way, and one");
}

#[test]
fn a_duplicate_waits_for_the_same_upload_as_its_event() {
    let (bench, told) = bench(Bot(log), Does::Hangs);
    let event = update(&bench, "one");
    let first = bench.post(event.clone());
    applied(&bench, CHAT, 1);
    let again = bench.post(event.clone());
    bench.until("it is counted", |bench| bench.state(&event.target).duplicates == 1);
    stays_silent(&bench, &again);
    assert!(!first.is_done());
    told.now(Does::Uploads);
    assert!(matches!(again.outcome(&bench), Outcome::Committed { duplicate: true, .. }));
    assert!(matches!(first.outcome(&bench), Outcome::Committed { duplicate: false, .. }));
}

#[test]
fn a_duplicate_of_what_was_committed_before_a_crash_waits_too() {
    let (mut bench, told) = bench(Bot(log), Does::Hangs);
    let event = update(&bench, "one");
    let lost = bench.post(event.clone());
    applied(&bench, CHAT, 1);
    bench.crash();
    assert_eq!(lost.outcome(&bench), Outcome::Late);
    assert!(matches!(bench.send(event.clone()), Outcome::NotServing { .. }), "nothing was uploaded since the start");
    told.now(Does::Uploads);
    bench.until("it keeps up", |bench| stands(bench) == Standing::Replicating);
    assert!(matches!(bench.send(event), Outcome::Committed { duplicate: true, .. }));
}

#[test]
fn a_stored_answer_that_does_not_wait_for_its_turn_waits_for_the_upload() {
    let broken = Bot(|event: &Event, target: &mut Target<'_>| match body(event) {
        "fails" => retry("not now"),
        _ => log(event, target),
    });
    let (bench, told) = bench(broken, Does::Uploads);
    let known = update(&bench, "one");
    assert!(matches!(bench.send(known.clone()), Outcome::Committed { .. }));
    let _first = bench.post(update(&bench, "fails"));
    bench.until("it is retried", |bench| bench.metrics().contains(r#"result="retried"} 1"#));
    told.now(Does::Hangs);
    let again = bench.post(known);
    bench.until("it is counted", |bench| {
        bench.metrics().contains("berth_duplicate_events_total{platform=\"telegram\"} 1")
    });
    stays_silent(&bench, &again);
    told.now(Does::Uploads);
    assert!(matches!(again.outcome(&bench), Outcome::Committed { duplicate: true, .. }));
}

#[test]
fn an_answer_that_was_deferred_waits_for_the_upload() {
    let slow = Bot(|_: &Event, _: &mut Target<'_>| retry("not yet"));
    let (bench, told) = bench(slow, Does::Hangs);
    let event = Event { source: "slack".into(), ..bench.event(A, EventKind::SlackEvent, "x") };
    let sent = bench.post(event);
    bench.until("it is accepted", |bench| {
        bench.advance(SECOND / 10);
        bench.metrics().contains(r#"result="deferred"} 1"#)
    });
    stays_silent(&bench, &sent);
    told.now(Does::Uploads);
    assert!(matches!(sent.outcome(&bench), Outcome::Committed { .. }));
}

#[test]
fn local_sources_do_not_wait_for_what_waits() {
    let told = Told::to(Does::Uploads);
    let local = |options: &mut Options| options.replication.acknowledge = Some("github=local".parse().expect("a mode"));
    let bench = Bench::replicating(Bot(log), local, told.clone());
    bench.until("the first upload is confirmed", |bench| stands(bench) == Standing::Replicating);
    told.now(Does::Hangs);
    let waits = bench.post(update(&bench, "one"));
    applied(&bench, CHAT, 1);
    let event = Event { source: "github".into(), ..bench.event(CHAT, EventKind::GithubEvent, "two") };
    assert!(matches!(bench.send(event), Outcome::Committed { .. }), "of the same target");
    assert!(!waits.is_done());
    told.now(Does::Uploads);
    assert!(matches!(waits.outcome(&bench), Outcome::Committed { .. }));
}

#[test]
fn a_lease_that_ended_meanwhile_acknowledges_nothing() {
    let (bench, told) = bench(Bot(log), Does::Hangs);
    let sent = bench.post(update(&bench, "one"));
    applied(&bench, CHAT, 1);
    bench.ownership().drop_lease();
    told.now(Does::Uploads);
    assert_eq!(sent.outcome(&bench), Outcome::Late);
}

#[test]
fn a_target_that_goes_takes_its_waiting_answers_to_its_new_owner() {
    let (bench, told) = bench(Bot(log), Does::Hangs);
    let event = update(&bench, "one");
    let sent = bench.post(event.clone());
    applied(&bench, CHAT, 1);
    bench.let_go(&event.target);
    assert_eq!(sent.outcome(&bench), Outcome::Late, "whoever serves it next answers it from the inbox");
    bench.give_back(&event.target, 1);
    let again = bench.post(event);
    stays_silent(&bench, &again);
    told.now(Does::Uploads);
    assert!(matches!(again.outcome(&bench), Outcome::Committed { duplicate: true, .. }));
}

#[test]
fn a_sealed_lineage_acknowledges_nothing_any_more_not_even_locally() {
    let (bench, told) = bench(Bot(log), Does::Hangs);
    let sent = bench.post(update(&bench, "one"));
    applied(&bench, CHAT, 1);
    told.sealed.store(true, Ordering::SeqCst);
    told.now(Does::Uploads);
    bench.until("it is noticed", |bench| stands(bench) == Standing::Sealed);
    bench.block_on(bench.engine().replication().sealed());
    bench.renew_lease();
    assert!(matches!(bench.send(say(&bench, A, "local")), Outcome::NotServing { .. }));
    bench.advance(31 * SECOND);
    assert_eq!(sent.outcome(&bench), Outcome::Late, "uploaded, and too late");
}

#[test]
fn a_replica_that_stays_away_refuses_those_who_wait_for_it_and_serves_the_others() {
    let (bench, told) = bench(Bot(log), Does::Fails);
    let waits = bench.post(update(&bench, "one"));
    applied(&bench, CHAT, 1);
    bench.until("patience is over", |bench| {
        bench.advance(SECOND);
        stands(bench) == Standing::Closed
    });
    match bench.send(update(&bench, "two")) {
        Outcome::NotServing { detail } => assert!(detail.contains("replicated"), "{detail}"),
        other => panic!("{other:?}"),
    }
    assert!(
        matches!(bench.send(say(&bench, A, "served")), Outcome::Committed { .. }),
        "a person's command is local now"
    );
    bench.until("nobody waits for ever", |bench| {
        bench.advance(5 * SECOND);
        waits.is_done()
    });
    assert_eq!(waits.outcome(&bench), Outcome::Late);
    bench.until("what nobody waits for holds no place", |bench| {
        bench.advance(SECOND);
        bench.engine().replication_state().waiting == 0
    });
    told.now(Does::Uploads);
    bench.until("it keeps up again", |bench| {
        bench.advance(SECOND);
        stands(bench) == Standing::Replicating
    });
    assert!(matches!(bench.send(update(&bench, "two")), Outcome::Committed { duplicate: false, .. }));
}

#[test]
fn a_pod_that_degrades_serves_all_locally_while_its_replica_is_away() {
    let told = Told::to(Does::Uploads);
    let bench = Bench::replicating(Bot(log), |options| options.replication.replication_degrade = true, told.clone());
    bench.until("the first upload is confirmed", |bench| stands(bench) == Standing::Replicating);
    told.now(Does::Fails);
    let waits = bench.post(update(&bench, "one"));
    bench.until("patience is over", |bench| {
        bench.advance(SECOND);
        stands(bench) == Standing::Degraded
    });
    assert!(matches!(waits.outcome(&bench), Outcome::Committed { .. }));
    assert!(matches!(bench.send(update(&bench, "two")), Outcome::Committed { .. }));
    told.now(Does::Uploads);
    bench.until("it keeps up again", |bench| {
        bench.advance(SECOND);
        stands(bench) == Standing::Replicating
    });
    told.now(Does::Hangs);
    let three = bench.post(update(&bench, "three"));
    applied(&bench, CHAT, 3);
    stays_silent(&bench, &three);
    told.now(Does::Uploads);
    assert!(matches!(three.outcome(&bench), Outcome::Committed { .. }));
}

#[test]
fn a_disk_that_failed_meanwhile_takes_nothing_along_and_the_gate_goes_on() {
    let (bench, told) = bench(Bot(log), Does::Hangs);
    let sent = bench.post(update(&bench, "one"));
    applied(&bench, CHAT, 1);
    bench.block_on(bench.engine().meddle(|store| store.pragma("PRAGMA query_only = ON")));
    assert!(matches!(bench.send(update(&bench, "lost")), Outcome::NotCommitted { .. }));
    assert!(!sent.is_done());
    bench.block_on(bench.engine().meddle(|store| store.pragma("PRAGMA query_only = OFF")));
    told.now(Does::Uploads);
    assert!(matches!(sent.outcome(&bench), Outcome::Committed { .. }));
    bench.until("it can be written again", |bench| {
        bench.advance(SECOND);
        bench.engine().writable()
    });
    assert!(matches!(bench.send(update(&bench, "two")), Outcome::Committed { .. }));
}

/// A host that counts who calls it.
fn host() -> (String, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("bound"));
    let calls = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&calls);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut part = [0; 4_096];
            if stream.read(&mut part).is_ok_and(|read| read > 0) {
                count.fetch_add(1, Ordering::SeqCst);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            }
        }
    });
    (url, calls)
}

fn calls(url: String) -> impl Into<crate::Bot> {
    Bot(move |event: &Event, target: &mut Target<'_>| {
        let call = shared::event::OutboxCall {
            id: event.id.clone(),
            method: "POST".into(),
            url: url.clone(),
            headers: vec![],
            body: String::new(),
        };
        target.outbox().call(&call)?;
        Ok(Reply::none())
    })
}

fn calling(told: &Arc<Told>, url: String) -> Bench {
    let host = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let change = |options: &mut Options| {
        (options.outbox_hosts, options.outbox_private) = (host, true);
        options.replication.acknowledge = Some("github=local".parse().expect("a mode"));
    };
    Bench::replicating(calls(url), change, told.clone())
}

#[test]
fn a_call_to_the_outside_leaves_when_its_commit_is_uploaded_and_later_ones_stay_behind_it() {
    let ((url, seen), told) = (host(), Told::to(Does::Uploads));
    let bench = calling(&told, url);
    bench.until("the first upload is confirmed", |bench| stands(bench) == Standing::Replicating);
    told.now(Does::Hangs);
    let waits = bench.post(update(&bench, "one"));
    applied(&bench, CHAT, 1);
    let event = Event { source: "github".into(), ..bench.event(CHAT, EventKind::GithubEvent, "two") };
    assert!(matches!(bench.send(event), Outcome::Committed { .. }));
    stays_silent(&bench, &waits);
    assert_eq!(seen.load(Ordering::SeqCst), 0, "the second call would have passed the first");
    let other = Event { source: "github".into(), ..bench.event("github:key:x", EventKind::GithubEvent, "three") };
    assert!(matches!(bench.send(other), Outcome::Committed { .. }));
    bench.until("another target's local call is made", |_| seen.load(Ordering::SeqCst) == 1);
    told.now(Does::Uploads);
    bench.until("both are made", |_| seen.load(Ordering::SeqCst) == 3);
}

#[test]
fn a_call_that_must_not_be_made_twice_is_made_once_the_replica_knows_that_it_is_being_made() {
    let ((url, seen), told) = (host(), Told::to(Does::Uploads));
    let bench = calling(&told, url);
    bench.until("the first upload is confirmed", |bench| stands(bench) == Standing::Replicating);
    told.now(Does::Hangs);
    let sent = bench.post(update(&bench, "one"));
    applied(&bench, CHAT, 1);
    told.now(Does::UploadsOnce);
    assert!(matches!(sent.outcome(&bench), Outcome::Committed { .. }), "the event is in the replica");
    for _ in 0..20 {
        bench.advance(SECOND / 50);
        assert_eq!(seen.load(Ordering::SeqCst), 0, "an heir would find it there as one to make");
    }
    told.now(Does::Uploads);
    bench.until("it is made", |_| seen.load(Ordering::SeqCst) == 1);
}

#[test]
fn calls_that_a_crash_left_open_wait_for_the_first_upload() {
    let ((url, seen), told) = (host(), Told::to(Does::Uploads));
    let mut bench = calling(&told, url);
    bench.until("the first upload is confirmed", |bench| stands(bench) == Standing::Replicating);
    told.now(Does::Hangs);
    let _lost = bench.post(update(&bench, "one"));
    applied(&bench, CHAT, 1);
    bench.crash();
    bench.advance(SECOND);
    assert_eq!(seen.load(Ordering::SeqCst), 0);
    told.now(Does::Uploads);
    bench.until("it is made", |_| seen.load(Ordering::SeqCst) == 1);
}

#[test]
fn a_stopping_pod_waits_for_the_upload_of_its_last_commit() {
    let (bench, told) = bench(Bot(log), Does::Hangs);
    let _sent = bench.post(update(&bench, "one"));
    applied(&bench, CHAT, 1);
    let flushed = bench.engine().flush(Duration::from_millis(50));
    assert!(!bench.block_on(flushed), "it is not there");
    told.now(Does::Uploads);
    assert!(bench.block_on(bench.engine().flush(60 * SECOND)));
    let state = bench.engine().replication_state();
    assert_eq!(state.replicated_seq, state.committed_seq);
}

#[test]
fn that_a_move_arrived_before_a_restart_is_said_once_the_replica_has_what_it_brought() {
    let (bench, told) = bench(Bot(log), Does::Hangs);
    let _sent = bench.post(update(&bench, "one"));
    applied(&bench, CHAT, 1);
    let (done, mut served) = tokio::sync::oneshot::channel();
    let target = CHAT.parse().expect("a target");
    bench.engine().tell(MoveCommand::Arrived { target, done }).expect("it runs");
    for _ in 0..20 {
        bench.advance(SECOND / 50);
        assert!(served.try_recv().is_err(), "its source would drop the only copy that is replicated");
    }
    told.now(Does::Uploads);
    bench.until("it is said", |_| served.try_recv().is_ok());
}

#[test]
fn a_pod_at_rest_commits_nothing_to_say_how_far_its_replica_is() {
    let (bench, _told) = bench(Bot(log), Does::Uploads);
    bench.post(update(&bench, "one")).outcome(&bench);
    let committed = |bench: &Bench| bench.block_on(bench.engine().commit_seq()).expect("read");
    bench.until("all of it is replicated", |bench| {
        bench.engine().replication_state().replicated_seq >= committed(bench)
    });
    bench.advance(30 * SECOND);
    let at_rest = committed(&bench);
    bench.advance(30 * SECOND);
    assert_eq!(committed(&bench), at_rest);
}
