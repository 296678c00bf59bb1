//! The examples, as a stranger uses them: each is started from its own folder, keeps to the contract, and moderates a
//! real cluster. So do the ten lines of the README.

use berth_tests::{
    Client, Cluster, Delivery, Setup,
    collector_double::{CollectorDouble, Mood},
    double::PlatformDouble,
    eventually,
    process::{Process, binary, clean},
    role::free_ports,
    senders::{discord, slack, telegram},
    supervised::{self, Up, run},
};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use tempfile::TempDir;

/// The machine may be busy with much else: nothing here is about how long something takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// A handler that runs.
struct Example {
    process: Process,
    url: String,
}

/// The three bots. A minute of theirs takes two seconds.
const BOTS: [&str; 3] = ["python", "node", "rust"];

impl Example {
    async fn bot(name: &str) -> Self {
        let folder = repository().join("examples").join(format!("handler-{name}"));
        let mut command = match name {
            "python" => script("python3", &folder.join("bot.py")),
            "node" => script("node", &folder.join("bot.mjs")),
            _ => clean(Command::new(binary("handler-rust"))),
        };
        command.env("MINUTE_MS", "2000").env("PORT", "0");
        let process = Process::start(name, command);
        let url = eventually(&format!("{name} listens"), PATIENCE, async || {
            process.stdout.lines().iter().find_map(|line| line.strip_prefix("listening on ").map(str::to_owned))
        })
        .await;
        Self { process, url }
    }

    /// Runs the ten lines of the README, written to a file of `folder`.
    async fn of_the_readme(folder: &Path) -> Self {
        let file = folder.join("bot.py");
        fs::write(&file, ten_lines()).expect("a file");
        let port = berth_tests::role::free_port();
        let mut command = script("python3", &file);
        command.env("PORT", port.to_string());
        let process = Process::start("the README's bot", command);
        eventually("the README's bot listens", PATIENCE, async || {
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok().map(drop)
        })
        .await;
        Self { process, url: format!("http://127.0.0.1:{port}") }
    }
}

fn script(program: &str, file: &Path) -> Command {
    let mut command = clean(Command::new(program));
    // Byte code beside a script would be a file of ours in the repository.
    command.arg(file).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository").to_owned()
}

/// Returns the one Python block of the README.
fn ten_lines() -> String {
    let readme = fs::read_to_string(repository().join("README.md")).expect("a README");
    let (_, rest) = readme.split_once("```python\n").expect("a handler in Python");
    let (block, rest) = rest.split_once("```").expect("the end of it");
    assert!(!rest.contains("```python"), "there is one");
    block.to_owned()
}

