//! Guilds of a bot on Discord as a whole: a pod that hears of them asks for their homes, many at a time and beside their shard;
//! an outage is no removal; and whoever begins to serve one knows what it is.

use crate::discord_shards::{Guilds, MOST, moved, shard, stands};
use berth_tests::{Cluster, Setup, eventually, pod_data};
use rusqlite::OptionalExtension;
use serde_json::{Value, json};
use shared::wire::discord::ShardState;
use std::collections::BTreeMap;

/// So many guilds come up at once.
const MANY: u64 = 20_000;

fn guild(id: u64) -> String {
    format!("discord:guild:{id}")
}

/// Returns what the owner of a target has under a key.
async fn kept(cluster: &Cluster, target: &str, key: &str) -> Option<Value> {
    let owner = cluster.targets().await.into_iter().find(|found| found.target.as_str() == target)?.pod;
    let database = pod_data::open(&cluster.pod_folder(owner.as_str()));
    let sql = "SELECT k.value FROM kv k JOIN target t ON t.id = k.target_id
               WHERE t.name = ?1 AND t.state = 'owned' AND k.key = ?2";
    let text: Option<String> = database.query_row(sql, [target, key], |row| row.get(0)).optional().expect("the schema");
    text.and_then(|text| serde_json::from_str(&text).ok())
}

/// Waits until the handler of a guild has been told that it stands so.
async fn is_told(cluster: &Cluster, target: &str, standing: &str) {
    eventually(&format!("{target} is {standing}"), MOST, async || {
        (kept(cluster, target, "guild").await? == standing).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_thousand_guilds_come_up_beside_their_shards_without_a_storm() {
    let guilds = Guilds::empty().await;
    // Until both pods have a shard, Discord greets nobody; and nothing is moved for an even share before all are there.
    guilds.discord.set_silent(true);
    let setup = Setup { gateways: 2, ..guilds.setup() };
    let setup = setup.with("BERTH_DISCORD_HELLO", "2s").with("BERTH_DISCORD_RETRY", "2s");
    let cluster = setup.with("BERTH_REBALANCE_INTERVAL", "0s").start().await;
    for (id, pod) in [(0, "gateway-0"), (1, "gateway-1")] {
        let homes =
            async || cluster.targets().await.iter().any(|found| found.target.as_str() == shard(id)).then_some(());
        eventually("the shard has a home", MOST, homes).await;
        moved(&cluster, &shard(id), pod, || {}).await;
    }
    for n in 1..=MANY {
        guilds.discord.add_guild(n << 22, "a guild");
    }
    guilds.discord.set_silent(false);
    let all = (MANY + 2) as f64;
    eventually("all guilds have homes", MOST, async || {
        (cluster.gateways[0].metric("berth_route_table_targets", &[]).await >= all).then_some(())
    })
    .await;
    let targets: BTreeMap<_, _> = cluster
        .targets()
        .await
        .into_iter()
        .map(|found| (found.target.as_str().to_owned(), found.pod.as_str().to_owned()))
        .collect();
    assert_eq!(targets.len() as u64, MANY + 2);
    let beside = (1..=MANY).filter(|n| {
        let holder = if n % 2 == 0 { "gateway-0" } else { "gateway-1" };
        targets[&guild(n << 22)] == holder
    });
    assert_eq!(beside.count() as u64, MANY, "each pod has the half that its shard has");
    let mut calls = 0.0;
    for pod in &cluster.gateways {
        calls += pod.metric("berth_route_place_calls_total", &[]).await;
    }
    assert!((1.0..=200.0).contains(&calls), "config-service was asked {calls} times");
    // What is told of them then arrives, too.
    for n in [1, 2] {
        is_told(&cluster, &guild(n << 22), "available").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_no_removal_and_neither_takes_anything_of_a_guild() {
    let mut guilds = Guilds::new().await;
    let cluster = guilds.setup().start().await;
    for id in 0..2 {
        stands(&cluster, id, ShardState::Ready).await;
    }
    let (out, left) = (2_u64 << 22, 3_u64 << 22);
    for id in [out, left] {
        is_told(&cluster, &guild(id), "available").await;
    }
    guilds.say(3);
    guilds.all_is_there(&cluster).await;
    guilds.discord.outage(out, true);
    is_told(&cluster, &guild(out), "outage").await;
    guilds.discord.outage(out, false);
    is_told(&cluster, &guild(out), "available").await;
    guilds.discord.remove_guild(left);
    is_told(&cluster, &guild(left), "removed").await;
    // All that was said in both is there still, and what they are.
    guilds.all_is_there(&cluster).await;
    for id in [out, left] {
        let known = kept(&cluster, &guild(id), "berth/discord-guild").await.expect("kept");
        assert_eq!((&known["data"]["name"], &known["data"]["id"]), (&json!("a guild"), &json!(id.to_string())));
        assert_eq!(known["data"]["channels"][0]["name"], "general");
    }
    let standing = kept(&cluster, &guild(left), "berth/discord-standing").await.expect("kept");
    assert_eq!(standing["standing"], "removed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guild_that_is_moved_is_known_to_its_new_pod_before_its_first_event() {
    let mut guilds = Guilds::new().await;
    let cluster = guilds.setup().start().await;
    for id in 0..2 {
        stands(&cluster, id, ShardState::Ready).await;
    }
    let id = 4_u64 << 22;
    is_told(&cluster, &guild(id), "available").await;
    let from = cluster.owner(&guild(id)).await;
    let to = if from == "gateway-0" { "gateway-1" } else { "gateway-0" };
    moved(&cluster, &guild(id), to, || {}).await;
    guilds.say(2);
    guilds.all_is_there(&cluster).await;
    let acquired = eventually("the handler has said what it was told", MOST, async || {
        let told = kept(&cluster, &guild(id), "acquired").await?;
        (told["pod"] == to).then_some(told)
    });
    let acquired = acquired.await;
    assert_eq!((&acquired["standing"], &acquired["name"]), (&json!("available"), &json!("a guild")));
    assert!(acquired["as_of_ms"].is_u64(), "{acquired}");
}
