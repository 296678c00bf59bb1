//! A replica that cannot be restored is found by the drill, with the real Litestream, before anybody needs it.

use berth_tests::{Cluster, Setup, eventually, litestream::beside, process::Process, scrape, supervised::operate};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;

const MINUTES: Duration = Duration::from_secs(120);
const POD: &str = "gateway-0";

async fn replicated(folder: &Path) -> (Cluster, Process) {
    let setup = Setup { gateways: 1, ..Setup::default() }
        .with("BERTH_REPLICA", &format!("file://{}", folder.join("replica").display()))
        .with("BERTH_DRILL_EVERY", "0s");
    let cluster = setup.start().await;
    let litestream = beside(&cluster, POD);
    (cluster, litestream)
}

fn verify(cluster: &Cluster, which: &str) -> (bool, Value) {
    let said = operate(cluster, &["replication", "verify", which, "-o", "json"]);
    let drills: Value = serde_json::from_slice(&said.stdout).unwrap_or_else(|why| panic!("{why}: {said:?}"));
    (said.status.success(), drills[0]["drill"].clone())
}

/// Returns the files of transactions, the largest first.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "ltx") {
                all.push(path);
            }
        }
    }
    all.sort_by_key(|file| std::cmp::Reverse(fs::metadata(file).map_or(0, |found| found.len())));
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drill_restores_the_replica_compares_it_and_finds_a_damaged_file() {
    let folder = TempDir::with_prefix("berth-drill-").expect("a folder");
    let (mut cluster, _litestream) = replicated(folder.path()).await;
    for n in 0..20 {
        cluster.post_until_taken(&cluster.message(-100 - n, 1), MINUTES).await;
    }
    let (ok, drill) = verify(&cluster, POD);
    assert!(ok && drill["ok"] == true, "{drill}");
    assert!(drill["targets"].as_u64() >= Some(20) && drill["rows"].as_u64() >= Some(60), "{drill}");
    let (ok, by_target) = verify(&cluster, "telegram:channel:-100");
    assert!(ok && by_target["at_ms"].as_u64() > drill["at_ms"].as_u64(), "{by_target}");
    let metrics = async |cluster: &Cluster| {
        let text = cluster.client.get(&cluster.gateways[0].url("/metrics")).await.expect("answers").text();
        let of = |name: &str| scrape::sum(&text, name, &[]);
        (of("berth_replication_drill_last_ok"), of("berth_replication_drill_age_seconds"))
    };
    let (good, age) = metrics(&cluster).await;
    assert!((good - 1.0).abs() < 0.1 && age < 600.0, "{good} {age}");
    cluster.gateway(POD).kill().await;
    cluster.gateway(POD).start_again();
    cluster.gateway(POD).ready().await;
    eventually("its next process remembers that drill", MINUTES, async || {
        let (good, age) = metrics(&cluster).await;
        ((good - 1.0).abs() < 0.1 && age < 600.0).then_some(())
    })
    .await;
    let shown = operate(&cluster, &["replication", "status", POD]);
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.status.success() && text.contains("good") && text.contains(POD), "{text}");

    // A disk of the store has turned some bits: every file that a restore may read.
    let found = files(&folder.path().join("replica"));
    assert!(!found.is_empty(), "Litestream has written");
    for file in found {
        // What Litestream has tidied away meanwhile no restore reads.
        let Ok(mut bytes) = fs::read(&file) else { continue };
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0xff;
        fs::write(&file, bytes).expect("written");
    }
    let (ok, broken) = verify(&cluster, POD);
    assert!(!ok && broken["ok"] == false, "{broken}");
    assert!(broken["detail"].as_str().is_some_and(|why| !why.is_empty()), "{broken}");
    eventually("the metric says so", MINUTES, async || (metrics(&cluster).await.0 < 0.5).then_some(())).await;
    let text = String::from_utf8_lossy(&operate(&cluster, &["replication", "status", POD]).stdout).into_owned();
    assert!(text.contains("failed"), "{text}");
    let left: Vec<_> = fs::read_dir(cluster.pod_folder(POD).join("restore")).expect("a folder").flatten().collect();
    assert!(left.is_empty(), "nothing is left of it: {left:?}");
}
