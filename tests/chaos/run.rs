//! A run: load, fault after fault, peace, and the reckoning at the end. Decides the order of things; what a fault does, and
//! what is wrong, is decided elsewhere.

mod careless;

pub(crate) use careless::is_found as carelessness_is_found;

use crate::{
    args,
    faults::{Deck, Fault, Kind},
    load::{self, Load, Senders},
    reckoning::reckon,
    report::{Report, Row},
    strike::{Struck, heal, strike},
    world::{Plan, World},
};
use anyhow::{Context, bail};
use shared::{
    Mono,
    clock::{BootClock, Clock},
};
use std::{collections::BTreeMap, path::Path, time::Duration};
use tokio::time::sleep;

/// How long all may take to be well again after the last fault (OWNERSHIP.md, I12).
const CONVERGE: Duration = Duration::from_secs(60);
/// How long a single fault is waited for before the next one comes all the same.
const RECOVER: Duration = Duration::from_secs(30);
/// Sooner than the HTTP tier gives up.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(20);

/// A run under way.
struct Run {
    world: World,
    load: Load,
    owners: BTreeMap<String, String>,
    began: Mono,
    rows: Vec<Row>,
    calm: Duration,
}

/// Makes a run in `folder` and reports it.
pub(crate) async fn run(options: &args::Run, plan: &Plan, folder: &Path) -> anyhow::Result<Report> {
    let kinds = kinds(options)?;
    let mut run = Run::begin(options, plan, folder).await?;
    let mut deck = Deck::new(options.seed, &kinds);
    let until = run.began.after(Duration::from_secs_f64(options.minutes * 60.0));
    while BootClock.now() < until {
        let peace = BootClock.now();
        run.rest(Duration::from_millis(deck.peace_ms())).await?;
        run.calm = run.calm.max(run.load.ledger.longest_within(peace, BootClock.now()));
        let faults = deck.draw();
        run.make(&faults).await?;
    }
    run.reckon(options).await
}

fn kinds(options: &args::Run) -> anyhow::Result<Vec<Kind>> {
    if options.faults.is_empty() {
        return Ok(Kind::ALL.to_vec());
    }
    let known = || Kind::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
    let named = |name: &String| Kind::named(name).with_context(|| format!("no fault is called {name}: {}", known()));
    options.faults.iter().map(named).collect()
}

impl Run {
    /// Starts a cluster under load.
    async fn begin(options: &args::Run, plan: &Plan, folder: &Path) -> anyhow::Result<Self> {
        let world = World::start(plan, folder).await?;
        let senders = Senders::to(&world, options.targets, options.rate, PATIENCE);
        let began = BootClock.now();
        let load = Load::start(&senders, options.targets);
        let mut run = Self { world, load, owners: BTreeMap::new(), began, rows: Vec::new(), calm: Duration::ZERO };
        run.all_served(began, CONVERGE).await.context("the load never got going")?;
        Ok(run)
    }

    /// Waits, and starts again what ended by itself.
    async fn rest(&mut self, most: Duration) -> anyhow::Result<()> {
        let until = BootClock.now().after(most);
        while BootClock.now() < until {
            self.world.supervise()?;
            sleep(LOOK.min(until.since(BootClock.now()))).await;
        }
        Ok(())
    }

    /// Makes faults, at once; takes them back, each in its time; waits until who felt them is served again.
    async fn make(&mut self, faults: &[Fault]) -> anyhow::Result<()> {
        // Who owns what is asked while the control plane can still be asked.
        if let Ok(owners) = self.world.owners().await {
            self.owners = owners;
        }
        let from = BootClock.now();
        let mut under_way: Vec<(Fault, Struck)> = Vec::new();
        for fault in faults {
            match strike(&mut self.world, fault).await {
                Ok(struck) => under_way.push((*fault, struck)),
                Err(why) => self.rows.push(self.refused(fault, from, &why)),
            }
        }
        under_way.sort_by_key(|(fault, _)| fault.hold_ms);
        let mut healed = Vec::new();
        for (fault, struck) in &mut under_way {
            let end = from.after(Duration::from_millis(fault.hold_ms));
            self.rest(end.since(BootClock.now())).await?;
            // Sometimes nobody is there to be asked to take it back: then it is asked for once more.
            if let Err(why) = heal(&mut self.world, struck).await {
                self.rest(CONVERGE / 6).await?;
                heal(&mut self.world, struck).await.with_context(|| format!("{}: {why}", fault.kind.name()))?;
            }
            healed.push(BootClock.now());
        }
        for ((fault, struck), healed) in under_way.iter().zip(healed) {
            let mut row = self.measured(fault, struck, from, healed).await?;
            row.together = under_way.len() > 1;
            eprintln!(
                "{:7.1} s  {:18} {:22} for {:5} ms: waited {:6} ms, served again {}",
                row.at_s,
                row.kind,
                row.who,
                row.hold_ms,
                row.pause_ms,
                row.served_again_ms.map_or("not yet".to_owned(), |ms| format!("after {ms} ms"))
            );
            self.rows.push(row);
        }
        Ok(())
    }

