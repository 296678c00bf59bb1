use super::{bring::bring, *};
use crate::{
    handlers::sql::{Params, Rows, Value},
    schema::{Map, SchemaError, Tables},
    store::{LocalId, Reader, Store, StoreError, export::export},
};
use rusqlite::Connection;
use shared::{Epoch, TargetId, clock::ManualClock, wire::data::ExportHead};
use std::{path::Path, sync::Arc, time::Duration};

mod random;

const NOW: u64 = 1_700_000_000_000;
const LIMITS: SqlLimits =
    SqlLimits { rows: 100, bytes: 10_000, statement: 1_000, params: 10, read: Duration::from_secs(30) };

const MIGRATION: &str = "
    CREATE TABLE warnings (target_id INTEGER NOT NULL, id TEXT NOT NULL, about TEXT, at INTEGER,
                           PRIMARY KEY (target_id, id)) WITHOUT ROWID;
    CREATE TABLE notes (target_id INTEGER NOT NULL, id TEXT NOT NULL, warning TEXT,
                        PRIMARY KEY (target_id, id),
                        FOREIGN KEY (target_id, warning) REFERENCES warnings (target_id, id) ON DELETE CASCADE);
    CREATE TABLE escalations (id TEXT PRIMARY KEY, guild_id TEXT NOT NULL, about TEXT);
    CREATE TABLE votes (id TEXT PRIMARY KEY, escalation_id TEXT NOT NULL REFERENCES escalations (id) ON DELETE CASCADE,
                        vote TEXT);
    CREATE TABLE words (word TEXT PRIMARY KEY);
    CREATE TABLE scratch (k TEXT PRIMARY KEY, v TEXT);
    INSERT INTO words VALUES ('bad'), ('worse');";
const MAP: &str = "
    [tables.warnings]
    column = 'target_id'
    time = 'at'
    retention = '90days'
    [tables.notes]
    column = 'target_id'
    [tables.escalations]
    column = 'guild_id'
    [tables.votes]
    via = 'escalations.id'
    [tables.words]
    global = true
    [tables.scratch]
    everywhere = true";

fn open_with(folder: &Path, tables: &Tables) -> Result<Store, StoreError> {
    Store::open(folder, Arc::new(ManualClock::new(NOW)), tables, LIMITS)
}

fn tables() -> Tables {
    Tables::embedded(&[("0001_begin.sql", MIGRATION)], MAP)
}

/// A database with two targets, each with the same rows, and a reader beside it.
struct Two {
    folder: tempfile::TempDir,
    store: Store,
    reader: Reader,
    targets: [(TargetId, LocalId); 2],
}

impl Two {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = open_with(folder.path(), &tables()).expect("opened");
        let reader = Reader::open(folder.path(), &store).expect("opened");
        let targets = ["discord:guild:10", "discord:guild:20"].map(|name| {
            let target: TargetId = name.parse().expect("valid");
            let local = store.open_target(&target, Epoch(1), None).expect("opened").expect("fit").local;
            (target, local)
        });
        let two = Self { folder, store, reader, targets };
        for who in 0..2 {
            for sql in [
                "INSERT INTO warnings VALUES (:target, 'w1', 'loud', 1), (:target, 'w2', 'rude', 2)",
                "INSERT INTO notes VALUES (:target, 'n1', 'w1')",
                "INSERT INTO escalations (id, guild_id, about) VALUES ('e' || :target_key, :target_key, 'x')",
                "INSERT INTO votes (id, escalation_id, vote) VALUES ('v' || :target_key, 'e' || :target_key, 'yes')",
            ] {
                two.execute(who, sql).unwrap_or_else(|why| panic!("{sql}: {why}"));
            }
        }
        two
    }

    fn execute(&self, who: usize, sql: &str) -> Result<u64, StatementError> {
        let (target, local) = &self.targets[who];
        self.store.sql_execute(*local, target, sql, &Params::default())
    }

    fn query(&self, who: usize, sql: &str) -> Result<Rows, StatementError> {
        self.reader.query(&self.targets[who].0, sql, &Params::default())
    }

    /// Everything that a target has, as a text.
    fn rows(&self, who: usize) -> String {
        let conn = Connection::open(self.folder.path().join("berth.db")).expect("opened");
        let mut all = String::new();
        for table in self.store.map().of_targets() {
            let sql = format!("SELECT * FROM {} WHERE target_id = ?1 ORDER BY 1, 2", table.name);
            let mut find = conn.prepare(&sql).expect("a query");
            let mut rows = find.query([self.targets[who].1.0]).expect("rows");
            while let Some(row) = rows.next().expect("a row") {
                let cells: Vec<rusqlite::types::Value> =
                    (0..row.as_ref().column_count()).map(|i| row.get(i).expect("a cell")).collect();
                all.push_str(&format!("{} {cells:?}\n", table.name));
            }
        }
        all
    }

    fn ownerless(&self) -> i64 {
        let conn = Connection::open(self.folder.path().join("berth.db")).expect("opened");
        self.store
            .map()
            .of_targets()
            .map(|table| {
                let sql = format!("SELECT count(*) FROM {} WHERE target_id IS NULL", table.name);
                conn.query_row(&sql, [], |row| row.get::<_, i64>(0)).expect("read")
            })
            .sum()
    }
}

