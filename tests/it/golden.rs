//! What the operator's verbs print, word for word: each file of `golden` is a session of commands against a real cluster.
//! What is different every time (ages, ports, ids) is written as a word. A change of the output shows as a change of these
//! files.

use berth_tests::{process::command, supervised::Up};
use shared::platform::REFUSAL_TEXT;
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

const REWRITE: &str = "cargo test -p berth-tests --test it -- --ignored rewrite_the_transcripts";

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("it/golden")
}

/// Returns the transcripts by name, ordered.
fn transcripts() -> Vec<(String, String)> {
    let entries = fs::read_dir(folder()).expect("the transcripts").flatten();
    let mut all: Vec<_> = entries
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
        .map(|(name, path)| (name, fs::read_to_string(path).expect("a transcript")))
        .collect();
    all.sort();
    all
}

/// Commands that only look. A pod that was silent for a moment is not ready in that moment, and shown so.
const LOOKS: [&str; 6] = ["status", "pod list", "pod get", "target list", "target get", "target where"];

/// Runs the commands of a transcript on a cluster of their own and writes the transcript anew. What only looks, and shows something
/// else than the transcript, looks again for `patience`.
async fn played(transcript: &str, patience: Duration) -> String {
    let ground = TempDir::with_prefix("berth-golden-").expect("a temporary folder");
    let data = ground.path().join("data");
    let mut up = Up::start(&data, &[]);
    up.ready().await;
    let mut text = String::new();
    for line in transcript.lines() {
        let Some(words) = line.strip_prefix("$ berth ") else {
            // Remarks stand before a command and begin with a hash.
            if line.starts_with('#') {
                text.push_str(&format!("{line}\n"));
            }
            continue;
        };
        let (looks, end) = (LOOKS.iter().any(|look| words.starts_with(look)), Instant::now() + patience);
        let so_far = loop {
            let said = ran(words, ground.path(), &data);
            // Who is told that nothing was changed sends it again.
            let may_be_repeated = looks || said.contains(REFUSAL_TEXT) || said.starts_with("503 ");
            let so_far = format!("{text}{line}\n{said}");
            if !may_be_repeated || transcript.starts_with(&so_far) || Instant::now() >= end {
                break so_far;
            }
            sleep(Duration::from_millis(200)).await;
        };
        text = so_far;
    }
    text
}

/// Runs one command; returns what it said, and its code.
fn ran(words: &str, ground: &Path, data: &Path) -> String {
    let mut berth = command();
    berth.args(split(words)).current_dir(ground);
    berth.env("BERTH_CONTEXTS", ground.join("contexts.json"));
    if !words.contains("--context") && !words.starts_with("context") {
        berth.env("BERTH_DATA", data);
    }
    let output = berth.output().expect("berth runs");
    let code = output.status.code().expect("it exits");
    let mut text = String::new();
    for stream in [&output.stdout, &output.stderr] {
        let said = String::from_utf8_lossy(stream).replace(&ground.display().to_string(), "FOLDER");
        said.lines().for_each(|line| text.push_str(&format!("{}\n", settled(line))));
    }
    text.push_str(&format!("[{code}]\n\n"));
    text
}

/// Splits words as a shell does that knows single quotes only.
fn split(line: &str) -> Vec<String> {
    let outside = |(n, part): (usize, &str)| -> Vec<String> {
        if n % 2 == 1 { vec![part.to_owned()] } else { part.split_whitespace().map(str::to_owned).collect() }
    };
    line.split('\'').enumerate().flat_map(outside).collect()
}

/// Writes what changes from run to run as a word, and the space between columns as two.
fn settled(line: &str) -> String {
    let indent: String = line.chars().take_while(|c| *c == ' ').collect();
    let cells: Vec<_> = line.trim().split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
    let (mut out, mut rest) = (indent, cells.join("  "));
    while !rest.is_empty() {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
        let end = rest.find(|c| !word(c)).unwrap_or(rest.len());
        let tail = rest.split_off(end);
        let port = out.ends_with("127.0.0.1:");
        out.push_str(if port { "PORT" } else { known(&rest).unwrap_or(&rest) });
        let mut tail = tail.chars();
        out.extend(tail.next());
        rest = tail.as_str().to_owned();
    }
    out
}

/// Returns what a word that is different every time is written as.
fn known(word: &str) -> Option<&'static str> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if span(word) {
        Some("TIME")
    } else if digits(word) && word.len() >= 12 {
        Some("NUMBER")
    } else if word.split_once('.').is_some_and(|(whole, part)| digits(whole) && digits(part)) {
        Some("RATE")
    } else if word.strip_prefix("gateway-").is_some_and(digits) {
        // Which one a target is placed on is not what a transcript is about.
        Some("gateway-N")
    } else if word.len() >= 20 && word.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-') {
        Some("ID")
    } else if word == env!("CARGO_PKG_VERSION") {
        Some("VERSION")
    } else {
        None
    }
}

/// Returns whether a word is a span of time: `7ms`, `1.2s`, `3m10s`.
fn span(word: &str) -> bool {
    let unit = |c: char| "msdh".contains(c);
    word.starts_with(|c: char| c.is_ascii_digit())
        && word.ends_with(unit)
        && word.chars().all(|c| c.is_ascii_digit() || c == '.' || unit(c))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_verbs_print_what_the_transcripts_say() {
    let all = transcripts();
    assert!(all.len() >= 4, "the transcripts are there");
    for (name, transcript) in all {
        let now = played(&transcript, Duration::from_secs(20)).await;
        let differs = transcript.lines().zip(now.lines()).find(|(old, new)| old != new);
        assert!(transcript == now, "{name} differs: {differs:?}\nis it meant? {REWRITE}\n{now}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "writes tests/it/golden"]
async fn rewrite_the_transcripts() {
    for (name, transcript) in transcripts() {
        fs::write(folder().join(name), played(&transcript, Duration::ZERO).await).expect("written");
    }
}
