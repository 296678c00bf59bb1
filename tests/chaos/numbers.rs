//! The numbers of docs/reliability.md: each is measured several times on a cluster without proxies and with its clocks as
//! they are, while events arrive. Decides what is measured and what was promised of it; the page is `berth_tests::page`'s.

mod drain;
mod figure;
mod rolling;
mod steady;

pub(crate) use figure::Figure;

use crate::{
    args,
    load::{Load, Senders},
    world::{Plan, World},
};
use anyhow::{Context, bail};
use shared::{
    Mono,
    clock::{BootClock, Clock},
};
use std::{path::Path, time::Duration};
use tokio::time::sleep;

const LOOK: Duration = Duration::from_millis(10);
/// The first contacts of all targets.
const BEGIN: Duration = Duration::from_secs(60);
/// Longer than the HTTP tier looks for an owner: nobody hangs up first.
const PATIENCE: Duration = Duration::from_secs(16);
const TARGETS: usize = 200;
const RATE: u64 = 600;

/// The names of all numbers, in the order they are measured in.
const ALL: &[&str] =
    &["restart", "restart-alone", "leader", "move", "rolling-inplace", "rolling-handover", "gone", "drain"];

/// Measures what was asked for; all when nothing was. What cannot be measured says why in its row.
pub(crate) async fn measure(options: &args::Run, plan: &Plan, folder: &Path) -> anyhow::Result<Vec<Figure>> {
    if let Some(unknown) = options.only.iter().find(|name| !ALL.contains(&name.as_str())) {
        bail!("no number is called {unknown}: {}", ALL.join(", "));
    }
    let wanted = |name: &str| options.only.is_empty() || options.only.iter().any(|only| only == name);
    let mut figures = Vec::new();
    let steady: Vec<_> = ALL.iter().copied().filter(|name| *name != "drain" && wanted(name)).collect();
    if !steady.is_empty() {
        let mut bench = Bench::start(plan, &folder.join("steady"), TARGETS, RATE).await?;
        for name in steady {
            eprintln!("measuring {name}");
            let measured = match name {
                "restart" => steady::restart(&mut bench, false).await,
                "restart-alone" => steady::restart(&mut bench, true).await,
                "leader" => steady::leader(&mut bench).await,
                "move" => steady::moves(&mut bench).await,
                "rolling-inplace" => rolling::in_place(&mut bench).await,
                "rolling-handover" => rolling::handover(&mut bench).await,
                _ => steady::gone(&mut bench).await,
            };
            let measured = measured.unwrap_or_else(|why| vec![Figure::not_measured(name, &why)]);
            measured.iter().for_each(|figure| eprint!("{}", figure.row()));
            figures.extend(measured);
            bench.well_again().await?;
        }
        figures.push(bench.reckon().await?);
    }
    if wanted("drain") {
        eprintln!("measuring drain");
        let measured = drain::drain(plan, &folder.join("drain"), options.drained).await;
        figures.extend(measured.unwrap_or_else(|why| vec![Figure::not_measured("drain", &why)]));
    }
    Ok(figures)
}

/// A cluster under load that is measured.
#[derive(Debug)]
struct Bench {
    world: World,
    load: Load,
    targets: usize,
}

impl Bench {
    async fn start(plan: &Plan, folder: &Path, targets: usize, rate: u64) -> anyhow::Result<Self> {
        std::fs::create_dir(folder)?;
        std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let world = World::start(plan, folder).await?;
        let load = Load::start(&Senders::to(&world, targets, rate, PATIENCE), targets);
        let mut bench = Self { world, load, targets };
        let began = BootClock.now();
        bench.served(began, BEGIN).await.context("the load never got going")?;
        bench.well_again().await?;
        Ok(bench)
    }

    /// Waits until `done` says so.
    async fn until(
        &mut self,
        what: &str,
        most: Duration,
        mut done: impl AsyncFnMut(&Self) -> bool,
    ) -> anyhow::Result<Mono> {
        let deadline = BootClock.now().after(most);
        while !done(self).await {
            if BootClock.now() > deadline {
                bail!("not within {most:?}: {what}");
            }
            self.world.supervise()?;
            sleep(LOOK).await;
        }
        Ok(BootClock.now())
    }

    /// Waits until every target was acknowledged something since `since`.
    async fn served(&mut self, since: Mono, most: Duration) -> anyhow::Result<Mono> {
        let all = 0..self.targets;
        let everybody = async |own: &Self| all.clone().all(|i| own.load.ledger.served_since(i, since).is_some());
        self.until("all targets are served", most, everybody).await
    }

    async fn well_again(&mut self) -> anyhow::Result<()> {
        self.world.all_ready().await?;
        // A leader that is new hears of each pod by its next heartbeat.
        let known = async |own: &Self| own.world.pods_are_ready().await;
        self.until("the control plane knows every gateway as ready", BEGIN, known).await?;
        let now = BootClock.now();
        self.served(now, BEGIN).await?;
        Ok(())
    }

    /// Ends all and counts what is lost or doubled.
    async fn reckon(mut self) -> anyhow::Result<Figure> {
        let (verdict, acknowledged) = crate::reckoning::reckon(&mut self.world, &mut self.load, false).await?;
        for finding in verdict.findings() {
            eprintln!("FOUND {finding}");
        }
        Ok(Figure::kept(acknowledged, &verdict))
    }
}
