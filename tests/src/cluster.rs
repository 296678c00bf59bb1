//! A whole cluster of real processes on this machine: one config-service or several on one PostgreSQL, gateways and HTTP
//! tiers, their data in a folder that goes away with it. It starts and names them; what may be expected of them is the
//! stories' business.

use crate::{
    client::{Client, Reply},
    litestream,
    postgres::Postgres,
    role::{Program, Recipe, Role},
    senders::{Delivery, Keys, telegram},
    wait::eventually,
    workload::acknowledged,
};
use bytes::Bytes;
use http::Method;
use serde_json::Value;
use shared::wire::{
    admin::{Health, PodList, PodStatus, TargetList},
    control::{Assignment, PodState, TargetState},
};
use std::{path::PathBuf, time::Duration};
use tempfile::TempDir;
use tokio::time::Instant;

/// The token the services know each other by.
pub const SERVICE_TOKEN: &str = "story-service-token";
/// The token of the admin API.
pub const ADMIN_TOKEN: &str = "story-admin-token";

/// How long an answer may be away on a busy machine.
const ANSWERS: Duration = Duration::from_secs(120);

/// What a cluster is made of.
#[derive(Debug, Clone)]
pub struct Setup {
    /// How many config-services. Several share a PostgreSQL, the cluster's own unless `store` names one.
    pub config_services: usize,
    /// How many gateways.
    pub gateways: usize,
    /// How many HTTP tiers.
    pub routers: usize,
    /// What the gateways are.
    pub bot: Program,
    /// The config-service's store; an SQLite file in the cluster's folder when it is not given.
    pub store: Option<String>,
    /// Settings beside the usual ones, for every role that knows them.
    pub settings: Vec<(&'static str, String)>,
}

impl Default for Setup {
    fn default() -> Self {
        Self { config_services: 1, gateways: 3, routers: 1, bot: Program::Berth, store: None, settings: Vec::new() }
    }
}

/// A running cluster.
#[derive(Debug)]
pub struct Cluster {
    /// The first config-service, which leads when all are started.
    pub config: Role,
    /// The other config-services.
    pub others: Vec<Role>,
    /// The PostgreSQL of a cluster with several config-services.
    pub postgres: Option<Postgres>,
    /// The gateways `gateway-0`, `gateway-1`, ….
    pub gateways: Vec<Role>,
    /// The HTTP tiers.
    pub routers: Vec<Role>,
    /// What deliveries are signed with.
    pub keys: Keys,
    /// The client everything here is called with.
    pub client: Client,
    setup: Setup,
    // The last field: the folder goes when no process uses it any more.
    folder: TempDir,
}

impl Setup {
    /// Adds a setting for every role that knows it.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.settings.push((name, value.to_owned()));
        self
    }

    /// Sets how many config-services there are.
    #[must_use]
    pub fn config_services(self, config_services: usize) -> Self {
        Self { config_services, ..self }
    }

    /// Starts the cluster and waits until every role is ready.
    pub async fn start(mut self) -> Cluster {
        let mut postgres = None;
        if self.config_services > 1 && self.store.is_none() {
            let server = Postgres::start().await;
            self.store = Some(server.database().await);
            postgres = Some(server);
        }
        let mut cluster = self.prepare();
        cluster.postgres = postgres;
        cluster.config.ready().await;
        cluster.launch_others().await;
        cluster.launch_rest();
        cluster.all_ready().await;
        cluster
    }

    /// Starts only the first config-service and does not wait for it.
    pub fn prepare(self) -> Cluster {
        let folder = TempDir::with_prefix("berth-story-").expect("a temporary folder");
        let keys = Keys::default();
        let store =
            self.store.clone().unwrap_or_else(|| format!("sqlite:{}", folder.path().join("config.db").display()));
        let setup = Self { store: Some(store), ..self };
        let config = Role::start(setup.config_recipe("config-service"));
        let client = Client::new(Duration::from_secs(70));
        let (others, gateways, routers) = (Vec::new(), Vec::new(), Vec::new());
        Cluster { config, others, postgres: None, gateways, routers, keys, client, setup, folder }
    }

