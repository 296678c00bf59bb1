//! Puts the role together and takes it apart again. Decides the order: what others rely on begins first and ends last.
//!
//! ```text
//! start  folder lock ▸ lineage is this life's ▸ listener bound ▸ database ▸ agent (register, lease, assignments) ▸ listener served
//! leave  a number that is not to run again: serves on until its targets have moved away
//! stop   web traffic ends ▸ shards are released ▸ no new requests, goaway ▸ what runs is answered ▸ stream ends ▸ database closed ▸ all of it
//!        replicated ▸ goodbye ▸ listener closed
//! ```

mod handler;
mod leaving;
mod replica;

use crate::agent::{Agent, Parts, card::Card, usage::UsageMeter};
use crate::boot::{self, MustPrepare, Over};
use crate::discord::{self, Shards};
use crate::handoff::{self, Handoffs};
use crate::http::{App, Bounds, Door, Links, Peers, routes};
use crate::outbox::Asker;
use crate::reconcile::{self, Reconciler};
use crate::web::{Home, Web, WebBounds};
use crate::{
    Bot, Engine, Options, folder::Folder, folder::writing::Writing, metrics::GatewayMetrics, ownership::Ownership,
    ownership::OwnershipLog, readiness::Readiness, recovery,
};
use anyhow::Context;
use handler::{Attached, Working};
use leaving::Leaving;
use shared::clock::{BootClock, Clock};
use shared::http::relay::{FlowBounds, SenderBounds};
use shared::http::{BoundListener, Client, Probes, Tokens, bind};
use shared::lease::LeaseTerms;
use shared::settings::{Secret, SettingError, value_or_file};
use shared::shutdown::Shutdown;
use shared::telemetry::{Metrics, trace::Tracing};
use shared::wire::link::Window;
use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// How long a connection to the bot's application may take to open.
const APPLICATION_CONNECT: Duration = Duration::from_secs(3);

/// Batches of late events taken at once: each event waits for its commit.
const LATE: usize = 4;

/// How long a call about moves may take.
const HANDOFF_CALL: Duration = Duration::from_secs(3);

/// Runs the gateway role with a bot until `shutdown`. Logs are the caller's.
///
/// # Errors
/// When it cannot start: a setting is missing, a port is taken, the data folder is in use or cannot be opened. Later only
/// when a part of it failed for good.
pub async fn serve(options: Options, bot: impl Into<Bot>, shutdown: Shutdown) -> anyhow::Result<()> {
    serve_by(Arc::new(BootClock), options, bot.into(), shutdown).await
}

