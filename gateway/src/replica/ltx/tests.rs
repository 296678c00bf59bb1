use super::*;
use crate::replica::store::LtxFile;
use crate::replica::testing::{Copied, lineage};
use crate::replica::{ReplicaArgs, litestream::last_words, restore_config};
use bytes::Bytes;
use rusqlite::Connection;
use std::{fs, path::Path, process::Child, time::Duration};
use tokio::time::Instant;

/// How long one waits for what another process does.
const PATIENCE: Duration = Duration::from_secs(120);

/// A small generator of numbers: the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

async fn ours(args: &ReplicaArgs, to: &Path) -> Result<Read, LtxError> {
    let store = ReplicaStore::open(args)?;
    read(&store, &lineage(), File::create(to)?, 3, |_| ()).await
}

/// Restores with Litestream itself.
fn theirs(args: &ReplicaArgs, to: &Path) {
    restored_by_litestream(args, to, &[]);
}

fn restored_by_litestream(args: &ReplicaArgs, to: &Path, more: &[&str]) {
    let config = to.with_extension("yml");
    fs::write(&config, restore_config(args, &args.base().expect("a base"), &lineage(), to)).expect("written");
    let mut command = crate::replica::Litestream::new(args).command();
    command.env("GOGC", "400").args(["restore", "-no-expand-env", "-config"]).arg(&config).args(more).arg(to);
    let output = command.output().expect("runs");
    assert!(output.status.success(), "{}", last_words(&output));
}

/// Restores both ways, and returns what both have made.
async fn same(copied: &Copied, what: &str) -> (Read, Vec<u8>) {
    let (a, b) = (copied.dir.path().join("ours.db"), copied.dir.path().join("theirs.db"));
    let read = ours(&copied.args, &a).await.unwrap_or_else(|why| panic!("{what}: {why}"));
    theirs(&copied.args, &b);
    let (bytes, other) = (fs::read(&a).expect("read"), fs::read(&b).expect("read"));
    assert!(bytes == other, "{what}: {} bytes and {}", bytes.len(), other.len());
    assert_eq!(read.bytes, bytes.len() as u64, "{what}");
    let sound: String = Connection::open(&a)
        .expect("open")
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap_or_else(|why| panic!("{what}: {why}"));
    assert_eq!(sound, "ok", "{what}");
    for file in [&a, &b] {
        fs::remove_file(file).expect("gone");
    }
    (read, bytes)
}

/// Some changes of many kinds: more, less, longer than a page, away with a table, all pages anew.
fn change(conn: &Connection, dice: &mut Dice) {
    let table = "CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, b BLOB);
                 CREATE INDEX IF NOT EXISTS t_b ON t (length(b), substr(b, 1, 8))";
    conn.execute_batch(table).expect("a table");
    for _ in 0..1 + dice.roll(6) {
        let (from, count) = (dice.roll(400), dice.roll(120));
        let done = match dice.roll(8) {
            0..=3 => (0..count).try_for_each(|_| {
                let bytes = if dice.roll(20) == 0 { dice.roll(200_000) } else { dice.roll(300) };
                let blob = if dice.roll(2) == 0 { "randomblob(?1)" } else { "zeroblob(?1)" };
                conn.execute(&format!("INSERT INTO t (b) VALUES ({blob})"), [bytes]).map(drop)
            }),
            4 => conn.execute("DELETE FROM t WHERE id BETWEEN ?1 AND ?1 + ?2", [from, count]).map(drop),
            5 => conn.execute("UPDATE t SET b = randomblob(length(b) / 2) WHERE id % 7 = ?1", [from % 7]).map(drop),
            6 => conn.execute_batch("DELETE FROM t WHERE id % 3 > 0; VACUUM"),
            _ => conn.execute_batch("DROP TABLE t").and_then(|()| conn.execute_batch(table)),
        };
        done.expect("changed");
    }
}

