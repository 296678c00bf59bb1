//! A bot's own tables in real pods: migrations before readiness, rows that outlive a crash, memory that does not, and an
//! older bot that does not start on a newer one's tables.

use super::outbox::{tell, with_story_bot};
use berth_tests::{Cluster, eventually};
use serde_json::{Value, json};
use std::{fs, path::Path, time::Duration};
use tempfile::TempDir;

const MINUTE: Duration = Duration::from_secs(60);

const FIRST: &str =
    "CREATE TABLE notes (target_id INTEGER NOT NULL, id TEXT NOT NULL, PRIMARY KEY (target_id, id)) WITHOUT ROWID;
    CREATE TABLE words (word TEXT PRIMARY KEY); INSERT INTO words VALUES ('spam');";
const SECOND: &str = "ALTER TABLE notes ADD COLUMN said TEXT NOT NULL DEFAULT 'nothing';";
const MAP: &str = "[tables.notes]\ncolumn = 'target_id'\n[tables.words]\nglobal = true\n";

fn write(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), text).expect("written");
}

fn sql(statement: &str) -> Value {
    json!({"do": "sql", "statement": statement})
}

async fn count(cluster: &Cluster, id: &str) -> Value {
    tell(cluster, id, json!({"do": "count"})).await.1["counted"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bots_rows_outlive_kill_9_and_its_memory_an_orderly_restart() {
    let folder = TempDir::new().expect("a folder");
    write(folder.path(), "0001_begin.sql", FIRST);
    write(folder.path(), "schema.toml", MAP);
    let migrations = folder.path().display().to_string();
    let mut cluster = with_story_bot().with("BERTH_MIGRATIONS", &migrations).start().await;
    for (id, statement, found) in [
        ("1", "INSERT INTO notes VALUES (:target, 'a') RETURNING id", json!([["a"]])),
        ("2", "SELECT word FROM words", json!([["spam"]])),
    ] {
        assert_eq!(tell(&cluster, id, sql(statement)).await, (200, found));
    }
    // Of an event that fails for good nothing is kept; its sender is answered as ever.
    for (id, statement) in [("3", "INSERT INTO notes VALUES (:target + 1, 'b')"), ("4", "DELETE FROM words")] {
        assert_eq!(tell(&cluster, id, sql(statement)).await.0, 200);
    }
    assert_eq!([count(&cluster, "5").await, count(&cluster, "6").await], [1, 2]);

    cluster.gateways[0].stop().await;
    write(folder.path(), "0002_said.sql", SECOND);
    cluster.gateways[0].start_again();
    cluster.all_ready().await;
    assert_eq!(count(&cluster, "7").await, 3, "the memory came back");
    assert_eq!(tell(&cluster, "8", sql("SELECT id, said FROM notes")).await, (200, json!([["a", "nothing"]])));
    let pod = cluster.admin("/v1/pods/gateway-0").await.expect("an answer").json();
    assert_eq!((pod["bot"]["name"].as_str(), pod["bot"]["schema"].as_u64()), (Some("story-bot"), Some(2)), "{pod}");

    cluster.gateways[0].kill().await;
    cluster.gateways[0].start_again();
    cluster.all_ready().await;
    assert_eq!(count(&cluster, "9").await, 1, "who is killed is not asked for its memory");
    assert_eq!(
        tell(&cluster, "10", sql("SELECT count(*), (SELECT count(*) FROM words) FROM notes")).await,
        (200, json!([[1, 1]]))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bot_does_not_start_on_tables_that_do_not_fit() {
    let folder = TempDir::new().expect("a folder");
    write(folder.path(), "0001_begin.sql", FIRST);
    write(folder.path(), "0002_said.sql", SECOND);
    write(folder.path(), "schema.toml", MAP);
    let migrations = folder.path().display().to_string();
    let mut cluster = with_story_bot().with("BERTH_MIGRATIONS", &migrations).start().await;
    cluster.gateways[0].stop().await;
    fs::remove_file(folder.path().join("0002_said.sql")).expect("there");
    refuses(&mut cluster, "has 2 migrations of the bot, this version of it brings 1; run the newer version").await;
    write(folder.path(), "0002_said.sql", "SELECT 1");
    refuses(&mut cluster, "migration 0002_said has been changed since it ran here").await;
    write(folder.path(), "0002_said.sql", SECOND);
    write(folder.path(), "schema.toml", "[tables.notes]\ncolumn = 'target_id'\n");
    refuses(&mut cluster, "table words: schema.toml does not say whose its rows are").await;
    write(folder.path(), "schema.toml", MAP);
    cluster.gateways[0].start_again();
    cluster.all_ready().await;
}

/// Starts the pod and waits until it has ended by itself, with these words.
async fn refuses(cluster: &mut Cluster, words: &str) {
    let gateway = &mut cluster.gateways[0];
    gateway.start_again();
    let ended = gateway.process().end(MINUTE).await;
    assert!(!ended.success(), "{words}: {ended}");
    eventually(&format!("it says: {words}"), MINUTE, async || gateway.logged(words).then_some(())).await;
}
