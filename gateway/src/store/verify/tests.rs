use super::*;
use std::os::unix::fs::FileExt;

#[test]
fn a_damaged_file_is_noticed_and_an_empty_or_absent_one_is_none() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("it.db");
    assert!(verify(&file, Thorough::Quick).is_err(), "there is none, and none is made");
    assert!(!file.exists());
    let conn = Connection::open(&file).expect("made");
    conn.execute_batch("CREATE TABLE t (a TEXT); CREATE INDEX i ON t (a); PRAGMA journal_mode = WAL;").expect("made");
    for number in 0..2_000 {
        conn.execute("INSERT INTO t VALUES (?1)", [format!("{number:0100}")]).expect("a row");
    }
    drop(conn);
    for thorough in [Thorough::Quick, Thorough::Whole] {
        verify(&file, thorough).expect("whole");
    }
    let bytes = std::fs::OpenOptions::new().write(true).open(&file).expect("open");
    bytes.write_all_at(&[0xa5; 4096], 40 * 4096).expect("damaged");
    assert!(verify(&file, Thorough::Quick).is_err());
}