fn tested(url: &str) -> (bool, String) {
    let output = run(&["handler", "test", url]);
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_example_keeps_to_the_contract_without_a_hint() {
    for name in BOTS {
        let example = Example::bot(name).await;
        let (passed, text) = tested(&example.url);
        assert!(passed && !text.contains("\nhint"), "{name}:\n{text}\n{}", example.process.stderr.tail(20));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_example_ends_in_order_when_it_is_told_to() {
    for name in BOTS {
        let mut example = Example::bot(name).await;
        // Somebody keeps a connection open, as a gateway does.
        let _open = tokio::net::TcpStream::connect(example.url.trim_start_matches("http://")).await.expect("connected");
        example.process.signal(Signal::TERM);
        let status = example.process.end(PATIENCE).await;
        assert!(status.success(), "{name}: {status}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ten_lines_of_the_readme_are_ten_and_keep_to_the_contract() {
    assert_eq!(ten_lines().lines().count(), 10);
    let folder = TempDir::with_prefix("berth-readme-").expect("a temporary folder");
    let example = Example::of_the_readme(folder.path()).await;
    let (passed, text) = tested(&example.url);
    assert!(passed, "{text}\n{}", example.process.stderr.tail(20));
}

/// Starts a small cluster whose handler is at `url`, and whose late replies go to `discord`.
async fn cluster_with(url: &str, discord: &PlatformDouble) -> Cluster {
    let setup = Setup { gateways: 1, ..Setup::default() }.with("BERTH_HANDLER", url);
    let setup = setup.with("BERTH_DISCORD_API", &format!("http://{}", discord.host()));
    setup.with("BERTH_OUTBOX_HOSTS", &discord.host()).with("BERTH_OUTBOX_PRIVATE", "true").start().await
}

/// Plays people on three platforms against a bot, and checks what they read and what is kept.
async fn moderates(name: &str) {
    let (example, outside) = (Example::bot(name).await, PlatformDouble::start().await);
    let cluster = cluster_with(&example.url, &outside).await;
    let taken = async |delivery: &Delivery| -> Value { cluster.post_until_taken(delivery, PATIENCE).await.json() };

    // What a person reads in the end: where the bot takes its time, the answer comes by Discord's API.
    let read = async |id: &str, command: &str, options: Value| -> Value {
        let body = discord::command("1", id, command, &options).to_string();
        let answer = taken(&discord::signed(&cluster.keys, discord::INTERACTIONS, body.as_bytes())).await;
        if answer["type"] != 5 {
            return answer["data"].clone();
        }
        let late = format!("/token-{id}/messages/@original");
        eventually(&format!("{name} answers {id}"), PATIENCE, async || {
            let call = outside.calls().into_iter().find(|call| call.path.ends_with(&late))?;
            serde_json::from_str(&call.body).ok()
        })
        .await
    };
    let bob = || json!({"name": "user", "type": 3, "value": "bob"});
    let warn = async |id: &str| read(id, "warn", json!([bob(), {"name": "reason", "type": 3, "value": "spam"}])).await;
    let first = warn("1").await;
    assert_eq!(first["content"], "bob has been warned: spam (1 warning)", "{name}: {first}");
    assert_eq!(warn("1").await, first, "{name}: the same event has the same reply");
    assert_eq!(warn("2").await["content"], "bob has been warned: spam (2 warnings)", "{name}");
    let told = read("3", "warnings", json!([bob()])).await;
    assert_eq!(told["content"], "bob has 2 warnings.\n- warned by 200: spam\n- warned by 200: spam", "{name}");
    assert_eq!(told["flags"], 64, "{name}: only whoever asked reads it");
    cluster.applied("discord:guild:1", 3).await;

    let mut update = 0;
    let mut say = |text: &str| {
        update += 1;
        telegram::signed(&cluster.keys, telegram::message(-7, update, text).to_string().as_bytes())
    };
    assert_eq!(taken(&say("hello")).await, Value::Null, "{name}: nothing to say");
    let muted = taken(&say("/mute@berthbot @bob 1")).await;
    assert_eq!(
        (&muted["method"], &muted["text"]),
        (&json!("sendMessage"), &json!("bob is muted for 1 minute.")),
        "{name}"
    );
    eventually(&format!("{name} lifts the mute"), PATIENCE, async || {
        let stats = taken(&say("/stats")).await;
        let text = stats["text"].as_str().unwrap_or_default();
        assert!(text.starts_with("1 message, 0 warnings, 1 mute ("), "{name}: {text}");
        (text.ends_with("(1 lifted). Busiest: 200 1.")).then_some(())
    })
    .await;
    let notes = taken(&say("/warnings bob")).await;
    assert_eq!(notes["text"], "bob has 0 warnings.\n- muted by 200 for 1 minute\n- the mute was lifted", "{name}");

    let form = slack::command("T1", "1.1", "/dance", "now");
    let told = taken(&slack::signed_form(&cluster.keys, form.as_bytes())).await;
    assert_eq!(told["response_type"], "ephemeral", "{name}: {told}");
    assert!(told["text"].as_str().is_some_and(|text| text.starts_with("I don't know /dance.")), "{name}: {told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_is_moderated_by_the_bot_in_python() {
    moderates("python").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_is_moderated_by_the_bot_in_node() {
    moderates("node").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_is_moderated_by_the_bot_in_rust() {
    moderates("rust").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_writes_ten_lines_and_sees_the_reply_the_state_the_trace_and_the_page() {
    let folder = TempDir::with_prefix("berth-stranger-").expect("a temporary folder");
    let bot = Example::of_the_readme(folder.path()).await;
    let data = folder.path().join("data");
    let collector = CollectorDouble::start(Mood::Takes).await;
    let traces = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint()), ("OTEL_BSP_SCHEDULE_DELAY", "20".to_owned())];
    let environment: Vec<_> = traces.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut up = Up::start_in(&data, free_ports(4), &["--handler", &bot.url], &environment);
    up.ready().await;
    let data = data.display().to_string();
    for (id, said) in
        [("1", "event number 1 of this guild"), ("2", "event number 2 of this guild"), ("1", "event number 1")]
    {
        let line = ["discord", "--guild", "123", "--command", "hello", "--id", id, "--data", &data];
        let text = supervised::send(&line).await;
        assert!(text.contains(said), "{text}");
    }
    let shown = run(&["target", "get", "discord:guild:123", "-o", "json", "--data", &data]);
    let shown: Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    assert_eq!(shown["state"]["applied"], 2, "{shown}");
    // One more for each time that it had to be sent again, on its way too.
    assert!(shown["state"]["duplicates"].as_u64() >= Some(1), "{shown}");
    let spans = eventually("the first event's trace is whole", PATIENCE, async || {
        let spans = collector.spans();
        let asked = spans.iter().find(|span| span.service() == "berth-gateway" && span.kind == SpanKind::Client)?;
        let webhook = spans.iter().find(|span| span.trace == asked.trace && span.parent.is_empty())?;
        Some((webhook.clone(), asked.clone()))
    })
    .await;
    assert_eq!((spans.0.service(), spans.0.kind), ("berth-http-service", SpanKind::Server), "{spans:?}");
    let page = Client::new(PATIENCE).get(&format!("http://127.0.0.1:{}/?q=discord:guild:123", up.port + 1)).await;
    let page = page.expect("a page");
    let pod = shown["pod"].as_str().expect("a pod");
    assert!(page.text().contains("discord:guild:123") && page.text().contains(pod), "{}", page.text());
}