    fn config_recipe(&self, name: &str) -> Recipe {
        let store = self.store.clone().unwrap_or_default();
        let mut settings = vec![
            ("BERTH_CONFIG_STORE".to_owned(), store),
            ("BERTH_ADMIN_TOKENS".to_owned(), ADMIN_TOKEN.to_owned()),
            ("BERTH_OPEN_READS".to_owned(), "true".to_owned()),
            // Nothing moves by itself where a story does not say so.
            ("BERTH_REBALANCE_INTERVAL".to_owned(), "0s".to_owned()),
        ];
        // A story's own settings come last, and count.
        settings.extend(self.common());
        Recipe {
            name: name.to_owned(),
            role: "config-service",
            listen: "BERTH_CONFIG_LISTEN",
            settings,
            wrapper: None,
            program: Program::Berth,
        }
    }

    fn common(&self) -> Vec<(String, String)> {
        let mut all = vec![
            ("BERTH_SERVICE_TOKENS".to_owned(), SERVICE_TOKEN.to_owned()),
            ("BERTH_LOG".to_owned(), "info".to_owned()),
        ];
        all.extend(self.settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        all
    }
}

impl Cluster {
    /// Starts the other config-services, and waits until they are ready.
    pub async fn launch_others(&mut self) {
        for n in 1..self.setup.config_services {
            let mut role = Role::start(self.setup.config_recipe(&format!("config-service-{n}")));
            role.ready().await;
            self.others.push(role);
        }
    }

    /// Returns all config-services: [`Cluster::config`], then [`Cluster::others`].
    pub fn config_services(&self) -> impl Iterator<Item = &Role> {
        std::iter::once(&self.config).chain(&self.others)
    }

    /// Returns one of the config-services, counted as [`Cluster::config_services`] does.
    ///
    /// # Panics
    /// When there is none.
    pub fn config_service(&mut self, n: usize) -> &mut Role {
        if n == 0 { &mut self.config } else { &mut self.others[n - 1] }
    }

    /// Returns which config-service says that it leads, and its term. One that does not answer within two seconds is
    /// passed over.
    pub async fn leader(&self) -> Option<(usize, u64)> {
        self.leader_but(None).await
    }

    /// The same, without asking one of them.
    pub async fn leader_but(&self, but: Option<usize>) -> Option<(usize, u64)> {
        for (n, role) in self.config_services().enumerate().filter(|(n, _)| Some(*n) != but) {
            let asking = self.admin_at(role, "/health");
            let health = tokio::time::timeout(Duration::from_secs(2), asking).await.unwrap_or(Err(String::new()));
            let health: Option<Health> = health.ok().and_then(|reply| serde_json::from_slice(&reply.body).ok());
            if let Some(health) = health.filter(|health| health.leader) {
                return Some((n, health.term.0));
            }
        }
        None
    }

    /// Starts the gateways and HTTP tiers of the setup; does not wait for them.
    pub fn launch_rest(&mut self) {
        self.launch_rest_as(None);
    }

    /// Starts them with another program in front: it is given the `berth` binary and its arguments, and must become it.
    pub fn launch_rest_as(&mut self, wrapper: Option<&'static [&'static str]>) {
        for n in 0..self.setup.gateways {
            let recipe = self.gateway_recipe(&format!("gateway-{n}"));
            let recipe = Recipe { wrapper: wrapper.or(recipe.wrapper), ..recipe };
            let gateway = Role::start(recipe);
            self.gateways.push(gateway);
        }
        for n in 0..self.setup.routers {
            let router = Role::start(self.router_recipe(&format!("http-service-{n}")));
            self.routers.push(router);
        }
    }