#[test]
fn no_statement_changes_another_targets_row() {
    let two = Two::new();
    let before = two.rows(1);
    assert_eq!(before.lines().count(), 5, "{before}");
    for sql in [
        "UPDATE warnings SET about = 'mine'",
        "DELETE FROM warnings",
        "UPDATE warnings SET target_id = 2 WHERE target_id = 1",
        "UPDATE warnings SET target_id = 1 WHERE target_id = 2",
        "INSERT INTO warnings VALUES (2, 'w3', 'x', 1)",
        "INSERT INTO warnings VALUES (NULL, 'w3', 'x', 1)",
        "INSERT OR REPLACE INTO warnings VALUES (2, 'w1', 'x', 1)",
        "REPLACE INTO warnings VALUES (2, 'w1', 'x', 1)",
        "INSERT INTO warnings VALUES (2, 'w1', 'x', 1) ON CONFLICT DO UPDATE SET about = 'x'",
        "INSERT OR IGNORE INTO warnings VALUES (2, 'w9', 'x', 1)",
        "UPDATE OR REPLACE warnings SET target_id = 2, id = 'w2' WHERE target_id = 1 AND id = 'w1'",
        "UPDATE OR IGNORE warnings SET target_id = 2, id = 'w7'",
        "INSERT INTO notes VALUES (2, 'n2', 'w2')",
        "DELETE FROM notes WHERE rowid > 0",
        "INSERT INTO escalations (id, guild_id) VALUES ('e9', '20')",
        "INSERT INTO escalations (id, guild_id, target_id) VALUES ('e9', '10', 2)",
        "INSERT INTO escalations (id, guild_id) VALUES ('e9', NULL)",
        "REPLACE INTO escalations (id, guild_id) VALUES ('e20', '10')",
        "INSERT INTO escalations (id, guild_id) VALUES ('e20', '10') ON CONFLICT DO UPDATE SET about = 'x'",
        "UPDATE escalations SET guild_id = '20' WHERE guild_id = '10'",
        "UPDATE escalations SET target_id = NULL",
        "UPDATE escalations SET about = 'x' WHERE id = 'e20'",
        "UPDATE OR REPLACE escalations SET id = 'e20' WHERE id = 'e10'",
        "DELETE FROM escalations WHERE id = 'e20'",
        "INSERT INTO votes (id, escalation_id) VALUES ('v9', 'e20')",
        "UPDATE votes SET escalation_id = 'e20' WHERE id = 'v10'",
        "UPDATE votes SET escalation_id = 'e10'",
        "REPLACE INTO votes (id, escalation_id) VALUES ('v20', 'e10')",
        "DELETE FROM votes WHERE escalation_id = 'e20'",
        "INSERT INTO words VALUES ('worst')",
        "DELETE FROM words",
        "WITH x AS (SELECT 2 AS t) INSERT INTO warnings SELECT t, 'w8', '', 0 FROM x",
    ] {
        let refused = two.execute(0, sql);
        let says = match &refused {
            Err(StatementError::Refused(says)) => says.clone(),
            other => panic!("{sql}: {other:?}"),
        };
        assert!(says.starts_with("table "), "{sql}: {says}");
        assert_eq!(two.rows(1), before, "{sql}");
    }
    assert_eq!(two.ownerless(), 0);
}

