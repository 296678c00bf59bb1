//! The examples, as a stranger uses them: each is started from its own folder, keeps to the contract, and moderates a
//! real cluster. So do the ten lines of the README.

use berth_tests::{
    eventually,
    process::{Process, binary, clean},
    supervised::run,
};
use rustix::process::Signal;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);

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
