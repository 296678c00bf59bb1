use super::*;
use crate::{
    handlers::{Event, EventKind, Handler, Reply},
    testing::{Bench, text_of},
};
use shared::wire::link::Outcome;
use std::time::Duration;

#[test]
fn values_read_as_json_and_back() {
    for (value, text) in [
        (Value::Null, "null"),
        (Value::Integer(-7), "-7"),
        (Value::Real(0.5), "0.5"),
        (Value::Text("é".into()), "\"é\""),
        (Value::Blob(vec![0, 255]), r#"{"base64":"AP8="}"#),
    ] {
        assert_eq!(serde_json::to_string(&value).expect("written"), text);
        assert_eq!(serde_json::from_str::<Value>(text).expect("read"), value);
    }
    assert_eq!(serde_json::from_str::<Value>("true").expect("read"), Value::Integer(1));
    for bad in ["[1]", "{}", r#"{"base64":"?"}"#, r#"{"base64":"AA==","x":1}"#, "18446744073709551615"] {
        assert!(serde_json::from_str::<Value>(bad).is_err(), "{bad}");
    }
}

#[test]
fn parameters_are_a_list_or_an_object() {
    let read = |text: &str| serde_json::from_str::<Params>(text).expect("read");
    assert_eq!(read("[1,\"a\"]"), Params::from((1, "a")));
    assert_eq!(read("{\"a\":1}"), Params::from([("a", Value::Integer(1))]));
    assert_eq!(serde_json::to_string(&Params::from([("a", Value::Null)])).expect("written"), "{\"a\":null}");
}

/// Does what the body of the event says.
struct Does;

impl Handler for Does {
    fn handle(&self, event: &Event, target: &mut Target<'_>) -> Result<Reply, HandlerError> {
        let body = String::from_utf8_lossy(&event.body).into_owned();
        let mut session = target.session("s");
        match body.as_str() {
            "set" => session.set("hello")?,
            "set for a minute" => session.set_ttl("hello", Duration::from_secs(60))?,
            "delete" => return Ok(Reply::text(session.delete()?.to_string())),
            "get" => {}
            statement => return Ok(Reply::text(format!("{:?}", target.sql().query(statement, ())))),
        }
        Ok(Reply::text(session.get::<String>()?.unwrap_or_default()))
    }
}

fn say(bench: &Bench, body: &str) -> String {
    match bench.send(bench.event("slack:guild:T1", EventKind::SlackCommand, body)) {
        Outcome::Committed { answer, .. } => text_of(&answer),
        other => panic!("not committed: {other:?}"),
    }
}

#[test]
fn a_session_lives_for_its_time_after_its_last_use() {
    let bench = Bench::new(Does);
    assert_eq!(say(&bench, "set for a minute"), "hello");
    for _ in 0..3 {
        bench.advance(Duration::from_secs(50));
        assert_eq!(say(&bench, "get"), "hello", "each use lets its time begin anew");
    }
    assert_eq!(say(&bench, "set"), "hello");
    bench.advance(Duration::from_secs(61));
    assert_eq!(say(&bench, "get"), "", "what was set again keeps its time");
    assert_eq!(say(&bench, "delete"), "false");
    say(&bench, "set");
    bench.advance(Duration::from_secs(3_500));
    assert_eq!(say(&bench, "get"), "hello", "an hour, when nobody says otherwise");
    assert_eq!(say(&bench, "delete"), "true");
    assert_eq!(say(&bench, "get"), "");
}

#[test]
fn sessions_that_are_over_are_swept_away() {
    let bench = Bench::new(Does);
    say(&bench, "set for a minute");
    let count = |bench: &Bench| {
        let conn = rusqlite::Connection::open(bench.folder().join("berth.db")).expect("opened");
        conn.query_row("SELECT count(*) FROM session", [], |row| row.get::<_, i64>(0)).expect("read")
    };
    assert_eq!(count(&bench), 1);
    bench.advance(Duration::from_secs(130));
    bench.until("the sweep has come round", |bench| count(bench) == 0);
}

#[test]
fn a_statement_that_touches_what_is_not_the_bots_is_refused_and_the_event_goes_on() {
    let bench = Bench::new(Does);
    for (statement, says) in [
        ("SELECT * FROM kv", "table kv is Berth's own"),
        ("SELECT count(*) FROM KV", "Berth's own"),
        ("SELECT name FROM sqlite_schema", "SQLite's own"),
        ("DELETE FROM inbox", "Berth's own"),
        ("UPDATE meta SET commit_seq = commit_seq + 1", "Berth's own"),
        ("PRAGMA writable_schema = ON", "PRAGMA writable_schema is not allowed"),
        ("SELECT * FROM pragma_table_list", "SQLite's own"),
        ("ATTACH 'x' AS x", "ATTACH and DETACH are not allowed"),
        ("COMMIT", "one transaction"),
        ("RELEASE event", "one transaction"),
        ("CREATE TEMP TABLE t (x)", "SQLite's own"),
        ("CREATE TABLE t (x)", "SQLite's own"),
        ("SELECT load_extension('x')", "the function load_extension is not allowed"),
        ("SELECT 1; SELECT 2", "one statement at a time"),
        ("SELECT * FROM nowhere", "no such table: nowhere"),
        ("EXPLAIN SELECT 1", "EXPLAIN"),
        ("SELECT ?", "more parameters than the 0 given"),
        ("SELECT 1 AND", "incomplete input"),
        ("", "Refused"),
        ("VACUUM", "Refused"),
    ] {
        let said = say(&bench, statement);
        assert!(said.contains(says) && said.contains("Refused"), "{statement}: {said}");
    }
    assert!(
        say(&bench, "SELECT value, :target_key, :target_name FROM json_each('[1]')")
            .contains(r#"[[Integer(1), Text("T1"), Text("slack:guild:T1")]]"#)
    );
}