#[test]
fn what_is_a_targets_own_is_written_freely() {
    let two = Two::new();
    let other = two.rows(1);
    for (sql, changed) in [
        ("UPDATE warnings SET about = 'x' WHERE target_id = :target", 2),
        ("INSERT OR REPLACE INTO warnings VALUES (:target, 'w1', 'again', 1)", 1),
        ("INSERT INTO warnings VALUES (:target, 'w1', 'x', 1) ON CONFLICT DO UPDATE SET about = 'more'", 1),
        ("INSERT INTO escalations (id, guild_id) VALUES ('e11', :target_key), ('e12', :target_key)", 2),
        ("INSERT INTO votes (id, escalation_id) VALUES ('v11', 'e11'), ('v12', 'e11')", 2),
        ("UPDATE votes SET escalation_id = 'e12' WHERE id = 'v12'", 1),
        // The cascade takes a vote along.
        ("DELETE FROM escalations WHERE id = 'e11'", 1),
        ("UPDATE votes SET vote = 'no' WHERE id = 'v11'", 0),
        ("INSERT INTO scratch VALUES ('a', :target_name)", 1),
        ("DELETE FROM warnings WHERE target_id = :target", 2),
        ("DELETE FROM votes WHERE target_id = :target", 2),
    ] {
        assert_eq!(two.execute(0, sql).unwrap_or_else(|why| panic!("{sql}: {why}")), changed, "{sql}");
    }
    assert_eq!((two.rows(1), two.ownerless()), (other, 0));
    assert_eq!(two.rows(0).lines().count(), 2, "two escalations: {}", two.rows(0));
}

#[test]
fn a_reader_sees_its_targets_rows_only() {
    let two = Two::new();
    let first = |sql: &str| two.query(0, sql).unwrap_or_else(|why| panic!("{sql}: {why}")).first().cloned();
    for (sql, found) in [
        ("SELECT count(*) FROM warnings", 2),
        ("SELECT count(*) FROM WARNINGS AS w JOIN notes ON notes.warning = w.id", 1),
        ("SELECT count(*) FROM votes", 1),
        ("SELECT count(*) FROM words", 2),
        ("SELECT count(*) FROM scratch", 0),
        ("SELECT count(*) FROM (SELECT * FROM escalations UNION ALL SELECT * FROM escalations)", 2),
        ("WITH mine AS MATERIALIZED (SELECT * FROM warnings) SELECT count(*) FROM mine", 2),
        ("SELECT count(*) FROM json_each('[1,2,3]')", 3),
        ("SELECT :target", 1),
        ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9) SELECT count(*) FROM n", 9),
    ] {
        assert_eq!(first(sql), Some(Value::Integer(found)), "{sql}");
    }
    for sql in [
        "SELECT * FROM main.warnings",
        "SELECT count(*) FROM main.warnings",
        "SELECT count(*) FROM MAIN.warnings",
        "SELECT 1 FROM main.warnings",
        "SELECT rowid FROM main.notes",
        // A subquery that is called like the view is not the view.
        "WITH warnings AS (SELECT * FROM main.warnings) SELECT * FROM warnings",
        "WITH warnings AS MATERIALIZED (SELECT about FROM main.warnings) SELECT * FROM warnings",
        "WITH warnings(a) AS (SELECT count(*) FROM main.warnings) SELECT a FROM warnings",
        "SELECT * FROM (SELECT * FROM main.warnings) AS warnings",
        "SELECT (SELECT about FROM main.warnings LIMIT 1)",
        "SELECT * FROM warnings WHERE EXISTS (SELECT 1 FROM main.escalations)",
        "SELECT * FROM kv",
        "SELECT count(*) FROM main.target",
        "SELECT * FROM sqlite_temp_master",
        "SELECT count(*) FROM temp.sqlite_temp_master",
        "SELECT sql FROM sqlite_schema",
        "SELECT * FROM dbstat",
        "SELECT count(*) FROM dbstat",
        "DELETE FROM warnings",
        "INSERT INTO scratch VALUES ('a', 'b')",
        "EXPLAIN QUERY PLAN SELECT * FROM warnings",
        "EXPLAIN SELECT * FROM warnings",
        "PRAGMA table_info(warnings)",
        "CREATE TEMP VIEW x AS SELECT 1",
        "DROP VIEW warnings",
        "ATTACH ':memory:' AS x",
        "BEGIN",
    ] {
        assert!(matches!(two.query(0, sql), Err(StatementError::Refused(_))), "{sql}: {:?}", two.query(0, sql));
    }
    let nobody: TargetId = "discord:guild:30".parse().expect("valid");
    let none = two.reader.query(&nobody, "SELECT * FROM warnings", &Params::default()).expect("read");
    assert_eq!(none.rows.len(), 0);
}

