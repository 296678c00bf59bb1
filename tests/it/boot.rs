//! A pod goes on with its own replica, or begins another one: never on an older disk, never beside another writer, never empty.
//! The real Litestream, in a folder and in two S3-compatible stores.

use crate::stores::on;
use berth_tests::{
    Client, Cluster, Setup, eventually,
    litestream::{beside, lineage, store, sync},
    pod_data,
    process::{Process, clean},
    store::{Kind, Store},
    supervised::{self, Up, runs},
};
use gateway::replica::{Lineage, ReplicaStore};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use tempfile::TempDir;

const LONG: Duration = Duration::from_secs(120);
const POD: &str = "gateway-0";

/// A cluster of one pod, whose database is copied to a store.
struct Story {
    cluster: Cluster,
    litestream: Process,
    // The last field: it goes when nothing writes there any more.
    store: Store,
}

impl Story {
    async fn start() -> Self {
        Self::start_on(Kind::Folder).await
    }

    async fn start_on(kind: Kind) -> Self {
        let store = Store::start(kind).await;
        let setup = Setup { gateways: 1, settings: store.settings(), ..Setup::default() };
        let cluster = setup.start().await;
        let litestream = beside(&cluster, POD);
        Self { cluster, litestream, store }
    }

    fn data(&self) -> PathBuf {
        self.cluster.pod_folder(POD)
    }

    fn lineage(&self) -> Lineage {
        lineage(&self.data()).expect("the folder is prepared")
    }

    /// Has so many events applied, and waits until all of them are in the replica.
    async fn apply(&self, updates: std::ops::Range<u64>) {
        for update in updates {
            self.cluster.post_until_taken(&self.cluster.message(-5, update), LONG).await;
        }
        self.uploaded().await;
    }

    async fn uploaded(&self) {
        uploaded(&self.store.open(), &self.data()).await;
    }

    /// Ends gateway and Litestream as a lost machine does.
    async fn lose(&mut self) {
        self.cluster.gateways[0].kill().await;
        self.litestream.kill().await;
    }

    /// Starts both again, as another pod of the same name, and returns what the preparation said.
    async fn replaced(&mut self, uid: &str) -> String {
        self.cluster.gateways[0].set("BERTH_POD_UID", uid);
        self.cluster.gateways[0].start_again();
        self.cluster.gateways[0].ready().await;
        let said = self.cluster.gateways[0].process().stdout.lines().join("\n");
        self.litestream = self.beside_as(uid);
        said
    }

    fn beside_as(&self, uid: &str) -> Process {
        let mut command = clean(Command::new(berth_tests::process::berth()));
        command.args(["gateway", "replicate", "--exit-with-parent"]).envs(self.cluster.gateway_recipe(POD).settings);
        command.env("BERTH_POD_UID", uid);
        Process::start("litestream", command)
    }

    /// Waits until so many events are applied, and no more.
    async fn applied(&self, events: u64) {
        self.cluster.applied("telegram:channel:-5", events).await;
    }
}

/// Waits until all that the database in `data` has committed is in the replica.
async fn uploaded(store: &ReplicaStore, data: &Path) {
    let (lineage, socket) = (lineage(data).expect("prepared"), data.join("litestream.sock"));
    eventually("what was committed is uploaded", LONG, async || {
        let is_through = sync(&socket, &data.join("berth.db")).await;
        let copies = store.list(&lineage).await.expect("listed");
        (is_through && copies.last_txid.is_some()).then_some(())
    })
    .await;
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp runs");
    assert!(copied.success());
}

