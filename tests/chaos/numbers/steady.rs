//! Numbers of single misfortunes: a gateway killed and back, one gone for good, a leader lost, targets moved.

use super::{Bench, Figure};
use crate::{load, world::Who};
use anyhow::Context;
use http::Method;
use serde_json::json;
use shared::{
    Mono,
    clock::{BootClock, Clock},
};
use std::time::Duration;

/// An answer that was under way when a process died has arrived by then.
const UNDER_WAY: Duration = Duration::from_millis(30);
const WITHIN: Duration = Duration::from_secs(40);
const ROUNDS: usize = 5;
/// Longer than any lease: who serves then, serves by its witnesses' promises.
const ALONE: Duration = Duration::from_secs(9);

impl Bench {
    /// The targets a gateway owns, as the control plane has it.
    ///
    /// # Errors
    /// Also when the replica that answers is a moment behind and does not know of every target.
    pub(super) async fn owned(&self, gateway: usize) -> anyhow::Result<Vec<usize>> {
        let (owners, name) = (self.world.owners().await?, self.world.gateways[gateway].name());
        let unknown = (0..self.targets).find(|i| !owners.contains_key(&load::target(*i)));
        anyhow::ensure!(unknown.is_none(), "a config-service does not know of all targets yet");
        let own = |i: &usize| owners.get(&load::target(*i)).is_some_and(|pod| pod == name);
        Ok((0..self.targets).filter(own).collect())
    }

    /// The same of a gateway that is about to be broken: without any target there is nothing to measure.
    async fn served_by(&mut self, gateway: usize) -> anyhow::Result<Vec<usize>> {
        let some = async |own: &Self| own.owned(gateway).await.is_ok_and(|owned| !owned.is_empty());
        self.until("the gateway owns targets", WITHIN, some).await?;
        self.owned(gateway).await
    }

    /// Waits until all of `targets` are served again; how long each took from `killed` on.
    async fn back(&mut self, targets: &[usize], killed: Mono, dead: Mono) -> anyhow::Result<Vec<Duration>> {
        let since = dead.after(UNDER_WAY);
        let all = async |own: &Self| targets.iter().all(|i| own.load.ledger.served_since(*i, since).is_some());
        self.until("the targets are served again", WITHIN, all).await?;
        let of = |i: &usize| self.load.ledger.served_since(*i, since).map(|at| at.since(killed));
        Ok(targets.iter().filter_map(of).collect())
    }
}

/// A gateway is killed and started again in place; with `alone` while nobody of the control plane is there.
pub(super) async fn restart(bench: &mut Bench, alone: bool) -> anyhow::Result<Vec<Figure>> {
    let mut owned = Vec::new();
    for n in 0..bench.world.gateways.len() {
        owned.push(bench.served_by(n).await?);
    }
    if alone {
        bench.world.postgres.crash();
        (0..bench.world.configs.len()).for_each(|n| bench.world.take_down(Who::Config(n)));
        tokio::time::sleep(ALONE).await;
        let now = BootClock.now();
        if let Err(why) = bench.served(now, Duration::from_secs(5)).await {
            control_plane_back(bench).await?;
            return Err(why.context("without the control plane"));
        }
    }
    let mut all = Vec::new();
    let mut failed = None;
    for round in 0..ROUNDS {
        let n = round % bench.world.gateways.len();
        let killed = BootClock.now();
        bench.world.gateways[n].kill();
        let dead = BootClock.now();
        bench.world.gateways[n].start()?;
        match bench.back(&owned[n], killed, dead).await {
            Ok(times) => all.extend(times),
            Err(why) => failed = Some(why),
        }
    }
    let mut figures = Vec::new();
    if alone {
        let took = control_plane_back(bench).await?;
        figures.push(Figure::times(
            "Control plane started again, from its database's first answer until it leads",
            vec![took],
            Duration::from_secs(5),
        ));
    }
    if let Some(why) = failed {
        return Err(why);
    }
    let name = if alone {
        "The same while the control plane is gone"
    } else {
        "Gateway killed and restarted in place, until its targets are served"
    };
    figures.insert(0, Figure::times(name, all, Duration::from_secs(3)));
    Ok(figures)
}