#[test]
fn what_berth_prepared_for_itself_is_never_run_for_a_bot() {
    let two = Two::new();
    let own = "UPDATE meta SET commit_seq = commit_seq + 1";
    for _ in 0..3 {
        two.store.begin().expect("begun");
        assert!(matches!(two.execute(0, own), Err(StatementError::Refused(_))));
        two.store.commit().expect("committed");
    }
}

#[test]
fn the_failure_of_a_statement_undoes_that_statement_only() {
    let two = Two::new();
    two.store.begin().and_then(|()| two.store.savepoint()).expect("begun");
    two.execute(0, "INSERT INTO warnings VALUES (:target, 'w3', 'kept', 1)").expect("written");
    let twice = two.execute(0, "INSERT INTO warnings VALUES (:target, 'w4', '', 1), (:target, 'w3', '', 1)");
    assert!(matches!(twice, Err(StatementError::Failed(_))), "{twice:?}");
    let guarded = two.execute(0, "INSERT INTO warnings VALUES (:target, 'w5', '', 1), (2, 'w5', '', 1)");
    assert!(matches!(guarded, Err(StatementError::Refused(_))), "{guarded:?}");
    two.store.release().and_then(|()| two.store.commit()).expect("committed");
    let ids = two.query(0, "SELECT id FROM warnings ORDER BY id").expect("read");
    assert_eq!(ids.rows.concat(), ["w1", "w2", "w3"].map(Value::from));
}

#[test]
fn answers_and_statements_have_bounds() {
    let two = Two::new();
    let series = |n: u32| {
        format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {n}) SELECT i FROM n")
    };
    assert_eq!(two.query(0, &series(100)).expect("read").rows.len(), 100);
    assert!(matches!(two.query(0, &series(101)), Err(StatementError::Failed(_))));
    assert!(matches!(two.query(0, "SELECT printf('%10001s', '')"), Err(StatementError::Failed(_))));
    // One function is one step, and the clock is looked at between steps.
    let chewed =
        "UPDATE warnings SET about = printf('%600000s', '') || printf('%600000s', '') WHERE target_id = :target";
    let chewed = two.execute(0, chewed);
    assert!(matches!(chewed, Err(StatementError::Failed(_))), "{chewed:?}");
    let pattern = format!("UPDATE warnings SET about = 'x' LIKE '{}' WHERE target_id = :target", "%a".repeat(65));
    assert!(two.execute(0, &pattern).is_err());
    let long = format!("SELECT 1 /*{}*/", "x".repeat(1_000));
    assert!(matches!(two.query(0, &long), Err(StatementError::Refused(_))));
    let many = Params::from(vec![Value::Null; 11]);
    assert!(matches!(two.reader.query(&two.targets[0].0, "SELECT ?11", &many), Err(StatementError::Refused(_))));
    assert!(matches!(two.query(0, "SELECT 1\0"), Err(StatementError::Refused(_))));
}

