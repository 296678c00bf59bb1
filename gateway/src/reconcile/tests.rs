//! A pod that is back, and the pod that serves its target by now: the real engines of both, and doubles of the ways between.

use super::*;
use crate::{
    Handler,
    handlers::{HandlerError, Reply, Target},
    store::{LocalId, Reconciled},
    testing::{Bench, text_of},
};
use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};
use serde_json::{Value, json};
use shared::{
    Problem, TargetId,
    event::{Event, EventKind, OutboxCall},
    wire::link::Outcome,
    wire::quarantine::{LateTaken, Skipped},
};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

const A: &str = "slack:guild:A";

/// Keeps what it hears in order, whether it was late, and makes the calls it is asked for: `call ID`, or `repeat ID` where it may
/// be made twice.
struct Diary;

impl Handler for Diary {
    fn handle(&self, event: &Event, target: &mut Target<'_>) -> Result<Reply, HandlerError> {
        let said = String::from_utf8_lossy(&event.body).into_owned();
        let before: String = target.kv().get("diary")?.unwrap_or_default();
        if said == "read" {
            return Ok(Reply::text(before));
        }
        let late = if event.is_late() { "late:" } else { "" };
        target.kv().set("diary", &format!("{before} {late}{said}"))?;
        if let Some((how @ ("call" | "repeat"), id)) = said.split_once(' ') {
            let url = "http://127.0.0.1:1/never".to_owned();
            let call = OutboxCall { id: id.into(), method: "POST".into(), url, headers: vec![], body: "{}".into() };
            let mut outbox = target.outbox();
            if how == "call" { outbox.call(&call)? } else { outbox.call_idempotent(&call)? }
        }
        Ok(Reply::none())
    }
}

/// The heir of the target, and what config-service says of it.
#[derive(Debug, Clone)]
struct Heir {
    engine: Engine,
    ownership: Ownership,
    origin: Value,
    /// Events taken at most from each request.
    most: usize,
    asked: Arc<Mutex<Vec<Late>>>,
}

async fn late(State(heir): State<Heir>, Json(mut late): Json<Late>) -> Result<Json<LateTaken>, Problem> {
    heir.asked.lock().expect("sound").push(late.clone());
    late.events.truncate(heir.most);
    let target: TargetId = A.parse().expect("valid");
    let guard = || heir.ownership.guard(&target).map_err(|why| Problem::unavailable("x", why.to_string()));
    take(&heir.engine, guard, &target, late).await.map(Json)
}

async fn provenance(State(heir): State<Heir>) -> Result<Json<Value>, Problem> {
    if heir.origin.is_null() { Err(Problem::not_found("began empty")) } else { Ok(Json(heir.origin)) }
}

fn pod_status(address: &str) -> Value {
    json!({
        "pod": "heir", "incarnation": "01890a5d-ac96-774b-bcce-b302099a8057", "address": address, "capacity": 1.0, "revision": 1,
        "zone": null, "state": "ready", "lease_id": 1, "lease_age_ms": 1, "lease_remaining_ms": 1, "targets": 1,
        "load": {"targets": 1, "events_per_second": 0.0, "bytes": 1}, "seen_revision": 1, "version": "x", "schema": 1,
    })
}

/// A reconciler of `dead` whose world is one server that stands for config-service and for the heir.
async fn reconciler(dead: &Bench, heir: Heir) -> Reconciler {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("bound").to_string();
    let assignment =
        json!({"target": A, "pod": "heir", "epoch": 9, "revision": 3, "reason": "failover", "since_ms": 1});
    let status = pod_status(&address);
    let router = Router::new()
        .route("/v1/targets/{target}", get(async move || Json(assignment)))
        .route("/v1/pods/heir", get(async move || Json(status)))
        .route("/v1/local/targets/{target}/provenance", get(provenance))
        .route("/v1/late/{target}", post(late))
        .with_state(heir);
    shared::shutdown::spawn(async move { axum::serve(listener, router).await.expect("served") });
    let token = Secret::new("service");
    let config = Client::new(&format!("http://{address}"), Some(token.clone()), Duration::from_secs(60)).expect("made");
    let oldest = Duration::from_secs(6 * 24 * 60 * 60);
    let bounds = Bounds { every: Duration::from_secs(60), batch: 2, bytes: 1 << 20, oldest };
    let (engine, ownership) = (dead.engine().clone(), dead.ownership().clone());
    Reconciler::new(engine, ownership, (config, token), bounds, Shutdown::new())
}