    /// Waits until every role is ready.
    pub async fn all_ready(&mut self) {
        let Self { config, others, gateways, routers, .. } = self;
        for role in std::iter::once(config).chain(others).chain(gateways).chain(routers) {
            role.ready().await;
        }
    }

    /// Returns how a gateway of this cluster is started.
    pub fn gateway_recipe(&self, pod: &str) -> Recipe {
        // A handler that does its work is not cut off, and tried again a second later, because the machine had something else to do.
        let mut settings = vec![("BERTH_HANDLER_TIMEOUT".to_owned(), "5s".to_owned())];
        // A story's own settings come later, and count.
        settings.extend(self.common());
        settings.extend([
            ("BERTH_POD".to_owned(), pod.to_owned()),
            ("BERTH_GATEWAY_DATA".to_owned(), self.pod_folder(pod).display().to_string()),
        ]);
        // A story that is about replicas says where they are; its gateways are prepared as they start.
        let is_replicated = settings.iter().any(|(name, _)| name == "BERTH_REPLICA");
        if !is_replicated {
            settings.push(("BERTH_REPLICATION".to_owned(), "off".to_owned()));
        } else if settings.iter().all(|(name, _)| name != "BERTH_LITESTREAM") {
            settings.push(("BERTH_LITESTREAM".to_owned(), litestream::program().display().to_string()));
        }
        Recipe {
            name: pod.to_owned(),
            role: "gateway",
            listen: "BERTH_GATEWAY_LISTEN",
            settings,
            wrapper: is_replicated.then(|| litestream::prepared(self.setup.bot)),
            program: self.setup.bot,
        }
    }

    /// Returns how an HTTP tier of this cluster is started.
    pub fn router_recipe(&self, name: &str) -> Recipe {
        let mut settings = self.keys.settings();
        settings.extend(self.common());
        Recipe {
            name: name.to_owned(),
            role: "http-service",
            listen: "BERTH_HTTP_LISTEN",
            settings,
            wrapper: None,
            program: Program::Berth,
        }
    }

    fn common(&self) -> Vec<(String, String)> {
        let mut all = self.setup.common();
        let urls: Vec<_> = self.config_services().map(|role| role.url("")).collect();
        all.push(("BERTH_CONFIG_URL".to_owned(), urls.join(",")));
        all
    }

    /// Returns what its gateways are.
    pub fn bot(&self) -> Program {
        self.setup.bot
    }

    /// Returns the cluster's folder.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Returns the data folder of a pod.
    pub fn pod_folder(&self, pod: &str) -> PathBuf {
        self.folder.path().join(pod)
    }

    /// Returns the gateway of that name.
    ///
    /// # Panics
    /// When there is none.
    pub fn gateway(&mut self, pod: &str) -> &mut Role {
        self.gateways.iter_mut().find(|role| role.name() == pod).expect("a gateway of the cluster")
    }

    /// Posts a delivery as [`Cluster::post_until_taken`] does, and says how often: whoever posts again what was committed and not
    /// answered in time posts a duplicate.
    ///
    /// # Panics
    /// After `most`.
    pub async fn post_counted(&self, delivery: &Delivery, most: Duration) -> (Reply, u64) {
        let mut times = 0;
        eventually("the delivery is taken", most, async || {
            times += 1;
            Some((self.post(delivery).await.ok().filter(acknowledged)?, times))
        })
        .await
    }

    /// Posts a delivery to the first HTTP tier.
    ///
    /// # Errors
    /// When no answer came.
    pub async fn post(&self, delivery: &Delivery) -> Result<Reply, String> {
        self.post_to(0, delivery).await
    }

    /// Posts a delivery to one of the HTTP tiers.
    ///
    /// # Errors
    /// When no answer came.
    pub async fn post_to(&self, router: usize, delivery: &Delivery) -> Result<Reply, String> {
        let url = self.routers[router].url(&delivery.path);
        self.client.call(Method::POST, &url, &delivery.headers, delivery.body.clone()).await
    }