    async fn measured(&mut self, fault: &Fault, struck: &Struck, from: Mono, healed: Mono) -> anyhow::Result<Row> {
        let hit = self.hit(struck);
        let deadline = healed.after(RECOVER);
        let served = loop {
            let served = hit.iter().map(|i| self.load.ledger.served_since(*i, healed)).collect::<Option<Vec<_>>>();
            if served.is_some() || BootClock.now() > deadline {
                break served;
            }
            self.rest(LOOK).await?;
        };
        let now = BootClock.now();
        let served = served.map(|all| all.into_iter().max().unwrap_or(healed));
        let pause = self.load.ledger.longest_wait(&hit, from, served.unwrap_or(now), now);
        Ok(Row {
            at_s: from.since(self.began).as_secs_f64(),
            kind: fault.kind.name(),
            who: struck.detail.clone(),
            hold_ms: millis(healed.since(from)),
            together: false,
            targets: hit.len(),
            pause_ms: millis(pause),
            served_again_ms: served.map(|at| millis(at.since(healed))),
            refused: None,
        })
    }

    fn refused(&self, fault: &Fault, from: Mono, why: &anyhow::Error) -> Row {
        let at_s = from.since(self.began).as_secs_f64();
        eprintln!("{at_s:7.1} s  {:18} not made: {why:#}", fault.kind.name());
        Row {
            at_s,
            kind: fault.kind.name(),
            who: String::new(),
            hold_ms: 0,
            together: false,
            targets: 0,
            pause_ms: 0,
            served_again_ms: None,
            refused: Some(format!("{why:#}")),
        }
    }

    /// The targets that feel a fault.
    fn hit(&self, struck: &Struck) -> Vec<usize> {
        let names: Vec<_> = struck.gateways.iter().map(|n| self.world.gateways[*n].name()).collect();
        // Who owns what could not be asked yet: then all count.
        if names.is_empty() || self.owners.is_empty() {
            return (0..self.load.ledger.targets()).collect();
        }
        self.owned_by(&self.owners, &names).collect()
    }

    /// The targets that these pods own.
    fn owned_by(&self, owners: &BTreeMap<String, String>, names: &[&str]) -> impl Iterator<Item = usize> {
        let owned = move |i: &usize| owners.get(&load::target(*i)).is_some_and(|pod| names.contains(&pod.as_str()));
        (0..self.load.ledger.targets()).filter(owned)
    }

    /// Waits until every target is served and every node is ready.
    async fn well_again(&mut self, since: Mono) -> anyhow::Result<()> {
        self.all_served(since, CONVERGE).await?;
        self.world.all_ready().await
    }

    /// Waits until every target has been acknowledged an event since `since`.
    async fn all_served(&mut self, since: Mono, most: Duration) -> anyhow::Result<()> {
        let deadline = BootClock.now().after(most);
        loop {
            let all = 0..self.load.ledger.targets();
            let waiting: Vec<_> = all.filter(|i| self.load.ledger.served_since(*i, since).is_none()).collect();
            let Some(first) = waiting.first() else { return Ok(()) };
            if BootClock.now() > deadline {
                bail!("{} targets are not served, among them {}", waiting.len(), load::target(*first));
            }
            self.rest(LOOK).await?;
        }
    }

    async fn reckon(mut self, options: &args::Run) -> anyhow::Result<Report> {
        let healed = BootClock.now();
        let converged = self.well_again(healed).await;
        let unserved =
            |ledger: &load::Ledger| (0..ledger.targets()).filter(|i| ledger.served_since(*i, healed).is_none()).count();
        let unserved = unserved(&self.load.ledger);
        let seconds = BootClock.now().since(self.began).as_secs_f64();
        let (verdict, acknowledged) = reckon(&mut self.world, &mut self.load, options.self_test).await?;
        if options.self_test {
            crate::spoil::found(&verdict)?;
        }
        let mut report = Report {
            seed: options.seed,
            seconds,
            acknowledged,
            lost: 0,
            doubled: 0,
            overlapping_owners: 0,
            disordered: 0,
            unserved,
            calm_ms: millis(self.calm),
            uncertain: 0,
            ownership_lines: 0,
            changed_hands: 0,
            ended_by_themselves: std::mem::take(&mut self.world.ended),
            faults: 0,
            fault_kinds: BTreeMap::new(),
            rows: std::mem::take(&mut self.rows),
            findings: converged.err().map(|why| format!("{why:#}")).into_iter().collect(),
        };
        report.judged(&verdict);
        report.counted();
        Ok(report)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