#[test]
fn parameters_are_bound_by_place_or_by_name_and_nothing_is_left_over() {
    let two = Two::new();
    let ask =
        |sql: &str, params: Params| two.reader.query(&two.targets[0].0, sql, &params).map(|rows| rows.rows.concat());
    let ok = |sql: &str, params: Params| ask(sql, params).unwrap_or_else(|why| panic!("{sql}: {why}"));
    assert_eq!(ok("SELECT ?, :target_key, ?", ("a", 2).into()), ["a".into(), "10".into(), Value::Integer(2)]);
    assert_eq!(ok("SELECT ?2, ?1", (1, 2).into()), [Value::Integer(2), Value::Integer(1)]);
    assert_eq!(ok("SELECT :a, @b", [("a", 1.into()), ("b", Value::Null)].into()), [Value::Integer(1), Value::Null]);
    for (sql, params) in [
        ("SELECT ?", ().into()),
        ("SELECT 1", (1,).into()),
        ("SELECT :target, ?1", (7,).into()),
        ("SELECT :a", (1,).into()),
        ("SELECT :a", [("b", Value::Null)].into()),
        ("SELECT :a", [("a", Value::Null), ("b", Value::Null)].into()),
        ("SELECT :target", [("target", Value::Integer(2))].into()),
    ] {
        assert!(matches!(ask(sql, params), Err(StatementError::Refused(_))), "{sql}");
    }
}

#[test]
fn a_bot_keeps_its_rows_through_a_restart_and_a_newer_version_of_its_tables() {
    let two = Two::new();
    let (folder, before) = (two.folder.path().to_owned(), two.rows(0));
    let Two { store, reader, folder: _kept, .. } = two;
    drop((store, reader));
    assert_eq!(open_with(&folder, &tables()).expect("opened again").map().version, Some(1));
    let newer = Tables::embedded(
        &[
            ("0001_begin.sql", MIGRATION),
            ("0002_more.sql", "ALTER TABLE escalations ADD COLUMN state TEXT DEFAULT 'open'"),
        ],
        &format!("version = 5\n{MAP}"),
    );
    let store = open_with(&folder, &newer).expect("migrated");
    assert_eq!(store.map().version, Some(5));
    assert!(store.map().table("escalations").expect("there").columns.contains(&"state".to_owned()));
    drop(store);
    let says = |tables: &Tables| open_with(&folder, tables).expect_err("refused").to_string();
    assert!(
        says(&tables()).contains("has 2 migrations of the bot, this version of it brings 1"),
        "{}",
        says(&tables())
    );
    assert!(says(&Tables::default()).contains("set --migrations"));
    let lower = Tables::embedded(
        &[
            ("0001_begin.sql", MIGRATION),
            ("0002_more.sql", "ALTER TABLE escalations ADD COLUMN state TEXT DEFAULT 'open'"),
        ],
        MAP,
    );
    assert!(says(&lower).contains("has version 5 of the bot's schema, this one brings 2"));
    let changed =
        Tables::embedded(&[("0001_begin.sql", "SELECT 1"), ("0002_more.sql", "")], &format!("version = 5\n{MAP}"));
    assert!(says(&changed).contains("migration 0001_begin has been changed since it ran here"));
    let store = open_with(&folder, &newer).expect("a refusal changes nothing");
    assert!(!before.is_empty() && store.map().tables.len() == 6);
}

