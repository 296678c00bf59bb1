//! Puts the service together: settings, store, leadership, HTTP. Decides nothing.

use crate::{
    control::{self, Settings},
    http::{Api, Pages, Turns, page_routes, routes, with_request_ids},
    identify::Identify,
    metrics::Metrics,
    options::Options,
    planner::autoscale::Rules,
    rest::Rest,
    scale::{self, Kubernetes, Rhythm, Scaler, Scaling},
    store::{Postgres, Sqlite, Store},
};
use anyhow::Context;
use shared::http::{Probes, Tokens, Trust, bind, serve, traced_without};
use shared::settings::{Secret, SettingError, value_or_file};
use shared::telemetry::trace::Tracing;
use shared::{Clock, shutdown::Shutdown};
use std::{net::SocketAddr, path::Path, path::PathBuf, sync::Arc};

/// A service that has been started.
#[derive(Debug)]
pub(crate) struct Running {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Ends with the service.
    pub(crate) ended: tokio::task::JoinHandle<anyhow::Result<()>>,
}

/// What others have to present.
#[derive(Debug)]
pub(crate) struct Secrets {
    service: Tokens,
    admin: Tokens,
    /// The bot's token on Discord.
    discord: Option<Secret>,
}

impl Secrets {
    /// Reads them from the settings.
    pub(crate) fn read(options: &Options) -> Result<Self, SettingError> {
        let service = tokens(
            "BERTH_SERVICE_TOKENS",
            options.service_tokens.as_deref(),
            options.service_tokens_file.as_ref(),
            "set it to a long random text, the same for all services",
        )?;
        let admin = tokens(
            "BERTH_ADMIN_TOKENS",
            options.admin_tokens.as_deref(),
            options.admin_tokens_file.as_ref(),
            "set it to a long random text, for operators only",
        )?;
        let (value, file) = (&options.discord.discord_token, &options.discord.discord_token_file);
        let discord = value_or_file("BERTH_DISCORD_TOKEN", value.as_deref(), file.as_deref())?;
        Ok(Self { service, admin, discord: discord.map(Secret::new) })
    }
}

/// What goes on all the time, also when nothing happens. It has no spans: an idle cluster would export them for ever.
const STEADY: [&str; 3] = ["/v1/pods/{pod}/heartbeat", "/v1/scale/supervisor", "/v1/watch"];

/// Starts the service on a store. It runs until `shutdown`.
pub(crate) async fn start(
    options: Options,
    secrets: Secrets,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    shutdown: Shutdown,
) -> anyhow::Result<Running> {
    let bound = bind(options.listen, "--listen (BERTH_CONFIG_LISTEN)").await?;
    let address = bound.address;
    let advertised = options.advertise.clone().unwrap_or_else(|| address.to_string());
    let (probes, registry) = (Probes::new(), shared::telemetry::Metrics::new());
    let tracing = Tracing::start(&options.traces, "berth-config-service", &advertised, &registry)?;
    let settings = Settings::new(&options, advertised.clone(), secrets.service.current().cloned());

    let latch = probes.latch("leader", "nobody leads yet");
    let metrics = Metrics::new(&registry);
    let (control, leading) =
        control::lead(Arc::clone(&store), Arc::clone(&clock), settings, metrics.clone(), latch, shutdown.clone());
    let kept = (control.clone(), store, Arc::clone(&clock));
    let rest = Rest::new(&options.discord, kept.clone(), &registry);
    let identify = Identify::start(&options.discord, secrets.discord, kept, &registry, shutdown.clone())?;
    let kubernetes = Kubernetes::start(&options, shutdown.clone()).await?;
    let parts = scale::Parts {
        control: control.clone(),
        scaler: kubernetes.map(|set| -> Arc<dyn Scaler> { Arc::new(set) }),
        rules: rules(&options),
        rhythm: Rhythm { interval: options.autoscaler_interval, deadline: options.scale_deadline },
        metrics,
        clock: Arc::clone(&clock),
    };
    let scaling = Scaling::start(parts, shutdown.clone());
    let api = Api {
        control,
        scaling,
        identify,
        rest,
        service: Arc::new(secrets.service),
        admin: Arc::new(secrets.admin),
        clock: Arc::clone(&clock),
        turns: Turns::default(),
        address: advertised.as_str().into(),
        open_reads: options.open_reads,
        erase_wait: options.erase_wait,
        max_body: options.max_body_bytes,
        patience: options.body_timeout,
        pass_on: options.pass_on,
        leader_lease: options.leader_lease,
    };
    let pages = Pages { api: api.clone(), probes: probes.clone(), address: advertised };
    let pages = traced_without(&STEADY, routes(api).merge(page_routes(pages)), &tracing.tracer(), Trust::Caller);
    let router = with_request_ids(pages.merge(probes.routes(registry)));
    let ended = shared::shutdown::spawn(async move {
        let serving = serve(bound, router, options.limits, shutdown.clone());
        let leading = async {
            let ended = leading.await;
            // Without leadership for good there is nothing to serve.
            shutdown.cancel();
            ended
        };
        let (served, led) = tokio::join!(serving, leading);
        tracing.stop().await;
        led?;
        served.context("the listener failed")
    });
    Ok(Running { address, ended })
}

/// What a pod is meant to carry; how many there may be is a setting that changes.
fn rules(options: &Options) -> Rules {
    let goals =
        [options.autoscaler_cpu, options.autoscaler_memory, options.autoscaler_events, options.autoscaler_sockets];
    Rules {
        goals,
        up: options.autoscaler_up,
        down: options.autoscaler_down,
        cooldown_ms: u64::try_from(options.autoscaler_cooldown.as_millis()).unwrap_or(u64::MAX),
        ..Rules::default()
    }
}

fn tokens(
    name: &'static str,
    value: Option<&str>,
    file: Option<&PathBuf>,
    remedy: &'static str,
) -> Result<Tokens, SettingError> {
    let text = value_or_file(name, value, file.map(PathBuf::as_path))?;
    let tokens = Tokens::parse(&text.unwrap_or_default());
    if tokens.is_empty() { Err(SettingError::Missing { name, remedy }) } else { Ok(tokens) }
}

/// Calls that may wait for the embedded store's thread.
const SQLITE_QUEUE: usize = 1_024;

/// Opens the store the settings name.
pub(crate) fn open(options: &Options) -> anyhow::Result<Arc<dyn Store>> {
    let url = options.store.as_str();
    if let Some(path) = url.strip_prefix("sqlite:").filter(|path| !path.is_empty()) {
        return Ok(Arc::new(Sqlite::open(Path::new(path), SQLITE_QUEUE)?));
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        let store = Postgres::new(url, options.store_connections, options.store_timeout)?;
        return Ok(Arc::new(store.shared_by(options.replicas)));
    }
    anyhow::bail!("--store (BERTH_CONFIG_STORE) is sqlite:PATH or postgres://USER@HOST/DATABASE")
}
