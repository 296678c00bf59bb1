//! What was erased is gone: from the answers, from the files, and after a crash too.

use berth_tests::{
    Cluster, Setup, cluster::ADMIN_TOKEN, eventually, pod_data, role::Program, senders::standard, supervised,
};
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use std::{fs, path::Path, time::Duration};

const MINUTES: Duration = Duration::from_secs(120);
const TARGET: &str = "webhook:key:shop.k";
const MARK: &str = "NOBODY-MAY-READ-THIS";

async fn note(cluster: &Cluster, id: &str, target: &str, text: &str) -> Value {
    let body = json!({"do": "note", "target": target, "key": id, "text": text}).to_string();
    cluster.post_until_taken(&standard::signed(&cluster.keys, id, body.as_bytes()), MINUTES).await.json()
}

fn setup() -> Setup {
    Setup { gateways: 1, bot: Program::StoryBot, ..Setup::default() }
}

/// Counts how often the mark stands in a pod's files.
fn marks(folder: &Path) -> usize {
    let files = ["berth.db", "berth.db-wal", "berth.db-shm"];
    let bytes = files.iter().filter_map(|file| fs::read(folder.join(file)).ok());
    bytes.map(|bytes| bytes.windows(MARK.len()).filter(|window| *window == MARK.as_bytes()).count()).sum()
}

async fn erase(cluster: &Cluster, confirm: &str) -> (u16, Value) {
    let body = json!({"reason": "asked for", "confirm": confirm});
    let reply = cluster.admin_post(&format!("/v1/targets/{TARGET}/erase"), &body).await.expect("an answer");
    (reply.status, reply.json())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_target_leaves_no_byte_in_its_pods_files_and_begins_anew() {
    let cluster = setup().start().await;
    for n in 0..40 {
        note(&cluster, &format!("a{n}"), "k", &MARK.repeat(1 + n * 7)).await;
        note(&cluster, &format!("b{n}"), "other", "kept").await;
    }
    let folder = cluster.pod_folder("gateway-0");
    assert!(marks(&folder) > 0);

    let (status, refused) = erase(&cluster, "webhook:key:shop.other").await;
    assert_eq!((status, &refused["code"]), (422, &json!("not-confirmed")));
    let line = [
        "target",
        "erase",
        TARGET,
        "--reason",
        "asked for",
        "--config-url",
        &cluster.config.url(""),
        "--token",
        ADMIN_TOKEN,
    ];
    let unasked = supervised::run(&line);
    assert_eq!(unasked.status.code(), Some(7), "nobody typed the name: {unasked:?}");
    // Nothing was erased so far.
    cluster.applied(TARGET, 40).await;

    let erased = supervised::run(&[&line[..], &["--yes", TARGET, "-o", "json"]].concat());
    assert!(erased.status.success(), "{erased:?}");
    let said: Value = serde_json::from_slice(&erased.stdout).expect("JSON");
    assert_eq!((&said["done"], &said["rows"]["journal"]), (&json!(true), &json!(40)), "{said}");
    let remains = said["remains"].as_array().expect("a list").iter().map(|text| text.to_string()).collect::<String>();
    assert!(remains.contains("audit-retention") && remains.contains("replicas"), "{remains}");

    assert_eq!(marks(&folder), 0, "not a byte of it is left in the files");
    let state = cluster.state(TARGET).await.expect("it is served by the same pod");
    assert_eq!((state.applied, state.duplicates, state.last_event_id), (0, 0, None));
    assert_eq!(note(&cluster, "a0", "k", "anew").await, json!({"handled": 1}), "an event sent again is applied anew");
    assert_eq!(note(&cluster, "b0", "other", "kept").await, json!({"handled": 1}), "its neighbour knows its events");
    assert_eq!(note(&cluster, "b99", "other", "kept").await, json!({"handled": 41}));
    let audit = cluster.admin(&format!("/v1/events?subject={TARGET}")).await.expect("an answer").json();
    let done: Vec<_> = audit["events"].as_array().expect("a list").iter().map(|entry| &entry["action"]).collect();
    assert_eq!(done, ["target-erased", "erase-target"], "{audit}");
}

/// Opens a pod's database beside the pod, only to look.
fn look(folder: &Path) -> Connection {
    Connection::open_with_flags(folder.join("berth.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).expect("a database")
}

fn rows(database: &Connection) -> i64 {
    let count = "SELECT count(*) FROM kv WHERE target_id = (SELECT id FROM target WHERE name = ?1)";
    database.query_row(count, [TARGET], |row| row.get(0)).expect("a count")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_that_kill_9_broke_off_is_finished_before_the_target_is_served_again() {
    // So many that they are not gone by the time that one looks again, on a busy machine either.
    const ROWS: i64 = 600_000;
    let mut cluster = setup().start().await;
    note(&cluster, "1", "k", MARK).await;
    cluster.gateways[0].stop().await;
    let folder = cluster.pod_folder("gateway-0");
    let database = pod_data::open(&folder);
    let fill = "INSERT INTO kv (target_id, key, value)
                WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
                SELECT target.id, 'k' || i, '\"' || ?2 || '\"' FROM n, target";
    database.execute(fill, rusqlite::params![ROWS, MARK]).expect("filled");
    drop(database);
    cluster.gateways[0].start_again();
    cluster.gateways[0].ready().await;

    let (client, url) = (cluster.client.clone(), cluster.config.url(&format!("/v1/targets/{TARGET}/erase")));
    let headers = vec![
        ("authorization".to_owned(), format!("Bearer {ADMIN_TOKEN}")),
        ("content-type".to_owned(), "application/json".to_owned()),
    ];
    let body = json!({"reason": "asked for", "confirm": TARGET}).to_string();
    let asked = shared::shutdown::spawn(async move { client.call(http::Method::POST, &url, &headers, body).await });
    let database = look(&folder);
    eventually("a part of it is gone", MINUTES, async || (rows(&database) < ROWS).then_some(())).await;
    cluster.gateways[0].kill().await;
    let left = rows(&database);
    drop(database);
    assert!((1..ROWS).contains(&left), "it was in the middle: {left}");
    let told = asked.await.expect("no panic").expect("an answer");
    assert_ne!(told.status, 200, "nobody was told that it is done: {}", told.text());

    cluster.gateways[0].start_again();
    // What comes while it is being finished is parked, and applied to the empty target.
    assert_eq!(note(&cluster, "2", "k", "after").await, json!({"handled": 1}));
    assert!(cluster.gateways[0].logged("an erasure that was broken off goes on"));
    assert_eq!(rows(&look(&folder)), 2);
    assert_eq!(marks(&folder), 0);
}
