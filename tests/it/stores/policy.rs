//! What a store's policy has to allow: docs/replication.md names it, the proxy's log says what is asked. Neither has more than the other.

use super::{Kind, LONG, on, segments};
use berth_tests::{
    eventually,
    litestream::sync,
    store::Store,
    store_proxy::{Does, To, Verb},
};
use gateway::replica::{Begun, Seal, restore};
use rusqlite::Connection;
use serde_json::Value;
use shared::Epoch;
use std::collections::BTreeSet;
use tempfile::TempDir;

const PAGE: &str = include_str!("../../../docs/replication.md");

on! { [moto: Moto, s3s_fs: S3sFs] what_the_documentation_has_allowed_is_asked_for_and_nothing_else }

/// The actions of the policy on the page.
fn allowed() -> BTreeSet<String> {
    let (_, rest) = PAGE.split_once("```json\n").expect("a policy");
    let (policy, _) = rest.split_once("```").expect("its end");
    let policy: Value = serde_json::from_str(policy).expect("a policy in JSON");
    let statements = policy["Statement"].as_array().expect("statements");
    let actions = statements.iter().flat_map(|one| one["Action"].as_array().expect("actions"));
    actions.map(|action| action.as_str().expect("a word").to_owned()).collect()
}

async fn what_the_documentation_has_allowed_is_asked_for_and_nothing_else(kind: Kind) {
    let store = Store::start(kind).await;
    let (open, lineage) = (store.open(), segments::lineage());
    open.begin(&Begun::of(&lineage, None, 1)).await.expect("begun");

    // An upload of many parts, which fails once.
    let folder = TempDir::with_prefix("berth-policy-").expect("a folder");
    let (database, socket) = (folder.path().join("berth.db"), folder.path().join("litestream.sock"));
    let connection = segments::database(&database);
    connection.execute("INSERT INTO said VALUES (1, randomblob(20000000))", []).expect("written");
    store.proxy().now(To::Only(Verb::Part), Does::Answers(403));
    let mut litestream = segments::litestream(&store, &lineage, folder.path());
    eventually("a large upload is given up", LONG, async || {
        let _ = sync(&socket, &database).await;
        (store.proxy().count(Verb::Abort) > 0).then_some(())
    })
    .await;
    store.proxy().well();
    eventually("it is uploaded", LONG, async || sync(&socket, &database).await.then_some(())).await;
    litestream.kill().await;

    let seal = Seal { epoch: Epoch(1), by: lineage.pod.clone(), at_ms: 1 };
    open.seal(&lineage, &seal).await.expect("sealed");
    let to = TempDir::with_prefix("berth-restored-").expect("a folder");
    let file = to.path().join("berth.db");
    restore(&store.args(&[]), &lineage, &file, |_| ()).await.expect("restored");
    let bytes: usize = Connection::open(&file)
        .expect("a database")
        .query_row("SELECT sum(length(text)) FROM said", [], |row| row.get(0))
        .expect("read");
    assert_eq!(bytes, 20_000_000);
    assert!(open.remove(&lineage).await.expect("removed").files > 0);

    let asked = store.proxy().asked();
    let strange: Vec<_> = asked.iter().filter(|asked| asked.verb == Verb::Other).collect();
    assert!(strange.is_empty(), "{strange:?}");
    let asked: BTreeSet<_> = asked.iter().map(|asked| asked.verb.name().to_owned()).collect();
    assert_eq!(asked, allowed());
}
