//! What the manifests rely on, where an orchestrator starts processes again and does nothing else: containers that restart by
//! themselves, a balancer that notices late.

use berth_tests::{
    Client, Cluster, Setup, eventually,
    litestream::{beside, lineage, store},
    process::{Process, clean},
    role::free_port,
};
use gateway::replica::Seal;
use rustix::process::Signal;
use shared::Epoch;
use std::{process::Command, time::Duration};
use tempfile::TempDir;

const LONG: Duration = Duration::from_secs(120);
const POD: &str = "gateway-0";

/// A pod of the StatefulSet: an init container that has ended, and two containers that are started again when they end.
struct Pod {
    cluster: Cluster,
    litestream: Process,
    gateway: Process,
    port: u16,
}

impl Pod {
    async fn start(base: &str) -> Self {
        let cluster = Setup { gateways: 0, ..Setup::default() }.with("BERTH_REPLICA", base).start().await;
        let port = free_port();
        let mut prepare = container(&cluster, "prepare", &["gateway", "prepare"], port);
        assert!(prepare.end(LONG).await.success());
        let litestream = beside(&cluster, POD);
        let gateway = container(&cluster, POD, &["gateway", "--prepare"], port);
        let pod = Self { cluster, litestream, gateway, port };
        pod.ready().await;
        pod
    }

    /// Starts the gateway's container again, as a kubelet does: init containers are not run.
    fn restart_gateway(&mut self) {
        self.gateway = container(&self.cluster, POD, &["gateway", "--prepare"], self.port);
    }

    async fn ready(&self) {
        let (url, client) = (format!("http://127.0.0.1:{}/readyz", self.port), Client::new(LONG));
        eventually("the gateway is ready", LONG, async || (client.get(&url).await.ok()?.status == 200).then_some(()))
            .await;
    }

    async fn apply(&self, updates: std::ops::Range<u64>) {
        for update in updates {
            self.cluster.post_until_taken(&self.cluster.message(-7, update), LONG).await;
        }
    }

    async fn applied(&self) -> Option<u64> {
        let state = self.cluster.admin("/v1/targets/telegram:channel:-7/state").await.ok()?;
        state.json().get("applied")?.as_u64()
    }
}

fn container(cluster: &Cluster, name: &str, arguments: &[&str], port: u16) -> Process {
    let mut command = clean(Command::new(berth_tests::process::berth()));
    command.args(arguments).envs(cluster.gateway_recipe(POD).settings);
    command.env("BERTH_GATEWAY_LISTEN", format!("127.0.0.1:{port}"));
    Process::start(name, command)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_restarts_prepares_by_itself_and_begins_the_next_life_beside_its_sidecar() {
    let replicas = TempDir::with_prefix("berth-replicas-").expect("a folder");
    let base = format!("file://{}", replicas.path().display());
    let mut pod = Pod::start(&base).await;
    let folder = pod.cluster.pod_folder(POD);
    pod.apply(1..4).await;
    let first = lineage(&folder).expect("prepared");

    pod.gateway.kill().await;
    pod.restart_gateway();
    pod.ready().await;
    assert_eq!(lineage(&folder).as_ref(), Some(&first), "it goes on");
    assert!(pod.litestream.ended().is_none(), "its sidecar is not disturbed");
    pod.apply(4..6).await;

    // Another pod takes this life over. What runs here acknowledges nothing more, and ends.
    let seal = Seal { epoch: Epoch(1), by: "gateway-1".parse().expect("a name"), at_ms: 1 };
    store(&base).seal(&first, &seal).await.expect("sealed");
    let late = pod.cluster.message(-7, 6);
    let status = eventually("the gateway notices the seal", LONG, async || {
        let status = pod.cluster.post(&late).await.ok().map(|reply| reply.status);
        pod.gateway.ended().map(|ended| (ended, status))
    })
    .await;
    assert_eq!(status.0.code(), Some(75), "to be prepared anew; the last answer was {:?}", status.1);
    assert!(pod.litestream.ended().is_none(), "the sidecar knows nothing of it");

    pod.restart_gateway();
    pod.litestream.end(LONG).await;
    pod.litestream = beside(&pod.cluster, POD);
    pod.ready().await;
    let second = lineage(&folder).expect("prepared");
    assert_ne!(second, first, "another life, on a path of its own");
    pod.apply(6..9).await;
    let applied = eventually("all of it is there", LONG, async || pod.applied().await).await;
    assert_eq!(applied, 8, "each once");
    assert!(store(&base).list(&second).await.expect("listed").files > 0, "the new sidecar writes the new path");
    pod.gateway.signal(Signal::TERM);
    assert!(pod.gateway.end(LONG).await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sidecar_writes_nothing_before_its_own_pod_was_prepared() {
    let replicas = TempDir::with_prefix("berth-replicas-").expect("a folder");
    let base = format!("file://{}", replicas.path().display());
    let cluster = Setup { gateways: 0, ..Setup::default() }.with("BERTH_REPLICA", &base).start().await;
    let start = |name: &str, task: &str, uid: &str| {
        let mut command = clean(Command::new(berth_tests::process::berth()));
        command.args(["gateway", task]).envs(cluster.gateway_recipe(POD).settings).env("BERTH_POD_UID", uid);
        Process::start(name, command)
    };
    let mut nothing = start("litestream", "replicate", "first");
    assert!(!nothing.end(LONG).await.success(), "there is nothing to write");
    assert!(start("prepare", "prepare", "first").end(LONG).await.success());
    let mut another = start("litestream", "replicate", "second");
    assert!(!another.end(LONG).await.success());
    assert!(another.stderr.contains("prepared for another pod, pod UID or boot"), "{}", another.stderr.tail(5));
    let mut own = start("litestream", "replicate", "first");
    let socket = cluster.pod_folder(POD).join("litestream.sock");
    eventually("its own pod's runs", LONG, async || socket.exists().then_some(())).await;
    own.signal(Signal::TERM);
    own.end(LONG).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_http_service_that_is_told_to_stop_serves_on_until_its_balancer_has_noticed() {
    let mut cluster = Setup { gateways: 1, ..Setup::default() }.start().await;
    cluster.routers[0].set("BERTH_STOP_DELAY", "1h");
    cluster.routers[0].kill().await;
    cluster.routers[0].start_again();
    cluster.routers[0].ready().await;
    cluster.post_until_taken(&cluster.message(-7, 1), LONG).await;
    cluster.routers[0].process().signal(Signal::TERM);
    let said = eventually("it is not ready any more", LONG, async || {
        let reply = cluster.client.get(&cluster.routers[0].url("/readyz")).await.ok()?;
        (reply.status == 503).then(|| reply.text())
    })
    .await;
    assert!(said.contains("stopping"), "{said}");
    assert_eq!(cluster.post(&cluster.message(-7, 2)).await.expect("taken").status, 200, "its balancer sent it");
    cluster.routers[0].kill().await;
}
