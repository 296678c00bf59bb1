use super::*;
use shared::{
    Epoch, TargetId,
    clock::ManualClock,
    event::{Answer, Event, EventKind},
};
use std::time::Duration;

const NOW: u64 = 1_700_000_000_000;
const LIMITS: SqlLimits =
    SqlLimits { rows: 100, bytes: 10_000, statement: 1_000, params: 10, read: Duration::from_secs(10) };
const DAY: Duration = Duration::from_secs(86_400);

fn open(folder: &Path) -> Result<Store, StoreError> {
    Store::open(folder, Arc::new(ManualClock::new(NOW)), &Tables::default(), LIMITS)
}

fn target() -> TargetId {
    "slack:guild:T1".parse().expect("valid")
}

fn event(id: &str) -> Event {
    Event {
        target: target(),
        parent: Some("slack:guild:T0".parse().expect("valid")),
        platform: shared::Platform::Slack,
        kind: EventKind::SlackEvent,
        source: "slack".into(),
        id: id.into(),
        received_at: 7,
        headers: vec![("x-one".into(), "1".into())],
        body: b"{}".to_vec().into(),
    }
}

fn write(store: &Store, local: LocalId, seq: u64, event: &Event, state: State, at_ms: u64) {
    let answer = Answer::empty(200).with_header("x-said", "yes");
    store.remember(local, event.key(), &event.payload_hash(), seq, &answer, 1_000).expect("written");
    let entry = Entry { seq, key: event.key(), event, state, attempts: 2, reason: None, at_ms, trace: None };
    store.journal(local, &entry).expect("written");
}

#[test]
fn a_database_keeps_its_incarnation_and_knows_a_newer_or_foreign_schema() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = open(folder.path()).expect("made").incarnation().expect("there");
    let store = open(folder.path()).expect("opened again");
    assert_eq!(store.incarnation().expect("there"), first);
    store.pragma("UPDATE migration SET hash = 'x'");
    assert!(matches!(open(folder.path()), Err(StoreError::Foreign { version: 1 })));
    store.pragma("INSERT INTO migration VALUES (99, 'x', 'x', 0)");
    assert!(matches!(open(folder.path()), Err(StoreError::Newer { found: 99, .. })));
}

#[test]
fn the_settings_that_durability_rests_on_are_in_force() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path()).expect("made");
    let read = |pragma: &str| -> String {
        store
            .conn
            .query_row(&format!("PRAGMA {pragma}"), [], |row| row.get::<_, rusqlite::types::Value>(0))
            .map_or_else(
                |why| why.to_string(),
                |value| match value {
                    rusqlite::types::Value::Text(text) => text,
                    other => format!("{other:?}"),
                },
            )
    };
    assert_eq!(read("journal_mode"), "wal");
    assert_eq!(read("synchronous"), "Integer(2)");
    assert_eq!(read("wal_autocheckpoint"), "Integer(0)");
}

#[test]
fn every_table_of_a_target_is_one_range() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path()).expect("made");
    let mut find = store.conn.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'table'").expect("a query");
    let tables: Vec<(String, String)> = find
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .expect("rows")
        .collect::<Result<_, _>>()
        .expect("rows");
    for (name, sql) in tables.iter().filter(|(name, _)| {
        !name.starts_with("berth_")
            && !["meta", "target", "migration", "bot_migration", "bot_schema"].contains(&name.as_str())
    }) {
        assert!(sql.contains("WITHOUT ROWID") && sql.contains("PRIMARY KEY (target_id,"), "{name}");
    }
    let mut find =
        store.conn.prepare("SELECT sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL").expect("ok");
    let indexes: Vec<String> =
        find.query_map([], |row| row.get(0)).expect("rows").collect::<Result<_, _>>().expect("rows");
    let mut of_targets = indexes.iter().filter(|sql| !sql.contains("ON target ") && !sql.contains("ON berth_"));
    assert!(!indexes.is_empty() && of_targets.all(|sql| sql.contains("(target_id,")), "{indexes:?}");
}

#[test]
fn an_event_comes_back_from_the_journal_as_it_was_accepted() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path()).expect("made");
    let opened = store.open_target(&target(), Epoch(3), None).expect("opened").expect("fit");
    let sent = event("e1");
    write(&store, opened.local, 1, &event("e0"), State::Done, NOW);
    write(&store, opened.local, 2, &sent, State::Accepted, NOW);
    let unfinished = store.unfinished(opened.local, &target()).expect("read");
    assert_eq!((unfinished.len(), unfinished[0].seq, unfinished[0].attempts), (1, 2, 2));
    assert_eq!(unfinished[0].event, sent);
    let seen = store.seen(opened.local, sent.key()).expect("read").expect("known");
    assert_eq!(seen.answer, Answer::empty(200).with_header("x-said", "yes"));
}

