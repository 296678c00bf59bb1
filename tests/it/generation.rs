//! A drill: config-service's database is put back as it was, while the pods go on. Nothing is lost, no epoch comes twice.

use berth_tests::{Cluster, Setup, eventually, postgres::Postgres};
use serde_json::json;
use shared::wire::admin::{GenerationBegun, Health};
use std::{fs, time::Duration};

/// The machine may be busy with much else: nothing here is about how long something takes.
const LONG: Duration = Duration::from_secs(150);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_backup_stops_the_leader_until_a_new_generation_begins_and_nothing_is_lost() {
    let cluster = Setup::default().start().await;
    drill(cluster, Files).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_goes_for_a_backup_of_postgresql() {
    let postgres = Postgres::start().await;
    let store = postgres.database().await;
    let name = store.split("localhost/").nth(1).and_then(|rest| rest.split('?').next()).expect("a name").to_owned();
    let cluster = Setup { store: Some(store), ..Setup::default() }.start().await;
    drill(cluster, Templates { postgres, name }).await;
}

/// Backups of config-service's database, made and put back while it does not run.
trait Backups {
    async fn make(&self, cluster: &Cluster);
    async fn put_back(&self, cluster: &Cluster);
}

/// SQLite: its file.
struct Files;

impl Backups for Files {
    async fn make(&self, cluster: &Cluster) {
        fs::copy(cluster.folder().join("config.db"), cluster.folder().join("backup.db")).expect("copied");
    }

    async fn put_back(&self, cluster: &Cluster) {
        for name in ["config.db-wal", "config.db-shm"] {
            // It is only there while the file is in use.
            let _ = fs::remove_file(cluster.folder().join(name));
        }
        fs::copy(cluster.folder().join("backup.db"), cluster.folder().join("config.db")).expect("put back");
    }
}

/// PostgreSQL: a database that is the copy of another.
struct Templates {
    postgres: Postgres,
    name: String,
}

impl Templates {
    /// Makes `to` a copy of `from`, in place of what it was.
    async fn copy(&self, from: &str, to: &str) {
        // A connection of a process that was killed may not be over yet.
        self.postgres.execute(&format!("DROP DATABASE IF EXISTS {to} WITH (FORCE)")).await;
        let others = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{from}'");
        self.postgres.execute(&others).await;
        self.postgres.execute(&format!("CREATE DATABASE {to} TEMPLATE {from}")).await;
    }
}

impl Backups for Templates {
    async fn make(&self, _: &Cluster) {
        self.copy(&self.name, "backup").await;
    }

    async fn put_back(&self, _: &Cluster) {
        self.copy("backup", &self.name).await;
    }
}

async fn drill(mut cluster: Cluster, backups: impl Backups) {
    let (early, late) = (-500..-490, -600..-590);
    for chat in early.clone() {
        cluster.post_until_taken(&cluster.message(chat, 1), LONG).await;
    }
    cluster.config.stop().await;
    backups.make(&cluster).await;
    cluster.config.start_again();
    cluster.config.ready().await;
    for chat in late.clone() {
        cluster.post_until_taken(&cluster.message(chat, 1), LONG).await;
    }
    let mut before = Vec::new();
    for chat in early.clone().chain(late.clone()) {
        before.push((chat, cluster.assignment(chat).await.expect("known")));
    }

    cluster.config.kill().await;
    backups.put_back(&cluster).await;
    cluster.config.start_again();
    let stopped = eventually("the leader is told that its database is old", LONG, async || {
        let reply = cluster.admin("/health").await.ok()?;
        serde_json::from_slice::<Health>(&reply.body).ok()?.stopped
    })
    .await;
    assert!(stopped.contains("generation"), "{stopped}");
    let reply = cluster.admin_post("/v1/generation", &json!({ "reason": "a drill" })).await.expect("answers");
    let begun: GenerationBegun = reply.json_as();
    assert_eq!((begun.generation, begun.pods.len()), (2, 3));

    for (chat, was) in before {
        let now = eventually("every pod has reported", LONG, async || {
            cluster.assignment(chat).await.filter(|now| now.epoch.generation() == 2)
        })
        .await;
        assert!(now.pod == was.pod && now.epoch > was.epoch, "{now:?} after {was:?}");
        cluster.post_until_taken(&cluster.message(chat, 2), LONG).await;
        // Nothing is lost.
        cluster.applied(&format!("telegram:channel:{chat}"), 2).await;
    }
    let health: Health = cluster.admin("/health").await.expect("answers").json_as();
    assert_eq!((health.quarantined, health.stopped), (0, None));
}
