//! Makes objects older in what a store says of them: nobody can wait a week, and no store takes a time from outside. Pure.

use bytes::Bytes;
use rusqlite::Connection;

/// How an object begins in a list.
const OBJECT: &str = "<Contents>";

/// Returns a list in which every object with `part` in its key is so many days older; nothing when there is none.
pub(super) fn list(body: &[u8], part: &str, days: u32) -> Option<Bytes> {
    let text = std::str::from_utf8(body).ok()?;
    let mut objects = text.split(OBJECT);
    let mut older = objects.next()?.to_owned();
    let mut changed = false;
    for object in objects {
        older += OBJECT;
        let found =
            between(object, "Key").filter(|key| key.contains(part)).and_then(|_| between(object, "LastModified"));
        match found {
            Some(time) => {
                changed = true;
                older += &object.replace(time, &before(time, days));
            }
            None => older += object,
        }
    }
    changed.then(|| older.into())
}

/// Returns what stands in an element.
fn between<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(inside, _)| inside)
}

/// Returns the time so many days before: SQLite knows the calendar.
fn before(time: &str, days: u32) -> String {
    let database = Connection::open_in_memory().expect("a database");
    let sql = "SELECT strftime('%Y-%m-%dT%H:%M:%fZ', ?1, ?2)";
    database.query_row(sql, (time, format!("-{days} days")), |row| row.get(0)).expect("a time")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_meant_becomes_older() {
        let object = |key, time| format!("<Contents><Key>{key}</Key><LastModified>{time}</LastModified></Contents>");
        let whole =
            |first| format!("<List>{}{}</List>", object("a/1", first), object("b/1", "2026-03-01T01:02:03.004Z"));
        let (text, older) = (whole("2026-03-02T01:02:03.004Z"), whole("2026-02-22T01:02:03.004Z"));
        assert_eq!(list(text.as_bytes(), "a/", 8).as_deref(), Some(older.as_bytes()));
        assert_eq!(list(text.as_bytes(), "c/", 8), None);
    }
}
