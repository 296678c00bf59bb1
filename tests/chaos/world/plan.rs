//! What the nodes of a run are told at their start: their settings, pure text. Knows no process.

use crate::{
    net::Place,
    node::{PROXY, Recipe},
    preload,
};
use anyhow::bail;
use berth_tests::Keys;
use std::path::{Path, PathBuf};

/// The token of the admin API.
pub(crate) const ADMIN_TOKEN: &str = "chaos-admin-token";
const SERVICE_TOKEN: &str = "chaos-service-token";
const CONFIG: u16 = 3001;
const GATEWAY: u16 = 3002;
const HTTP: u16 = 3000;

/// Where all replicas are.
pub(crate) const REPLICAS: &str = "replicas";

/// Becomes a gateway once its folder is prepared.
const PREPARED: [&str; 3] = ["sh", "-c", "\"$0\" prepare && exec \"$0\" \"$@\""];

/// What a cluster is made of.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Config-services.
    pub(crate) config_services: usize,
    /// Gateways.
    pub(crate) gateways: usize,
    /// HTTP tiers.
    pub(crate) http_services: usize,
    /// The `berth` binary.
    pub(crate) berth: PathBuf,
    /// Whether a proxy stands in front of each node.
    pub(crate) proxied: bool,
    /// Whether the clocks and disks of the gateways can be turned.
    pub(crate) preloaded: bool,
    /// Whether a Litestream stands beside each gateway, and acknowledged means replicated.
    pub(crate) replicated: bool,
    /// The size of a gateway's disk.
    pub(crate) disk_bytes: u64,
    /// Settings beside the usual ones, for the gateways.
    pub(crate) gateway_settings: Vec<(String, String)>,
}

/// What each node is started with.
#[derive(Debug)]
pub(crate) struct Settings {
    berth: PathBuf,
    bot: PathBuf,
    preload: Option<PathBuf>,
    proxied: bool,
    folder: PathBuf,
    store: String,
    outside: String,
    sources: Vec<(String, String)>,
    /// Where Litestream is, when there are replicas.
    litestream: Option<PathBuf>,
    extra: Vec<(String, String)>,
}

impl Settings {
    /// Gathers what they are made of; builds the library that turns clocks when it is wanted.
    pub(crate) fn new(plan: &Plan, folder: &Path, store: &str, outside: &str, keys: &Keys) -> anyhow::Result<Self> {
        let bot = plan.berth.with_file_name("story-bot");
        for program in [&plan.berth, &bot] {
            if !program.is_file() {
                bail!("{} is missing; build it first: cargo build --workspace --bins", program.display());
            }
        }
        let preload = plan.preloaded.then(|| preload::build(folder)).transpose()?;
        if let Some(library) = &preload {
            preload::prove(library, folder)?;
        }
        Ok(Self {
            berth: plan.berth.clone(),
            bot,
            preload,
            proxied: plan.proxied,
            folder: folder.to_owned(),
            store: store.to_owned(),
            outside: outside.to_owned(),
            sources: keys.settings(),
            litestream: plan.replicated.then(berth_tests::litestream::program),
            extra: plan.gateway_settings.clone(),
        })
    }

    /// A config-service.
    pub(crate) fn config(&self, place: &Place) -> Recipe {
        let settings = [
            ("BERTH_CONFIG_STORE", self.store.clone()),
            ("BERTH_CONFIG_LISTEN", format!("0.0.0.0:{CONFIG}")),
            ("BERTH_CONFIG_ADVERTISE", self.reached(place, CONFIG)),
            ("BERTH_ADMIN_TOKENS", ADMIN_TOKEN.to_owned()),
            ("BERTH_OPEN_READS", "true".to_owned()),
        ];
        self.recipe(vec![text(&self.berth), "config-service".to_owned()], CONFIG, self.preload.clone(), &settings, &[])
    }

