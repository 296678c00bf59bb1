//! A lineage of thousands of files: what no compaction has put together yet is restored all the same, within its bound.

use super::{Kind, LONG};
use berth_tests::{
    eventually,
    litestream::sync,
    process::{Process, clean},
    store::Store,
    store_proxy::{Does, To, Verb},
};
use gateway::replica::{Lineage, RestoreError, restore};
use rusqlite::Connection;
use std::{fs, path::Path, process::Command, time::Duration};
use tempfile::TempDir;

const INCARNATION: &str = "0190163d-8694-739b-aea5-966c26f8ad91";

/// A lineage of these stories.
pub(super) fn lineage() -> Lineage {
    let (pod, incarnation) = ("gateway-0".parse().expect("valid"), INCARNATION.parse().expect("valid"));
    Lineage { generation: 1, pod, incarnation }
}

/// Makes a database with one table, whose WAL is left to Litestream.
pub(super) fn database(at: &Path) -> Connection {
    let connection = Connection::open(at).expect("a database");
    let sql =
        "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE said (n INTEGER PRIMARY KEY, text)";
    connection.execute_batch(sql).expect("a table");
    connection
}

/// Starts a Litestream that uploads each commit as a file of its own and puts none of them together.
pub(super) fn litestream(store: &Store, lineage: &Lineage, folder: &Path) -> Process {
    let endpoint = store.proxy().url();
    let (database, socket) = (folder.join("berth.db"), folder.join("litestream.sock"));
    let text = format!(
        "socket: {{enabled: true, path: {}, permissions: 0600}}\nlevels: [{{interval: 24h}}]\nl0-retention: 24h\n\
         dbs:\n  - path: {}\n    monitor-interval: 10ms\n    checkpoint-interval: 1m\n    replicas:\n      - type: s3\n        \
         bucket: {}\n        path: stories/one/{}\n        endpoint: {endpoint}\n        region: us-east-1\n        \
         force-path-style: true\n        sync-interval: 24h\n",
        socket.display(),
        database.display(),
        berth_tests::store::BUCKET,
        lineage.path(),
    );
    let config = folder.join("litestream.yml");
    fs::write(&config, text).expect("written");
    let mut command = clean(Command::new(berth_tests::litestream::program()));
    command.args(["replicate", "-config"]).arg(&config).envs(store.keys());
    Process::start("litestream", command)
}

/// Has so many files written, one for each commit, and restores them.
async fn files_are_restored(kind: Kind, files: usize) {
    let store = Store::start(kind).await;
    let folder = TempDir::with_prefix("berth-segments-").expect("a folder");
    let lineage = lineage();
    let database = folder.path().join("berth.db");
    let connection = self::database(&database);
    let _litestream = litestream(&store, &lineage, folder.path());
    let socket = folder.path().join("litestream.sock");
    eventually("Litestream is there", LONG, async || sync(&socket, &database).await.then_some(())).await;
    for n in 0..files {
        connection.execute("INSERT INTO said VALUES (?1, hex(randomblob(200)))", [n]).expect("written");
        eventually("it is uploaded", LONG, async || sync(&socket, &database).await.then_some(())).await;
    }
    let listing = store.open().list(&lineage).await.expect("listed");
    assert!(listing.files >= files as u64, "{listing:?}");

    let to = TempDir::with_prefix("berth-restored-").expect("a folder");
    let before = store.proxy().count(Verb::Get);
    store.proxy().now(To::Only(Verb::Get), Does::Slow(Duration::from_millis(15)));
    let file = to.path().join("berth.db");
    let hasty = restore(&store.args(&["--restore-timeout", "1s"]), &lineage, &file, |_| ()).await;
    if let Err(why) = hasty {
        assert!(matches!(why, RestoreError::Slow { .. }), "{why}");
        assert_eq!(fs::read_dir(to.path()).expect("a folder").count(), 0, "nothing is left of one that was given up");
    } else {
        fs::remove_file(&file).expect("it was quick enough");
    }
    let restored = restore(&store.args(&[]), &lineage, &file, |_| ()).await.expect("restored");
    let gets = store.proxy().count(Verb::Get) - before;
    println!("{} files, {gets} requests of 15 ms each: restored in {:?}", listing.files, restored.took);
    let rows: usize = Connection::open(&file)
        .expect("a database")
        .query_row("SELECT count(*) FROM said", [], |row| row.get(0))
        .expect("read");
    assert_eq!(rows, files);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_files_that_were_never_put_together_are_restored() {
    files_are_restored(Kind::S3sFs, 300).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes; ./test --long has it"]
async fn five_thousand_files_that_were_never_put_together_are_restored() {
    files_are_restored(Kind::S3sFs, 5_000).await;
}
