//! The whole cluster of a run: PostgreSQL, config-services, gateways and HTTP tiers, each in its namespace, the gateways'
//! data on small file systems of their own. It starts, asks and stops them; what is done to them is others' business.

mod disks;
mod plan;
mod rest;

use plan::REPLICAS;
pub(crate) use plan::{ADMIN_TOKEN, Plan};

use crate::{
    net::{Net, Place},
    node::Node,
    postgres::Server,
};
use anyhow::{Context, bail};
use berth_tests::{Client, Keys, Reply, double::PlatformDouble};
use disks::Disks;
pub(crate) use disks::sweep;
use http::Method;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

/// How long a node may take until it is ready.
const READY: Duration = Duration::from_secs(60);
/// How often a Litestream is started that has ended: its folder may not be prepared yet.
const PREPARED: Duration = Duration::from_millis(300);
/// The size of the disk that has all replicas.
const REPLICAS_BYTES: u64 = 4 << 30;

/// A node of the cluster, by what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Who {
    /// A config-service.
    Config(usize),
    /// A gateway.
    Gateway(usize),
    /// An HTTP tier.
    Http(usize),
    /// The Litestream beside a gateway.
    Litestream(usize),
}

/// The cluster. Its fields end in this order.
#[derive(Debug)]
pub(crate) struct World {
    /// The config-services.
    pub(crate) configs: Vec<Node>,
    /// The gateways.
    pub(crate) gateways: Vec<Node>,
    /// The HTTP tiers.
    pub(crate) routers: Vec<Node>,
    /// The Litestreams beside the gateways; none when there are no replicas.
    pub(crate) litestreams: Vec<Node>,
    /// The control plane's database.
    pub(crate) postgres: Server,
    /// The network.
    pub(crate) net: Net,
    /// What handlers' calls reach.
    pub(crate) outside: PlatformDouble,
    /// What the senders sign with.
    pub(crate) keys: Keys,
    client: Client,
    disks: Disks,
    folder: PathBuf,
    down: BTreeSet<Who>,
    /// Nodes that ended without having been killed.
    pub(crate) ended: Vec<String>,
    /// When it was last looked for Litestreams that have ended.
    looked: tokio::time::Instant,
}

impl World {
    /// Starts a cluster in `folder` and waits until all of it is ready.
    pub(crate) async fn start(plan: &Plan, folder: &Path) -> anyhow::Result<Self> {
        let mut net = Net::new()?;
        let postgres = Server::start(net.add("postgres")?, folder).await?;
        let outside = PlatformDouble::start_at(Net::OUTSIDE).await;
        let keys = Keys::default();
        let mut disks = Disks::default();
        let setting = plan::Settings::new(plan, folder, &postgres.url(), &outside.host(), &keys)?;
        let places = |net: &mut Net, name: &str, n: usize| -> anyhow::Result<Vec<Place>> {
            (0..n).map(|i| net.add(&format!("{name}-{i}"))).collect()
        };
        let configs = places(&mut net, "config", plan.config_services)?;
        let gateways = places(&mut net, "gateway", plan.gateways)?;
        let routers = places(&mut net, "http", plan.http_services)?;
        for place in &gateways {
            disks.add(folder, place.name(), plan.disk_bytes)?;
        }
        // The last of the disks.
        disks.add(folder, REPLICAS, REPLICAS_BYTES)?;
        let node = |place: &Place, recipe| Node::new(place.clone(), recipe, folder, plan.proxied);
        let all = |places: &[Place], recipe: &dyn Fn(&Place) -> crate::node::Recipe| -> anyhow::Result<Vec<Node>> {
            places.iter().map(|place| node(place, recipe(place))).collect()
        };
        let mut world = Self {
            configs: all(&configs, &|place| setting.config(place))?,
            gateways: all(&gateways, &|place| setting.gateway(place, &configs))?,
            routers: all(&routers, &|place| setting.router(place, &configs))?,
            litestreams: gateways
                .iter()
                .filter(|_| plan.replicated)
                .map(|place| Node::beside(place, setting.litestream(place, &configs), folder))
                .collect::<anyhow::Result<_>>()?,
            postgres,
            net,
            outside,
            keys,
            client: Client::new(Duration::from_secs(8)),
            disks,
            folder: folder.to_owned(),
            down: BTreeSet::new(),
            ended: Vec::new(),
            looked: tokio::time::Instant::now(),
        };
        for node in world.nodes_mut() {
            node.start()?;
        }
        world.all_ready().await?;
        world.all_listed().await?;
        Ok(world)
    }

