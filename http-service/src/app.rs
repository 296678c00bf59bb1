//! Puts the role together and runs it: settings in, tasks out. Decides only what it takes to start.

use crate::http::{BodyLimits, Door, Memories, routes};
use crate::metrics::Counters;
use crate::stop::delayed;
use crate::web::Web;
use crate::{Options, ingress::Verifiers};
use shared::clock::BootClock;
use shared::http::{Client, Probes, Tokens, Trust, bind, relay::WEB_ROUTE, serve, traced, traced_as};
use shared::router::forward::{LinkOptions, Links};
use shared::router::routes::{Alone, Feed, Keeper, Placer, Routes};
use shared::router::{Parking, RouteMeters, Router, Snapshot};
use shared::settings::{SettingError, value_or_file};
use shared::shutdown::Shutdown;
use shared::telemetry::{Metrics, trace::Tracing};
use std::sync::Arc;
use tokio_util::task::TaskTracker;

/// Runs the role until `shutdown`.
///
/// # Errors
/// When it cannot start: a setting is missing or malformed, or a port is taken.
pub async fn run(options: Options, shutdown: Shutdown) -> anyhow::Result<()> {
    let token = {
        const NAME: &str = "BERTH_SERVICE_TOKENS";
        let text = value_or_file(NAME, options.service_tokens.as_deref(), options.service_tokens_file.as_deref())?;
        let remedy = "set it, or BERTH_SERVICE_TOKENS_FILE, to the same value on every service";
        let tokens = Tokens::parse(&text.unwrap_or_default());
        tokens.current().cloned().ok_or(SettingError::Missing { name: NAME, remedy })?
    };
    let verifiers = Verifiers::from_settings(&options.sources, options.signature_window)?;
    let client = Client::new(&options.config_url, Some(token.clone()), options.call_timeout)?;
    let bound = bind(options.listen, "--listen (BERTH_HTTP_LISTEN)").await?;
    let address = bound.address;
    match verifiers.on() {
        on if on.is_empty() => tracing::warn!(
            "all sources are off, every webhook gets 404; set at least one of BERTH_DISCORD_PUBLIC_KEY, BERTH_TELEGRAM_SECRETS, BERTH_SLACK_SIGNING_SECRET, BERTH_STANDARD_SECRETS, BERTH_GITHUB_SECRET"
        ),
        on => tracing::info!(sources = on.join(" "), "sources that are on"),
    }

    let (metrics, probes) = (Metrics::new(), Probes::new());
    let shutdown = delayed(shutdown, options.stop_delay, probes.clone());
    let (counters, meters) = (Counters::register(&metrics), RouteMeters::register(&metrics));
    let tracing = Tracing::start(&options.traces, "berth-http-service", &address.to_string(), &metrics)?;
    let tracer = tracing.tracer();
    // The background outlives the listener: requests that run at the end still need their links.
    let (background, tracker) = (Shutdown::new(), TaskTracker::new());
    let table = Routes::new();
    let parking = Parking::new(options.park, options.park_bytes, meters.parked.clone());
    let web = Web::new(&options, &token, table.clone(), parking.clone(), &metrics, tracer.clone(), shutdown.clone())?;
    let link_options = LinkOptions {
        token: token.clone(),
        name: format!("http-service@{address}"),
        timeout: options.link_timeout,
        max_frame: options.max_frame,
        except: None,
    };
    let links = Links::new(link_options, tracker.clone(), background.clone());
    Snapshot { routes: table.clone(), links: links.clone() }.register(&metrics);
    let latch = probes.latch("table", "no whole routing table has arrived from config-service yet");
    let alone = Alone {
        routes: table.clone(),
        links: links.clone(),
        latch: latch.clone(),
        file: options.table.clone(),
        gateways: options.gateways.clone(),
        token,
        patience: options.call_timeout,
    };
    if let Some(file) = options.table.clone() {
        let keeper = Keeper { routes: table.clone(), file, every: options.table_every };
        tracker.spawn(keeper.run(background.clone()));
    }
    let feed = Feed {
        client: client.clone(),
        routes: table.clone(),
        links: links.clone(),
        latch,
        silence: options.watch_silence,
    };
    let (placer, placing) = Placer::new(client, table.clone(), options.park);
    tracker.spawn(alone.run(background.clone()));
    tracker.spawn(feed.run(background.clone()));
    tracker.spawn(placing.traced(tracer.clone()).counted(meters.place_calls.clone()).run(background.clone()));

    let core = Router {
        routes: table,
        placer,
        upstream: links,
        parking,
        meters,
        park_telegram: options.park_telegram,
        tracer: tracer.clone(),
    };
    let bodies =
        BodyLimits { most: options.max_body, most_github: options.max_body_github, timeout: options.body_timeout };
    let door = Arc::new(Door {
        verifiers,
        core,
        counters,
        clock: Arc::new(BootClock),
        bodies,
        memory: Memories::new(options.body_memory),
    });
    tracing::info!(%address, "listening");
    let trust = if options.trace_trust { Trust::Caller } else { Trust::Nobody };
    let pages = traced_as(WEB_ROUTE, web.routes(), &tracer, trust);
    let public = traced(routes(door), &tracer, trust).merge(pages);
    let served = serve(bound, public.merge(probes.routes(metrics)), options.limits, shutdown).await;
    background.cancel();
    tracker.close();
    tracker.wait().await;
    tracing.stop().await;
    Ok(served?)
}
