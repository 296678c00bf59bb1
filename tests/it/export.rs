//! A target's data leaves whole, or is known not to be.

use berth_tests::{
    Cluster, Setup, cluster::ADMIN_TOKEN, eventually, pod_data, process, role::Program, senders::standard, supervised,
};
use serde_json::{Value, json};
use std::{
    fs,
    io::Read,
    os::unix::fs::PermissionsExt,
    process::{Child, ChildStdout, Stdio},
    time::Duration,
};

const MINUTES: Duration = Duration::from_secs(120);
const TARGET: &str = "webhook:key:shop.k";

async fn note(cluster: &Cluster, id: &str, target: &str, text: &str) {
    let body = json!({"do": "note", "target": target, "key": id, "text": text}).to_string();
    cluster.post_until_taken(&standard::signed(&cluster.keys, id, body.as_bytes()), MINUTES).await;
}

fn setup() -> Setup {
    Setup { gateways: 1, bot: Program::StoryBot, ..Setup::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_holds_everything_of_its_target_and_nothing_of_another() {
    let cluster = setup().start().await;
    for n in 0..5 {
        note(&cluster, &format!("mine-{n}"), "k", "it is mine").await;
        note(&cluster, &format!("theirs-{n}"), "other", "it is theirs").await;
    }
    let path = cluster.folder().join("export.jsonl");
    let url = cluster.config.url("");
    let line = ["target", "export", TARGET, "--config-url", &url, "--token", ADMIN_TOKEN];
    let exported = supervised::run(&[&line[..], &["--file", path.to_str().expect("a plain path")]].concat());
    assert!(exported.status.success(), "{exported:?}");
    assert_eq!(fs::metadata(&path).expect("written").permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&path).expect("written");
    assert!(!text.contains("theirs"), "{text}");
    let lines: Vec<Value> = text.lines().map(|line| line.parse().expect("JSON")).collect();
    assert_eq!((&lines[0]["target"], &lines[0]["pod"]), (&json!(TARGET), &json!("gateway-0")));
    let count = |table: &str| lines.iter().filter(|line| line["table"] == table).count();
    assert_eq!((count("target"), count("journal"), count("inbox"), count("kv")), (1, 5, 5, 6));
    let piped = supervised::run(&line);
    assert_eq!(String::from_utf8_lossy(&piped.stdout).lines().count(), lines.len());
    let twice = supervised::run(&[&line[..], &["--file", path.to_str().expect("a plain path")]].concat());
    assert_eq!(twice.status.code(), Some(4), "what is there is not written over: {twice:?}");
    let audit = cluster.admin("/v1/events?kind=export-target").await.expect("an answer").json();
    assert_eq!(audit["events"][0]["subject"], TARGET, "who reads what people wrote is known");
}

/// Starts a cluster whose target has more than all the buffers on the way to a reader hold.
async fn heavy(setup: Setup) -> Cluster {
    let mut cluster = setup.start().await;
    note(&cluster, "1", "k", "first").await;
    cluster.gateways[0].stop().await;
    let database = pod_data::open(&cluster.pod_folder("gateway-0"));
    let fill = "INSERT INTO kv (target_id, key, value)
                WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
                SELECT target.id, 'k' || i, '\"' || hex(zeroblob(1000)) || '\"' FROM n, target";
    assert_eq!(database.execute(fill, []).expect("filled"), 20_000);
    drop(database);
    cluster.gateways[0].start_again();
    cluster.gateways[0].ready().await;
    cluster
}

/// Begins an export and reads no more than its beginning.
fn begin(cluster: &Cluster) -> (Child, ChildStdout) {
    let mut command = process::command();
    command.args(["target", "export", TARGET, "--config-url", &cluster.config.url(""), "--token", ADMIN_TOKEN]);
    let mut export = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("berth runs");
    let mut stdout = export.stdout.take().expect("piped");
    stdout.read_exact(&mut [0; 1_000]).expect("it has begun");
    (export, stdout)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_whose_pod_dies_is_known_to_be_cut() {
    let mut cluster = heavy(setup()).await;
    let (export, mut stdout) = begin(&cluster);
    cluster.gateways[0].kill().await;
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).expect("it ends");
    let ended = export.wait_with_output().expect("it ends");
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(String::from_utf8_lossy(&ended.stderr).contains("not whole"), "{ended:?}");
    assert!(!rest.ends_with(b"}\n") || !String::from_utf8_lossy(&rest).contains("\"end\":true"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_takes_nothing_is_cut_and_the_wal_is_let_go() {
    let cluster = heavy(setup().with("BERTH_EXPORT_STALL", "5s").with("BERTH_EXPORTS", "1")).await;
    let (mut stalled, stdout) = begin(&cluster);
    eventually("the pod has cut it", MINUTES, async || cluster.gateways[0].logged("an export was cut").then_some(()))
        .await;
    // Whose place is free again.
    let url = cluster.gateways[0].url(&format!("/v1/local/targets/{TARGET}/export"));
    let token = vec![("authorization".to_owned(), format!("Bearer {}", berth_tests::cluster::SERVICE_TOKEN))];
    let next = cluster.client.call(http::Method::GET, &url, &token, "").await.expect("an answer");
    assert_eq!(next.status, 200);
    assert!(next.text().trim_end().lines().last().is_some_and(|end| end.contains("\"end\":true")));
    drop(stdout);
    let _ = stalled.kill();
    let _ = stalled.wait();
}