/// The same by a clock of the caller's.
async fn serve_by(clock: Arc<dyn Clock>, options: Options, bot: Bot, shutdown: Shutdown) -> anyhow::Result<()> {
    let (tokens, token) = tokens(&options)?;
    if options.prepare && !boot::prepare_first(&options, &shutdown).await? {
        return Ok(());
    }
    let folder = Folder::take(&options.data, &options.pod, options.pod_uid.as_deref())?;
    let replicated = boot::check(&options, &folder)?;
    let over = Over::new(options.data.clone(), replicated.is_some());
    let bound = bind(options.listen, "--listen (BERTH_GATEWAY_LISTEN)").await?;
    let card = Card::new(&options, bound.address)?;
    tracing::info!(pod = %options.pod, listen = %bound.address, address = card.address, data = %folder.path().display(), same_boot = folder.same_boot(), "gateway starts");

    let attached = Attached::new(&options).await?;
    let bot = match &attached {
        Some(attached) => bot.answered_by(attached.remote()),
        None => bot,
    };
    let ownership = Ownership::new(options.pod.clone(), clock, LeaseTerms::default());
    let (metrics, probes) = (Metrics::new(), Probes::new());
    let own_metrics = GatewayMetrics::new(&metrics, ownership.clone(), options.data.clone());
    let engine_stop = Shutdown::new();
    let tracing = Tracing::start(&options.traces, "berth-gateway", options.pod.as_str(), &metrics)?;
    let (tracer, replication) = (tracing.tracer(), replica::replication(&options, replicated.as_ref()));
    let (writing, settled) = match &replicated {
        Some(_) => Some(boot::begin_writing(&options, &folder).await?).unzip(),
        None => (None, None),
    };
    let opening =
        Engine::open_with(&options, ownership.clone(), bot, &metrics, tracer, engine_stop.clone(), replication);
    let engine =
        opening.await.with_context(|| format!("cannot open the pod's database in {}", options.data.display()))?;
    drop(settled);
    if let Some(opened) = &replicated {
        opened.is_of(&engine.incarnation())?;
        tracing::info!(lineage = %opened.lineage, "the database is replicated");
    }
    if let Some(file) = &options.ownership_log {
        let log = OwnershipLog::open(file, options.pod.clone(), engine.incarnation());
        ownership.write_log(log.with_context(|| format!("cannot write --ownership-log {}", file.display()))?);
    }
    engine.take_up().await.context("cannot take up what the pod's database says it owned")?;
    let copies = replica::Copies::open(&options, replicated.as_ref())?;
    if let Some(copies) = &copies {
        copies.follow(&options, &engine, engine_stop.clone())?;
    }
    let registered = probes.latch("registered", "not registered with config-service yet");
    let readiness = Readiness::new(&probes, ownership.clone(), engine.clone(), attached.as_ref().map(Attached::remote));
    let client = Client::new(&options.config_url, Some(token.clone()), HANDOFF_CALL)?;
    let shards = Shards::default();
    let moves = handoff::Parts {
        ownership: ownership.clone(),
        engine: engine.clone(),
        client,
        token: token.clone(),
        shards: shards.clone(),
        limits: move_limits(&options),
        meters: handoff::HandoffMeters::register(&metrics),
    };
    let handoffs = Handoffs::start(moves, engine_stop.clone());
    if engine.replication().is_on() {
        let parts = recovery::Parts {
            ownership: ownership.clone(),
            engine: engine.clone(),
            client: Client::new(&options.config_url, Some(token.clone()), HANDOFF_CALL)?,
            replica: options.replica.clone(),
            data: options.data.clone(),
            at_once: options.restores,
            space: options.restore_space,
            meters: recovery::RecoveryMeters::register(&metrics),
        };
        recovery::start(parts, engine_stop.clone());
    }
    let home = Home { set: options.web.clone(), handler: attached.as_ref().map(Attached::remote) };
    let web = Web::new(home, web_bounds(&options), ownership.clone(), &metrics, tracing.tracer());
    shared::shutdown::spawn(web.clone().watch(engine_stop.clone()));
    let parts = Parts {
        ownership: ownership.clone(),
        engine: engine.clone(),
        registered,
        readiness: readiness.clone(),
        metrics: own_metrics.clone(),
        moves: Arc::new(handoffs.clone()),
        kept: folder.kept().clone(),
        over: over.clone(),
        usage: UsageMeter::start(ownership.clock().clone(), options.memory_limit, web.clone()),
    };
    let leaving = Leaving::new(&options, token.clone())?;
    let config = Client::new(&options.config_url, Some(token.clone()), HANDOFF_CALL)?;
    let reconciler = Reconciler::new(
        engine.clone(),
        ownership.clone(),
        (config, token.clone()),
        reconcile::Bounds::new(&options),
        engine_stop.clone(),
    );
    shared::shutdown::spawn(reconciler.run());
    share_requests(&options, &engine, &token, &metrics, engine_stop.clone())?;
    let agent = Agent::start(&options, token.clone(), card, parts)?;

    let door = Door::new(ownership.clone(), engine.clone(), own_metrics);
    let around =
        discord::Around { engine: &engine, ownership: &ownership, door: &door, metrics: &metrics, token: &token };
    discord::start(&options, &around, &shards, engine_stop.clone())?;
    let links = Links::new(bounds(&options), options.links);
    let peers = Peers::new(agent.witness().clone(), agent.courier().clone(), options.peer_requests);
    let drills = copies.as_ref().map(|copies| copies.drills(&options, &engine, &metrics, engine_stop.clone()));
    let client = Client::new(&options.config_url, Some(token.clone()), HANDOFF_CALL)?;
    let retention = copies.as_ref().map(|copies| copies.retention(&options, &engine, client, engine_stop.clone()));
    let (tokens, aside_kept) = (Arc::new(tokens), options.quarantine_retention);
    let late = Arc::new(Semaphore::new(LATE));
    let app = App {
        tokens,
        door,
        links: links.clone(),
        web: web.clone(),
        peers,
        handoffs,
        shards: shards.clone(),
        late,
        drills,
        retention,
        aside_kept,
    };
    let router = routes(app, &probes, metrics, readiness);
    let running = Running { agent, engine, engine_stop, links, web, shards, probes, options, over, leaving, writing };
    let ended = running.run(bound, router, attached, shutdown).await;
    tracing.stop().await;
    drop(folder);
    ended
}

/// Has the pod's calls to Discord wait for its part of the bot's budget.
fn share_requests(
    options: &Options,
    engine: &Engine,
    token: &Secret,
    metrics: &Metrics,
    stop: Shutdown,
) -> anyhow::Result<()> {
    let args = &options.discord;
    let bot = value_or_file("BERTH_DISCORD_TOKEN", args.discord_token.as_deref(), args.discord_token_file.as_deref())?;
    let of = engine.clone();
    let asker = Asker {
        client: Client::new(&options.config_url, Some(token.clone()), HANDOFF_CALL)?,
        pod: options.pod.clone(),
        incarnation: Box::new(move || of.incarnation()),
        bot: bot.map(|bot| bot.trim().to_owned()),
        call: options.outbox_timeout,
    };
    if let Some(discord) = engine.discord() {
        discord.share(asker, metrics, stop);
    }
    Ok(())
}