/// Starts the control plane again; how long it took from the moment its database answered.
async fn control_plane_back(bench: &mut Bench) -> anyhow::Result<Duration> {
    bench.world.postgres.resume().await?;
    let up = BootClock.now();
    for n in 0..bench.world.configs.len() {
        bench.world.bring_up(Who::Config(n))?;
    }
    let leads = async |own: &Bench| own.world.leader().await.is_some();
    Ok(bench.until("a config-service leads", WITHIN, leads).await?.since(up))
}

/// A gateway is gone for good: until the control plane has given its targets to others. It comes back afterwards.
pub(super) async fn gone(bench: &mut Bench) -> anyhow::Result<Vec<Figure>> {
    let mut all = Vec::new();
    for n in [1, 2] {
        let owned = bench.served_by(n).await?;
        let name = bench.world.gateways[n].name().to_owned();
        let gone = BootClock.now();
        bench.world.take_down(Who::Gateway(n));
        let nobody = async |own: &Bench| {
            let Ok(owners) = own.world.owners().await else { return false };
            owned.iter().all(|i| owners.get(&load::target(*i)).is_some_and(|owner| *owner != name))
        };
        let reassigned = bench.until("its targets are reassigned", WITHIN, nobody).await;
        bench.world.bring_up(Who::Gateway(n))?;
        all.push(reassigned?.since(gone));
        let now = BootClock.now();
        bench.served(now, WITHIN).await.context("after its return")?;
    }
    let name = "Gateway gone for good, from its end until its targets are reassigned";
    Ok(vec![Figure::times(name, all, Duration::from_secs(8))])
}

/// The leader is killed: until another one leads, and what the traffic saw of it.
pub(super) async fn leader(bench: &mut Bench) -> anyhow::Result<Vec<Figure>> {
    let mut all = Vec::new();
    let (mut longest, failures) = (Duration::ZERO, bench.load.ledger.failures());
    let everybody: Vec<_> = (0..bench.targets).collect();
    for _ in 0..3 {
        let leader = bench.world.leader().await.context("nobody leads")?;
        let killed = BootClock.now();
        bench.world.take_down(Who::Config(leader));
        let another = async |own: &Bench| own.world.leader().await.is_some_and(|now| now != leader);
        let led = bench.until("another one leads", WITHIN, another).await;
        bench.world.bring_up(Who::Config(leader))?;
        let led = led?;
        all.push(led.since(killed));
        longest = longest.max(bench.load.ledger.longest_wait(&everybody, killed, led, BootClock.now()));
        bench.world.all_ready().await?;
    }
    Ok(vec![
        Figure::times("Leader lost, until another one leads", all, Duration::from_secs(3)),
        Figure::told("Longest wait of an event meanwhile", vec![longest]),
        Figure::none(
            "Failed webhooks meanwhile",
            bench.load.ledger.failures() - failures,
            bench.load.ledger.count(),
            "failed",
        ),
    ])
}

/// Targets of a few rows are moved under load: the pause as the pods measured it, and as the senders felt it.
pub(super) async fn moves(bench: &mut Bench) -> anyhow::Result<Vec<Figure>> {
    let (mut pauses, mut felt) = (Vec::new(), Vec::new());
    for i in 0..50 {
        let began = BootClock.now();
        let path = format!("/v1/targets/{}/move", load::target(i));
        let reply = bench.world.admin(&Method::POST, &path, Some(&json!({"reason": "measured"}))).await?;
        anyhow::ensure!(reply.status == 202, "POST {path}: {} {}", reply.status, reply.text());
        let path = format!("/v1/moves/{}", reply.json()["id"]);
        let is_over = async |own: &Bench| {
            let found = own.world.admin(&Method::GET, &path, None).await.map(|reply| reply.json());
            found.is_ok_and(|found| {
                matches!(found["state"].as_str(), Some("committed" | "cleaned" | "aborted"))
                    && (found["state"] == "aborted" || found["pause_ms"].is_u64())
            })
        };
        let over = bench.until("the move is over", WITHIN, is_over).await?;
        let found = bench.world.admin(&Method::GET, &path, None).await?.json();
        let pause = found["pause_ms"].as_u64().with_context(|| format!("aborted: {}", found["detail"]))?;
        pauses.push(Duration::from_millis(pause));
        felt.push(bench.load.ledger.longest_wait(&[i], began, over, BootClock.now()));
    }
    Ok(vec![
        Figure::times(
            "Planned move of a small target: its pause, as its pods measured it",
            pauses,
            Duration::from_millis(50),
        ),
        Figure::told("The same: longest wait of its events, as their sender felt it", felt),
    ])
}
