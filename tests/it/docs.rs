//! The documentation keeps its word: every `sh` block of README.md and docs/*.md is run, in order, one shell per page, and
//! what a `text` block right behind it shows is what it said.
//!
//! A page says in its first lines what it needs, in a comment that readers do not see:
//!
//! ```text
//! <!-- doc-test: shell -->      an empty folder (also when nothing is said)
//! <!-- doc-test: cluster -->    the same beside a running `berth up`, whose data folder is ./.berth
//! ```
//!
//! Of ports, a page has those of the defaults (3000, 3001, 3010 and on) and 8080 for a bot; they are exchanged for free ones. What is not to be
//! run is fenced `console` and shows a transcript. In a `text` block, `…` stands for anything, and on a line of its own for
//! any lines.

mod page;
mod units;

use berth_tests::{
    eventually,
    process::{berth, clean},
    role::free_ports,
    supervised::Up,
};
use page::{Need, Page};
use std::{
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

/// How long the commands of one page may take together.
const PATIENCE: Duration = Duration::from_secs(150);

/// What a page's shell knows: where `berth` is, and that a clone's `cargo run -- …` is that.
const PRELUDE: &str = "\
PATH=$BERTH_BIN:$PATH
unset BERTH_BIN
cargo() { while [ \"$1\" != -- ]; do shift; done; shift; berth \"$@\"; }
";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests lie in the repository").to_owned()
}

fn pages() -> Vec<Page> {
    let mut files = vec![root().join("README.md")];
    let docs = fs::read_dir(root().join("docs")).expect("docs").map(|entry| entry.expect("an entry").path());
    files.extend(docs.filter(|path| path.extension().is_some_and(|end| end == "md")));
    files.sort();
    files.iter().map(|file| Page::read(&root(), file)).collect()
}

/// Where a page's ports really are, as it writes them and as they are.
fn ports(first: u16) -> Vec<(String, String)> {
    let defaults = [3000, 3001, 3010, 3011, 3012];
    let mut all: Vec<_> =
        defaults.iter().zip(first..).map(|(said, real)| (format!(":{said}"), format!(":{real}"))).collect();
    let bot = first + 5;
    all.extend([(":8080".to_owned(), format!(":{bot}")), ("PORT=8080".to_owned(), format!("PORT={bot}"))]);
    all
}

/// Runs the blocks of a page; returns what each said, as the page would write it.
async fn run(page: &Page, folder: &Path, first: u16) -> Result<Vec<String>, String> {
    let mut ports = ports(first);
    let script = format!("{PRELUDE}{}", page.script());
    let real = ports.iter().fold(script, |text, (said, real)| text.replace(said, real));
    let mut shell = clean(Command::new("bash"));
    shell
        .args(["-c", &real])
        .current_dir(folder)
        .env("BERTH_BIN", berth().parent().expect("a folder"))
        .env("HOME", folder)
        .env("BERTH_UP_HTTP_PORT", first.to_string())
        .env("BERTH_UP_CONFIG_PORT", (first + 1).to_string())
        .env("BERTH_UP_GATEWAY_PORT_BASE", (first + 2).to_string())
        .stdin(Stdio::null())
        .process_group(0);
    let output = folder.join("..output");
    let file = fs::File::create(&output).expect("a file for the output");
    shell.stdout(file.try_clone().expect("a second handle")).stderr(file);
    let mut child = shell.spawn().expect("bash starts");
    let group = rustix::process::Pid::from_child(&child);
    let ended =
        eventually("the shell ends", 2 * PATIENCE, async || child.try_wait().expect("a child can be waited for"));
    let status = tokio::time::timeout(PATIENCE, ended).await.ok();
    // What the page left running in the background ends with it.
    let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    let _ = child.wait();
    let said = String::from_utf8_lossy(&fs::read(&output).expect("the output")).into_owned();
    ports.extend(
        [3000, 3001].iter().zip(first..).map(|(said, real)| (format!("port {said} "), format!("port {real} "))),
    );
    let said = ports.iter().fold(said, |text, (page, real)| text.replace(real, page));
    match status {
        Some(status) if status.success() => Ok(page.split(&said)),
        Some(status) => Err(format!("ended with {status} in the last of these:\n{said}")),
        None => Err(format!("did not end within {PATIENCE:?}; it said:\n{said}")),
    }
}

async fn check(page: &Page) -> Result<(), String> {
    let folder = TempDir::with_prefix("berth-docs-").expect("a temporary folder");
    let first = free_ports(6);
    let mut cluster = None;
    if page.need == Need::Cluster {
        let mut up = Up::start_on(&folder.path().join(".berth"), first, &[]);
        up.ready().await;
        cluster = Some(up);
    }
    let said = run(page, folder.path(), first).await?;
    drop(cluster);
    page.compare(&said)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_of_the_documentation_does_what_it_says() {
    let mut wrong = Vec::new();
    for page in pages().into_iter().filter(|page| !page.blocks.is_empty()) {
        if let Err(why) = check(&page).await {
            wrong.push(format!("{}: {why}", page.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn every_fence_is_of_a_known_kind_and_every_link_leads_somewhere() {
    let wrong: Vec<_> = pages().iter().flat_map(|page| page.faults(&root())).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
