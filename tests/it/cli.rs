//! The operator's verbs against a running cluster: what they print, for people and for scripts, and how they end.

use berth_tests::{
    eventually,
    supervised::{self, Up, run},
};
use serde_json::Value;
use std::{process::Output, time::Duration};
use tempfile::TempDir;

/// The machine may be busy with much else: nothing here is about how long something takes.
const LONG: Duration = Duration::from_secs(120);

fn code(output: &Output) -> i32 {
    output.status.code().expect("it exits")
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_platform_can_be_played_and_every_target_be_found() {
    let folder = TempDir::with_prefix("berth-cli-").expect("a temporary folder");
    let mut up = Up::start(folder.path(), &[]);
    up.ready().await;
    let data = folder.path().display().to_string();
    let berth = |line: &[&str]| run(&[line, &["--data", &data]].concat());

    let sent: [(&[&str], &str); 5] = [
        (&["discord", "--guild", "123", "--command", "stats", "--id", "900"], "discord:guild:123"),
        (&["telegram", "--chat=-100", "--text", "hello", "--id", "1"], "telegram:channel:-100"),
        (&["slack", "--team", "T1", "--text", "hello", "--id", "Ev1"], "slack:guild:T1"),
        (&["standard", "--target", "k1", "--id", "m1"], "webhook:key:demo.k1"),
        (&["github", "--repository", "77", "--id", "d1"], "github:key:repository.77"),
    ];
    for (line, target) in sent {
        for _ in 0..2 {
            supervised::send(&[line, &["--data", &data]].concat()).await;
        }
        let output = berth(&["target", "get", target, "-o", "json"]);
        assert_eq!(code(&output), 0, "{}", err(&output));
        let shown: Value = out(&output).parse().expect("JSON on standard output, and nothing else");
        assert_eq!(shown["target"], target);
        assert_eq!(shown["state"]["applied"], 1, "{shown}");
        // One more for each time that it had to be sent again, on its way too.
        assert!(shown["state"]["duplicates"].as_u64() >= Some(1), "{shown}");
        let output = berth(&["target", "where", target, "-o", "name"]);
        assert_eq!(out(&output).trim(), shown["pod"].as_str().expect("a pod"));
    }

    let output = berth(&["target", "list", "-o", "name"]);
    let mut wanted: Vec<_> = sent.iter().map(|(_, target)| *target).collect();
    wanted.sort_unstable();
    assert_eq!(out(&output).lines().collect::<Vec<_>>(), wanted);
    let output = berth(&["target", "list", "--platform", "slack"]);
    assert!(out(&output).contains("slack:guild:T1") && !out(&output).contains("discord"), "{}", out(&output));

    // A pod that was silent for a moment is not ready in that moment.
    eventually("both pods are ready", LONG, async || {
        let output = berth(&["pod", "list", "-o", "json"]);
        let pods: Value = out(&output).parse().expect("JSON");
        assert_eq!(pods["pods"].as_array().map(Vec::len), Some(2), "{pods}");
        (pods["pods"][0]["state"] == "ready").then_some(())
    })
    .await;
    assert_eq!(code(&berth(&["pod", "get", "gateway-0"])), 0);
    eventually("the cluster is well", LONG, async || {
        let output = berth(&["status"]);
        (code(&output) == 0 && out(&output).contains("2 of 2 pods ready")).then_some(())
    })
    .await;

    let missing = berth(&["target", "get", "discord:guild:404"]);
    assert_eq!((code(&missing), out(&missing).as_str()), (3, ""), "not found");
    assert_eq!(code(&berth(&["pod", "get", "gateway-9"])), 3, "not found");
    for line in [["target", "list"], ["event", "list"]] {
        let dead: &[&str] = if line[0] == "event" { &["--dead"] } else { &[] };
        let unknown = berth(&[&line, dead, &["--pod", "nope"]].concat());
        assert_eq!((code(&unknown), out(&unknown).as_str()), (3, ""), "{line:?}: {}", err(&unknown));
    }
    assert_eq!(code(&berth(&["target", "get", "no target"])), 2, "usage");
    assert_eq!(code(&berth(&["send", "irc"])), 2, "usage");
    let unsigned = berth(&["pod", "accept-data-loss", "gateway-0", "--reason", "x", "--token", "wrong"]);
    assert_eq!(code(&unsigned), 5, "forbidden: {}", err(&unsigned));
    assert_eq!(code(&run(&["status", "--config-url", "http://127.0.0.1:9"])), 6, "unreachable");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_does_what_its_role_may_until_it_is_revoked() {
    let folder = TempDir::with_prefix("berth-token-").expect("a temporary folder");
    let mut up = Up::start(folder.path(), &[]);
    up.ready().await;
    let data = folder.path().display().to_string();
    let berth = |line: &[&str]| run(&[line, &["--data", &data]].concat());
    let made = berth(&["token", "create", "mara", "--role", "viewer", "--reason", "on call", "-o", "name"]);
    assert_eq!(code(&made), 0, "{}", err(&made));
    let secret = out(&made).trim().to_owned();
    assert!(secret.starts_with("berth_"), "{secret}");

    let listed = berth(&["token", "list"]);
    assert!(out(&listed).contains("mara  viewer") && !out(&listed).contains(&secret), "{}", out(&listed));
    assert_eq!(code(&berth(&["pod", "list", "--token", &secret])), 0, "a viewer looks");
    let more = ["token", "create", "tom", "--role", "admin", "--reason", "x", "--token", &secret];
    assert_eq!(code(&berth(&more)), 5, "a viewer makes no tokens");
    let again = berth(&["token", "create", "mara", "--role", "viewer", "--reason", "x"]);
    assert_eq!(code(&again), 4, "a name is taken: {}", err(&again));

    let tried = berth(&["token", "revoke", "mara", "--reason", "over & out", "--dry-run"]);
    assert_eq!(out(&tried), "mara would count no more\n", "{}", err(&tried));
    assert_eq!(code(&berth(&["token", "list", "--token", &secret])), 5, "only admins see tokens");
    assert_eq!(code(&berth(&["pod", "list", "--token", &secret])), 0, "nothing was changed");
    let gone = berth(&["token", "revoke", "mara", "--reason", "over & out"]);
    assert_eq!(out(&gone), "mara counts no more\n", "{}", err(&gone));
    assert_eq!(code(&berth(&["token", "revoke", "mara", "--reason", "x"])), 3, "not found");
    let refused = berth(&["token", "list", "--token", &secret]);
    assert_eq!(code(&refused), 5, "{}", out(&refused));
}
