//! An operator with the `berth` binary, while events come in.

use super::*;
use berth_tests::{
    cluster::ADMIN_TOKEN,
    process::{Process, command},
    supervised,
};
use std::process::Output;

/// What every line needs to reach the cluster.
fn with_place(cluster: &Cluster, line: &[&str]) -> Vec<String> {
    let url = cluster.config.url("");
    line.iter().chain(&["--config-url", &url, "--token", ADMIN_TOKEN]).map(ToString::to_string).collect()
}

/// Runs a line of `berth` as an operator of the cluster.
pub(super) async fn berth(cluster: &Cluster, line: &[&str]) -> Output {
    let line = with_place(cluster, line);
    let run = move || supervised::run(&line.iter().map(String::as_str).collect::<Vec<_>>());
    tokio::task::spawn_blocking(run).await.expect("it runs")
}

/// Starts a line, for somebody who does not wait for its end.
pub(super) fn begun(cluster: &Cluster, line: &[&str]) -> Process {
    let mut command = command();
    command.args(with_place(cluster, line));
    Process::start("berth", command)
}

/// Returns what a line says that fails, and with which code.
pub(super) async fn refused(cluster: &Cluster, line: &[&str]) -> (Option<i32>, String) {
    let output = berth(cluster, line).await;
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Runs a line until it succeeds; whatever else is carried out may be in the way.
pub(super) async fn done(cluster: &Cluster, line: &[&str]) -> String {
    let what = line.join(" ");
    eventually(&what, MOST, async || {
        let output = berth(cluster, line).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(matches!(output.status.code(), Some(0 | 4)), "{what}: {said}");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    })
    .await
}

/// Does something while every target gets events, each of which is handled once. Returns the last round.
pub(super) async fn under_load(cluster: &Cluster, targets: usize, round: u64, what: &[&str]) -> u64 {
    let stop = AtomicBool::new(false);
    let doing = async {
        done(cluster, what).await;
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(load(cluster, targets, round, &stop), doing).0
}
