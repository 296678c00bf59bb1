//! A gateway whose disk is gone: what it acknowledged comes back from its replica, at the pods that got its targets. With the
//! real Litestream, and a folder as the replica's store.

mod killed_in_a_commit;
mod times;

use berth_tests::{
    Setup,
    copied::{Copied, PATIENCE},
    eventually, pod_data,
};
use serde_json::{Value, json};
use shared::wire::admin::PodRecovery;
use shared::wire::control::AssignmentState;
use std::{fs, path::Path};
use tokio::time::Instant;

/// A cluster with copies, and chats that one of its pods owns.
struct Chats(Copied);

impl Chats {
    async fn start() -> Self {
        Self(Copied::start(Setup::default()).await)
    }

    /// Sends so many messages to chats from `first` on, each until it is acknowledged; returns those that a pod owns.
    async fn chats_on(&self, pod: &str, first: i64, messages: u64) -> Vec<i64> {
        let mut mine = Vec::new();
        for chat in first..first + 12 {
            for n in 1..=messages {
                self.0.cluster.post_until_taken(&self.0.cluster.message(-chat, n), PATIENCE).await;
            }
            if self.0.cluster.assignment(-chat).await.is_some_and(|found| found.pod.as_str() == pod) {
                mine.push(-chat);
            }
        }
        assert!(!mine.is_empty(), "{pod} owns some of them");
        mine
    }

