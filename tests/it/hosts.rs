//! Replicas on plain hosts: Litestream as the parent of its gateway, a supervisor that prepares what has ended, and a disk that is
//! lost under `berth up`. With the real Litestream.

use berth_tests::{
    Client, Setup, eventually,
    litestream::{lineage, program, restored, store},
    pod_data,
    supervised::{self, Up, children_of, runs},
    workload::plan,
};
use gateway::replica::Seal;
use rustix::process::{Pid, Signal, kill_process};
use shared::Epoch;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    time::Duration,
};
use tempfile::TempDir;

const LONG: Duration = Duration::from_secs(120);

/// Becomes the Litestream that runs the gateway it is given.
const EXEC: &[&str] =
    &["sh", "-c", "\"$0\" gateway prepare && exec \"$0\" gateway replicate --exit-with-parent --exec \"$0 gateway\""];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn litestream_that_runs_a_gateway_ends_it_first_uploads_its_last_commits_and_leaves_nothing_running() {
    let replicas = TempDir::with_prefix("berth-replicas-").expect("a folder");
    let base = format!("file://{}", replicas.path().display());
    let setup = Setup { gateways: 1, ..Setup::default() }
        .with("BERTH_REPLICA", &base)
        .with("BERTH_ACKNOWLEDGE", "standard=local");
    let mut cluster = setup.prepare();
    cluster.config.ready().await;
    cluster.launch_rest_as(Some(EXEC));
    cluster.all_ready().await;
    let litestream = cluster.gateways[0].process().pid().as_raw_nonzero().get();
    let gateway =
        eventually("Litestream has a gateway", LONG, async || children_of(litestream).into_iter().next()).await;
    assert!(gateway.1.contains("berth gateway"), "{gateway:?}");
    let mut sent = BTreeSet::new();
    for n in 0..50 {
        let planned = plan(&cluster.keys, 2, n);
        cluster.post_until_taken(&planned.delivery, LONG).await;
        sent.insert((planned.target, planned.id));
    }
    // The last one was acknowledged just now: nobody has waited for its upload.
    let ended = cluster.gateways[0].stop_within(LONG).await;
    assert!(ended.success(), "a stop that was asked for is no error: {ended}");
    assert!(!runs(gateway.0), "the gateway has ended before it");
    let data = cluster.pod_folder("gateway-0");
    let lineage = lineage(&data).expect("prepared");
    fs::remove_dir_all(data).expect("the disk is gone");
    let there = pod_data::seen(restored(&base, &lineage).await.path());
    assert!(sent.is_subset(&there), "lost: {:?}", sent.difference(&there));
}

/// Has `up` take so many commands of a guild; returns when each is acknowledged.
async fn send(data: &Path, guild: u64, ids: std::ops::RangeInclusive<u64>) {
    let data = data.display().to_string();
    for id in ids {
        let (guild, id) = (guild.to_string(), format!("{guild}{id}"));
        supervised::send(&["discord", "--guild", &guild, "--command", "stats", "--id", &id, "--data", &data]).await;
    }
}

/// Waits until a guild has so many events applied.
async fn applied(up: &Up, guild: u64, wanted: u64) {
    let url = format!("http://127.0.0.1:{}/v1/targets/discord:guild:{guild}/state", up.port + 1);
    let client = Client::new(Duration::from_secs(20));
    let mut last = None;
    eventually(&format!("guild {guild} is served again"), LONG, async || {
        last = client.get(&url).await.ok()?.json()["applied"].as_u64();
        last.filter(|applied| *applied == wanted)
    })
    .await;
}

/// A cluster of so many pods, whose commands are acknowledged once they are in the replica.
async fn up(data: &Path, pods: &str) -> Up {
    let program = program();
    let more = ["--pods", pods, "--litestream", program.to_str().expect("a plain path")];
    let ports = berth_tests::role::free_ports(8);
    let mut up = Up::start_in(data, ports, &more, &[("BERTH_ACKNOWLEDGE", "discord=replicated")]);
    up.ready().await;
    up
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_whose_lineage_is_sealed_ends_is_prepared_by_its_supervisor_and_serves_again() {
    let folder = TempDir::with_prefix("berth-up-").expect("a folder");
    let data = folder.path().join("data");
    let mut up = up(&data, "1").await;
    send(&data, 5, 1..=3).await;
    let (pod, replicas) = (data.join("gateway-0"), store(&format!("file://{}", data.join("replica").display())));
    let before = lineage(&pod).expect("prepared");
    let seal = Seal { epoch: Epoch(9), by: "gateway-9".parse().expect("a pod's name"), at_ms: 1 };
    replicas.seal(&before, &seal).await.expect("sealed");
    eventually("the gateway has ended, to be prepared", LONG, async || {
        up.process.stderr.contains("gateway-0 exited with status 75").then_some(())
    })
    .await;
    send(&data, 5, 4..=6).await;
    applied(&up, 5, 6).await;
    let after = lineage(&pod).expect("prepared");
    assert_ne!(after, before);
    assert_eq!(replicas.begun(&after).await.expect("read").expect("begun").previous, Some(before));
    assert!(replicas.list(&after).await.expect("listed").files > 0, "and is copied again");
    up.process.signal(Signal::TERM);
    assert!(up.process.end(LONG).await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn up_with_three_pods_brings_back_what_one_lost_disk_had() {
    let folder = TempDir::with_prefix("berth-up-").expect("a folder");
    let data = folder.path().join("data");
    let mut up = up(&data, "3").await;
    for guild in 1..=9 {
        send(&data, guild, 1..=2).await;
    }
    let url = format!("http://127.0.0.1:{}/v1/targets", up.port + 1);
    let all = Client::new(Duration::from_secs(20)).get(&url).await.expect("answers").json();
    let mut of: BTreeMap<String, usize> = BTreeMap::new();
    for target in all["targets"].as_array().expect("a list") {
        *of.entry(target["pod"].as_str().expect("an owner").to_owned()).or_default() += 1;
    }
    assert!(of.get("gateway-1").is_some_and(|count| *count > 0), "{of:?}");
    // Nobody starts anything while the disk is taken away.
    up.process.signal(Signal::STOP);
    let own: Vec<_> = up.children().into_iter().filter(|(_, line)| line.contains("gateway-1")).collect();
    assert_eq!(own.len(), 2, "a gateway and its Litestream: {own:?}");
    for (id, _) in &own {
        kill_process(Pid::from_raw(*id).expect("an id"), Signal::KILL).expect("it runs");
    }
    eventually("both are gone", LONG, async || own.iter().all(|(id, _)| !runs(*id)).then_some(())).await;
    fs::remove_dir_all(data.join("gateway-1")).expect("the disk is gone");
    up.process.signal(Signal::CONT);
    for guild in 1..=9 {
        applied(&up, guild, 2).await;
        send(&data, guild, 3..=3).await;
        applied(&up, guild, 3).await;
    }
    up.process.signal(Signal::TERM);
    assert!(up.process.end(LONG).await.success());
}