async fn any_history(page_sizes: &[u32]) {
    for page_size in page_sizes {
        for seed in [1, 2] {
            let (copied, mut dice) =
                (Copied::begin(*page_size), Dice(0x9e37_79b9_7f4a_7c15 ^ seed << 32 ^ u64::from(*page_size)));
            for round in 0..4 {
                change(&copied.conn, &mut dice);
                copied.copy(round == 2);
                if round > 0 {
                    let what = format!("pages of {page_size}, seed {seed}, round {round}");
                    let (_, bytes) = same(&copied, &what).await;
                    let pages: u32 = copied.conn.query_row("PRAGMA page_count", [], |row| row.get(0)).expect("a count");
                    assert_eq!(bytes.len() as u64, u64::from(pages) * u64::from(*page_size), "{what}");
                }
            }
        }
    }
}

#[tokio::test]
async fn any_history_in_small_pages_is_what_litestream_restores() {
    any_history(&[512, 1024, 2048]).await;
}

#[tokio::test]
async fn any_history_in_pages_of_four_kilobytes_is_what_litestream_restores() {
    any_history(&[4096, 8192]).await;
}

#[tokio::test]
async fn any_history_in_large_pages_is_what_litestream_restores() {
    any_history(&[16_384, 32_768, 65_536]).await;
}

/// A Litestream that runs, ended when it is dropped.
struct Runs(Child);

impl Drop for Runs {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn what_litestream_has_put_together_in_levels_is_what_it_restores() {
    let (copied, mut dice) = (Copied::begin(4096), Dice(7));
    change(&copied.conn, &mut dice);
    let faster = |text: String| {
        text.replace("interval: 5s", "interval: 1s").replace("interval: 1m\n", "interval: 2s\n").replace("10s", "1s")
    };
    let mut command = copied.replicate(faster);
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let runs = Runs(command.spawn().expect("runs"));
    let begun = Instant::now();
    let of = |level: &str| fs::read_dir(copied.ltx().join(level)).map_or(0, Iterator::count);
    while of("2") < 2 || of("1") < 3 {
        assert!(begun.elapsed() < PATIENCE, "Litestream puts nothing together: {:?}", copied.files());
        change(&copied.conn, &mut dice);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    drop(runs);
    let (read, _) = same(&copied, "levels").await;
    assert!(read.files > 1 && read.txid > 1, "{read:?}");
}

impl Runs {
    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, signal).expect("it runs");
    }
}

/// A writer commits, and is killed when the frames are in the WAL and the index of the WAL does not count them yet. Litestream stands
/// still meanwhile.
fn commit_that_is_not_counted(copied: &Copied, litestream: &Runs, change: &str) {
    use std::os::unix::fs::FileExt;
    litestream.signal(rustix::process::Signal::STOP);
    let path = copied.dir.path().join("berth.db-shm");
    let index = fs::OpenOptions::new().read(true).write(true).open(path).expect("Litestream has it open");
    // Both copies of the header of the index (SQLite, walformat, 2.1).
    let mut header = [0; 96];
    index.read_exact_at(&mut header, 0).expect("read");
    copied.conn.execute_batch(change).expect("committed");
    index.write_all_at(&header, 0).expect("as before");
    litestream.signal(rustix::process::Signal::CONT);
}