#[test]
fn a_migration_that_fails_or_reaches_too_far_leaves_nothing() {
    for (sql, says) in [
        ("CREATE TABLE a (x); SELECT nonsense", "no such column"),
        ("CREATE TABLE a (x); COMMIT", "one transaction"),
        ("CREATE TABLE a (x); DROP TABLE kv", "Berth's own"),
        ("CREATE TABLE kv2 AS SELECT * FROM kv", "Berth's own"),
        ("CREATE TABLE berth_a (x)", "Berth's own"),
        ("ALTER TABLE target ADD COLUMN x", "Berth's own"),
        ("CREATE INDEX i ON inbox (seq)", "Berth's own"),
        ("INSERT INTO target (name, epoch) VALUES ('x', 1)", "Berth's own"),
        ("PRAGMA journal_mode = DELETE", "PRAGMA journal_mode is not allowed"),
        ("PRAGMA writable_schema = ON", "not allowed"),
        ("ATTACH 'x' AS x", "not allowed"),
        ("CREATE VIEW v AS SELECT 1", "view v"),
        ("CREATE TABLE a (x); CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; END", "trigger t"),
        ("CREATE VIRTUAL TABLE f USING fts5(x)", "fts5"),
        ("CREATE TEMP TABLE a (x)", "not allowed"),
        (
            "CREATE TABLE p (id TEXT PRIMARY KEY); CREATE TABLE c (p REFERENCES p); INSERT INTO c VALUES ('x')",
            "name nothing",
        ),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let tables = Tables::embedded(&[("0001_a.sql", sql)], "[tables.a]\neverywhere = true");
        let why = open_with(folder.path(), &tables).expect_err("refused").to_string();
        assert!(why.contains(says) && why.contains("0001_a"), "{sql}: {why}");
        let store = open_with(folder.path(), &Tables::default()).expect("nothing is left of it");
        assert!(store.map().tables.is_empty());
    }
}

#[test]
fn a_table_made_anew_keeps_its_rows_and_those_that_hang_on_it() {
    let two = Two::new();
    let folder = two.folder.path().to_owned();
    let Two { store, reader, folder: _kept, .. } = two;
    drop((store, reader));
    let anew = "CREATE TABLE e2 (id TEXT PRIMARY KEY, guild_id TEXT NOT NULL, about TEXT NOT NULL);
        INSERT INTO e2 SELECT id, guild_id, about FROM escalations;
        DROP TABLE escalations; ALTER TABLE e2 RENAME TO escalations;";
    let tables = Tables::embedded(&[("0001_begin.sql", MIGRATION), ("0002_anew.sql", anew)], MAP);
    let store = open_with(&folder, &tables).expect("migrated");
    let count = |sql: &str| store.conn.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("read");
    assert_eq!(
        count("SELECT count(*) FROM escalations JOIN target ON target.id = target_id AND name LIKE '%:' || guild_id"),
        2
    );
    assert_eq!(count("SELECT count(*) FROM votes"), 2);
}

#[test]
fn rows_that_a_migration_wrote_for_nobody_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let sql = "CREATE TABLE a (id TEXT PRIMARY KEY, guild_id TEXT); INSERT INTO a VALUES ('x', '77')";
    let tables = Tables::embedded(&[("0001_a.sql", sql)], "[tables.a]\ncolumn = 'guild_id'");
    let why = open_with(folder.path(), &tables).expect_err("refused").to_string();
    assert!(why.contains("table a: 1 of its rows belong to no target"), "{why}");
}