on! {
    [folder: Folder, moto: Moto, s3s_fs: S3sFs] a_clean_update_under_another_pod_uid_goes_on_and_a_crash_under_one_begins_another_lineage,
    [folder: Folder, moto: Moto, s3s_fs: S3sFs] an_older_volume_that_is_put_back_is_noticed_and_nothing_replicated_is_lost,
    [folder: Folder, moto: Moto, s3s_fs: S3sFs] an_empty_disk_waits_for_the_end_of_the_last_life_and_restores_it,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_was_killed_goes_on_with_its_lineage_beside_the_same_litestream() {
    let mut story = Story::start().await;
    story.apply(1..4).await;
    let before = story.lineage();
    story.cluster.gateways[0].kill().await;
    story.cluster.config.pause();
    story.cluster.gateways[0].start_again();
    let said = eventually("the folder is prepared without config-service", LONG, async || {
        story.cluster.gateways[0].process().stdout.lines().into_iter().find(|line| line.contains("prepared"))
    })
    .await;
    assert!(said.contains("goes on with"), "{said}");
    story.cluster.config.resume();
    story.cluster.gateways[0].ready().await;
    assert_eq!(story.lineage(), before);
    assert!(story.litestream.ended().is_none(), "it is not disturbed");
    story.apply(4..6).await;
    story.applied(5).await;
}

async fn a_clean_update_under_another_pod_uid_goes_on_and_a_crash_under_one_begins_another_lineage(kind: Kind) {
    let mut story = Story::start_on(kind).await;
    story.apply(1..4).await;
    let first = story.lineage();
    assert!(story.cluster.gateways[0].stop().await.success());
    story.litestream.signal(Signal::TERM);
    story.litestream.end(LONG).await;
    let said = story.replaced("second").await;
    assert!(said.contains("goes on with"), "{said}");
    assert_eq!(story.lineage(), first);
    story.apply(4..6).await;

    story.lose().await;
    let said = story.replaced("third").await;
    assert!(said.contains("with the database that is here"), "{said}");
    let second = story.lineage();
    assert_ne!(second, first);
    let replicas = story.store.open();
    assert!(replicas.sealed(&first).await.expect("read").is_some(), "nobody acknowledges by the old one");
    assert_eq!(replicas.begun(&second).await.expect("read").expect("begun").previous, Some(first.clone()));
    story.apply(6..8).await;
    story.applied(7).await;
    assert!(replicas.list(&first).await.expect("listed").files > 0, "the old lineage is kept");
}

async fn an_older_volume_that_is_put_back_is_noticed_and_nothing_replicated_is_lost(kind: Kind) {
    let mut story = Story::start_on(kind).await;
    story.apply(1..4).await;
    // A volume's snapshot is taken of a machine that stands still.
    story.cluster.gateways[0].pause();
    story.litestream.pause();
    let older = story.data().with_extension("older");
    copy(&story.data(), &older);
    story.litestream.signal(Signal::CONT);
    story.cluster.gateways[0].resume();
    story.apply(4..9).await;
    let first = story.lineage();
    story.lose().await;
    fs::remove_dir_all(story.data()).expect("taken away");
    fs::rename(&older, story.data()).expect("put back");
    let said = story.replaced("another").await;
    assert!(said.contains("with what was restored of the last one"), "{said}");
    assert_ne!(story.lineage(), first);
    // With the older volume it would be three.
    story.applied(8).await;
    story.apply(9..10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_database_is_noticed_and_restored_from_its_copies() {
    let mut story = Story::start().await;
    story.apply(1..6).await;
    let first = story.lineage();
    story.lose().await;
    // What is in the WAL goes into the file, and then the disk turns a page of it to ones.
    let database = pod_data::open(&story.data());
    let sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'journal'";
    let page: u64 = database.query_row(sql, [], |row| row.get(0)).expect("a table");
    let size: u64 = database.pragma_query_value(None, "page_size", |row| row.get(0)).expect("a size");
    drop(database);
    let mut file = fs::OpenOptions::new().write(true).open(story.data().join("berth.db")).expect("a file");
    file.seek(SeekFrom::Start((page - 1) * size)).expect("a place");
    file.write_all(&vec![0xff; usize::try_from(size).expect("small")]).expect("written");
    drop(file);
    let said = story.replaced("another").await;
    assert!(said.contains("with what was restored of the last one"), "{said}");
    assert_ne!(story.lineage(), first);
    story.applied(5).await;
    story.apply(6..8).await;
    story.applied(7).await;
}

async fn an_empty_disk_waits_for_the_end_of_the_last_life_and_restores_it(kind: Kind) {
    let mut story = Story::start_on(kind).await;
    story.apply(1..6).await;
    story.lose().await;
    fs::remove_dir_all(story.data()).expect("the disk is gone");
    story.cluster.gateways[0].start_again();
    eventually("it says what it waits for, and what to type", LONG, async || {
        story.cluster.gateways[0].logged("berth pod declare-dead gateway-0 --i-know").then_some(())
    })
    .await;
    let body = serde_json::json!({ "reason": "its machine burned", "i_know": true });
    eventually("an operator says that it is dead", LONG, async || {
        let reply = story.cluster.admin_post(&format!("/v1/pods/{POD}/declare-dead"), &body).await.ok()?;
        (reply.status == 200).then_some(())
    })
    .await;
    story.cluster.gateways[0].ready().await;
    eventually("it says that nobody else had to put the files together", LONG, async || {
        story.cluster.gateways[0].logged(r#""by":"berth""#).then_some(())
    })
    .await;
    story.litestream = beside(&story.cluster, POD);
    story.applied(5).await;
    story.apply(6..8).await;
    story.applied(7).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_litestream_that_outlived_its_gateway_is_ended_before_another_lineage_begins() {
    let mut story = Story::start().await;
    story.apply(1..4).await;
    story.cluster.gateways[0].kill().await;
    assert!(story.litestream.ended().is_none(), "it goes on by itself");
    let orphan = story.litestream.pid().as_raw_nonzero().get();
    let first = story.lineage();
    story.cluster.gateways[0].set("BERTH_POD_UID", "another");
    story.cluster.gateways[0].start_again();
    story.cluster.gateways[0].ready().await;
    assert!(story.litestream.ended().is_some() || !runs(orphan));
    assert_ne!(story.lineage(), first);
    assert!(!story.data().join(".berth.db-litestream").exists(), "what it noted is of the old path");
    story.litestream = story.beside_as("another");
    story.apply(4..6).await;
    story.applied(5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_place_for_the_copies_is_another_lineage() {
    let mut story = Story::start().await;
    story.apply(1..4).await;
    let first = story.lineage();
    story.lose().await;
    story.store = Store::start(Kind::Folder).await;
    story.cluster.gateways[0].set("BERTH_REPLICA", &story.store.base());
    story.cluster.gateways[0].start_again();
    story.cluster.gateways[0].ready().await;
    let mut command = clean(Command::new(berth_tests::process::berth()));
    command.args(["gateway", "replicate"]).envs(story.cluster.gateways[0].recipe().settings.clone());
    story.litestream = Process::start("litestream", command);
    story.apply(4..6).await;
    story.applied(5).await;
    let replicas = story.store.open();
    assert!(replicas.list(&story.lineage()).await.expect("listed").files > 0);
    assert!(story.lineage() == first || replicas.list(&first).await.expect("listed").files == 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_whose_folder_was_not_prepared_says_what_to_type() {
    let mut cluster = Setup { gateways: 0, ..Setup::default() }.start().await;
    let mut settings = cluster.gateway_recipe(POD).settings;
    settings.retain(|(name, _)| name != "BERTH_REPLICATION");
    let start = |settings: &[(String, String)]| {
        let mut command = clean(Command::new(berth_tests::process::berth()));
        command.args(["gateway", "--listen", "127.0.0.1:0"]).envs(settings.iter().cloned());
        Process::start(POD, command)
    };
    let mut process = start(&settings);
    assert!(!process.end(LONG).await.success());
    assert!(process.stderr.contains("--replica (BERTH_REPLICA)"), "{}", process.stderr.tail(5));
    let base = format!("file://{}", cluster.folder().join("replicas").display());
    settings.push(("BERTH_REPLICA".to_owned(), base));
    let mut process = start(&settings);
    assert!(!process.end(LONG).await.success());
    assert!(process.stderr.contains("run `berth gateway prepare`"), "{}", process.stderr.tail(5));
    assert!(cluster.config.process().ended().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn up_keeps_replicas_and_a_kill_of_everything_with_a_lost_disk_loses_nothing_that_was_uploaded() {
    let folder = TempDir::with_prefix("berth-up-").expect("a folder");
    let (data, program) = (folder.path().join("data"), berth_tests::litestream::program());
    let more = ["--pods", "1", "--litestream", program.to_str().expect("a plain path")];
    let mut up = Up::start(&data, &more);
    up.ready().await;
    assert!(up.process.stdout.contains("by Litestream 0.5.17"), "the first screen says so");
    for id in ["1", "2", "3"] {
        let data = data.display().to_string();
        supervised::send(&["discord", "--guild", "123", "--command", "stats", "--id", id, "--data", &data]).await;
    }
    let pod = data.join(POD);
    uploaded(&store(&format!("file://{}", data.join("replica").display())), &pod).await;

    let children = up.children();
    up.process.kill().await;
    for (id, _) in &children {
        // Gone already is as good.
        let _ = kill_process(Pid::from_raw(*id).expect("an id"), Signal::KILL);
    }
    eventually("every child is gone", LONG, async || children.iter().all(|(id, _)| !runs(*id)).then_some(())).await;
    fs::remove_dir_all(&pod).expect("the disk is gone");
    let mut up = Up::start_on(&data, up.port, &more);
    up.ready().await;
    let url = format!("http://127.0.0.1:{}/v1/targets/discord:guild:123/state", up.port + 1);
    let applied = eventually("the guild is served from what was restored", LONG, async || {
        Client::new(Duration::from_secs(10)).get(&url).await.ok()?.json()["applied"].as_u64()
    })
    .await;
    assert_eq!(applied, 3);
    assert!(
        pod_data::open(&pod)
            .query_row("SELECT count(*) FROM berth_past_incarnation", [], |row| row.get::<_, u32>(0))
            .expect("read")
            > 0
    );
    up.process.signal(Signal::TERM);
    assert!(up.process.end(LONG).await.success());
    assert!(up.process.stderr.contains("stopping litestream-0"));
}