/// What comes of a database of a few rows whose writer is killed in a commit that writes more pages than Litestream leaves in a WAL.
async fn after_an_uncounted(change: &str) -> Copied {
    let copied = Copied::begin(4096);
    let table = "CREATE TABLE t (a); INSERT INTO t VALUES ('one'), ('two'); CREATE TABLE u (a)";
    copied.conn.execute_batch(table).expect("made");
    let mut command = copied.replicate(|text| text);
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut runs = Runs(command.spawn().expect("runs"));
    let begun = Instant::now();
    while copied.files().is_empty() {
        assert!(begun.elapsed() < PATIENCE, "Litestream copies nothing");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    commit_that_is_not_counted(&copied, &runs, change);
    runs.signal(rustix::process::Signal::TERM);
    assert!(runs.0.wait().expect("ended").success());
    copied
}

#[tokio::test]
async fn a_commit_of_a_killed_writer_that_was_uploaded_is_restored_with_all_before_it() {
    let copied =
        after_an_uncounted("BEGIN; INSERT INTO t VALUES ('three'); INSERT INTO u VALUES (randomblob(5000000)); COMMIT")
            .await;
    let to = copied.dir.path().join("ours.db");
    let read = ours(&copied.args, &to).await.expect("read");
    let page = read.left_out.expect("Litestream's own number is left out");
    assert!(crate::store::has_root(&to, OWN_TABLE, page).expect("read"));
    crate::store::verify(&to, crate::store::Thorough::Whole).expect("whole");
    let rows = Connection::open(&to).expect("open").query_row("SELECT count(*) FROM t", [], |row| row.get::<_, u32>(0));
    assert_eq!(rows.expect("counted"), 3);
    // With it there is no whole database: whoever restores all files finds that out.
    let other = copied.dir.path().join("theirs.db");
    theirs(&copied.args, &other);
    crate::store::verify(&other, crate::store::Thorough::Whole).expect_err("its last pages are cut off");
    fs::remove_file(&other).expect("gone");
    restored_by_litestream(&copied.args, &other, &["-txid", &format!("{:016x}", read.txid)]);
    crate::store::verify(&other, crate::store::Thorough::Whole).expect("whole");
}

#[tokio::test]
async fn a_last_file_that_is_not_litestreams_own_is_never_left_out() {
    // The rows move to fewer pages, and then one page changes: the same shape, and all of it counts.
    let copied = Copied::begin(512);
    let table = "CREATE TABLE t (id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES (1, zeroblob(20000)), (2, 'two')";
    copied.conn.execute_batch(table).expect("made");
    copied.copy(false);
    copied.conn.execute_batch("DELETE FROM t WHERE id = 1; VACUUM").expect("less");
    copied.copy(false);
    copied.conn.execute_batch("UPDATE t SET a = 'three'").expect("changed");
    copied.copy(false);
    let (read, _) = same(&copied, "vacuum").await;
    assert_eq!(read.left_out, None);
}

/// The files of a small replica, newest first as they are applied, with their bytes.
async fn small() -> (Vec<LtxFile>, Vec<Vec<u8>>, Vec<u8>) {
    let copied = Copied::begin(512);
    copied.conn.execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (zeroblob(900))").expect("made");
    copied.copy(false);
    copied.conn.execute_batch("INSERT INTO t VALUES (randomblob(100)), ('another')").expect("more");
    copied.copy(false);
    let (_, database) = same(&copied, "small").await;
    let store = ReplicaStore::open(&copied.args).expect("open");
    let mut files = plan::plan(store.ltx_files(&lineage()).await.expect("listed").files).expect("a plan");
    files.reverse();
    assert!(files.len() > 1, "{files:?}");
    let mut bytes = Vec::new();
    for file in &files {
        let parts: Vec<_> = store.read_ltx(vec![file.clone()], 1).collect().await;
        bytes.push(parts.into_iter().flat_map(|part| part.expect("read")).collect());
    }
    (files, bytes, database)
}

/// Applies files whose bytes come in parts of so many.
fn applied(files: &[LtxFile], bytes: &[Vec<u8>], part: usize, file: &File) -> Result<Vec<u8>, LtxError> {
    use std::os::unix::fs::FileExt;
    file.set_len(0).expect("empty");
    let parts: Vec<Bytes> = bytes.iter().flat_map(|file| file.chunks(part)).map(Bytes::copy_from_slice).collect();
    let size = apply::apply(parts.into_iter(), files, file, &AtomicU64::new(0))?;
    let mut database = vec![0; size as usize];
    file.read_exact_at(&mut database, 0).expect("read");
    assert_eq!(file.metadata().expect("there").len(), size);
    Ok(database)
}

#[tokio::test]
async fn it_does_not_matter_in_which_parts_the_bytes_come() {
    let (files, bytes, database) = small().await;
    let file = tempfile::tempfile().expect("a file");
    for part in [1, 2, 7, 99, 100, 101, 4096, 1 << 20] {
        assert!(applied(&files, &bytes, part, &file).expect("whole") == database, "{part}");
    }
}

#[tokio::test]
async fn a_file_that_is_damaged_anywhere_is_refused_or_says_the_same() {
    let (files, bytes, database) = small().await;
    let file = tempfile::tempfile().expect("a file");
    let (mut refused, mut same) = (0, 0);
    for which in 0..files.len() {
        for at in 0..bytes[which].len() {
            for turn in [0x01, 0x10, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[which][at] ^= turn;
                match applied(&files, &damaged, 1 << 20, &file) {
                    Err(_) => refused += 1,
                    Ok(found) => {
                        assert!(found == database, "byte {at} of file {which}, {turn:#x}");
                        same += 1;
                    }
                }
            }
        }
    }
    assert!(refused > 0 && same * 20 < refused, "{refused} refused, {same} the same");
}

#[tokio::test]
async fn a_file_that_is_cut_or_longer_is_refused() {
    let (mut files, bytes, _) = small().await;
    let file = tempfile::tempfile().expect("a file");
    for which in 0..files.len() {
        let (whole, size) = (bytes[which].clone(), files[which].size);
        let lengths = (0..whole.len()).chain([whole.len() + 1, whole.len() + 9]);
        for length in lengths {
            let mut cut = bytes.clone();
            cut[which].resize(length, 0);
            files[which].size = length as u64;
            let why = applied(&files, &cut, 64, &file).expect_err("not whole");
            assert!(matches!(why, LtxError::File { .. }), "{length}: {why}");
            // The store gives less than it has listed.
            if length < whole.len() {
                files[which].size = size;
                cut.truncate(which + 1);
                applied(&files[..=which], &cut, 64, &file).expect_err("not whole");
            }
        }
        files[which].size = size;
    }
}

/// Puts another checksum into a file that was changed: what is refused then is refused for itself.
fn summed_anew(bytes: &mut [u8]) {
    let mut sum = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc64GoIso);
    sum.update(&bytes[..format::HEADER]);
    let mut at = format::HEADER;
    while bytes[at..at + format::FRAME] != [0; format::FRAME] {
        let length = u32::from_be_bytes(bytes[at + 6..at + 10].try_into().expect("four")) as usize;
        sum.update(&bytes[at..at + 10]);
        let mut page = [0; 512];
        lz4_flex::block::decompress_into(&bytes[at + 10..at + 10 + length], &mut page).expect("a page");
        sum.update(&page);
        at += 10 + length;
    }
    let end = bytes.len() - 8;
    sum.update(&bytes[at..end]);
    let sum = sum.finalize() | 1 << 63;
    bytes[end..].copy_from_slice(&sum.to_be_bytes());
}

