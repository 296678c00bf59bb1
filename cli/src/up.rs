//! `berth up`: a whole cluster on this machine, every role a process of its own re-executed from this binary. This file
//! decides the order of things; each step has a file of its own.

mod check;
mod child;
mod discord;
mod fleet;
mod handler;
mod lock;
mod mourner;
mod ports;
mod ready;
mod replicas;
mod restart;
mod screen;
mod settings;
mod supervise;
mod tail;

use crate::{
    exit::{Code, Failure},
    home::{self, Cluster, Gateway, Home},
    output,
    secrets::Made,
};
use child::Ground;
use discord::{Discord, DiscordArgs};
use fleet::{Fleet, Plan};
use handler::HandlerArgs;
use mourner::Mourner;
use ports::{PortArgs, Ports};
use replicas::{ReplicaArgs, Replicas};
use settings::{Passed, SecretArgs};
use shared::{
    shutdown::{Shutdown, on_signals},
    telemetry::LogArgs,
};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use supervise::Supervisor;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep},
};

/// How long the processes of an `up` that was killed may take to notice.
const LEFTOVERS: Duration = Duration::from_secs(15);

/// Flags of `berth up`.
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Examples:\n  berth up\n  berth up --pods 5 --data /var/tmp/berth\n  berth up --handler http://127.0.0.1:8080     your own bot, in any language\n  berth up --discord-double     with a Discord of your own and a page to type into\n  berth up --check     start, send one event per platform, verify, stop"
)]
pub(crate) struct Args {
    /// The data folder [default: ./.berth; with --check one that is removed afterwards]
    #[arg(long, env = "BERTH_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// How many gateways a new folder begins with; once `berth scale to` has said another number there, that one counts
    #[arg(long, env = "BERTH_UP_PODS", default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    pods: u16,
    /// Where assignments are kept: `postgres://…`, or SQLite in the data folder when it is left out
    #[arg(long, env = "BERTH_CONFIG_STORE", hide_env_values = true, value_name = "URL")]
    config_store: Option<String>,
    /// Start, send one signed event per platform, verify answers and state, stop
    #[arg(long)]
    check: bool,
    /// How long all may take to become ready
    #[arg(long, env = "BERTH_UP_START_TIMEOUT", default_value = "60s", value_parser = shared::settings::duration, value_name = "TIME")]
    start_timeout: Duration,
    /// How long each process may take to stop before it is killed
    #[arg(long, env = "BERTH_UP_GRACE", default_value = "10s", value_parser = shared::settings::duration, value_name = "TIME")]
    grace: Duration,
    /// Whose handler.
    #[command(flatten)]
    handler: HandlerArgs,
    /// The double of Discord.
    #[command(flatten)]
    discord: DiscordArgs,
    /// The replicas.
    #[command(flatten)]
    replicas: ReplicaArgs,
    /// The children's logs.
    #[command(flatten)]
    log: LogArgs,
    /// Which ports.
    #[command(flatten)]
    ports: PortArgs,
    /// Secrets of your own.
    #[command(flatten)]
    secrets: SecretArgs,
}

/// Runs a cluster until a signal comes, or checks one.
pub(crate) fn main(args: Args, with_parent: bool) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::error)?;
    runtime.block_on(async {
        let shutdown = on_signals(with_parent).map_err(Failure::error)?;
        if !args.check || args.data.is_some() {
            let home = Home::at(args.data.as_deref().unwrap_or(Path::new(home::DEFAULT)));
            return run(&args, &home, shutdown).await;
        }
        let folder = tempfile::Builder::new().prefix("berth-check-").tempdir().map_err(Failure::error)?;
        let done = run(&args, &Home::at(folder.path()), shutdown).await;
        if done.is_err() {
            eprintln!("the data folder is kept: {}", folder.keep().display());
        }
        done
    })
}

async fn run(args: &Args, home: &Home, shutdown: Shutdown) -> Result<(), Failure> {
    home.create()?;
    let _lock = lock::take(home)?;
    let made = Made::load_or_make(home)?;
    let passed = args.secrets.settle(&made, args.check)?;
    let before = home.cluster()?;
    same_store(before.as_ref(), args, home)?;
    let scaled = before.as_ref().and_then(|cluster| cluster.scaled);
    let pods = scaled.unwrap_or(args.pods);
    if pods != args.pods {
        eprintln!("{pods} gateways, as berth scale said last; --pods {} is what a new folder begins with", args.pods);
    }
    let crashed = before.is_some_and(|cluster| cluster.running);
    let replicas = args.replicas.settle(home).await?;
    let Some(ports) = free_ports(args, pods, crashed, &shutdown).await? else { return Ok(()) };
    let discord = args.discord.start(args.check)?;
    let mut cluster = Cluster { scaled, ..record(args, &ports, &passed) };
    home.record(&cluster)?;
    let away = screen::left_out(home.path(), pods);
    for pod in &away {
        eprintln!("{pod} has data here but is not started with {pods} gateways; its targets wait for it");
    }

    let (notices, mut deaths) = mpsc::channel(64);
    let (ready, ever_ready) = watch::channel(false);
    let program = std::env::current_exe().map_err(|why| Failure::error(format!("cannot find this binary: {why}")))?;
    let hopeless = if crashed { 6 } else { 3 };
    let ground = Ground { program, notices, ever_ready, hopeless, grace: args.grace };
    let plan = Plan { args, home, ports: &ports, passed: &passed, replicas: &replicas, discord: discord.as_ref() };
    let mut fleet = Fleet::start(plan.specs()?, &ground);

    let token = settings::service_token(&passed)?;
    let mourner = Mourner::new(home, cluster.config_url.clone(), token.clone());
    let supervisor = Supervisor::new(home, &cluster.config_url, token, plan, ground, mourner.clone())?;
    let mut done = tokio::select! {
        done = started(&cluster, args.start_timeout, home) => done,
        failure = fleet::lost(&mut deaths, home, &mourner, Vec::new()) => Err(failure),
        () = shutdown.cancelled() => interrupted(args),
    };
    if done.is_ok() && !shutdown.is_cancelled() {
        ready.send_replace(true);
        let began = cluster.clone();
        done = tokio::select! {
            done = serve(args, home, &began, (&replicas, discord.as_ref()), &made, &shutdown) => done,
            failure = fleet::lost(&mut deaths, home, &mourner, away) => Err(failure),
            failure = supervisor.run(&mut fleet, &mut cluster), if !args.check => Err(failure),
        };
    }
    fleet.stop().await;
    home.record(&Cluster { running: false, ..cluster })?;
    done
}

