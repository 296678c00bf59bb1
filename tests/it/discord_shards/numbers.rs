//! What shards cost: how long an event takes from Discord to its guild's owner, how long a shard is silent that moves or whose
//! holder is killed. Numbers for docs/discord.md; decides nothing about what is promised.

use super::{Guilds, MOST, moved, shard, stands};
use berth_tests::{
    Cluster, Setup,
    copied::Copied,
    eventually,
    page::{Origin, write_page},
    pod_data,
    process::{berth, cpu},
};
use discord_double::{DiscordDouble, Settings, User};
use shared::{
    clock::{BootClock, Clock},
    wire::discord::ShardState,
};
use std::{collections::BTreeMap, path::Path, time::Duration};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

const SECOND: Duration = Duration::from_secs(1);
/// Messages per second.
const RATE: u32 = 200;
const MOVES: usize = 100;
const KILLS: usize = 5;
const SHARDS: u32 = 16;
const GUILDS_PER_SHARD: u32 = 5_000;
const PODS: [&str; 2] = ["gateway-0", "gateway-1"];

/// Writes the table. Run it alone, on an idle machine, with optimised binaries.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "numbers for docs/discord.md; run by hand"]
async fn of_shards() {
    let mut table = "| what | measured | promised |\n|---|---|---|\n".to_owned();
    table += &from_discord_to_the_owner().await;
    table += &moves().await;
    table += &killed().await;
    table += &come_up().await;
    println!("{table}");
    let typed = "cargo test --release -p berth-tests --test it -- --ignored discord_shards::numbers --nocapture";
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/discord.md");
    write_page(&page, "numbers: shards", &Origin::here(&berth(), typed), &table).expect("the page");
}

/// What was said in the guilds of shard 0, and when, in milliseconds of the wall clock.
#[derive(Default)]
struct Said(BTreeMap<u64, Vec<(String, u64)>>);

impl Said {
    /// Somebody writes for so long, now here, now there.
    async fn write(&mut self, guilds: &Guilds, length: Duration) {
        let of_shard: Vec<_> = guilds.channels.iter().filter(|(guild, _)| (*guild >> 22) % 2 == 0).collect();
        let (ann, mut tick, until) = (User::new(77, "ann"), interval(SECOND / RATE), Instant::now() + length);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut n = 0;
        while Instant::now() < until {
            tick.tick().await;
            let (guild, channel) = of_shard[n % of_shard.len()];
            let at = BootClock.wall_ms();
            let message = guilds.discord.say(*channel, &ann, "something").expect("the channel is there");
            self.0.entry(*guild).or_default().push((format!("MESSAGE_CREATE:{message}"), at));
            n += 1;
        }
    }

    /// Waits until all of it is committed, once and in order. Returns when each was said, and how long it took until it was
    /// committed at its guild's owner, both in milliseconds.
    async fn took(&self, cluster: &Cluster) -> Vec<(u64, u64)> {
        let mut took = Vec::new();
        for (guild, said) in &self.0 {
            let target = format!("discord:guild:{guild}");
            let there = eventually("all of it is committed", MOST, async || {
                let owner = cluster.owner(&target).await;
                let there = committed(&cluster.pod_folder(&owner), &target);
                let last = &said.last().expect("something was said").0;
                there.last().is_some_and(|(id, _)| id == last).then_some(there)
            })
            .await;
            let first = there.iter().position(|(id, _)| *id == said[0].0).expect("the first is there");
            let (ids, wanted): (Vec<_>, Vec<_>) =
                (there[first..].iter().map(|(id, _)| id).collect(), said.iter().map(|(id, _)| id).collect());
            assert!(ids == wanted, "{target}: {} of {} are there, once and in order", ids.len(), wanted.len());
            let pairs = said.iter().zip(&there[first..]);
            took.extend(pairs.map(|((_, said), (_, done))| (*said, done.saturating_sub(*said))));
        }
        took.sort_unstable();
        took
    }
}

