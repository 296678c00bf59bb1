use super::*;
use crate::{schema::Tables, store::Store};
use std::{fs, path::Path};

/// What a WAL is known by: it changes when the WAL is started over.
fn salts(folder: &Path) -> Vec<u8> {
    let wal = fs::read(folder.join(format!("{FILE}-wal"))).expect("a WAL");
    wal.get(16..24).map(<[u8]>::to_vec).unwrap_or_default()
}

fn wal_bytes(folder: &Path) -> u64 {
    fs::metadata(folder.join(format!("{FILE}-wal"))).map_or(0, |wal| wal.len())
}

fn commit(store: &Store) {
    store.begin().and_then(|()| store.commit()).expect("committed");
}

#[test]
fn a_wal_that_a_reader_keeps_from_being_emptied_is_not_started_over() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::open_for_tests(dir.path(), &Tables::default()).expect("opens");
    let conn = Connection::open(dir.path().join(FILE)).expect("opens");
    conn.execute_batch("PRAGMA wal_autocheckpoint = 0; PRAGMA busy_timeout = 10;").expect("set");
    for _ in 0..5 {
        commit(&store);
    }
    let reader = Connection::open(dir.path().join(FILE)).expect("opens");
    reader.execute_batch("BEGIN; SELECT * FROM meta").expect("reads the newest state");
    let (before, salt) = (wal_bytes(dir.path()), salts(dir.path()));
    take_over(&conn).expect("held back");
    reader.execute_batch("COMMIT").expect("has read");
    for _ in 0..3 {
        commit(&store);
    }
    assert_eq!(salts(dir.path()), salt, "frames that nobody else has read are not written over");
    assert!(wal_bytes(dir.path()) > before);

    take_over(&conn).expect("nobody reads");
    assert_eq!(wal_bytes(dir.path()), 0);
    commit(&store);
    let seq: u64 = reader.query_row("SELECT commit_seq FROM meta", [], |row| row.get(0)).expect("read");
    assert_eq!(seq, store.commits().seq(), "the frame between them counts as no commit");
}