#[test]
fn of_a_large_reply_only_the_status_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path()).expect("made");
    let local = store.open_target(&target(), Epoch(1), None).expect("opened").expect("fit").local;
    let answer = Answer { status: 201, headers: vec![], body: vec![b'x'; 101].into() };
    store.remember(local, event("a").key(), &[0; 16], 1, &answer, 100).expect("written");
    assert_eq!(store.seen(local, event("a").key()).expect("read").expect("known").answer, Answer::empty(201));
}

#[test]
fn an_epoch_in_the_database_never_gets_lower() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path()).expect("made");
    for epoch in [5, 3] {
        store.open_target(&target(), Epoch(epoch), None).expect("opened").expect("fit");
    }
    let reader = Reader::open(folder.path(), &store).expect("opened");
    assert_eq!(reader.highest_epoch().expect("read"), Epoch(5));
    assert_eq!(reader.target(&target()).expect("read").expect("known").epoch, Epoch(5));
    assert_eq!(reader.target(&"slack:guild:T9".parse().expect("valid")).expect("read"), None);
}

#[test]
fn what_a_target_stores_is_counted_in_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path()).expect("made");
    let local = store.open_target(&target(), Epoch(1), None).expect("opened").expect("fit").local;
    let reader = Reader::open(folder.path(), &store).expect("opened");
    assert_eq!(reader.stored(None, 10).expect("read"), [(target(), 0)]);
    store.kv_set(local, "ö", "\"日本\"", None).expect("set");
    assert_eq!(reader.stored(None, 10).expect("read"), [(target(), 2 + 8)]);
    let full = Event { body: vec![0; 100_000].into(), ..event("a") };
    write(&store, local, 1, &full, State::Done, NOW);
    let stored = reader.stored(None, 10).expect("read")[0].1;
    assert!((100_000..100_100).contains(&stored), "{stored}");
    assert_eq!(reader.stored(Some(&target()), 10).expect("read"), []);
}

#[test]
fn the_sweep_takes_what_is_old_a_little_at_a_time_and_leaves_what_is_owed() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path()).expect("made");
    let local = store.open_target(&target(), Epoch(1), None).expect("opened").expect("fit").local;
    let old = NOW - 8 * 86_400_000;
    for (seq, state) in [(1, State::Done), (2, State::Accepted), (3, State::Dead), (4, State::Failed), (5, State::Done)]
    {
        write(&store, local, seq, &event(&seq.to_string()), state, old);
    }
    write(&store, local, 6, &event("6"), State::Done, NOW - 2 * 86_400_000);
    write(&store, local, 7, &event("7"), State::Done, NOW);
    store.kv_set(local, "gone", "1", Some(NOW - 1)).expect("set");
    store.kv_set(local, "there", "1", Some(NOW + 1)).expect("set");
    let keep = Retention { inbox: 7 * DAY, payload: DAY, chunk: 2 };
    let (mut rounds, mut from) = (0, 0);
    loop {
        let swept = store.sweep(local, from, NOW, &keep).expect("swept");
        from = swept.payloads;
        if !swept.more {
            break;
        }
        rounds += 1;
    }
    assert!(rounds >= 1);
    let known = |id: &str| store.seen(local, event(id).key()).expect("read").is_some();
    assert_eq!(["1", "2", "3", "4", "5", "6", "7"].map(known), [false, true, true, false, false, true, true]);
    let bodies: i64 = store
        .conn
        .query_row("SELECT count(*) FROM journal WHERE body IS NOT NULL", [], |row| row.get(0))
        .expect("read");
    assert_eq!(bodies, 3, "of 2, 3 and 7: of 6 only the id is kept");
    assert_eq!(store.kv_scan(local, "", 10, 0).expect("read").len(), 1);
}

#[test]
fn keys_are_found_by_prefix_in_order_and_only_while_they_live() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path()).expect("made");
    let local = store.open_target(&target(), Epoch(1), None).expect("opened").expect("fit").local;
    let other = store
        .open_target(&"slack:guild:T2".parse().expect("valid"), Epoch(1), None)
        .expect("opened")
        .expect("fit")
        .local;
    for (key, expires) in [("a/2", None), ("a/1", Some(NOW + 5)), ("a/\u{10ffff}x", None), ("b", None), ("a", None)] {
        store.kv_set(local, key, "1", expires).expect("set");
    }
    store.kv_set(other, "a/9", "1", None).expect("set");
    let keys = |at| -> Vec<String> {
        store.kv_scan(local, "a/", 10, at).expect("read").into_iter().map(|(key, _)| key).collect()
    };
    assert_eq!(keys(NOW), ["a/1", "a/2", "a/\u{10ffff}x"]);
    assert_eq!(keys(NOW + 5), ["a/2", "a/\u{10ffff}x"]);
    assert_eq!(store.kv_get(local, "a/1", NOW + 5).expect("read"), None);
    assert!(store.kv_delete(local, "a").expect("deleted") && !store.kv_delete(local, "a").expect("deleted"));
}

