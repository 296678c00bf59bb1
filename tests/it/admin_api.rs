//! The admin API of a cluster of real processes, tried by a tool that knows nothing of Berth but what the API says of
//! itself: schemathesis sends what the description allows and what it forbids, and compares the answers with it.

use berth_tests::cluster::{ADMIN_TOKEN, Cluster, SERVICE_TOKEN, Setup};
use berth_tests::process::berth;
use std::path::PathBuf;
use std::process::Command;

/// The version that `./test` installs below `target`.
const TOOL: &str = "schemathesis-4.32.5/bin/schemathesis";

/// What the services call; operators get 403 there.
const SERVICES: &str = "/(pods?/register|heartbeat|place)$";

/// What ends the term or the life of one that the other operations need: tried last, each for itself.
const UPHEAVALS: &str = "/(generation|step-down|declare-dead)$";

/// How many requests are made up for each operation and kind.
const EXAMPLES: &str = "10";

/// The tool, where `./test` has put it; none when it was never run.
fn tool() -> Option<PathBuf> {
    let target = berth().parent()?.parent()?.to_owned();
    Some(target.join(TOOL)).filter(|tool| tool.is_file())
}

fn run(cluster: &Cluster, tool: PathBuf, token: &str, filters: &[(&str, &str)]) -> (bool, String) {
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/it/schemathesis.toml");
    let mut command = Command::new(tool);
    command.current_dir(cluster.folder()).args(["--config-file", config, "run", &cluster.config.url("/openapi.json")]);
    command.args(["-H", &format!("Authorization: Bearer {token}"), "--checks", "all", "--seed", "7"]);
    command.args(["--max-examples", EXAMPLES, "--no-color"]);
    command.args(["--continue-on-failure", "--request-timeout", "30", "--exclude-path", "/v1/watch"]);
    for (filter, paths) in filters {
        command.args([filter, paths]);
    }
    let output = command.output().expect("the tool starts");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_is_what_it_says_it_is() {
    let Some(tool) = tool() else {
        println!("skipped: {TOOL} is not below target; ./test puts it there");
        return;
    };
    let mut cluster =
        Setup { gateways: 2, routers: 0, ..Setup::default() }.with("BERTH_OPEN_READS", "false").start().await;
    let place = serde_json::json!({ "targets": [{ "target": "discord:guild:81384788765712384" }] });
    assert_eq!(cluster.service_post("/v1/targets/place", &place).await.expect("an answer").status, 200);
    let (with, without) = ("--include-path-regex", "--exclude-path-regex");
    let (known, made_up) = (("--phases", "examples,coverage"), ("--phases", "fuzzing"));
    let all = ("--phases", "examples,coverage,fuzzing");
    // Who asks without a token while nobody leads is told to come again.
    let leaderless = ("--exclude-checks", "ignored_auth");
    let runs: [(&str, &[(&str, &str)]); 4] = [
        (ADMIN_TOKEN, &[all, (without, SERVICES), (without, UPHEAVALS)]),
        (SERVICE_TOKEN, &[known, (with, SERVICES)]),
        // A made-up pod may have heard of a later term: the leader stops until a new generation begins.
        (SERVICE_TOKEN, &[made_up, (with, SERVICES), leaderless]),
        (ADMIN_TOKEN, &[all, (with, UPHEAVALS), leaderless]),
    ];
    for (token, filters) in runs {
        let (good, report) = tokio::task::block_in_place(|| run(&cluster, tool.clone(), token, filters));
        assert!(good, "{report}");
        assert!(report.contains("Test cases:"), "it has done nothing: {report}");
    }
    cluster.all_ready().await;
    assert!(cluster.config.process().ended().is_none(), "it has survived that");
}
