//! Rolling restarts of all pods under load, in both modes: what the senders notice.

use super::{Bench, Figure};
use crate::world::Who;
use anyhow::ensure;
use http::Method;
use serde_json::json;
use shared::clock::{BootClock, Clock};
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(40);
const STOP: Duration = Duration::from_secs(15);

/// Each pod is stopped in order and started again, its targets waiting for it.
pub(super) async fn in_place(bench: &mut Bench) -> anyhow::Result<Vec<Figure>> {
    let (from, count) = (BootClock.now(), bench.load.ledger.count());
    for n in 0..bench.world.gateways.len() {
        restart(bench, n).await?;
    }
    let (now, all) = (BootClock.now(), (0..bench.targets).collect::<Vec<_>>());
    let longest = bench.load.ledger.longest_wait(&all, from, now, now);
    let events = bench.load.ledger.count() - count;
    let mut figure = Figure::told("Rolling restart `inplace` of all pods: longest wait of an event", vec![longest]);
    figure.measured += &format!(", {events} events");
    figure.promised = "nothing lost: see the last row of this cluster".to_owned();
    Ok(vec![figure])
}

/// Each pod is drained, restarted while it has nothing, and taken back.
pub(super) async fn handover(bench: &mut Bench) -> anyhow::Result<Vec<Figure>> {
    let (from, count, failures) = (BootClock.now(), bench.load.ledger.count(), bench.load.ledger.failures());
    for n in 0..bench.world.gateways.len() {
        change(bench, n, "drain").await?;
        let empty = async |own: &Bench| own.owned(n).await.is_ok_and(|owned| owned.is_empty());
        bench.until("the pod is drained", WITHIN, empty).await?;
        restart(bench, n).await?;
        change(bench, n, "undrain").await?;
    }
    let (now, all) = (BootClock.now(), (0..bench.targets).collect::<Vec<_>>());
    let longest = bench.load.ledger.longest_wait(&all, from, now, now);
    let events = bench.load.ledger.count() - count;
    let failed = bench.load.ledger.failures() - failures;
    Ok(vec![
        Figure::none("Rolling restart `handover` of all pods: failed webhooks", failed, events, "failed"),
        Figure::told("The same: longest wait of an event", vec![longest]),
    ])
}

async fn restart(bench: &mut Bench, n: usize) -> anyhow::Result<()> {
    ensure!(bench.world.gateways[n].stop(STOP).await, "{} does not stop in order", bench.world.gateways[n].name());
    bench.world.bring_up(Who::Gateway(n))?;
    bench.world.all_ready().await?;
    let now = BootClock.now();
    bench.served(now, WITHIN).await?;
    Ok(())
}

async fn change(bench: &Bench, n: usize, verb: &str) -> anyhow::Result<()> {
    let path = format!("/v1/pods/{}/{verb}", bench.world.gateways[n].name());
    let reply = bench.world.admin(&Method::POST, &path, Some(&json!({"reason": "measured"}))).await?;
    ensure!((200..300).contains(&reply.status), "POST {path}: {} {}", reply.status, reply.text());
    Ok(())
}
