//! A real Litestream beside a gateway of a story, with something between the two; its replica sealed and restored. Decides nothing; what has to be there afterwards the stories say.

use crate::{
    cluster::Cluster,
    litestream,
    process::{Process, clean},
};
use clap::Parser;
use gateway::replica::{Lineage, ReplicaArgs, ReplicaStore, Seal, restore};
use shared::{Clock, Epoch, clock::BootClock};
use std::{path::Path, process::Command, time::Duration};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: ReplicaArgs,
}

/// Litestream beside one pod.
#[derive(Debug)]
pub struct Beside {
    /// The process.
    pub process: Process,
    /// Where it writes.
    pub lineage: Lineage,
    args: ReplicaArgs,
}

impl Beside {
    /// Starts Litestream beside a gateway whose folder is prepared for a replica in `folder`; it listens on `socket`, not on the one that
    /// the gateway asks.
    ///
    /// # Panics
    /// When it cannot.
    pub fn start(cluster: &Cluster, pod: &str, folder: &Path, socket: &Path) -> Self {
        let base = format!("file://{}", folder.display());
        let program = litestream::program();
        let args = Line::parse_from(["x", "--replica", &base, "--litestream", &program.display().to_string()]).args;
        let data = cluster.pod_folder(pod);
        let lineage = litestream::lineage(&data).expect("the folder is prepared");
        let prepared = std::fs::read_to_string(data.join("litestream.yml")).expect("the folder is prepared");
        let asked =
            cluster.gateway_recipe(pod).settings.into_iter().find(|(name, _)| name == "BERTH_LITESTREAM_SOCKET");
        let asked = asked.expect("the story sets the gateway's socket").1;
        assert!(prepared.contains(&asked), "{prepared}");
        let config = folder.with_extension("yml");
        std::fs::write(&config, prepared.replace(&asked, &socket.display().to_string())).expect("written");
        let mut command = clean(Command::new(program));
        command.args(["replicate", "-config"]).arg(&config);
        Self { process: Process::start("litestream", command), lineage, args }
    }

    /// Seals the lineage, as an heir does before it restores.
    ///
    /// # Panics
    /// When the store does not take it.
    pub async fn seal(&self) {
        let seal = Seal { epoch: Epoch(9), by: "heir".parse().expect("a pod's name"), at_ms: BootClock.wall_ms() };
        let store = ReplicaStore::open(&self.args).expect("a folder");
        store.seal(&self.lineage, &seal).await.expect("sealed");
    }

    /// Restores what is in the replica into `folder`, as `berth.db`; says how long that took.
    ///
    /// # Panics
    /// When it cannot be restored, or is damaged.
    pub async fn restore(&self, folder: &Path) -> Duration {
        let restored = restore(&self.args, &self.lineage, &folder.join("berth.db"), |_| ()).await;
        restored.expect("the replica can be restored").took
    }
}
