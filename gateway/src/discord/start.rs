//! Puts the connections to Discord's gateway together: the token, the routing table that is kept while there is one, the links
//! to the other pods. Without a token there is none of it.

use super::{
    homes::{Homes, Near, Settle},
    lanes::{Deliver, Room},
    line::Bounds,
    meters::Meters,
    permits, report,
    shards::{Means, Paths, Shards, shard},
    status::Plan,
    twilight::Twilight,
    ways::{Ways, deliver},
};
use crate::{Engine, Options, http::Door, ownership::Ownership};
use anyhow::Context;
use futures_util::FutureExt;
use shared::{
    TargetId,
    http::{Client, Probes},
    router::{
        Parking, RouteMeters, Router, Snapshot,
        forward::{LinkOptions, Links},
        routes::{Feed, Placer, Routes},
    },
    settings::{Secret, value_or_file},
    shutdown::Shutdown,
    telemetry::Metrics,
};
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

/// How long config-service may take to answer.
const CALL: Duration = Duration::from_secs(2);

/// How long it may take to place targets, many at a time.
const PLACING: Duration = Duration::from_secs(10);

/// How long a link to a pod may take to open, and be silent before it counts as dead.
const LINK: Duration = Duration::from_secs(3);

/// How often it is looked whether this pod was given a shard that it has no token for.
const LOOK: Duration = Duration::from_secs(10);

/// What the connections stand on.
pub(crate) struct Around<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) ownership: &'a Ownership,
    pub(crate) door: &'a Door,
    pub(crate) metrics: &'a Metrics,
    pub(crate) token: &'a Secret,
}

/// Begins to hold the shards of this pod in `shards`, until `stop`.
///
/// # Errors
/// When a setting is none, or this machine has no root certificates.
pub(crate) fn start(options: &Options, around: &Around<'_>, shards: &Shards, stop: Shutdown) -> anyhow::Result<()> {
    let args = &options.discord;
    let name = "BERTH_DISCORD_TOKEN";
    let Some(bot) = value_or_file(name, args.discord_token.as_deref(), args.discord_token_file.as_deref())? else {
        shared::shutdown::spawn(without_token(around.ownership.clone(), stop));
        return Ok(());
    };
    let (engine, ownership, metrics) = (around.engine, around.ownership, around.metrics);
    let client = |patience| Client::new(&options.config_url, Some(around.token.clone()), patience);
    let bot = Secret::new(bot.trim());
    let twilight = Twilight::new(&bot, args.discord_intents.0, &args.discord_gateway, client(permits::ANSWER)?)
        .context("cannot connect to Discord's gateway")?;
    let (routes, tracker) = (Routes::new(), TaskTracker::new());
    let link_options = LinkOptions {
        token: around.token.clone(),
        name: options.pod.to_string(),
        timeout: LINK,
        max_frame: options.max_frame,
        except: Some(options.pod.clone()),
    };
    let links = Links::new(link_options, tracker, stop.clone());
    Snapshot { routes: routes.clone(), links: links.clone() }.register(metrics);
    let latch = Probes::new().latch("table", "no whole routing table has arrived yet");
    let silence = options.watch_silence;
    let feed = Feed { client: client(CALL)?, routes: routes.clone(), links: links.clone(), latch, silence };
    let (placer, placing) = Placer::new(client(PLACING)?, routes.clone(), args.discord_open);
    shared::shutdown::spawn(feed.run(stop.clone()));
    let meters = RouteMeters::register(metrics);
    let placing = placing.traced(engine.tracer().clone()).counted(meters.place_calls.clone());
    let placing = placing.paced(args.discord_place.into(), args.discord_place_every);
    shared::shutdown::spawn(placing.run(stop.clone()));
    // While one lot of them is placed, the next one gathers.
    let homes = Homes::new(placer.clone(), routes.clone(), 2 * usize::from(args.discord_place));
    let router = Arc::new(Router {
        routes,
        placer,
        upstream: Ways { me: options.pod.clone(), door: around.door.clone(), links },
        parking: Parking::new(args.discord_open, args.discord_open_bytes, meters.parked.clone()),
        meters,
        park_telegram: Duration::ZERO,
        tracer: engine.tracer().clone(),
    });
    let ways = move |own: TargetId| {
        let (near, homes, router) = (Near::new(own), homes.clone(), Arc::clone(&router));
        let beside = near.clone();
        let deliver: Arc<Deliver> = Arc::new(move |event, behind| {
            let beside = beside.of(&event.target);
            deliver(Arc::clone(&router), event, behind, beside).boxed()
        });
        let settle: Arc<Settle> = Arc::new(move |guilds| {
            // Known at once: what Discord tells of them comes next.
            near.lists(guilds.len());
            homes.clone().settle(near.clone(), guilds).boxed()
        });
        Paths { deliver, settle }
    };
    let bounds = Bounds {
        room: Room { at_once: args.discord_at_once.max(1), in_a_row: args.discord_in_a_row.max(1) },
        events: args.discord_open.max(2),
        bytes: args.discord_open_bytes.max(2),
        hello: args.discord_hello,
        retry: args.discord_retry,
        pause: args.discord_pause,
        keep: args.discord_keep,
    };
    let (plan, planned) = watch::channel(Plan::default());
    let reporting = report::run(client(CALL)?, options.pod.clone(), shards.clone(), plan, stop.clone());
    shared::shutdown::spawn(reporting);
    let means = Means {
        plan: planned,
        connector: Arc::new(twilight),
        ways: Box::new(ways),
        bounds,
        meters: Meters::register(metrics),
        engine: engine.clone(),
        ownership: ownership.clone(),
    };
    shared::shutdown::spawn(shards.clone().run(means, stop));
    Ok(())
}

/// Says so when this pod is given a shard and has no token.
async fn without_token(ownership: Ownership, stop: Shutdown) {
    let looking = async {
        loop {
            if let Some(target) = ownership.owned_by(|target| shard(target).is_some()).first() {
                tracing::error!(%target, "this pod was given a shard of a bot on Discord and has no token: set BERTH_DISCORD_TOKEN (or its file) on every gateway");
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    let _: Option<()> = stop.run_until_cancelled(looking).await;
}