#[test]
fn old_rows_go_by_the_time_in_them_and_nobody_elses() {
    let folder = tempfile::tempdir().expect("a folder");
    let day = 86_400_000_i64;
    let sql = "CREATE TABLE ms (target_id INTEGER NOT NULL, id TEXT NOT NULL, at INTEGER, PRIMARY KEY (target_id, id)) WITHOUT ROWID;
        CREATE TABLE s (id TEXT PRIMARY KEY, guild_id TEXT NOT NULL, at INTEGER);
        CREATE TABLE t (id TEXT PRIMARY KEY, guild_id TEXT NOT NULL, at TEXT);
        CREATE TABLE pods (id TEXT PRIMARY KEY, at INTEGER);
        CREATE TABLE child (id TEXT PRIMARY KEY, s TEXT REFERENCES s (id));";
    let time = "retention = '10days'\ntime = 'at'\ntime_unit";
    let map = format!(
        "[tables.ms]\ncolumn = 'target_id'\n{time} = 'ms'\n[tables.s]\ncolumn = 'guild_id'\n{time} = 's'\n\
         [tables.t]\ncolumn = 'guild_id'\n{time} = 'text'\n[tables.pods]\neverywhere = true\n{time} = 'ms'\n\
         [tables.child]\nvia = 's.id'"
    );
    let store = open_with(folder.path(), &Tables::embedded(&[("0001_a.sql", sql)], &map)).expect("opened");
    let target: TargetId = "discord:guild:10".parse().expect("valid");
    let local = store.open_target(&target, Epoch(1), None).expect("opened").expect("fit").local;
    let now = i64::try_from(NOW).expect("small");
    for (id, at) in [("old", now - 11 * day), ("young", now - 9 * day)] {
        let do_it = |sql: &str, at: Value| {
            let params = Params::from((id, at));
            store.sql_execute(local, &target, sql, &params).unwrap_or_else(|why| panic!("{sql}: {why}"));
        };
        do_it("INSERT INTO ms VALUES (:target, ?, ?)", at.into());
        do_it("INSERT INTO s (guild_id, id, at) VALUES (:target_key, ?, ?)", (at / 1_000).into());
        do_it(
            "INSERT INTO t (guild_id, id, at) VALUES (:target_key, ?, datetime(?, 'unixepoch'))",
            (at / 1_000).into(),
        );
        do_it("INSERT INTO pods (id, at) VALUES (?, ?)", at.into());
    }
    for odd in ["'CURRENT_TIMESTAMP'", "''", "NULL", "5"] {
        let sql = format!("INSERT INTO t (id, guild_id, at) VALUES ('odd ' || quote({odd}), :target_key, {odd})");
        store.sql_execute(local, &target, &sql, &Params::default()).expect("written");
    }
    let left = |table: &str| -> Vec<String> {
        let mut find = store.conn.prepare(&format!("SELECT id FROM {table} ORDER BY id")).expect("a query");
        find.query_map([], |row| row.get(0)).expect("rows").collect::<Result<_, _>>().expect("rows")
    };
    store
        .sql_execute(local, &target, "INSERT INTO child (id, s) VALUES ('c', 'old')", &Params::default())
        .expect("written");
    store.sweep_own(local, NOW, 100).and_then(|_| store.sweep_pods_own(NOW, 100)).expect("swept");
    assert_eq!(left("s"), ["old", "young"], "what is still named stays");
    store.sql_execute(local, &target, "DELETE FROM child", &Params::default()).expect("deleted");
    store.sweep_own(local, NOW, 100).expect("swept");
    for table in ["ms", "s", "pods"] {
        assert_eq!(left(table), ["young"], "{table}");
    }
    assert_eq!(left("t").len(), 5, "what is no day is not old: {:?}", left("t"));
}

#[test]
fn an_erasure_takes_the_bots_rows_of_that_target_too() {
    let two = Two::new();
    let other = two.rows(1);
    let mut rows = std::collections::BTreeMap::new();
    two.store.begin().expect("begun");
    while two.store.erase_chunk(two.targets[0].1, 2, &mut rows).expect("erased") {}
    two.store.commit().expect("committed");
    assert_eq!((two.rows(0).as_str(), two.rows(1)), ("", other));
    assert_eq!(rows.get("warnings"), Some(&2), "{rows:?}");
    assert_eq!(rows.get("votes"), Some(&1), "{rows:?}");
}