fn tokens(options: &Options) -> Result<(Tokens, Secret), SettingError> {
    let name = "BERTH_SERVICE_TOKENS";
    let list = value_or_file(name, options.service_tokens.as_deref(), options.service_tokens_file.as_deref())?;
    let tokens = Tokens::parse(list.as_deref().unwrap_or_default());
    let token = tokens.current().cloned().ok_or(SettingError::Missing {
        name,
        remedy: "set it to the secret that Berth's services share, the same for all of them",
    })?;
    Ok((tokens, token))
}

fn bounds(options: &Options) -> Bounds {
    Bounds {
        window: Window { requests: options.link_requests, bytes: options.link_bytes },
        max_frame: options.max_frame,
        silence: options.link_silence,
    }
}

fn move_limits(options: &Options) -> handoff::Limits {
    handoff::Limits {
        copying: options.moves_copying,
        frozen: options.moves_frozen,
        taking: options.moves_taking,
        small: options.moves_small,
        together: options.moves_together,
        reach: options.moves_reach,
    }
}

fn web_bounds(options: &Options) -> WebBounds {
    WebBounds {
        flow: FlowBounds { max_body: options.web_max_body, idle: options.web_idle, min_rate: options.web_min_rate },
        sender: SenderBounds {
            connect: APPLICATION_CONNECT,
            idle: options.web_idle,
            max_head: options.limits.max_head_bytes,
            max_headers: options.limits.max_headers,
        },
        connections: options.web_connections,
        of_target: options.web_target_connections,
    }
}

/// Completes when the handler, if it is another program, cannot be worked with.
async fn refusal(handler: Option<&mut Working>) -> anyhow::Error {
    match handler {
        Some(handler) => handler.refused().await,
        None => std::future::pending().await,
    }
}

/// The role at work.
struct Running {
    agent: Agent,
    engine: Engine,
    engine_stop: Shutdown,
    links: Links,
    web: Web,
    shards: Shards,
    probes: Probes,
    options: Options,
    over: Over,
    leaving: Leaving,
    writing: Option<Writing>,
}

impl Running {
    async fn run(
        self,
        bound: BoundListener,
        router: axum::Router,
        attached: Option<Attached>,
        shutdown: Shutdown,
    ) -> anyhow::Result<()> {
        let listening = Shutdown::new();
        let mut handler =
            attached.map(|attached| attached.start(&self.options, self.engine.tracer(), listening.clone()));
        let mut refused = None;
        let limits = self.options.limits.clone();
        let mut server = shared::shutdown::spawn(shared::http::serve(bound, router, limits, listening.clone()));
        let ended = tokio::select! {
            () = self.told_to_stop(&shutdown) => Ok(()),
            // What it has acknowledged stands; another life of it begins where nobody writes to the old path.
            () = self.over.ended() => {
                refused = Some(MustPrepare("the lineage of this pod's database is over").into());
                Ok(())
            }
            // The pod is in order and leaves in order; only its handler is not.
            why = refusal(handler.as_mut()) => {
                refused = Some(why);
                Ok(())
            }
            () = self.agent.ended() => Err(anyhow::anyhow!("the agent has ended by itself; the log above has the cause")),
            () = self.engine.replication().sealed() => {
                self.over.end("it was sealed");
                refused = Some(MustPrepare("somebody has sealed the lineage of this pod's database").into());
                Ok(())
            }
            () = self.engine.ended() => Err(anyhow::anyhow!("the database's writer has ended by itself; the log above has the cause")),
            served = &mut server => {
                served.context("the listener's task failed")?.context("the listener failed")?;
                Err(anyhow::anyhow!("the listener has ended by itself"))
            }
        };
        if ended.is_ok() {
            self.stop().await;
            listening.cancel();
            server.await.context("the listener's task failed")?.context("the listener failed")?;
        }
        refused.map_or(ended, Err)
    }

    /// Completes when the pod was told to stop and may.
    async fn told_to_stop(&self, shutdown: &Shutdown) {
        shutdown.cancelled().await;
        self.leaving.may_stop().await;
    }

    async fn stop(mut self) {
        let stopping = self.probes.latch("stopping", "this pod is stopping");
        let most = self.options.limits.stop_timeout;
        // Events are taken on while the last pages are sent: nobody waits for a browser.
        self.web.stop(most).await;
        // While the leases hold and the links are open: what is under way is committed, and how far it was written down.
        self.shards.stop().await;
        let finish = async {
            self.links.stop().await;
            self.engine.finish_calls().await;
        };
        if tokio::time::timeout(most, finish).await.is_err() {
            tracing::warn!("requests or calls of the handler were still running at the end of the stop timeout");
        }
        self.agent.stop_stream().await;
        let (replication, flush) = (self.engine.replication().clone(), self.engine.flush(most));
        self.engine.stop().await;
        if let Some(writing) = self.writing {
            writing.end();
        }
        replica::flushed(&replication, flush, most).await;
        self.engine_stop.cancel();
        self.agent.leave().await;
        drop(stopping);
        tracing::info!("gateway stopped");
    }
}

#[cfg(test)]
mod tests;