    /// Posts a delivery until it is acknowledged, as a platform does that tries again, or a person who is told to.
    ///
    /// # Panics
    /// After `most`.
    pub async fn post_until_taken(&self, delivery: &Delivery, most: Duration) -> Reply {
        eventually("the delivery is taken", most, async || self.post(delivery).await.ok().filter(acknowledged)).await
    }

    /// Asks the admin API, with its token.
    ///
    /// # Errors
    /// When no answer came.
    pub async fn admin(&self, path: &str) -> Result<Reply, String> {
        self.admin_at(&self.config, path).await
    }

    /// Asks the admin API of one config-service, with its token.
    ///
    /// # Errors
    /// When no answer came.
    pub async fn admin_at(&self, role: &Role, path: &str) -> Result<Reply, String> {
        let token = vec![("authorization".to_owned(), format!("Bearer {ADMIN_TOKEN}"))];
        self.client.call(Method::GET, &role.url(path), &token, Bytes::new()).await
    }

    /// Changes something through the admin API, with its token.
    ///
    /// # Errors
    /// When no answer came.
    pub async fn admin_post(&self, path: &str, body: &Value) -> Result<Reply, String> {
        self.admin_post_at(&self.config, path, body).await
    }

    /// Changes something through the admin API of one config-service, with its token.
    ///
    /// # Errors
    /// When no answer came.
    pub async fn admin_post_at(&self, role: &Role, path: &str, body: &Value) -> Result<Reply, String> {
        let headers = vec![
            ("authorization".to_owned(), format!("Bearer {ADMIN_TOKEN}")),
            ("content-type".to_owned(), "application/json".to_owned()),
        ];
        self.client.call(Method::POST, &role.url(path), &headers, body.to_string()).await
    }

    /// Asks the services' API, with their token.
    ///
    /// # Errors
    /// When no answer came.
    pub async fn service_post(&self, path: &str, body: &Value) -> Result<Reply, String> {
        let headers = vec![
            ("authorization".to_owned(), format!("Bearer {SERVICE_TOKEN}")),
            ("content-type".to_owned(), "application/json".to_owned()),
        ];
        self.client.call(Method::POST, &self.config.url(path), &headers, body.to_string()).await
    }

    /// Asks the admin API until it is not told to come again: while nobody leads, or the pod that has to be asked does not
    /// answer.
    ///
    /// # Panics
    /// When no answer came, or after [`ANSWERS`].
    async fn told(&self, path: &str) -> Reply {
        eventually(&format!("{path} is answered"), ANSWERS, async || {
            let reply = self.admin(path).await.expect("the config-service answers");
            (reply.status != 503).then_some(reply)
        })
        .await
    }

    /// Returns the state of a target as its owner says it, through the config-service, as soon as it does; nothing when there is
    /// no such target.
    ///
    /// # Panics
    /// When the answer is neither that nor 404.
    pub async fn state(&self, target: &str) -> Option<TargetState> {
        let reply = self.told(&format!("/v1/targets/{target}/state")).await;
        match reply.status {
            200 => Some(serde_json::from_slice(&reply.body).expect("a target's state")),
            404 => None,
            other => panic!("the state of {target} is answered {other}: {}", reply.text()),
        }
    }

    /// Waits until a target has applied so many events; returns its state then. What is acknowledged is applied a moment later
    /// where its handler has to be called again.
    ///
    /// # Panics
    /// When it has applied more, or after two minutes.
    pub async fn applied(&self, target: &str, events: u64) -> TargetState {
        eventually(&format!("{target} has applied {events} events"), ANSWERS, async || {
            let state = self.state(target).await?;
            assert!(state.applied <= events, "{target} has applied more than {events} events: {state:?}");
            (state.applied == events).then_some(state)
        })
        .await
    }

    /// Returns all pods as the admin API lists them.
    ///
    /// # Panics
    /// When it does not.
    pub async fn pods(&self) -> Vec<PodStatus> {
        let reply = self.told("/v1/pods").await;
        let list: PodList = serde_json::from_slice(&reply.body).expect("a list of pods");
        list.pods
    }