#[test]
fn an_export_holds_the_bots_rows_of_that_target_only() {
    let two = Two::new();
    two.execute(1, "INSERT INTO warnings VALUES (:target, 'w3', 'theirs', 3)").expect("written");
    two.execute(1, "INSERT INTO scratch VALUES ('everywhere', 'theirs')").expect("written");
    let target = &two.targets[0].0;
    let head = |tables| ExportHead {
        berth: ExportHead::WORD.to_owned(),
        version: ExportHead::VERSION,
        target: target.clone(),
        epoch: Epoch(1),
        pod: "gateway-0".parse().expect("valid"),
        at_ms: NOW,
        tables,
    };
    let mut text = Vec::new();
    let mut sink = |part: Vec<u8>| {
        text.extend_from_slice(&part);
        Ok(())
    };
    export(two.folder.path(), two.store.map(), target, target.as_str(), head, &mut sink).expect("exported");
    let text = String::from_utf8(text).expect("UTF-8");
    assert!(!text.contains("theirs") && !text.contains("e20") && !text.contains("target_id"), "{text}");
    let lines: Vec<serde_json::Value> = text.lines().map(|line| line.parse().expect("JSON")).collect();
    let tables = lines[0]["tables"].as_array().expect("a list");
    assert!(["words", "scratch"].iter().all(|pods| !tables.contains(&(*pods).into())), "the pod's own: {tables:?}");
    let own: Vec<_> = lines.iter().filter(|line| line["table"] != "target" && line["row"].is_object()).collect();
    let row = |table: &str, row| serde_json::json!({"table": table, "row": row});
    let wanted = [
        row("escalations", serde_json::json!({"id": "e10", "guild_id": "10", "about": "x"})),
        row("notes", serde_json::json!({"id": "n1", "warning": "w1"})),
        row("votes", serde_json::json!({"id": "v10", "escalation_id": "e10", "vote": "yes"})),
        row("warnings", serde_json::json!({"id": "w1", "about": "loud", "at": 1})),
        row("warnings", serde_json::json!({"id": "w2", "about": "rude", "at": 2})),
    ];
    assert_eq!(own.len(), wanted.len(), "{text}");
    assert!(wanted.iter().all(|wanted| own.contains(&wanted)), "{text}");
}

#[test]
fn the_guards_of_an_open_database_stand_in_no_file() {
    let two = Two::new();
    let conn = Connection::open(two.folder.path().join("berth.db")).expect("opened");
    let triggers: i64 = conn
        .query_row("SELECT count(*) FROM sqlite_schema WHERE type IN ('trigger', 'view')", [], |row| row.get(0))
        .expect("read");
    assert_eq!(triggers, 0);
    let mut plain = Connection::open_in_memory().expect("opened");
    let refused = bring(&mut plain, &Scope::default(), &Tables::default(), NOW);
    assert!(refused.is_err(), "without Berth's own tables there is nothing to bring up to date");
}

#[test]
fn what_a_statement_waits_for_ends_with_its_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = ManualClock::new(NOW);
    let limits = SqlLimits { read: Duration::ZERO, ..LIMITS };
    let store = Store::open(folder.path(), Arc::new(clock.clone()), &tables(), limits).expect("opened");
    let reader = Reader::open(folder.path(), &store).expect("opened");
    let target: TargetId = "discord:guild:10".parse().expect("valid");
    store.open_target(&target, Epoch(1), None).expect("opened").expect("fit");
    let running = std::sync::atomic::AtomicBool::new(true);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while running.load(std::sync::atomic::Ordering::Relaxed) {
                clock.advance(Duration::from_millis(1));
                std::thread::yield_now();
            }
        });
        let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
        let ended = reader.query(&target, endless, &Params::default());
        running.store(false, std::sync::atomic::Ordering::Relaxed);
        assert!(matches!(&ended, Err(StatementError::Failed(why)) if why.contains("took longer")), "{ended:?}");
    });
}

#[test]
fn a_query_beside_the_writer_makes_no_huge_values_and_no_endless_patterns() {
    let two = Two::new();
    let target: TargetId = "discord:guild:10".parse().expect("valid");
    let ask = |sql: &str| two.reader.query(&target, sql, &Params::default());
    let refused = ask("SELECT length(printf('%700000s', '') || printf('%700000s', ''))");
    assert!(matches!(&refused, Err(StatementError::Failed(why)) if why.contains("too big")), "{refused:?}");
    let pattern = format!("SELECT 'a' LIKE '{}'", "%a".repeat(100));
    assert!(ask(&pattern).is_err());
    assert!(ask("SELECT length(printf('%1000000s', '')), 'a' LIKE '%a%'").is_ok(), "as much as a key's value");
}

#[test]
fn a_map_that_does_not_fit_says_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let tables = Tables::embedded(&[("0001_begin.sql", MIGRATION)], "[tables.warnings]\ncolumn = 'target_id'");
    let why = open_with(folder.path(), &tables).expect_err("refused");
    assert!(matches!(&why, StoreError::Schema(SchemaError::Unfit(all)) if all.len() == 5), "{why}");
    assert_eq!(Map::default().of_targets().count(), 0);
}