/// A bench whose calls go nowhere.
fn bench() -> Bench {
    Bench::with(Diary, |options| {
        options.outbox_hosts = "127.0.0.1:1".to_owned();
        options.outbox_private = true;
    })
}

fn say(bench: &Bench, text: &str) -> Event {
    bench.event(A, EventKind::SlackCommand, text)
}

fn diary(bench: &Bench) -> String {
    // Each bench counts its events for itself: an id of its own.
    static ASKED: AtomicU64 = AtomicU64::new(0);
    let id = format!("read-{}", ASKED.fetch_add(1, Ordering::Relaxed));
    match bench.send(Event { id, ..say(bench, "read") }) {
        Outcome::Committed { answer, .. } => text_of(&answer).trim().to_owned(),
        other => panic!("{other:?}"),
    }
}

/// A pod that had five events, was failed over and is back; and its heir, whose copy had the first two of them.
fn world() -> (Bench, Bench) {
    let (dead, heir) = (bench(), bench());
    dead.own(A, 1);
    heir.own(A, 9);
    for (n, text) in ["one", "two", "call c3", "call c4", "five"].into_iter().enumerate() {
        let event = say(&dead, text);
        assert!(matches!(dead.send(event.clone()), Outcome::Committed { duplicate: false, .. }));
        if n < 2 {
            heir.send(event);
        }
    }
    dead.block_on(dead.engine().begin_anew()).expect("begun");
    let settle = |store: &crate::store::Store| {
        store.pragma("UPDATE outbox SET state = 'sent', body = '' WHERE id = 'c3'");
        store.pragma("UPDATE outbox SET state = 'uncertain' WHERE id = 'c4'");
    };
    dead.block_on(dead.engine().meddle(settle));
    (dead, heir)
}

fn as_heir(bench: &Bench, origin: Value) -> Heir {
    let (engine, ownership) = (bench.engine().clone(), bench.ownership().clone());
    Heir { engine, ownership, origin, most: 1_000, asked: Arc::default() }
}

/// What the heir's copy says of itself: it had the dead pod's first two events.
fn origin(dead: &Bench) -> Value {
    let lives = dead.block_on(dead.engine().past_incarnations(1)).expect("read");
    json!({"pod": dead.ownership().pod(), "incarnation": lives[0], "journal_seq": 2, "epoch": 1})
}

fn round(dead: &Bench, heir: &Heir) -> Reconciled {
    dead.block_on(async {
        reconciler(dead, heir.clone()).await.round().await.expect("went");
        let mut rows = dead.engine().asides(None, 10).await.expect("read");
        rows.pop().expect("its rows are aside").reconciled
    })
}

#[test]
fn the_end_of_a_journal_goes_to_the_new_owner_once_and_what_was_called_is_not_called_again() {
    let (dead, bench) = world();
    let heir = as_heir(&bench, origin(&dead));
    let done = round(&dead, &heir);
    assert_eq!(diary(&bench), "one two late:call c3 late:call c4 late:five");
    let Reconcile { progress, had, sent, known, applied, calls, .. } = done.report.clone();
    assert_eq!((progress, had, sent, known, applied, calls), (Progress::Done, 2, 3, 0, 3, 2));
    assert!(done.report.is_whole());
    let told = bench.block_on(bench.engine().called(LocalId::of_test(1), (0, 0), Duration::MAX, 10)).expect("read");
    let told: Vec<_> = told.iter().map(|(_, call)| (call.id.as_str(), call.uncertain)).collect();
    assert_eq!(told, [("c3", false), ("c4", true)], "neither is made again, and one is for an operator to decide");
    let aside = bench.block_on(bench.engine().dead_calls(10)).expect("read");
    assert_eq!((aside.len(), aside[0].id.as_str()), (1, "c4"));
    let asked = heir.asked.lock().expect("sound").len();
    assert_eq!(round(&dead, &heir), done, "what is done is done");
    assert_eq!(heir.asked.lock().expect("sound").len(), asked);

    // The note of it is lost, as in a crash right behind the owner's commit: all of it is sent again, and changes nothing.
    dead.block_on(dead.engine().meddle(|store| {
        store.pragma("UPDATE berth_aside SET sent_seq = 0, call_seq = 0, report = NULL");
    }));
    let again = round(&dead, &heir).report;
    assert_eq!((again.progress, again.sent, again.known, again.applied), (Progress::Done, 3, 3, 0));
    assert_eq!(diary(&bench), "one two late:call c3 late:call c4 late:five");
}