    /// Waits until the control plane counts on every gateway: from then on each gets its share of targets.
    async fn all_listed(&self) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + READY;
        loop {
            let pods = self.admin(&Method::GET, "/v1/pods", None).await.map(|reply| reply.json()).unwrap_or_default();
            let ready = |pods: &Vec<Value>| pods.iter().filter(|pod| pod["state"] == "ready").count();
            if pods["pods"].as_array().is_some_and(|pods| ready(pods) == self.gateways.len()) {
                return Ok(());
            }
            if tokio::time::Instant::now() > deadline {
                bail!("not all gateways are ready after {READY:?}: {pods}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Returns a node.
    pub(crate) fn node(&mut self, who: Who) -> &mut Node {
        match who {
            Who::Config(n) => &mut self.configs[n],
            Who::Gateway(n) => &mut self.gateways[n],
            Who::Http(n) => &mut self.routers[n],
            Who::Litestream(n) => &mut self.litestreams[n],
        }
    }

    /// Returns all nodes.
    pub(crate) fn nodes_mut(&mut self) -> impl Iterator<Item = &mut Node> {
        self.configs.iter_mut().chain(&mut self.gateways).chain(&mut self.routers)
    }

    /// Kills a node, which stays down until [`World::bring_up`].
    pub(crate) fn take_down(&mut self, who: Who) {
        self.down.insert(who);
        self.node(who).kill();
    }

    /// Starts a node again.
    pub(crate) fn bring_up(&mut self, who: Who) -> anyhow::Result<()> {
        self.down.remove(&who);
        self.node(who).start()
    }

    /// Starts again what ended by itself, as a supervisor does.
    pub(crate) fn supervise(&mut self) -> anyhow::Result<()> {
        let configs = (0..self.configs.len()).map(Who::Config);
        let others = (0..self.gateways.len()).map(Who::Gateway).chain((0..self.routers.len()).map(Who::Http));
        for who in configs.chain(others) {
            if !self.down.contains(&who) && !self.node(who).running() {
                let name = self.node(who).name().to_owned();
                if !self.node(who).must_prepare() {
                    self.ended.push(name);
                }
                self.node(who).start()?;
            }
        }
        if self.looked.elapsed() > PREPARED {
            self.looked = tokio::time::Instant::now();
            for n in 0..self.litestreams.len() {
                if !self.down.contains(&Who::Litestream(n)) {
                    self.litestreams[n].start()?;
                }
            }
        }
        Ok(())
    }

    /// Takes a gateway's disk away: its processes are killed, and what they kept is gone.
    pub(crate) fn lose_disk(&mut self, gateway: usize) -> anyhow::Result<()> {
        self.take_down(Who::Gateway(gateway));
        if !self.litestreams.is_empty() {
            self.take_down(Who::Litestream(gateway));
        }
        self.disks.lose(gateway)
    }

    /// Lets the store of the replicas take nothing, or again.
    pub(crate) async fn shut_replicas(&self, shut: bool) -> anyhow::Result<()> {
        self.disks.read_only(self.gateways.len(), shut).await
    }

    /// Returns where all nodes stand, the database too.
    pub(crate) fn places(&self) -> Vec<Place> {
        let nodes = self.configs.iter().chain(&self.gateways).chain(&self.routers).map(|node| node.place().clone());
        nodes.chain(std::iter::once(self.postgres.place().clone())).collect()
    }

    /// Waits until every node is ready.
    pub(crate) async fn all_ready(&mut self) -> anyhow::Result<()> {
        let urls: Vec<_> = self.nodes_mut().map(|node| (node.name().to_owned(), node.direct("/readyz"))).collect();
        for (name, url) in urls {
            self.wait_ready(&name, &url).await?;
        }
        Ok(())
    }

    async fn wait_ready(&mut self, name: &str, url: &str) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + READY;
        loop {
            let said = match self.client.get(url).await {
                Ok(reply) if reply.status == 200 => return Ok(()),
                Ok(reply) => format!("{} {}", reply.status, reply.text()),
                Err(why) => why,
            };
            if tokio::time::Instant::now() > deadline {
                bail!("{name} is not ready after {READY:?}: {said}; its log is in {}", self.folder.display());
            }
            self.supervise()?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Asks a config-service's admin API; the first that answers other than 5xx.
    pub(crate) async fn admin(&self, method: &Method, path: &str, body: Option<&Value>) -> anyhow::Result<Reply> {
        let mut last = String::new();
        for config in &self.configs {
            match self.ask(method, &config.direct(path), body).await {
                Ok(reply) if reply.status < 500 => return Ok(reply),
                Ok(reply) => last = format!("{} {}", reply.status, reply.text()),
                Err(why) => last = why,
            }
        }
        bail!("{method} {path}: no config-service answers: {last}")
    }

    async fn ask(&self, method: &Method, url: &str, body: Option<&Value>) -> Result<Reply, String> {
        let mut headers = vec![("authorization".to_owned(), format!("Bearer {ADMIN_TOKEN}"))];
        if body.is_some() {
            headers.push(("content-type".to_owned(), "application/json".to_owned()));
        }
        self.client.call(method.clone(), url, &headers, body.map(Value::to_string).unwrap_or_default()).await
    }

    /// Returns the owner of each target, as the control plane has it.
    pub(crate) async fn owners(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let (mut all, mut cursor) = (BTreeMap::new(), String::new());
        loop {
            let reply = self.admin(&Method::GET, &format!("/v1/targets?limit=1000{cursor}"), None).await?;
            let page = reply.json();
            let targets =
                page["targets"].as_array().with_context(|| format!("no list of targets: {}", reply.text()))?;
            for target in targets {
                let text = |name: &str| target[name].as_str().unwrap_or_default().to_owned();
                all.insert(text("target"), text("pod"));
            }
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(all),
            }
        }
    }

    /// Returns whether the control plane takes every gateway for ready.
    pub(crate) async fn pods_are_ready(&self) -> bool {
        let Ok(reply) = self.admin(&Method::GET, "/v1/pods", None).await else { return false };
        let page = reply.json();
        let states = page["pods"].as_array().map(|pods| pods.iter().filter(|pod| pod["state"] == "ready").count());
        states == Some(self.gateways.len())
    }

    /// Returns which config-service leads; nothing when none says so.
    pub(crate) async fn leader(&self) -> Option<usize> {
        for (n, config) in self.configs.iter().enumerate() {
            let reply = self.client.get(&config.direct("/metrics")).await;
            let leads = reply.is_ok_and(|reply| berth_tests::scrape::sum(&reply.text(), "berth_leader", &[]) > 0.0);
            if leads {
                return Some(n);
            }
        }
        None
    }

    /// The gateways' disks.
    pub(crate) fn disks(&self) -> &Disks {
        &self.disks
    }

    /// Where a gateway keeps its database.
    pub(crate) fn data(&self, gateway: usize) -> PathBuf {
        self.folder.join(self.gateways[gateway].name())
    }

    /// Where a gateway writes down what it owns.
    pub(crate) fn ownership_log(&self, gateway: usize) -> PathBuf {
        self.folder.join(format!("{}.owned", self.gateways[gateway].name()))
    }
}
