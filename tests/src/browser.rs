//! A real Chromium, driven by `tests/browser/visit.mjs`: it visits a page in both themes and two widths and says what is
//! wrong with it. What counts as wrong stands there; which pages there are is the stories' business.

use crate::{process::clean, wait::within};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

/// How long one page may take, seen four times on a busy machine.
const VISIT: Duration = Duration::from_secs(300);

/// A page to be visited.
#[derive(Debug, Clone, Serialize)]
pub struct Visit {
    /// What it is called in messages, and its picture.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// The status it must be answered with in the end.
    pub status: u16,
    /// What is done before it is looked at.
    pub steps: Vec<Value>,
    /// The themes it is seen in.
    pub themes: Vec<&'static str>,
}

impl Visit {
    /// Makes a visit to a page that is answered with 200.
    pub fn new(name: &str, url: String) -> Self {
        Self { name: name.to_owned(), url, status: 200, steps: Vec::new(), themes: vec!["light", "dark"] }
    }

    /// Expects another status.
    #[must_use]
    pub fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// Is seen in one theme only: for what has nothing to do with colours.
    #[must_use]
    pub fn one_theme(self) -> Self {
        Self { themes: vec!["light"], ..self }
    }

    /// Fills in a field first.
    #[must_use]
    pub fn fill(mut self, field: &str, text: &str) -> Self {
        self.steps.push(json!({"fill": field, "with": text}));
        self
    }

    /// Then clicks, which leads to another page.
    #[must_use]
    pub fn click(mut self, what: &str) -> Self {
        self.steps.push(json!({"click": what}));
        self
    }
}

/// What the browser saw.
#[derive(Debug, Deserialize)]
pub struct Seen {
    /// All that is wrong, each with its theme and width.
    pub faults: Vec<String>,
    /// The page's title.
    pub title: String,
    /// The text a reader sees.
    pub text: String,
}

/// A running browser.
#[derive(Debug)]
pub struct Browser {
    _child: Child,
    ask: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    shots: Option<PathBuf>,
    // The last field: the browser's own folder goes when the browser has.
    _folder: TempDir,
}

impl Browser {
    /// Starts it. With `BERTH_SHOTS` set, pictures of all pages are put into that folder.
    ///
    /// # Panics
    /// When node or the packages are missing, saying what to type.
    pub fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser/visit.mjs");
        let packages = script.with_file_name("node_modules/playwright-core");
        let how = "type: npm ci --ignore-scripts --prefix tests/browser (./test does it for you)";
        assert!(packages.is_dir(), "the browser's packages are missing; {how}");
        let folder = TempDir::with_prefix("berth-browser-").expect("a temporary folder");
        let mut command = clean(std::process::Command::new("node"));
        command.arg(script).env("HOME", folder.path()).env("TMPDIR", folder.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let spawned = Command::from(command).kill_on_drop(true).spawn();
        let mut child =
            spawned.unwrap_or_else(|why| panic!("node cannot be started ({why}); install Node.js 18 or newer"));
        let ask = child.stdin.take().expect("piped");
        let answers = BufReader::new(child.stdout.take().expect("piped")).lines();
        let shots = std::env::vars_os().find(|(name, _)| name == "BERTH_SHOTS").map(|(_, folder)| folder.into());
        Self { _child: child, ask, answers, shots, _folder: folder }
    }

    /// Visits a page.
    ///
    /// # Panics
    /// When something is wrong with it, with all that is.
    pub async fn visit(&mut self, visit: Visit) -> Seen {
        let mut line = serde_json::to_value(&visit).expect("json");
        if let Some(shots) = &self.shots {
            line["shots"] = json!(shots);
        }
        self.ask.write_all(format!("{line}\n").as_bytes()).await.expect("the browser listens");
        let answer = within(&visit.name, VISIT, self.answers.next_line()).await.expect("readable");
        let answer = answer.unwrap_or_else(|| panic!("the browser ended; what it said stands above"));
        let seen: Seen = serde_json::from_str(&answer).expect("an answer");
        assert!(seen.faults.is_empty(), "{} ({}):\n  {}", visit.name, visit.url, seen.faults.join("\n  "));
        seen
    }
}