#[tokio::test]
async fn what_a_later_litestream_might_write_is_not_known() {
    let (files, bytes, database) = small().await;
    let file = tempfile::tempfile().expect("a file");
    let last = bytes.len() - 1;
    let with = |which: usize, change: &dyn Fn(&mut Vec<u8>)| {
        let mut changed = bytes.clone();
        change(&mut changed[which]);
        summed_anew(&mut changed[which]);
        applied(&files, &changed, 1 << 20, &file)
    };
    assert!(with(0, &|_| ()).expect("the same") == database, "the sum is right");
    let fault = |which: usize, change: &dyn Fn(&mut Vec<u8>)| match with(which, change) {
        Err(LtxError::File { fault, .. }) => fault,
        other => panic!("{other:?}"),
    };
    assert_eq!(fault(0, &|file| file[3] = b'2'), Fault::Unknown("its version"));
    assert_eq!(fault(0, &|file| file[7] = 0), Fault::Unknown("a flag of its header"));
    assert_eq!(fault(0, &|file| file[7] |= 4), Fault::Unknown("a flag of its header"));
    assert_eq!(fault(0, &|file| file[99] = 1), Fault::Unknown("something in its header"));
    assert_eq!(fault(0, &|file| file[10] = 3), Fault::Unknown("its page size"));
    assert_eq!(fault(0, &|file| file[15] = 0), Fault::Unknown("a database without pages"));
    assert_eq!(fault(0, &|file| file[12] = 0xff), Fault::Damaged("it says that there are more pages than can be"));
    assert_eq!(fault(0, &|file| file[31] += 1), Fault::Damaged("it has other transactions than its name says"));
    assert_eq!(fault(0, &|file| file[40] = 1), Fault::Unknown("a checksum of the database"));
    assert_eq!(fault(0, &|file| file[105] |= 2), Fault::Unknown("a flag of a page"));
    assert_eq!(fault(last, &|file| file[103] = 9), Fault::Damaged("its pages are out of order"));
    // What another page size would be: the older file still has the old one.
    assert!(fault(last, &|file| (file[10], file[11]) = (4, 0)).to_string().contains("a page size that changes"));
    let behind = |file: &mut Vec<u8>| {
        let at = file.len() - 9;
        file[at] = 1;
    };
    assert_eq!(fault(0, &behind), Fault::Unknown("a checksum of the database"));
    // The first page's offset in the index, one further.
    let index = |file: &mut Vec<u8>| {
        let length = u64::from_be_bytes(file[file.len() - 24..file.len() - 16].try_into().expect("eight")) as usize;
        let at = file.len() - 24 - length;
        file[at + 1] += 1;
    };
    assert_eq!(fault(0, &index), Fault::Damaged("its index has other pages"));
    let missing = applied(&files[..last], &bytes[..last], 64, &file).expect_err("the oldest is missing");
    assert!(matches!(missing, LtxError::Incomplete { missing: 1.., .. }), "{missing}");
}

