//! Old lineages leave the replica's store, by rule: never the current one, never before their time, never the last good one.
//! With the real Litestream, in a folder, whose files are made old by their times, and in an S3-compatible store, whose lists are.

use crate::stores::on;
use berth_tests::{
    Cluster, Setup,
    cluster::ADMIN_TOKEN,
    eventually,
    litestream::{beside, beside_with, lineage},
    process::Process,
    store::{Kind, Store},
    store_proxy::Verb,
    supervised,
};
use gateway::replica::{Lineage, restore};
use serde_json::Value;
use std::{
    fs::{self, File},
    path::Path,
    time::Duration,
};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(120);
const POD: &str = "gateway-0";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How much older lineages are made: their time is over after 7 days.
const OLD: u32 = 8;

on! {
    [folder: Folder, moto: Moto]
    lineages_go_after_their_time_once_a_later_one_was_restored_and_the_last_good_one_never,
}

/// A pod that lives one life after the other, each on its own lineage.
struct Lives {
    cluster: Cluster,
    litestream: Process,
    updates: u64,
    kind: Kind,
    // The last field: it goes when nothing writes there any more.
    store: Store,
}

impl Lives {
    async fn begin(kind: Kind) -> Self {
        let store = Store::start(kind).await;
        let setup = Setup { gateways: 1, settings: store.settings(), ..Setup::default() }
            .with("BERTH_DRILL_EVERY", "0s")
            .with("BERTH_LINEAGE_GC_EVERY", "0s");
        let cluster = setup.start().await;
        let litestream = beside(&cluster, POD);
        Self { cluster, litestream, updates: 0, kind, store }
    }

    /// Has an event applied and uploaded, and returns what the pod writes to.
    async fn writes(&mut self) -> Lineage {
        self.updates += 1;
        self.cluster.post_until_taken(&self.cluster.message(-5, self.updates), PATIENCE).await;
        lineage(&self.cluster.pod_folder(POD)).expect("the folder is prepared")
    }

    /// The machine is lost, and another one has the volume: the pod begins another life.
    async fn begin_anew(&mut self, uid: &str) {
        self.cluster.gateways[0].kill().await;
        self.litestream.kill().await;
        self.cluster.gateways[0].set("BERTH_POD_UID", uid);
        self.cluster.gateways[0].start_again();
        self.cluster.gateways[0].ready().await;
        self.litestream = beside_with(&self.cluster, POD, &[("BERTH_POD_UID", uid)]);
    }

    /// Makes everything of a lineage eight days older; what was before what else stays so.
    fn age(&self, lineage: &Lineage) {
        if self.kind != Kind::Folder {
            return self.store.proxy().age(&lineage.path(), OLD);
        }
        let base = self.store.base();
        let folder = base.strip_prefix("file://").expect("a folder");
        each(&Path::new(folder).join(lineage.path()), &mut |file| {
            let file = File::options().write(true).open(file).expect("opens");
            let written = file.metadata().and_then(|found| found.modified()).expect("a time");
            file.set_modified(written - OLD * DAY).expect("aged");
        });
    }

    async fn is_there(&self, lineage: &Lineage) -> bool {
        self.store.open().lineages().await.expect("listed").contains(lineage)
    }

    fn berth(&self, line: &[&str]) -> Value {
        let url = self.cluster.config.url("");
        let said = supervised::run(&[line, &["-o", "json", "--config-url", &url, "--token", ADMIN_TOKEN]].concat());
        assert!(said.status.success(), "{said:?}");
        serde_json::from_slice(&said.stdout).unwrap_or_else(|why| panic!("{why}: {said:?}"))
    }