    /// Returns all targets with their owners, page by page, ordered.
    ///
    /// # Panics
    /// When the admin API does not list them.
    pub async fn targets(&self) -> Vec<Assignment> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/v1/targets?limit=1000{cursor}");
            let reply = self.told(&path).await;
            let page: TargetList = serde_json::from_slice(&reply.body)
                .unwrap_or_else(|why| panic!("not a list of targets: {why}: {}", reply.text()));
            all.extend(page.targets);
            match page.next {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return all,
            }
        }
    }

    /// Returns who owns a target, as soon as somebody leads.
    ///
    /// # Panics
    /// When nobody does.
    pub async fn owner(&self, target: &str) -> String {
        let reply = self.told(&format!("/v1/targets/{target}")).await;
        let owner = reply.json().get("pod").and_then(Value::as_str).map(ToOwned::to_owned);
        owner.unwrap_or_else(|| panic!("{target} has no owner: {} {}", reply.status, reply.text()))
    }

    /// Returns a Telegram chat whose owner is `pod`: messages make new chats from `first` on until one is placed there.
    ///
    /// # Panics
    /// When none of 200 is.
    pub async fn chat_on(&self, pod: &str, first: i64) -> i64 {
        for chat in first..first + 200 {
            self.post_until_taken(&self.message(chat, 1), ANSWERS).await;
            if self.owner(&format!("telegram:channel:{chat}")).await == pod {
                return chat;
            }
        }
        panic!("none of 200 chats was placed on {pod}");
    }

    /// Returns who owns a chat, as config-service has it; nothing when nobody does, or it does not answer.
    pub async fn assignment(&self, chat: i64) -> Option<Assignment> {
        let reply = self.admin(&format!("/v1/targets/telegram:channel:{chat}")).await.ok()?;
        serde_json::from_slice(&reply.body).ok()
    }

    /// Returns an update of Telegram that says hello in a chat, signed as this cluster's bot has it.
    pub fn message(&self, chat: i64, update: u64) -> Delivery {
        telegram::signed(&self.keys, telegram::message(chat, update, "hello").to_string().as_bytes())
    }

    /// Waits until each of the `pods` gateways has its lease and a witness config with all others on disk, and the leader knows
    /// that. Before that one may believe to be alone: it serves without anybody's promise, and nobody may fail it over.
    pub async fn leases_are_kept(&self, pods: usize) {
        for pod in self.gateways.iter().map(|role| role.name().to_owned()) {
            let file = self.pod_folder(&pod).join("lease.json");
            eventually(&format!("the lease of {pod} names {} witnesses", pods - 1), ANSWERS, async || {
                let kept: Value = serde_json::from_slice(&std::fs::read(&file).ok()?).ok()?;
                (kept.pointer("/note/witnesses/pods")?.as_array()?.len() == pods - 1).then_some(())
            })
            .await;
        }
        // What is on disk is acknowledged with the next heartbeat; one may have been under way.
        for _ in 0..2 {
            let since = Instant::now();
            eventually("every pod has sent a heartbeat", ANSWERS, async || {
                let most = since.elapsed();
                let later = |row: &PodStatus| row.lease_age_ms.is_some_and(|age| Duration::from_millis(age) < most);
                let ready = |row: &&PodStatus| row.state == PodState::Ready && later(row);
                let all = self.pods().await;
                (all.iter().filter(ready).count() >= pods).then_some(())
            })
            .await;
        }
    }
}

impl Drop for Cluster {
    /// Ends all at once, so that the last lines that a failed story shows are not about each other's end.
    fn drop(&mut self) {
        let config = std::iter::once(&mut self.config).chain(&mut self.others);
        for role in self.gateways.iter_mut().chain(&mut self.routers).chain(config) {
            role.process().freeze();
        }
    }
}