#[test]
fn a_call_that_was_under_way_and_may_be_made_twice_is_made_by_the_new_owner() {
    let (dead, bench) = (bench(), bench());
    dead.own(A, 1);
    bench.own(A, 9);
    for (n, text) in ["one", "two", "repeat c3"].into_iter().enumerate() {
        let event = say(&dead, text);
        dead.send(event.clone());
        if n < 2 {
            bench.send(event);
        }
    }
    dead.block_on(dead.engine().begin_anew()).expect("begun");
    dead.block_on(dead.engine().meddle(|store| store.pragma("UPDATE outbox SET state = 'sending'")));
    let report = round(&dead, &as_heir(&bench, origin(&dead))).report;
    assert_eq!((report.calls, report.applied), (1, 1));
    assert!(bench.block_on(bench.engine().dead_calls(10)).expect("read").is_empty(), "no operator has to look at it");
    assert!(bench.metrics().contains("berth_outbox_waiting 1"), "its event asks for it again");
}

#[test]
fn an_owner_that_takes_a_part_is_sent_the_rest_in_order_later() {
    let (dead, bench) = world();
    let heir = Heir { most: 1, ..as_heir(&bench, origin(&dead)) };
    let first = round(&dead, &heir);
    assert_eq!((first.report.progress, first.sent_seq, first.report.applied), (Progress::Sending, 3, 1));
    assert!(first.report.detail.is_some() && !first.report.is_whole());
    let heir = Heir { most: 1_000, ..heir };
    let last = round(&dead, &heir);
    assert_eq!((last.report.progress, last.report.sent, last.report.detail), (Progress::Done, 3, None));
    assert_eq!(diary(&bench), "one two late:call c3 late:call c4 late:five");
}

#[test]
fn nothing_is_sent_to_an_owner_whose_rows_are_of_another_origin() {
    let (dead, bench) = world();
    let mut other = origin(&dead);
    other["incarnation"] = json!("01890a5d-ac96-774b-bcce-b302099a8057");
    for origin in [Value::Null, other] {
        let heir = as_heir(&bench, origin);
        let report = round(&dead, &heir).report;
        assert_eq!((report.progress, report.is_whole()), (Progress::Apart, false), "{report:?}");
        assert!(heir.asked.lock().expect("sound").is_empty());
    }
    assert_eq!(diary(&bench), "one two");
    let heir = as_heir(&bench, origin(&dead));
    assert_eq!(round(&dead, &heir).report.progress, Progress::Done, "it is asked again each time");
}

#[test]
fn what_the_new_owner_may_have_forgotten_stays_and_is_counted() {
    let (dead, bench) = world();
    dead.block_on(dead.engine().meddle(|store| {
        store.pragma("UPDATE journal SET at_ms = at_ms - 7 * 86400000 WHERE seq = 3");
        store.pragma("UPDATE journal SET body = NULL WHERE seq = 4");
    }));
    let heir = as_heir(&bench, origin(&dead));
    let report = round(&dead, &heir).report;
    assert_eq!(diary(&bench), "one two late:five");
    assert_eq!(report.skipped, [(Skipped::TooOld, 1), (Skipped::NoPayload, 1)].into());
    assert_eq!((report.progress, report.is_whole()), (Progress::Done, false), "so nobody drops these rows by mistake");
}
