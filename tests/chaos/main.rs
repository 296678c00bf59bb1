//! `./chaos`: a cluster of real processes in network namespaces, under load, broken in every way, and judged by what is left
//! of it. Decides what a command line means; each part has a file of its own.

mod args;
mod command;
mod evidence;
mod faults;
mod load;
mod net;
mod node;
mod numbers;
mod owned;
mod postgres;
mod preload;
mod proxy;
mod random;
mod reckoning;
mod report;
mod run;
mod spoil;
mod strike;
mod verdict;
mod world;

use anyhow::Context;
use args::{Arguments, Command};
use berth_tests::page::{Origin, write_page};
use clap::Parser;
use report::Report;
use rustix::fs::FlockOperation;
use shared::clock::{BootClock, Clock};
use std::{fs::File, path::Path, process::ExitCode};
use world::Plan;

/// One run at a time on a machine: its namespaces have fixed names.
const LOCK: &str = "/tmp/berth-chaos.lock";
const FOLDER: &str = "berth-chaos-";

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.command {
        Some(Command::Proxy { listen, to }) => proxy::serve(listen, to).await.map(|()| ExitCode::SUCCESS),
        Some(Command::Clock) => {
            println!("{}", BootClock.now().as_nanos());
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Clean) => locked().map(|_lock| {
            sweep();
            ExitCode::SUCCESS
        }),
        None => tokio::select! {
            done = whole(&arguments.run) => done,
            // What is dropped here cleans up behind itself.
            _ = ended() => Ok(ExitCode::from(130)),
        },
    };
    done.unwrap_or_else(|why| {
        eprintln!("chaos: {why:#}");
        ExitCode::from(3)
    })
}

async fn ended() {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut hangup) = (signal(SignalKind::terminate()), signal(SignalKind::hangup()));
    let wait = async |signal: &mut std::io::Result<tokio::signal::unix::Signal>| match signal {
        Ok(signal) => signal.recv().await,
        Err(_) => std::future::pending().await,
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = wait(&mut term) => {}
        _ = wait(&mut hangup) => {}
    }
}

async fn whole(options: &args::Run) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(rustix::process::geteuid().is_root(), "namespaces and mounts need root: sudo ./chaos …");
    let _lock = locked()?;
    sweep();
    let mut folder = tempfile::Builder::new().prefix(FOLDER).tempdir_in("/tmp")?;
    // PostgreSQL runs as another user.
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    folder.disable_cleanup(options.keep);
    let plan = plan(options)?;
    let done = if options.numbers {
        measured(options, &plan, folder.path()).await
    } else {
        broken(options, &plan, folder.path()).await
    };
    if options.keep || !matches!(done, Ok(true)) {
        folder.disable_cleanup(true);
        eprintln!("logs are in {}", folder.path().display());
    }
    Ok(ExitCode::from(u8::from(!done?)))
}

/// Makes a run with faults; returns whether all promises were kept.
async fn broken(options: &args::Run, plan: &Plan, folder: &Path) -> anyhow::Result<bool> {
    let report = run::run(options, plan, folder).await?;
    if options.self_test {
        run::carelessness_is_found(options, plan, folder).await?;
    }
    written(options, &report)?;
    print!("{}", said(&report));
    if let Some(page) = &options.markdown {
        let table = report.table() + "\n" + &report.sentence() + "\n";
        write_page(page, "chaos: faults", &Origin::here(&plan.berth, &typed()), &table)?;
    }
    let enough = report.acknowledged >= options.least_events;
    if !enough {
        println!("fewer than the {} events that were wanted", options.least_events);
    }
    // What was spoilt has been found, else the run had ended by now.
    Ok((options.self_test || report.is_clean()) && enough)
}

/// Measures the numbers; returns whether all were kept.
async fn measured(options: &args::Run, plan: &Plan, folder: &Path) -> anyhow::Result<bool> {
    let plan = Plan { proxied: false, preloaded: false, replicated: false, ..plan.clone() };
    let figures = numbers::measure(options, &plan, folder).await?;
    written(options, &figures)?;
    let rows: String = figures.iter().map(numbers::Figure::row).collect();
    let table = format!("| what | measured | promised | kept |\n|---|---|---|---|\n{rows}");
    print!("\n{table}");
    if let Some(page) = &options.markdown {
        write_page(page, "chaos: numbers", &Origin::here(&plan.berth, &typed()), &table)?;
    }
    Ok(figures.iter().all(|figure| figure.kept != Some(false)))
}

fn written(options: &args::Run, report: &impl serde::Serialize) -> anyhow::Result<()> {
    let Some(path) = &options.json else { return Ok(()) };
    std::fs::write(path, serde_json::to_vec_pretty(report)?).with_context(|| path.display().to_string())
}

fn said(report: &Report) -> String {
    let mut out = format!("\n{}\n", report.table());
    for finding in &report.findings {
        out += &format!("FOUND {finding}\n");
    }
    out += &report.sentence();
    out.push('\n');
    if !report.ended_by_themselves.is_empty() {
        out += &format!("ended by themselves, and were started again: {}\n", report.ended_by_themselves.join(", "));
    }
    out
}

fn plan(options: &args::Run) -> anyhow::Result<Plan> {
    let beside = std::env::current_exe()?.with_file_name("berth");
    // A disk holds what a run writes, and the fault that fills it takes as much memory.
    let disk_bytes = (256 << 20) + (options.minutes * 12.0).ceil() as u64 * (1 << 20);
    Ok(Plan {
        config_services: options.config_services,
        gateways: options.gateways,
        http_services: options.http_services,
        berth: options.binary.clone().unwrap_or(beside),
        proxied: true,
        preloaded: true,
        replicated: true,
        disk_bytes,
        gateway_settings: Vec::new(),
    })
}

/// Removes what earlier runs left behind.
fn sweep() {
    net::sweep();
    world::sweep();
    let left = std::fs::read_dir("/tmp").into_iter().flatten().flatten();
    for entry in left.filter(|entry| entry.file_name().to_string_lossy().starts_with(FOLDER)) {
        let _ = remove(&entry.path());
    }
}

/// Removes a folder of an earlier run, unless somebody wanted to keep it: then it is a day old at least.
fn remove(path: &Path) -> std::io::Result<()> {
    let old = path.metadata()?.modified()?.elapsed().is_ok_and(|age| age.as_secs() > 86_400);
    if old { std::fs::remove_dir_all(path) } else { Ok(()) }
}

fn locked() -> anyhow::Result<File> {
    let lock = File::create(LOCK).context(LOCK)?;
    rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).context("another run is under way")?;
    Ok(lock)
}

/// What was typed to start this.
fn typed() -> String {
    let said: Vec<_> = std::env::args().skip(1).collect();
    format!("./chaos {}", said.join(" "))
}