/// Returns the messages in the journal of a pod's own target, with when each was committed.
fn committed(folder: &Path, target: &str) -> Vec<(String, u64)> {
    let database = pod_data::open(folder);
    let sql = "SELECT j.event_id, j.at_ms FROM journal j JOIN target t ON t.id = j.target_id
               WHERE t.name = ?1 AND t.state = 'owned' AND j.event_id LIKE 'MESSAGE_CREATE:%' ORDER BY j.seq";
    let mut statement = database.prepare(sql).expect("the journal's schema");
    let rows = statement.query_map([target], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())));
    rows.expect("the journal is readable").map(|row| row.expect("a row of the journal")).collect()
}

/// Returns the part that so many are below.
fn at(mut all: Vec<u64>, part: f64) -> u64 {
    all.sort_unstable();
    all[((all.len() - 1) as f64 * part).round() as usize]
}

async fn all_on(guilds: &Guilds, setup: Setup) -> Cluster {
    // Nothing moves for an even share.
    let cluster = setup.with("BERTH_REBALANCE_INTERVAL", "1h").start().await;
    for id in 0..2 {
        stands(&cluster, id, ShardState::Ready).await;
    }
    // Every guild gets a home.
    let mut said = Said::default();
    said.write(guilds, SECOND).await;
    said.took(&cluster).await;
    let guild = |guild: &u64| format!("discord:guild:{guild}");
    let all = guilds.channels.keys().filter(|guild| (*guild >> 22) % 2 == 0).map(guild).chain([shard(0)]);
    for target in all {
        moved(&cluster, &target, PODS[0], || {}).await;
    }
    stands(&cluster, 0, ShardState::Ready).await;
    cluster
}

/// Events at the pod that holds the shard, and at another one.
async fn from_discord_to_the_owner() -> String {
    let guilds = Guilds::new().await;
    let setup = Setup { gateways: 2, bot: berth_tests::role::Program::Berth, ..guilds.setup() };
    let mut cluster = all_on(&guilds, setup).await;
    let pids = [cluster.gateways[0].process().pid(), cluster.gateways[1].process().pid()];
    let mut rows = String::new();
    for (holder, how) in [(PODS[0], "the shard's own pod"), (PODS[1], "another pod")] {
        moved(&cluster, &shard(0), holder, || {}).await;
        stands(&cluster, 0, ShardState::Ready).await;
        sleep(SECOND).await;
        let used = || pids.iter().map(|pid| cpu(*pid)).sum::<Duration>();
        let (before, mut said) = (used(), Said::default());
        said.write(&guilds, 20 * SECOND).await;
        let took = said.took(&cluster).await;
        let spent = (used() - before).as_secs_f64() * 1e6 / took.len() as f64;
        let took: Vec<_> = took.into_iter().map(|(_, took)| took).collect();
        rows += &format!(
            "| {} events from Discord until they are committed at {how}, {RATE} a second | median {} ms, p99 {} ms; {spent:.0} µs of the pods' processors for each | - |\n",
            took.len(),
            at(took.clone(), 0.5),
            at(took, 0.99),
        );
    }
    rows
}

/// Moves of a shard while its guilds are busy.
async fn moves() -> String {
    let guilds = Guilds::new().await;
    let setup = Setup { gateways: 2, bot: berth_tests::role::Program::Berth, ..guilds.setup() };
    let cluster = all_on(&guilds, setup).await;
    let (mut said, mut begun) = (Said::default(), Vec::new());
    let (writing, moving) = (said.write(&guilds, 20 * SECOND * MOVES as u32), async {
        for n in 0..MOVES {
            begun.push(BootClock.wall_ms());
            moved(&cluster, &shard(0), PODS[(n + 1) % 2], || {}).await;
            stands(&cluster, 0, ShardState::Ready).await;
            sleep(SECOND / 2).await;
        }
    });
    tokio::select! {
        biased;
        () = writing => panic!("the moves take longer than was thought"),
        () = moving => {}
    }
    let took = said.took(&cluster).await;
    let longest = |from: u64, to: u64| {
        let between = took.iter().filter(|(said, _)| (from..to).contains(said));
        between.map(|(_, took)| *took).max().unwrap_or(0)
    };
    let ends = begun.iter().skip(1).copied().chain([u64::MAX]);
    let pauses: Vec<_> = begun.iter().zip(ends).map(|(from, to)| longest(*from, to)).collect();
    assert_eq!(guilds.identifies().len(), 2, "nobody began anew");
    format!(
        "| Longest wait of an event while its shard is moved, {} moves, {} events | median {} ms, p99 {} ms, worst {} ms; 0 lost, 0 doubled | p99 ≤ 1 s |\n",
        pauses.len(),
        took.len(),
        at(pauses.clone(), 0.5),
        at(pauses.clone(), 0.99),
        at(pauses, 1.0),
    )
}

