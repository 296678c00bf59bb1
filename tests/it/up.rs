//! A new user's first command: one process starts a whole cluster, looks after it, and takes it down with itself.

use berth_tests::{
    Client, eventually,
    postgres::Postgres,
    role::{free_port, free_ports},
    supervised::{Up, paste, run, runs},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt, process::Output, time::Duration};
use tempfile::TempDir;

const SECOND: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(120);

fn folder() -> TempDir {
    TempDir::with_prefix("berth-up-").expect("a temporary folder")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn kill(id: i32) {
    kill_process(Pid::from_raw(id).expect("a process id"), Signal::KILL).expect("a child can be killed");
}

async fn applied(up: &Up, target: &str) -> Option<u64> {
    let url = format!("http://127.0.0.1:{}/v1/targets/{target}/state", up.port + 1);
    let reply = Client::new(5 * SECOND).get(&url).await.ok()?;
    reply.json()["applied"].as_u64()
}

/// Sends a command again and again until so many are applied: whoever waits on a busy machine may be told to try again, and what
/// comes twice is applied once.
async fn send_until(up: &Up, ids: &[&str], count: u64) {
    eventually(&format!("{count} commands are applied"), PATIENCE, async || {
        for id in ids {
            // Whether it was taken is seen in the state.
            let _ = send(up, id);
        }
        (applied(up, "discord:guild:123").await == Some(count)).then_some(())
    })
    .await;
}

/// Sends a command with the CLI and the folder's own secrets; returns whether it was answered.
fn send(up: &Up, id: &str) -> bool {
    let data = up.data.display().to_string();
    run(&["send", "discord", "--guild", "123", "--command", "stats", "--id", id, "--data", &data]).status.success()
}

#[test]
fn the_check_passes() {
    let output = run(&["up", "--check"]);
    assert!(output.status.success(), "{}", said(&output));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_check_passes_on_postgresql() {
    let postgres = Postgres::start().await;
    let store = postgres.database().await;
    let output = run(&["up", "--check", "--config-store", &store]);
    assert!(output.status.success(), "{}", said(&output));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_printed_lines_work_when_pasted() {
    let folder = folder();
    let data = folder.path().join("my data");
    let mut up = Up::start(&data, &[]);
    up.ready().await;
    let lines: Vec<_> = up.process.stdout.lines();
    let begin = lines.iter().position(|line| line.starts_with("Try in another terminal")).expect("what to try");
    let end = lines.iter().position(|line| line.starts_with("Ctrl-C")).expect("how to stop");
    let lines: Vec<_> = lines[begin + 1..end].iter().map(|line| line.trim()).filter(|line| !line.is_empty()).collect();
    assert!(lines.len() >= 3, "{lines:?}");
    for line in lines {
        let output = paste(line, folder.path());
        assert!(output.status.success(), "{line}\n{}", said(&output));
    }
    eventually("the command is applied", PATIENCE, async || applied(&up, "discord:guild:123").await).await;
    assert_eq!(applied(&up, "discord:guild:123").await, Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_are_their_owners_only_and_in_no_log_and_no_command_line() {
    let folder = folder();
    let data = folder.path().join("data");
    let mut up = Up::start(&data, &["--log", "debug"]);
    up.ready().await;
    assert!(send(&up, "1"));
    let file = data.join("secrets.json");
    let mode = fs::metadata(&file).expect("the secrets").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    assert_eq!(fs::metadata(&data).expect("the data folder").permissions().mode() & 0o077, 0, "nobody else may look");
    let secrets: Value = fs::read_to_string(&file).expect("readable by us").parse().expect("JSON");
    let mut shown = up.process.stdout.tail(1_000) + &up.process.stderr.tail(1_000);
    for (_, line) in up.children() {
        shown.push_str(&line);
    }
    for entry in fs::read_dir(data.join("logs")).expect("logs") {
        shown.push_str(&fs::read_to_string(entry.expect("a log").path()).expect("a readable log"));
    }
    for (name, secret) in secrets.as_object().expect("an object") {
        if name.contains("public") {
            continue;
        }
        for text in secret.as_str().into_iter().filter(|text| text.len() >= 8) {
            assert!(!shown.contains(text), "{name} is shown");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taken_port_is_named_with_the_flag_that_changes_it() {
    let folder = folder();
    let taken = TcpListener::bind(("127.0.0.1", free_port())).expect("a port");
    let port = taken.local_addr().expect("bound").port();
    let base = free_ports(4);
    for (flag, others) in [
        ("--http-port", ["--config-port", "--gateway-port-base"]),
        ("--config-port", ["--http-port", "--gateway-port-base"]),
        ("--gateway-port-base", ["--http-port", "--config-port"]),
    ] {
        let data = folder.path().display().to_string();
        let numbers = [port, base, base + 1].map(|port| port.to_string());
        let line =
            ["up", "--pods", "1", "--data", &data, flag, &numbers[0], others[0], &numbers[1], others[1], &numbers[2]];
        let output = run(&line);
        assert!(!output.status.success());
        let text = said(&output);
        assert!(text.contains(&numbers[0]) && text.contains(flag), "{flag}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_supervisor_takes_every_child_with_it_and_the_next_start_finds_the_data() {
    let folder = folder();
    let mut up = Up::start(folder.path(), &[]);
    up.ready().await;
    send_until(&up, &["1"], 1).await;
    let children = up.children();
    assert_eq!(children.len(), 4, "{children:?}");
    up.process.kill().await;
    for (id, line) in children {
        eventually(&format!("{line} ends"), PATIENCE, async || (!runs(id)).then_some(())).await;
    }
    let mut again = Up::start_on(folder.path(), up.port, &[]);
    again.ready().await;
    // The first one is counted once.
    send_until(&again, &["1", "2"], 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_child_is_shown_and_started_again() {
    let folder = folder();
    let mut up = Up::start(folder.path(), &[]);
    up.ready().await;
    send_until(&up, &["1"], 1).await;
    for (words, name) in [
        (["gateway", "gateway-0"], "gateway-0"),
        (["config-service", "--listen"], "config-service"),
        (["http-service", "--listen"], "http-service"),
    ] {
        let before = up.child(&words);
        kill(before);
        eventually(&format!("{name} is back"), PATIENCE, async || {
            let now =
                up.children().into_iter().find(|(id, line)| *id != before && words.iter().all(|w| line.contains(w)));
            now.map(drop)
        })
        .await;
        eventually(&format!("the death of {name} is told"), PATIENCE, async || {
            up.process.stderr.contains(&format!("{name} was killed by SIGKILL")).then_some(())
        })
        .await;
        eventually(&format!("the last lines of {name} are shown"), PATIENCE, async || {
            (up.process.stderr.count(&format!("  {name} | ")) > 0).then_some(())
        })
        .await;
    }
    let mut id = 2;
    eventually("the cluster serves again", PATIENCE, async || {
        id += 1;
        send(&up, &id.to_string());
        (applied(&up, "discord:guild:123").await? >= 2).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_stops_everything_in_order() {
    for signal in [Signal::INT, Signal::TERM] {
        let folder = folder();
        let mut up = Up::start(folder.path(), &[]);
        up.ready().await;
        let children = up.children();
        up.process.signal(signal);
        let status = up.process.end(PATIENCE).await;
        assert!(status.success(), "{status}: a stop that was asked for is no error");
        assert!(children.iter().all(|(id, _)| !runs(*id)), "no child is left");
        let said = up.process.stderr.lines();
        let order: Vec<_> = said.iter().filter_map(|line| line.strip_prefix("stopping ")).collect();
        assert_eq!(order, ["http-service", "gateway-0, gateway-1", "config-service"]);
        assert!(!up.process.stderr.contains("was killed"), "{}", up.process.stderr.tail(20));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_up_in_one_folder_is_refused() {
    let folder = folder();
    let mut up = Up::start(folder.path(), &[]);
    up.ready().await;
    let mut second = Up::start(folder.path(), &[]);
    let status = second.process.end(PATIENCE).await;
    assert!(!status.success());
    assert!(second.process.stderr.contains(&folder.path().display().to_string()), "{}", second.process.stderr.tail(5));
    assert!(send(&up, "1"), "the first one serves on");
}

async fn pod_state(up: &Up, pod: &str) -> Option<String> {
    let url = format!("http://127.0.0.1:{}/v1/pods/{pod}", up.port + 1);
    let reply = Client::new(5 * SECOND).get(&url).await.ok()?;
    reply.json()["state"].as_str().map(str::to_owned)
}

async fn is(up: &Up, pod: &str, state: &str) {
    eventually(&format!("{pod} is {state}"), PATIENCE, async || {
        (pod_state(up, pod).await.as_deref() == Some(state)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_cannot_start_again_is_known_to_be_dead_although_nobody_witnessed_it() {
    let folder = folder();
    let mut up = Up::start(folder.path(), &["--pods", "1"]);
    up.ready().await;
    send_until(&up, &["1"], 1).await;
    // Something else takes its port, so that no new process of it lives.
    let taken = eventually("its port is taken by somebody else", PATIENCE, async || {
        let alive = up.children().into_iter().find(|(_, line)| line.contains("gateway --exit-with-parent"));
        alive.into_iter().for_each(|(id, _)| {
            // It may have ended meanwhile.
            let _ = kill_process(Pid::from_raw(id).expect("a process id"), Signal::KILL);
        });
        TcpListener::bind(("127.0.0.1", up.port + 2)).ok()
    })
    .await;
    is(&up, "gateway-0", "dead").await;
    eventually("it is said", PATIENCE, async || up.process.stderr.contains("gateway-0 is away").then_some(())).await;
    drop(taken);
    is(&up, "gateway-0", "ready").await;
    let mut id = 2;
    eventually("it has everything it had", PATIENCE, async || {
        id += 1;
        send(&up, &id.to_string());
        (applied(&up, "discord:guild:123").await? >= 2).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_that_are_left_out_are_failed_over_and_get_everything_back_when_they_are_started_again() {
    let folder = folder();
    let mut up = Up::start_on(folder.path(), free_ports(5), &["--pods", "3"]);
    up.ready().await;
    send_until(&up, &["1"], 1).await;
    up.process.signal(Signal::TERM);
    assert!(up.process.end(PATIENCE).await.success());
    // One of three is left: it is no majority of anybody's witnesses.
    let mut fewer = Up::start_on(folder.path(), up.port, &["--pods", "1"]);
    fewer.ready().await;
    for pod in ["gateway-1", "gateway-2"] {
        eventually(&format!("{pod} is failed over"), PATIENCE, async || {
            // One that had nothing is drained as well: it is not to run any more.
            matches!(pod_state(&fewer, pod).await?.as_str(), "dead" | "drained").then_some(())
        })
        .await;
    }
    fewer.process.signal(Signal::TERM);
    assert!(fewer.process.end(PATIENCE).await.success());
    let mut all = Up::start_on(folder.path(), up.port, &["--pods", "3"]);
    all.ready().await;
    let mut id = 1;
    eventually("the target is served with what it had", PATIENCE, async || {
        id += 1;
        send(&all, &id.to_string());
        (applied(&all, "discord:guild:123").await? >= 2).then_some(())
    })
    .await;
}