    /// Has lineages cleaned up; returns the fate of each with the reason.
    fn gc(&self, dry_run: bool, lineages: &[&Lineage]) -> Vec<(String, String)> {
        let flags: &[&str] = if dry_run { &["--dry-run"] } else { &[] };
        let list = self.berth(&[&["replication", "gc", POD][..], flags].concat());
        assert_eq!(list["dry_run"], dry_run, "{list}");
        let all = list["lineages"].as_array().expect("a list");
        assert_eq!(all.len(), lineages.len(), "{list}");
        let fate = |lineage: &&Lineage| {
            let found = all.iter().find(|one| one["lineage"] == lineage.path()).unwrap_or_else(|| panic!("{list}"));
            assert!(found["bytes"].as_u64() > Some(0) && found["age_ms"].is_u64(), "{found}");
            let text = |name: &str| found[name].as_str().expect("a text").to_owned();
            (text("fate"), text("why"))
        };
        lineages.iter().map(fate).collect()
    }

    /// Restores a lineage beside everything else.
    async fn restores(&self, lineage: &Lineage) {
        let folder = TempDir::with_prefix("berth-restored-").expect("a folder");
        let file = folder.path().join("berth.db");
        restore(&self.store.args(&[]), lineage, &file, |_| ()).await.expect("restored");
    }
}

fn each(folder: &Path, with: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { each(&path, with) } else { with(&path) }
    }
}

fn fates(told: &[(String, String)]) -> Vec<&str> {
    told.iter().map(|(fate, _)| fate.as_str()).collect()
}

async fn lineages_go_after_their_time_once_a_later_one_was_restored_and_the_last_good_one_never(kind: Kind) {
    let mut lives = Lives::begin(kind).await;
    let first = lives.writes().await;
    lives.begin_anew("second").await;
    let second = lives.writes().await;
    lives.begin_anew("third").await;
    let third = lives.writes().await;
    assert!(first != second && second != third && first != third);

    lives.age(&first);
    let all = [&first, &second, &third];
    let told = lives.gc(true, &all);
    assert_eq!(fates(&told), ["keeps"; 3], "nobody knows whether a later one can be restored: {told:?}");
    assert!(told[0].1.contains("drill"), "{told:?}");
    assert_eq!(lives.berth(&["replication", "verify", POD])[0]["drill"]["ok"], true);
    let told = lives.gc(true, &all);
    assert_eq!(fates(&told), ["goes", "keeps", "keeps"], "{told:?}");
    assert!(told[1].1.contains("0 days ago") && told[2].1.contains("current"), "{told:?}");
    assert!(lives.is_there(&first).await, "it was only asked");

    assert_eq!(fates(&lives.gc(false, &all)), ["gone", "keeps", "keeps"]);
    assert!(!lives.is_there(&first).await);
    lives.restores(&second).await;
    lives.restores(&third).await;
    let events = lives.cluster.admin("/v1/events?kind=remove-lineage").await.expect("answers").json();
    let noted = &events["events"][0];
    assert!(noted["subject"] == first.path() && noted["actor"] == "admin", "{events}");

    // By itself now: the second goes, since the third is good. The third is the last that anybody has restored.
    lives.cluster.gateways[0].set("BERTH_LINEAGE_GC_EVERY", "1s");
    lives.begin_anew("fourth").await;
    let fourth = lives.writes().await;
    lives.age(&second);
    lives.age(&third);
    eventually("the pod removes it by itself", PATIENCE, async || (!lives.is_there(&second).await).then_some(())).await;
    let told = lives.gc(false, &[&third, &fourth]);
    assert_eq!(fates(&told), ["keeps", "keeps"], "{told:?}");
    assert!(told[0].1.contains("last one"), "{told:?}");
    lives.restores(&third).await;
    let events = lives.cluster.admin("/v1/events?kind=remove-lineage").await.expect("answers").json();
    assert!(events["events"][0]["subject"] == second.path() && events["events"][0]["actor"] == POD, "{events}");
    if kind != Kind::Folder {
        let asked = lives.store.proxy().asked();
        assert!(asked.iter().any(|asked| asked.verb == Verb::Delete), "objects were deleted: {asked:?}");
        let clock = format!("clock/{POD}");
        assert!(asked.iter().any(|asked| asked.verb == Verb::Put && asked.key.ends_with(&clock)), "{asked:?}");
    }
}