/// Holders of a shard that are killed for good.
async fn killed() -> String {
    let mut silent = Vec::new();
    for _ in 0..KILLS {
        let guilds = Guilds::new().await;
        let setup = Setup { bot: berth_tests::role::Program::Berth, ..guilds.setup() };
        let mut copied = Copied::start(setup.with("BERTH_DRILL_EVERY", "0s")).await;
        let (holder, _) = stands(&copied.cluster, 0, ShardState::Ready).await;
        stands(&copied.cluster, 1, ShardState::Ready).await;
        let mut said = Said::default();
        said.write(&guilds, SECOND).await;
        said.took(&copied.cluster).await;
        for guild in said.0.keys() {
            let to = copied.cluster.gateways.iter().map(|role| role.name().to_owned()).find(|name| *name != holder);
            moved(&copied.cluster, &format!("discord:guild:{guild}"), &to.expect("another pod"), || {}).await;
        }
        copied.cluster.leases_are_kept(3).await;
        sleep(3 * SECOND).await;
        let mut after = Said::default();
        copied.kill(&[&holder]).await;
        after.write(&guilds, 12 * SECOND).await;
        let took = after.took(&copied.cluster).await;
        silent.push(took.iter().map(|(_, took)| *took).max().expect("something was said"));
    }
    format!(
        "| Longest wait of an event whose shard's holder was killed for good, {KILLS} times, with its session from the replica | median {:.1} s, worst {:.1} s; 0 lost, 0 doubled | the lease (6 s) and 3 s |\n",
        at(silent.clone(), 0.5) as f64 / 1e3,
        at(silent, 1.0) as f64 / 1e3,
    )
}

/// Many guilds on many shards, from nothing.
async fn come_up() -> String {
    // One IDENTIFY every five seconds, as a bot has it that is not very large.
    let settings = Settings { shards: SHARDS, guilds_per_shard: 2 * GUILDS_PER_SHARD as usize, ..Settings::default() };
    let discord = DiscordDouble::start(settings).await.expect("a free port");
    let guilds = Guilds { discord, channels: BTreeMap::new(), said: BTreeMap::new() };
    let all = SHARDS * GUILDS_PER_SHARD;
    for n in 1..=all {
        guilds.discord.add_guild(u64::from(n) << 22, "a guild");
    }
    let setup = Setup { bot: berth_tests::role::Program::Berth, ..guilds.setup() };
    let mut cluster = setup.with("BERTH_IDENTIFY_EVERY", "5s").start().await;
    let began = Instant::now();
    let peaks = |cluster: &mut Cluster| cluster.gateways.iter_mut().map(|pod| pod.process().memory_peak()).sum::<u64>();
    let before = peaks(&mut cluster);
    eventually("all shards are ready", 2 * MOST, async || {
        let mut ready = 0.0;
        for pod in &cluster.gateways {
            ready += pod.metric("berth_discord_shards", &[("state", "ready")]).await;
        }
        (ready >= f64::from(SHARDS)).then_some(())
    })
    .await;
    let ready = began.elapsed();
    eventually("every guild has told what it is, at its own pod", 2 * MOST, async || {
        let mut committed = 0.0;
        for pod in &cluster.gateways {
            committed += pod.metric("berth_discord_dispatches_total", &[("outcome", "committed")]).await;
        }
        (committed >= f64::from(all)).then_some(())
    })
    .await;
    let (told, after) = (began.elapsed(), peaks(&mut cluster));
    format!(
        "| {SHARDS} shards with {GUILDS_PER_SHARD} guilds each on three pods, one IDENTIFY every 5 s, from nothing | {SHARDS} shards ready after {:.0} s, all guilds placed and told of after {:.0} s; {:.1} KB of the pods' memory for each guild, at most | {} s by Discord's rules |\n",
        ready.as_secs_f64(),
        told.as_secs_f64(),
        (after - before) as f64 / 1e3 / f64::from(all),
        (SHARDS - 1) * 5,
    )
}
