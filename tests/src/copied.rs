//! A cluster whose pods' databases are copied, each by a real Litestream of its own, into one folder. Pods are lost with their
//! disk or without it, and come back. What has to be there afterwards the stories say.

use crate::{
    cluster::{Cluster, Setup},
    litestream, pod_data,
    process::Process,
    wait::eventually,
};
use rustix::process::Signal;
use shared::wire::control::AssignmentState;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use tempfile::TempDir;

/// The machine may be busy with much else: nothing here is about how long something takes.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The cluster.
#[derive(Debug)]
pub struct Copied {
    /// Its processes.
    pub cluster: Cluster,
    litestreams: BTreeMap<String, Process>,
    // The last field: it goes when nothing writes there any more.
    store: TempDir,
}

impl Copied {
    /// Starts a cluster with copies and waits until all of it is ready.
    pub async fn start(setup: Setup) -> Self {
        Self::start_without(setup, &[]).await
    }

    /// The same, but nobody copies the databases of the pods `without`: they have begun, and nothing of them is ever uploaded.
    pub async fn start_without(setup: Setup, without: &[&str]) -> Self {
        let store = TempDir::with_prefix("berth-replicas-").expect("a folder");
        let setup = setup.with("BERTH_REPLICA", &format!("file://{}", store.path().display()));
        let cluster = setup.start().await;
        let pods: Vec<_> = cluster.gateways.iter().map(|role| role.name().to_owned()).collect();
        let copied = pods.into_iter().filter(|pod| !without.contains(&pod.as_str()));
        let litestreams = copied.map(|pod| (pod.clone(), litestream::beside(&cluster, &pod))).collect();
        Self { cluster, litestreams, store }
    }

    /// Returns the folder that the copies are in.
    pub fn store(&self) -> &Path {
        self.store.path()
    }

    /// Returns the Litestream of a pod.
    ///
    /// # Panics
    /// When there is none.
    pub fn litestream(&mut self, pod: &str) -> &mut Process {
        self.litestreams.get_mut(pod).expect("a pod with a Litestream")
    }

    /// Kills these pods with their Litestreams at one blow; their disks stay.
    pub async fn kill(&mut self, pods: &[&str]) {
        for pod in pods {
            self.cluster.gateway(pod).process().signal(Signal::KILL);
            if let Some(litestream) = self.litestreams.get_mut(*pod) {
                litestream.signal(Signal::KILL);
            }
        }
        for pod in pods {
            self.cluster.gateway(pod).kill().await;
            if let Some(litestream) = self.litestreams.get_mut(*pod) {
                litestream.kill().await;
            }
        }
    }

    /// Kills a gateway in a commit of `bytes` bytes: its frames are in the WAL, and the index of the WAL does not count them yet. Its
    /// Litestream lives on, and stands still meanwhile.
    ///
    /// # Panics
    /// When there is no database, or it cannot be written.
    pub async fn kill_in_a_commit(&mut self, pod: &str, bytes: u64) {
        self.litestream(pod).pause();
        self.cluster.gateway(pod).kill().await;
        let folder = self.cluster.pod_folder(pod);
        let database = pod_data::open(&folder);
        database.execute_batch("PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = OFF").expect("set");
        // Both copies of the header of the index (SQLite, walformat, 2.1). It is opened once: with the first one that is closed the
        // locks of this process would be gone.
        let options = File::options().read(true).write(true).open(folder.join("berth.db-shm"));
        let (index, mut header) = (options.expect("Litestream has it open"), [0; 96]);
        index.read_exact_at(&mut header, 0).expect("read");
        let row = "INSERT INTO kv (target_id, key, value)
                   SELECT id, 'uncounted', '\"' || hex(randomblob(?1)) || '\"' FROM target LIMIT 1";
        assert_eq!(database.execute(row, [bytes / 2]).expect("committed"), 1, "{pod} has a target");
        index.write_all_at(&header, 0).expect("as before");
        drop(database);
        self.litestream(pod).signal(Signal::CONT);
    }

    /// Kills them, and their disks are gone.
    ///
    /// # Panics
    /// When there is no disk.
    pub async fn lose(&mut self, pods: &[&str]) {
        self.kill(pods).await;
        for pod in pods {
            fs::remove_dir_all(self.cluster.pod_folder(pod)).expect("taken away");
        }
    }