#[test]
fn a_statement_that_runs_too_long_is_interrupted_and_takes_its_transaction_along() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path()).expect("made");
    let local = store.open_target(&target(), Epoch(1), None).expect("opened").expect("fit").local;
    let long = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000)
         INSERT INTO kv (target_id, key, value) SELECT {}, i, '' FROM n",
        local.0
    );
    store.begin().expect("begun");
    store.limit(Some(Mono::ZERO));
    let why = StoreError::from(store.conn.execute_batch(&long).expect_err("interrupted"));
    store.limit(None);
    assert!(why.is_interrupted() && !why.is_statement_only());
    assert!(!store.in_transaction());
    store.begin().and_then(|()| store.commit()).expect("the next group is not harmed");
}

#[test]
fn the_wal_is_moved_into_the_file_while_the_writer_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path()).expect("made");
    let mut checkpoints = checkpoint::Checkpointer::start(folder.path(), None).expect("started");
    let local = store.open_target(&target(), Epoch(1), None).expect("opened").expect("fit").local;
    let value = format!("\"{}\"", "x".repeat(100_000));
    let wal = folder.path().join("berth.db-wal");
    let mut largest = 0;
    for n in 0..1_500 {
        store.begin().expect("begun");
        store.kv_set(local, &format!("{}", n % 20), &value, None).expect("set");
        store.commit().expect("committed");
        checkpoints.committed();
        largest = largest.max(std::fs::metadata(&wal).expect("there").len());
    }
    drop(checkpoints);
    // 150 MB were written; the WAL was not let grow to that.
    assert!(largest < 100 << 20, "{largest}");
    let kept = Connection::open(folder.path().join(FILE)).expect("opened");
    let rows: i64 = kept.query_row("SELECT count(*) FROM kv", [], |row| row.get(0)).expect("read");
    assert_eq!(rows, 20);
}

#[test]
fn nothing_of_an_erased_target_stays_in_the_files_however_its_rows_lay_among_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path()).expect("made");
    let mut checkpoints = checkpoint::Checkpointer::start(folder.path(), None).expect("started");
    let locals: Vec<LocalId> = (0..5)
        .map(|n| {
            store
                .open_target(&format!("slack:guild:T{n}").parse().expect("valid"), Epoch(1), None)
                .expect("opened")
                .expect("fit")
                .local
        })
        .collect();
    let (mut random, mut seqs) = (shared::backoff::Rng::seeded(11), [0_u64; 5]);
    let mut any = |below: usize| (random.next_f64() * below as f64) as usize;
    for _ in 0..300 {
        store.begin().expect("begun");
        for _ in 0..20 {
            let n = any(5);
            seqs[n] += 1;
            let text = format!("MARK{n}KRAM").repeat([1, 5, 20, 200][any(4)]);
            let event = Event { body: text.clone().into(), ..event(&format!("MARK{n}KRAM{}", seqs[n])) };
            write(&store, locals[n], seqs[n], &event, State::Done, NOW);
            store.kv_set(locals[n], &any(300).to_string(), &text, None).expect("set");
        }
        store.commit().expect("committed");
        checkpoints.committed();
    }
    let mut rows = std::collections::BTreeMap::new();
    while store.erase_chunk(locals[2], 500, &mut rows).expect("erased") {}
    assert_eq!((rows["journal"], rows["inbox"]), (seqs[2], seqs[2]));
    let wanted = checkpoint::Scrub { compact_up_to: u64::MAX, empty: true };
    let scrub = std::iter::repeat_with(|| {
        std::thread::yield_now();
        checkpoints.scrub(wanted)
    });
    let scrubbed = scrub.flatten().next().expect("begun").recv().expect("scrubbed");
    assert_eq!(scrubbed, checkpoint::Scrubbed { compacted: true, truncated: true });
    let count = |file: &str, mark: &str| {
        let bytes = std::fs::read(folder.path().join(file)).expect("a file of the database");
        bytes.windows(mark.len()).filter(|window| *window == mark.as_bytes()).count()
    };
    assert_eq!((count("berth.db", "MARK2KRAM"), count("berth.db-wal", "MARK2KRAM")), (0, 0));
    assert!(count("berth.db", "MARK1KRAM") > 1_000, "the others are there");
}

mod aside;
mod kept;

#[test]
fn how_far_the_replica_goes_stands_in_the_next_commit_and_nowhere_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open_for_tests(folder.path(), &Tables::default()).expect("opens");
    let noted = || {
        let row = store.conn.query_row("SELECT commit_seq, replicated_seq FROM meta", [], |row| {
            Ok((row.get::<_, u64>(0)?, row.get::<_, u64>(1)?))
        });
        row.expect("one row")
    };
    let commit = || store.begin().and_then(|()| store.commit()).expect("committed");
    commit();
    let (first, _) = noted();
    store.replicated(first);
    assert_eq!(noted(), (first, 0), "no commit is made for it");
    commit();
    assert_eq!(noted(), (first + 1, first));
    // Less, or what is said when nobody waits any more, says nothing.
    store.replicated(first - 1);
    store.replicated(u64::MAX);
    commit();
    assert_eq!(noted(), (first + 2, first));
}