    /// Waits until another pod serves each chat, with exactly so many events applied.
    async fn served_elsewhere(&self, pod: &str, chats: &[i64], applied: u64) {
        for chat in chats {
            eventually("it is served elsewhere", PATIENCE, async || {
                let found = self.0.cluster.assignment(*chat).await?;
                (found.pod.as_str() != pod && found.state == AssignmentState::Serving).then_some(())
            })
            .await;
            let target = format!("telegram:channel:{chat}");
            let state = eventually("its owner has its rows", PATIENCE, async || {
                let reply = self.0.cluster.admin(&format!("/v1/targets/{target}/state")).await.ok()?;
                (reply.status == 200).then(|| reply.json())
            })
            .await;
            assert_eq!(state["applied"], json!(applied), "{target}: {state}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_pod_acknowledged_is_served_by_others_when_its_disk_is_gone() {
    let mut one = Chats::start().await;
    let chats = one.chats_on("gateway-1", 100, 3).await;
    one.0.cluster.leases_are_kept(3).await;
    let since = Instant::now();
    one.0.lose(&["gateway-1"]).await;
    one.served_elsewhere("gateway-1", &chats, 3).await;
    println!("{} chats served again {:?} after their pod and its disk were lost", chats.len(), since.elapsed());
    for chat in &chats {
        // What the dead pod has answered is known to its heir, and what is new goes on.
        one.0.cluster.post_until_taken(&one.0.cluster.message(*chat, 2), PATIENCE).await;
        one.0.cluster.post_until_taken(&one.0.cluster.message(*chat, 4), PATIENCE).await;
        let state = one.0.cluster.state(&format!("telegram:channel:{chat}")).await.expect("known");
        // What was not answered in time on a busy machine came once more, and is a duplicate too.
        assert!(state.applied == 4 && state.duplicates >= 1, "each once: {state:?}");
    }
    let sealed = fs::read_dir(one.0.store().join("1/gateway-1")).expect("lineages").flatten();
    assert!(sealed.map(|life| life.path().join("berth/SEALED")).all(|seal| seal.is_file()), "nobody goes on there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_began_at_a_pod_that_has_uploaded_nothing_yet_begins_again_at_others_when_its_disk_is_gone() {
    let setup = Setup::default().with("BERTH_REPLICATION_PATIENCE", "1s");
    let mut one = Chats(Copied::start_without(setup, &["gateway-1"]).await);
    let cluster = &one.0.cluster;
    let mut chats = Vec::new();
    for chat in 900..912 {
        let (message, target) = (cluster.message(-chat, 1), -chat);
        let (owner, reply) = eventually("it has an owner", PATIENCE, async || {
            let reply = cluster.post(&message).await.ok()?;
            Some((cluster.assignment(target).await?.pod, reply))
        })
        .await;
        if owner.as_str() == "gateway-1" {
            assert_eq!(reply.status, 503, "nothing is acknowledged that is nowhere else: {}", reply.text());
            chats.push(target);
        }
    }
    assert!(!chats.is_empty(), "gateway-1 owns some of them");
    cluster.leases_are_kept(3).await;
    one.0.lose(&["gateway-1"]).await;
    for chat in &chats {
        one.0.cluster.post_until_taken(&one.0.cluster.message(*chat, 1), PATIENCE).await;
    }
    one.served_elsewhere("gateway-1", &chats, 1).await;
    for chat in &chats {
        let found = one.0.cluster.assignment(*chat).await.expect("known");
        assert_eq!(found.reason, "never-begun", "{found:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_hand_nothing_is_restored_before_an_operator_says_so() {
    let mut one = Chats::start().await;
    let cluster = &one.0.cluster;
    let headers = [("authorization", format!("Bearer {}", berth_tests::cluster::ADMIN_TOKEN))];
    let headers: Vec<_> = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let body = json!({ "value": "by-hand", "reason": "a story" }).to_string();
    let headers = [headers, vec![("content-type".to_owned(), "application/json".to_owned())]].concat();
    let url = cluster.config.url("/v1/settings/restore");
    let set = cluster.client.call(http::Method::PUT, &url, &headers, body).await.expect("an answer");
    assert_eq!(set.status, 200, "{}", set.text());
    let chats = one.chats_on("gateway-1", 300, 2).await;
    one.0.cluster.leases_are_kept(3).await;
    one.0.lose(&["gateway-1"]).await;
    for chat in &chats {
        eventually("it has an heir", PATIENCE, async || {
            let found = one.0.cluster.assignment(*chat).await?;
            (found.pod.as_str() != "gateway-1").then_some(())
        })
        .await;
        let found = one.0.cluster.assignment(*chat).await.expect("known");
        assert!(found.state == AssignmentState::Quarantined && found.restoring().is_none(), "{found:?}");
    }
    let why = json!({ "reason": "its disk is gone" });
    let path = "/v1/pods/gateway-1/recover";
    let would: PodRecovery =
        one.0.cluster.admin_post(&format!("{path}?dry_run=true"), &why).await.expect("answers").json_as();
    assert!(would.dry_run && would.targets >= chats.len() as u64 && would.unable == 0, "{would:?}");
    let did: Value = one.0.cluster.admin_post(path, &why).await.expect("answers").json();
    assert_eq!(did["dry_run"], json!(false), "{did}");
    one.served_elsewhere("gateway-1", &chats, 2).await;
}

/// Makes a whole file of a database that is damaged inside, as a fault of its memory would: a column that has no NULLs has some.
fn damage(folder: &Path) {
    let database = pod_data::open(folder);
    database.pragma_update(None, "writable_schema", true).expect("set");
    let sql =
        "UPDATE sqlite_schema SET sql = replace(sql, 'dropped TEXT', 'dropped TEXT NOT NULL') WHERE name = 'journal'";
    assert_eq!(database.execute(sql, []).expect("written"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_of_what_was_damaged_before_it_was_copied_is_given_to_nobody_and_leaves_nothing() {
    let mut one = Chats::start().await;
    let chats = one.chats_on("gateway-1", 700, 3).await;
    one.0.cluster.leases_are_kept(3).await;
    damage(&one.0.cluster.pod_folder("gateway-1"));
    // What is acknowledged after that is in the replica, and so is the damage.
    one.0.cluster.post_until_taken(&one.0.cluster.message(chats[0], 4), PATIENCE).await;
    one.0.lose(&["gateway-1"]).await;
    let heir = eventually("somebody is to restore", PATIENCE, async || {
        let found = one.0.cluster.assignment(chats[0]).await?;
        (found.pod.as_str() != "gateway-1").then(|| found.pod.to_string())
    })
    .await;
    eventually("its heir gives up", PATIENCE, async || {
        one.0.cluster.gateway(&heir).logged("its targets stay quarantined").then_some(())
    })
    .await;
    for chat in &chats {
        let found = one.0.cluster.assignment(*chat).await.expect("known");
        assert_eq!(found.state, AssignmentState::Quarantined, "{found:?}");
    }
    let folder = one.0.cluster.pod_folder(&heir);
    eventually("nothing of it is left there", PATIENCE, async || {
        let count =
            "SELECT (SELECT count(*) FROM berth_moved_in) + (SELECT count(*) FROM target WHERE state = 'incoming')";
        let rows: i64 = pod_data::open(&folder).query_row(count, [], |row| row.get(0)).expect("readable");
        (rows == 0 && !folder.join("restore/heirs").read_dir().is_ok_and(|mut left| left.next().is_some()))
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_heir_that_is_killed_while_it_restores_goes_on_when_it_is_back() {
    let mut one = Chats::start().await;
    let chats = one.chats_on("gateway-1", 500, 3).await;
    one.0.cluster.leases_are_kept(3).await;
    one.0.lose(&["gateway-1"]).await;
    let heir = eventually("somebody is to restore", PATIENCE, async || {
        let found = one.0.cluster.assignment(chats[0]).await?;
        (found.pod.as_str() != "gateway-1").then(|| found.pod.to_string())
    })
    .await;
    one.0.cluster.gateway(&heir).kill().await;
    one.0.cluster.gateway(&heir).start_again();
    one.served_elsewhere("gateway-1", &chats, 3).await;
}