    /// A gateway.
    pub(crate) fn gateway(&self, place: &Place, configs: &[Place]) -> Recipe {
        let settings = [
            ("BERTH_POD", place.name().to_owned()),
            ("BERTH_GATEWAY_DATA", text(&self.folder.join(place.name()))),
            ("BERTH_GATEWAY_LISTEN", format!("0.0.0.0:{GATEWAY}")),
            ("BERTH_GATEWAY_ADVERTISE", self.reached(place, GATEWAY)),
            ("BERTH_CONFIG_URL", self.control_plane(configs)),
            ("BERTH_OUTBOX_HOSTS", self.outside.clone()),
            ("BERTH_OUTBOX_PRIVATE", "true".to_owned()),
            ("BERTH_OWNERSHIP_LOG", text(&self.folder.join(format!("{}.owned", place.name())))),
        ];
        let line = match self.litestream {
            Some(_) => PREPARED.iter().map(|word| (*word).to_owned()).chain([text(&self.bot)]).collect(),
            None => vec![text(&self.bot)],
        };
        let more = [self.replica(place), self.extra.clone()].concat();
        self.recipe(line, GATEWAY, self.preload.clone(), &settings, &more)
    }

    /// What a gateway and its Litestream are told about replicas. Uploads cost nothing here: there are more of them than by default.
    fn replica(&self, place: &Place) -> Vec<(String, String)> {
        let own = |(name, value): (&str, String)| (name.to_owned(), value);
        let Some(litestream) = &self.litestream else {
            return vec![own(("BERTH_REPLICATION", "off".to_owned()))];
        };
        let socket = self.folder.join(format!("{}.sock", place.name()));
        let settings = [
            ("BERTH_REPLICA", format!("file://{}", self.folder.join(REPLICAS).display())),
            ("BERTH_LITESTREAM", text(litestream)),
            ("BERTH_LITESTREAM_SOCKET", text(&socket)),
            ("BERTH_REPLICATION_RATE", "10".to_owned()),
        ];
        settings.map(own).to_vec()
    }

    /// The Litestream beside a gateway: with that one's settings, in its place.
    pub(crate) fn litestream(&self, place: &Place, configs: &[Place]) -> Recipe {
        let gateway = self.gateway(place, configs);
        let line = vec![text(&self.bot), "replicate".to_owned(), "--exit-with-parent".to_owned()];
        Recipe { line, preload: None, ..gateway }
    }

    /// An HTTP tier.
    pub(crate) fn router(&self, place: &Place, configs: &[Place]) -> Recipe {
        let settings = [
            ("BERTH_HTTP_LISTEN", format!("0.0.0.0:{HTTP}")),
            ("BERTH_CONFIG_URL", self.control_plane(configs)),
            ("BERTH_HTTP_DATA", text(&self.folder.join(place.name()))),
        ];
        self.recipe(vec![text(&self.berth), "http-service".to_owned()], HTTP, None, &settings, &self.sources)
    }

    fn recipe(
        &self,
        mut line: Vec<String>,
        port: u16,
        preload: Option<PathBuf>,
        settings: &[(&str, String)],
        more: &[(String, String)],
    ) -> Recipe {
        line.push("--exit-with-parent".to_owned());
        let usual = [("BERTH_SERVICE_TOKENS", SERVICE_TOKEN), ("BERTH_LOG", "info")];
        let usual = usual.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        Recipe { line, settings: usual.into_iter().chain(settings).chain(more.to_vec()).collect(), port, preload }
    }

    /// Where others reach a node's port.
    fn reached(&self, place: &Place, port: u16) -> String {
        format!("{}:{}", place.address(), port + if self.proxied { PROXY } else { 0 })
    }

    fn control_plane(&self, configs: &[Place]) -> String {
        let all: Vec<_> = configs.iter().map(|place| format!("http://{}", self.reached(place, CONFIG))).collect();
        all.join(",")
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