/// A database of about so many bytes that LZ4 makes about half as long, as those of pods are.
fn large(bytes: u64) -> Copied {
    let copied = Copied::begin(4096);
    copied.conn.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, b TEXT)").expect("made");
    let rows = bytes / 4_000;
    copied
        .conn
        .execute(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
         INSERT INTO t SELECT i, hex(randomblob(950)) || hex(zeroblob(1000)) FROM n",
            [rows],
        )
        .expect("filled");
    copied.copy(false);
    for round in 0..20 {
        copied.conn.execute("UPDATE t SET b = hex(randomblob(1950)) WHERE id % 1000 = ?1", [round]).expect("changed");
        copied.copy(false);
    }
    copied
}

#[tokio::test]
#[ignore = "a minute and 4 GB of disk; ./test --long has it"]
async fn a_database_beyond_the_page_that_sqlite_locks_is_what_litestream_restores() {
    let copied = large(1_200_000_000);
    let (read, _) = same(&copied, "large").await;
    assert!(read.bytes > 1 << 30, "{read:?}");
}

#[tokio::test]
#[ignore = "a measurement: takes minutes and 4 GB of disk"]
async fn a_gigabyte_both_ways() {
    let copied = large(1_000_000_000);
    let to = copied.dir.path().join("copy.db");
    for round in 0..4 {
        let begun = Instant::now();
        let read = ours(&copied.args, &to).await.expect("read");
        let ours = begun.elapsed();
        fs::remove_file(&to).expect("gone");
        let begun = Instant::now();
        theirs(&copied.args, &to);
        let theirs = begun.elapsed();
        fs::remove_file(&to).expect("gone");
        let ratio = theirs.as_secs_f64() / ours.as_secs_f64();
        println!("round {round}: {read:?}: {ours:?} here, {theirs:?} with Litestream: {ratio:.1} times");
    }
}