    /// Starts a pod again, with whatever is on its disk, and its Litestream beside it. Returns what its preparation said.
    pub async fn comes_back(&mut self, pod: &str) -> String {
        self.cluster.gateway(pod).start_again();
        self.cluster.gateway(pod).ready().await;
        let process = litestream::beside(&self.cluster, pod);
        self.litestreams.insert(pod.to_owned(), process);
        self.cluster.gateway(pod).process().stdout.lines().join("\n")
    }

    /// Returns a copy of a pod's disk as it is now, to look at without touching it.
    ///
    /// # Panics
    /// When it cannot be copied.
    pub fn disk(&self, pod: &str) -> TempDir {
        let copy = TempDir::with_prefix("berth-disk-").expect("a folder");
        let (from, to) = (self.cluster.pod_folder(pod), copy.path());
        for file in ["berth.db", "berth.db-wal"] {
            match fs::copy(from.join(file), to.join(file)) {
                Err(why) if why.kind() != std::io::ErrorKind::NotFound => panic!("{file} of {pod}: {why}"),
                _ => {}
            }
        }
        copy
    }

    /// Returns the targets that a pod owns.
    pub async fn targets_of(&self, pod: &str) -> Vec<String> {
        let all = self.cluster.targets().await.into_iter();
        all.filter(|found| found.pod.as_str() == pod).map(|found| found.target.to_string()).collect()
    }

    /// Waits until each of these targets is served, by none of `pods`.
    pub async fn served_by_others(&self, targets: &[String], pods: &[&str]) {
        eventually(&format!("others than {pods:?} serve what was theirs"), PATIENCE, async || {
            let all = self.cluster.targets().await;
            let is_there = |target: &&String| {
                let found = all.iter().find(|found| found.target.to_string() == **target);
                found
                    .is_some_and(|found| found.state == AssignmentState::Serving && !pods.contains(&found.pod.as_str()))
            };
            targets.iter().all(|target| is_there(&target)).then_some(())
        })
        .await;
    }

    /// Waits until every target is served by somebody.
    pub async fn all_served(&self) {
        eventually("every target is served", PATIENCE, async || {
            let all = self.cluster.targets().await;
            all.iter().all(|found| found.state == AssignmentState::Serving).then_some(())
        })
        .await;
    }

    /// Stops every gateway in order that runs, while the Litestreams go on.
    pub async fn stop_gateways(&mut self) {
        for role in &mut self.cluster.gateways {
            role.process().signal(Signal::TERM);
        }
        for role in &mut self.cluster.gateways {
            role.process().end(PATIENCE).await;
        }
    }
}

/// A Litestream whose restores can be made to wait, as those of a slow store: a program in front of the real one.
#[derive(Debug)]
pub struct SlowRestores {
    folder: TempDir,
}

impl SlowRestores {
    /// Makes the program; its restores do not wait yet.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn new() -> Self {
        let folder = TempDir::with_prefix("berth-slow-").expect("a folder");
        let made = Self { folder };
        let script = format!(
            "#!/bin/sh\nif [ \"$1\" = restore ]; then\n  echo restoring >>'{0}/began'\n  while [ -e '{0}/hold' ]; do sleep 0.05; done\nfi\nexec '{1}' \"$@\"\n",
            made.folder.path().display(),
            litestream::program().display()
        );
        fs::write(made.program(), script).expect("written");
        let runnable = Command::new("chmod").arg("755").arg(made.program()).status().expect("chmod runs");
        assert!(runnable.success());
        made
    }

    /// Returns the program.
    pub fn program(&self) -> PathBuf {
        self.folder.path().join("litestream")
    }

    /// From now on restores that begin wait.
    ///
    /// # Panics
    /// When the folder is gone.
    pub fn hold(&self) {
        fs::write(self.folder.path().join("hold"), "").expect("written");
    }

    /// Lets them go on.
    ///
    /// # Panics
    /// When they do not wait.
    pub fn let_go(&self) {
        fs::remove_file(self.folder.path().join("hold")).expect("they wait");
    }

    /// Returns how many restores have begun.
    pub fn began(&self) -> usize {
        fs::read_to_string(self.folder.path().join("began")).unwrap_or_default().lines().count()
    }
}

impl Default for SlowRestores {
    fn default() -> Self {
        Self::new()
    }
}
