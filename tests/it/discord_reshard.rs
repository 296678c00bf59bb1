//! A bot gets more shards while it is written to: the new ones come up beside the old ones, and everything reaches its guild's owner
//! once and in order, also what carries no id of its own, whoever is killed meanwhile.

use super::discord_shards::all_is_there;
use berth_tests::{Cluster, Setup, eventually, pod_data, role::Program};
use discord_double::{DiscordDouble, Rate, Settings, User};
use serde_json::Value;
use shared::wire::discord::{ReshardPhase, ShardRole, ShardState, ShardsStatus};
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::task::JoinHandle;

/// The machine may be busy with much else: nothing here is about how long something takes.
const MOST: Duration = Duration::from_secs(300);

/// What was said in each guild, in order.
type Said = BTreeMap<u64, Vec<String>>;

/// Somebody who writes in every guild, and pins what was written, until they are told to stop.
struct Talker {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Said>,
}

impl Talker {
    fn start(discord: Arc<DiscordDouble>, channels: BTreeMap<u64, u64>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let task = shared::shutdown::spawn(async move {
            let (mut said, ann) = (Said::new(), User::new(77, "ann"));
            // A time of its own for each pin: nothing else tells one from another.
            let mut pins = 0_u64;
            while !told.load(Ordering::SeqCst) {
                for (guild, channel) in &channels {
                    let message = discord.say(*channel, &ann, "something").expect("the channel is there");
                    pins += 1;
                    let (hour, minute, second) = (pins / 3_600, pins / 60 % 60, pins % 60);
                    let at = format!("2026-01-01T{hour:02}:{minute:02}:{second:02}.000000+00:00");
                    assert!(discord.pin(*channel, &at), "the channel is there");
                    let so_far = said.entry(*guild).or_default();
                    so_far.push(format!("message {message}"));
                    so_far.push(format!("pin {at}"));
                }
                tokio::time::sleep(Duration::from_millis(150)).await;
            }
            said
        });
        Self { stop, task }
    }

    async fn stops(self) -> Said {
        self.stop.store(true, Ordering::SeqCst);
        self.task.await.expect("no panic")
    }
}

/// Returns what a pod has taken for a target that it owns, in order.
fn heard(folder: &Path, target: &str) -> Vec<String> {
    let database = pod_data::open(folder);
    let sql = "SELECT j.body FROM journal j JOIN target t ON t.id = j.target_id
               WHERE t.name = ?1 AND t.state = 'owned' AND j.source = 'discord-gateway' ORDER BY j.seq";
    let mut statement = database.prepare(sql).expect("the journal's schema");
    let rows = statement.query_map([target], |row| row.get::<_, Vec<u8>>(0)).expect("the journal is readable");
    let told = rows.filter_map(|row| {
        let told: Value = serde_json::from_slice(&row.expect("a row of the journal")).expect("JSON");
        let text = |field: &str| told["d"][field].as_str().unwrap_or_default().to_owned();
        match told["t"].as_str() {
            Some("MESSAGE_CREATE") => Some(format!("message {}", text("id"))),
            Some("CHANNEL_PINS_UPDATE") => Some(format!("pin {}", text("last_pin_timestamp"))),
            _ => None,
        }
    });
    told.collect()
}

async fn shards(cluster: &Cluster) -> Option<ShardsStatus> {
    let reply = cluster.admin("/v1/discord/shards").await.ok().filter(|reply| reply.status == 200)?;
    Some(reply.json_as())
}

/// Waits until so many shards are live, and nothing is to change.
async fn are_live(cluster: &Cluster, count: usize) {
    eventually(&format!("{count} shards are live"), MOST, async || {
        let status = shards(cluster).await?;
        let so_many = u32::try_from(count).ok();
        let live = status.held.iter().filter(|held| {
            held.status.shard.ends_with(&format!("-{count}"))
                && held.status.role == ShardRole::Live
                && held.status.state == ShardState::Ready
        });
        (status.shards == so_many && status.coming.is_none() && live.count() == count).then_some(())
    })
    .await;
}

