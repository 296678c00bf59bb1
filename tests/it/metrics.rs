//! `/metrics` as Prometheus sees it: what all roles say is well formed, and named as Prometheus wants names.

use berth_tests::{Cluster, Setup, eventually, senders::telegram};
use std::{collections::HashSet, io::Write, process::Stdio, time::Duration};

const PATIENCE: Duration = Duration::from_secs(120);

/// What OpenMetrics says of a counter's family, Prometheus' older format says of its samples, whose names end in `_total`.
/// promtool reads the older one.
fn older(text: &str) -> String {
    let counters: HashSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    let line = |line: &str| {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some(what), Some(name), Some(rest)) if counters.contains(name) => {
                format!("# {what} {name}_total {rest}\n")
            }
            _ => format!("{line}\n"),
        }
    };
    text.lines().filter(|line| *line != "# EOF").map(line).collect()
}

fn promtool(text: &str) -> String {
    let mut promtool = std::process::Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|why| {
            panic!("promtool cannot be started ({why}); install it with: apt-get install prometheus")
        });
    promtool.stdin.take().expect("piped").write_all(text.as_bytes()).expect("it reads");
    let output = promtool.wait_with_output().expect("it ends");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() || !said.is_empty(), "promtool failed: {}", output.status);
    said
}

async fn scrape(cluster: &Cluster, url: &str) -> String {
    let reply = cluster.client.get(url).await.expect("metrics answer");
    assert_eq!(reply.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    let text = reply.text();
    assert!(text.ends_with("# EOF\n"), "whole");
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promtool_has_nothing_to_say_about_the_metrics_of_any_role() {
    let cluster = Setup { gateways: 2, ..Setup::default() }.start().await;
    // Families show samples only once something has happened.
    for chat in 1..=4 {
        let body = telegram::message(-chat, 1, "/warn bob").to_string();
        cluster.post_until_taken(&telegram::signed(&cluster.keys, body.as_bytes()), PATIENCE).await;
    }
    let mut bad = telegram::signed(&cluster.keys, b"{}");
    bad.headers.clear();
    let refused = cluster.post(&bad).await.expect("an answer");
    assert!(refused.status >= 400);
    eventually("the pods' targets are counted", PATIENCE, async || {
        let skew = cluster.config.metric("berth_assignment_skew_ratio", &[]).await;
        (cluster.config.metric("berth_pod_targets", &[]).await >= 4.0 && (1.0..=2.0).contains(&skew)).then_some(())
    })
    .await;
    for role in [&cluster.config, &cluster.gateways[0], &cluster.gateways[1], &cluster.routers[0]] {
        let text = scrape(&cluster, &role.url("/metrics")).await;
        assert!(text.contains("\nberth_"), "{text}");
        let said = promtool(&older(&text));
        assert!(said.is_empty(), "{} of\n{text}", said);
    }
}

#[test]
fn promtool_says_what_is_wrong() {
    assert!(promtool("# TYPE berth_things counter\nberth_things 1\n").contains("berth_things"));
    assert!(
        promtool("# HELP berth_things_total Things\n# TYPE berth_things_total counter\nberth_things_total 1\n")
            .is_empty()
    );
}