async fn started(cluster: &Cluster, limit: Duration, home: &Home) -> Result<(), Failure> {
    let mut roles = vec![
        ("config-service".to_owned(), cluster.config_url.clone()),
        ("http-service".to_owned(), cluster.http_url.clone()),
    ];
    roles.extend(cluster.gateways.iter().map(|gateway| (gateway.pod.clone(), gateway.url.clone())));
    ready::wait(&roles, limit, |line| eprintln!("waiting: {}", output::plain(line))).await.map_err(|reasons| {
        let logs = home.path().join("logs");
        Failure::error(format!("not ready in time: {}; the logs are in {}", reasons.join("; "), logs.display()))
    })
}

/// What happens while everything is ready: the check, or the screen and a wait for a signal.
async fn serve(
    args: &Args,
    home: &Home,
    cluster: &Cluster,
    (replicas, discord): (&Replicas, Option<&Discord>),
    made: &Made,
    shutdown: &Shutdown,
) -> Result<(), Failure> {
    if args.check {
        return tokio::select! {
            done = check::run(cluster, made) => done,
            () = shutdown.cancelled() => interrupted(args),
        };
    }
    output::print(&screen::screen(cluster, home, replicas, discord, &screen::Invocation::of_this_process()))?;
    shutdown.cancelled().await;
    Ok(())
}

/// Refuses a folder whose assignments are elsewhere: its targets would be placed anew, and serve without their state.
fn same_store(before: Option<&Cluster>, args: &Args, home: &Home) -> Result<(), Failure> {
    let (now, data) = (store_in_words(args.config_store.as_deref()), home.path().display());
    match before {
        Some(before) if before.store != now => {
            let text = format!(
                "the assignments of {data} are kept in {}, not in {now}; start it with that store, or another folder with --data",
                before.store
            );
            Err(Failure::new(Code::Conflict, text))
        }
        _ => Ok(()),
    }
}

/// Names a store without its password.
fn store_in_words(url: Option<&str>) -> String {
    match url {
        None => "SQLite in the data folder".to_owned(),
        Some(url) if url.starts_with("postgres") => "PostgreSQL".to_owned(),
        Some(url) => url.to_owned(),
    }
}

/// A signal is how `up` ends; a check that was cut short has verified nothing.
fn interrupted(args: &Args) -> Result<(), Failure> {
    if args.check { Err(Failure::new(Code::Interrupted, "the check was interrupted")) } else { Ok(()) }
}

/// Chooses the ports. After an `up` that was killed, its processes may still be on their way out: they get a while.
/// `None` when a signal came meanwhile.
async fn free_ports(args: &Args, pods: u16, crashed: bool, shutdown: &Shutdown) -> Result<Option<Ports>, Failure> {
    let begun = Instant::now();
    let mut said = false;
    loop {
        match args.ports.choose(pods, args.check) {
            Err(why) if why.code == Code::Conflict && crashed && begun.elapsed() < LEFTOVERS => {
                if !said {
                    eprintln!("the last berth up here did not end in order; waiting for its processes to stop");
                    said = true;
                }
            }
            chosen => return chosen.map(Some),
        }
        tokio::select! {
            () = sleep(Duration::from_millis(200)) => {}
            () = shutdown.cancelled() => return Ok(None),
        }
    }
}

fn record(args: &Args, ports: &Ports, passed: &[Passed]) -> Cluster {
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    let gateways = ports.gateways.iter().zip(0_u16..);
    Cluster {
        running: true,
        scaled: None,
        supervisor: std::process::id(),
        http_url: url(ports.http),
        config_url: url(ports.config),
        gateways: gateways.map(|(port, n)| Gateway { pod: format!("gateway-{n}"), url: url(*port) }).collect(),
        store: store_in_words(args.config_store.as_deref()),
        given: passed.iter().filter(|passed| passed.given).map(|passed| passed.name.to_owned()).collect(),
    }
}

#[cfg(test)]
mod tests;
