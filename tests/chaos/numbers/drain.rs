//! The drain of a pod that has many small targets, and the pause of each: a cluster of its own, begun with one pod that gets
//! them all.

use super::{Bench, Figure};
use crate::world::{Plan, Who, World};
use anyhow::{Context, ensure};
use berth_tests::senders::standard;
use http::Method;
use serde_json::json;
use shared::clock::{BootClock, Clock};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::task::JoinSet;

const SENDERS: usize = 64;
const PROMISED: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(250);
const WITHIN: Duration = Duration::from_secs(90);

/// Fills a pod, lets two others join, drains it.
pub(super) async fn drain(plan: &Plan, folder: &Path, targets: usize) -> anyhow::Result<Vec<Figure>> {
    let mut bench = Bench::start(&Plan { gateways: 3, ..plan.clone() }, folder, 0, 1).await?;
    for n in [1, 2] {
        ensure!(bench.world.gateways[n].stop(Duration::from_secs(15)).await, "a gateway does not stop in order");
        bench.world.take_down(Who::Gateway(n));
    }
    let first_alone = async |own: &Bench| owned(&own.world, 1).await == Some(0);
    bench.until("the config-service answers", WITHIN, first_alone).await?;
    fill(&bench.world, targets).await?;
    for n in [1, 2] {
        bench.world.bring_up(Who::Gateway(n))?;
    }
    bench.world.all_ready().await?;
    let count = owned(&bench.world, 0).await.context("the pod is not listed")?;
    ensure!(count >= targets as u64 / 2, "the pod has only {count} targets");
    let began = BootClock.now();
    let path = format!("/v1/pods/{}/drain", bench.world.gateways[0].name());
    let reply = bench.world.admin(&Method::POST, &path, Some(&json!({"reason": "measured"}))).await?;
    ensure!((200..300).contains(&reply.status), "POST {path}: {} {}", reply.status, reply.text());
    let empty = async |own: &Bench| owned(&own.world, 0).await == Some(0);
    let drained = bench.until("the pod is drained", WITHIN, empty).await;
    let left = owned(&bench.world, 0).await;
    let done = drained.with_context(|| format!("{left:?} of {count} targets were left"))?;
    let all_over = async |own: &Bench| pauses(&own.world).await.is_ok_and(|pauses| pauses.len() as u64 >= count);
    bench.until("every move is over", WITHIN, all_over).await?;
    Ok(vec![
        Figure::times(&format!("Drain of {count} small targets"), vec![done.since(began)], PROMISED),
        Figure::times("The same: pause of each, as its pods measured it", pauses(&bench.world).await?, PAUSE),
    ])
}

/// The pauses of the moves that are over.
async fn pauses(world: &World) -> anyhow::Result<Vec<Duration>> {
    let (mut pauses, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/moves?state=cleaned&limit=1000{cursor}");
        let page = world.admin(&Method::GET, &path, None).await?.json();
        let moves = page["moves"].as_array().context("a page of moves")?;
        pauses.extend(moves.iter().filter_map(|of| of["pause_ms"].as_u64()).map(Duration::from_millis));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(pauses),
        }
    }
}

/// How many targets a gateway has, as the control plane says.
async fn owned(world: &World, gateway: usize) -> Option<u64> {
    let reply = world.admin(&Method::GET, "/v1/pods", None).await.ok()?.json();
    let name = world.gateways[gateway].name();
    reply["pods"].as_array()?.iter().find(|pod| pod["pod"] == name)?["targets"].as_u64()
}

/// Sends each target its first event.
async fn fill(world: &World, targets: usize) -> anyhow::Result<()> {
    let client = berth_tests::Client::new(Duration::from_secs(20));
    let (router, next) = (world.routers[0].url(""), Arc::<AtomicUsize>::default());
    let mut senders = JoinSet::new();
    for _ in 0..SENDERS {
        let (client, router, next, keys) = (client.clone(), router.clone(), Arc::clone(&next), world.keys.clone());
        senders.spawn(async move {
            loop {
                let i = next.fetch_add(1, Ordering::SeqCst);
                if i >= targets {
                    return;
                }
                let body = json!({"target": format!("small{i}"), "do": "note", "text": "a few bytes"}).to_string();
                let delivery = standard::signed(&keys, &format!("small{i}"), body.as_bytes());
                let url = format!("{router}{}", delivery.path);
                // What is not taken is not there: the count is checked afterwards.
                let _ = client.call(Method::POST, &url, &delivery.headers, delivery.body).await;
            }
        });
    }
    while senders.join_next().await.is_some() {}
    Ok(())
}