/// A Discord with eight guilds that recommends two shards, and a cluster with its bot.
async fn begin() -> (Arc<DiscordDouble>, BTreeMap<u64, u64>, Cluster) {
    // Shards may come as fast as the machine lets them.
    let (pace, starts) = (Duration::ZERO, Rate::of(100, Duration::from_secs(3_600)));
    let settings = Settings { shards: 2, pace, starts, ..Settings::default() };
    let discord = DiscordDouble::start(settings).await.expect("a free port");
    let channels = (2..10_u64).map(|n| (n << 22, discord.add_guild(n << 22, "a guild"))).collect();
    let setup = Setup { routers: 0, bot: Program::StoryBot, ..Setup::default() }
        .with("BERTH_DISCORD_TOKEN", discord.token())
        .with("BERTH_DISCORD_API", &format!("{}/v10", discord.rest_url()))
        .with("BERTH_DISCORD_GATEWAY", &discord.gateway_url())
        .with("BERTH_DISCORD_REFRESH", "500ms")
        .with("BERTH_DISCORD_SHARDS", "auto")
        .with("BERTH_IDENTIFY_EVERY", "200ms");
    let cluster = setup.start().await;
    are_live(&cluster, 2).await;
    (Arc::new(discord), channels, cluster)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_shards_become_four_and_nothing_is_lost_or_told_twice() {
    let (discord, channels, cluster) = begin().await;
    let talker = Talker::start(Arc::clone(&discord), channels);
    discord.recommend(4);
    are_live(&cluster, 4).await;
    // Fewer are recommended; those that there are stay.
    discord.recommend(1);
    let said = talker.stops().await;
    all_is_there(&cluster, &said, heard).await;
    let status = shards(&cluster).await.expect("an answer");
    assert_eq!((status.shards, status.coming), (Some(4), None));
    eventually("the old shards are closed", MOST, async || {
        let open = discord.sessions().into_iter().filter(|session| session.shard.1 == 2 && session.connected);
        (open.count() == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holders_that_are_killed_while_shards_become_more_go_on_and_nothing_is_lost_or_told_twice() {
    let (discord, channels, mut cluster) = begin().await;
    let talker = Talker::start(Arc::clone(&discord), channels);
    discord.recommend(4);
    // Whoever holds one of the new shards, once it is there, and whoever holds an old one.
    for part in ["-4", "-2"] {
        let pod = eventually("there is a holder to be killed", MOST, async || {
            let status = shards(&cluster).await?;
            let ready = |role| matches!(role, ShardRole::Beside | ShardRole::Holding | ShardRole::Live);
            let held =
                status.held.into_iter().find(|held| held.status.shard.ends_with(part) && ready(held.status.role))?;
            Some(held.pod)
        })
        .await;
        let gateway = cluster.gateway(pod.as_str());
        gateway.kill().await;
        gateway.start_again();
        gateway.ready().await;
    }
    are_live(&cluster, 4).await;
    let said = talker.stops().await;
    all_is_there(&cluster, &said, heard).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_killed_in_each_phase_of_it_goes_on_with_that_phase_and_nothing_is_lost_or_told_twice() {
    let (discord, channels, mut cluster) = begin().await;
    let talker = Talker::start(Arc::clone(&discord), channels);
    discord.recommend(4);
    let mut met = Vec::new();
    for least in [ReshardPhase::Beside, ReshardPhase::Holding, ReshardPhase::Closing] {
        let phase = eventually("the next phase has begun, or all of it is over", MOST, async || {
            let status = shards(&cluster).await?;
            let over = status.shards == Some(4) && status.coming.is_none();
            let there = status.coming.is_some() && status.phase >= least;
            (over || there).then_some(status.coming.map(|_| status.phase))
        })
        .await;
        let Some(phase) = phase else { break };
        cluster.config.kill().await;
        cluster.config.start_again();
        cluster.config.ready().await;
        let after = eventually("somebody leads again", MOST, async || shards(&cluster).await).await;
        assert!(after.coming.is_none() || after.phase >= phase, "{phase:?} was written down, {after:?}");
        met.push(phase);
    }
    assert!(met.len() >= 2 && met[0] == ReshardPhase::Beside, "it was killed in the middle: {met:?}");
    are_live(&cluster, 4).await;
    let said = talker.stops().await;
    all_is_there(&cluster, &said, heard).await;
}
