//! Replicas in real stores: a folder, moto, s3s-fs. What is said of one is said of all, and a store that is slow, failing or gone
//! loses nothing that was acknowledged.

mod addressed;
mod contract;
mod faults;
mod lost;
mod policy;
mod segments;

use berth_tests::{
    Cluster, Setup, eventually,
    litestream::{self, beside},
    pod_data,
    process::Process,
    scrape,
    store::{Kind, Store},
};
use gateway::replica::{Lineage, restore};
use rustix::process::Signal;
use std::{collections::BTreeSet, time::Duration};
use tempfile::TempDir;

/// The machine may be busy with much else: nothing here is about how long something takes.
const LONG: Duration = Duration::from_secs(120);

/// Makes a test of each story on each store that it names.
macro_rules! on {
    ($([$($name:ident: $kind:ident),+] $story:ident),+ $(,)?) => {
        $(mod $story {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$story(super::Kind::$kind).await;
            })+
        })+
    };
}
pub(crate) use on;

/// A cluster whose pods' databases are copied to a store, each by the Litestream that `berth gateway replicate` becomes.
pub(crate) struct Story {
    pub(crate) cluster: Cluster,
    pub(crate) copying: Vec<(String, Process)>,
    // The last field: it goes when nobody writes there any more.
    pub(crate) store: Store,
}

impl Story {
    async fn start(kind: Kind, gateways: usize, settings: &[(&'static str, &str)]) -> Self {
        Self::start_with(Store::start(kind).await, gateways, settings, |_| ()).await
    }

    /// Starts it, or without replicas, when nobody copies.
    pub(crate) async fn start_as(kind: Kind, gateways: usize, settings: &[(&'static str, &str)], copies: bool) -> Self {
        let store = Store::start(kind).await;
        if copies {
            return Self::start_with(store, gateways, settings, |_| ()).await;
        }
        let setup = Setup { gateways, ..Setup::default() };
        Self { cluster: setup.start().await, copying: Vec::new(), store }
    }

    /// Starts it with something done to the cluster before its gateways are there.
    async fn start_with<T>(
        store: Store,
        gateways: usize,
        settings: &[(&'static str, &str)],
        before: impl FnOnce(&Cluster) -> T,
    ) -> Self {
        let mut setup = Setup { gateways, settings: store.settings(), ..Setup::default() };
        for (name, value) in settings {
            setup = setup.with(name, value);
        }
        let mut cluster = setup.prepare();
        before(&cluster);
        cluster.config.ready().await;
        cluster.launch_rest();
        cluster.all_ready().await;
        let pods: Vec<_> = cluster.gateways.iter().map(|role| role.name().to_owned()).collect();
        let copying = pods.into_iter().map(|pod| (pod.clone(), beside(&cluster, &pod))).collect();
        let story = Self { cluster, copying, store };
        for n in 0..gateways {
            story.stands(n, "replicating").await;
        }
        story
    }

    pub(crate) async fn metrics(&self, gateway: usize) -> String {
        let url = self.cluster.gateways[gateway].url("/metrics");
        self.cluster.client.get(&url).await.map(|reply| reply.text()).unwrap_or_default()
    }

    /// Waits until a gateway's replica stands so.
    async fn stands(&self, gateway: usize, state: &str) {
        let labels = [("state", state)];
        eventually(&format!("gateway {gateway} is {state}"), LONG, async || {
            (scrape::sum(&self.metrics(gateway).await, "berth_replication_state", &labels) > 0.0).then_some(())
        })
        .await;
    }

    fn lineage(&self, pod: &str) -> Lineage {
        litestream::lineage(&self.cluster.pod_folder(pod)).expect("its folder is prepared")
    }

    /// Ends pod and Litestream at one blow.
    async fn kill(&mut self, pod: &str) {
        let copying = self.copying.iter_mut().find(|(of, _)| of == pod).map(|(_, process)| process);
        let copying = copying.expect("a Litestream of each pod");
        self.cluster.gateway(pod).process().signal(Signal::KILL);
        copying.signal(Signal::KILL);
        copying.kill().await;
        self.cluster.gateway(pod).kill().await;
    }

    /// The same, and the disk is gone.
    async fn lose(&mut self, pod: &str) {
        self.kill(pod).await;
        std::fs::remove_dir_all(self.cluster.pod_folder(pod)).expect("taken away");
    }

    /// Restores a lineage and returns which events it has seen.
    async fn seen_in(&self, lineage: &Lineage) -> BTreeSet<(String, String)> {
        let to = TempDir::with_prefix("berth-restored-").expect("a folder");
        let restored = restore(&self.store.args(&[]), lineage, &to.path().join("berth.db"), |_| ()).await;
        restored.expect("the replica can be restored");
        pod_data::seen(to.path())
    }
}
