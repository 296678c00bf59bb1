//! A bot that holds its connections itself and takes only sessions and permits to identify from Berth: with the hooks of
//! `@discordjs/ws`, and with twilight's `Queue`, against a Discord that counts.

use berth_tests::{
    Cluster, Setup,
    cluster::ADMIN_TOKEN,
    eventually,
    process::{Process, clean},
};
use discord_double::{DiscordDouble, Rate, Settings, User};
use rustix::process::Signal;
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use twilight_gateway_queue::Queue;
use twilight_queue::BerthQueue;

/// The machine may be busy with much else: nothing here is about how long something takes.
const PATIENCE: Duration = Duration::from_secs(180);

/// A Discord that does not mind how fast shards come one after the other: no story goes by the machine's speed.
async fn discord() -> DiscordDouble {
    let (pace, starts) = (Duration::ZERO, Rate::of(100, Duration::from_secs(3_600)));
    let settings = Settings { shards: 2, pace, starts, ..Settings::default() };
    DiscordDouble::start(settings).await.expect("a free port")
}

/// config-service alone, which asks that Discord.
async fn berth(discord: &DiscordDouble, more: &[(&'static str, &str)]) -> Cluster {
    let mut setup = Setup { gateways: 0, routers: 0, ..Setup::default() }
        .with("BERTH_DISCORD_TOKEN", discord.token())
        .with("BERTH_DISCORD_API", &format!("{}/v10", discord.rest_url()))
        .with("BERTH_DISCORD_REFRESH", "500ms")
        .with("BERTH_IDENTIFY_EVERY", "200ms");
    for (name, value) in more {
        setup = setup.with(name, value);
    }
    let mut cluster = setup.prepare();
    cluster.config.ready().await;
    eventually("the budget is known", PATIENCE, async || (budget(&cluster).await["state"] == "ok").then_some(())).await;
    cluster
}

async fn budget(cluster: &Cluster) -> Value {
    cluster.admin("/v1/discord/budget").await.map(|reply| reply.json()).unwrap_or_default()
}

async fn session(cluster: &Cluster, shard: u32) -> Value {
    cluster.admin(&format!("/v1/discord/sessions/{shard}")).await.map(|reply| reply.json()).unwrap_or_default()
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository").join("examples/discordjs-sessions")
}

/// Starts the example's bot.
fn bot(discord: &DiscordDouble, cluster: &Cluster) -> Process {
    let packages = example().join("node_modules/@discordjs/ws");
    assert!(packages.exists(), "type: npm ci --prefix examples/discordjs-sessions --ignore-scripts");
    let mut command = clean(Command::new("node"));
    command
        .arg(example().join("bot.mjs"))
        .env("BERTH_CONFIG_URL", cluster.config.url(""))
        .env("BERTH_TOKEN", ADMIN_TOKEN)
        .env("DISCORD_TOKEN", discord.token())
        .env("DISCORD_API", discord.rest_url());
    Process::start("the bot", command)
}

async fn said(bot: &Process, text: &str) {
    eventually(&format!("the bot says {text:?}"), PATIENCE, async || bot.stdout.contains(text).then_some(())).await;
}

/// A guild of each shard, with a channel of it.
fn channels(discord: &DiscordDouble) -> [u64; 2] {
    [0, 1].map(|shard| discord.add_guild((shard + 2) << 22, &format!("guild of shard {shard}")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bot_on_discordjs_that_was_killed_resumes_and_misses_nothing() {
    let discord = discord().await;
    let (channels, ann) = (channels(&discord), User::new(77, "ann"));
    let cluster = berth(&discord, &[]).await;
    let mut first = bot(&discord, &cluster);
    for shard in 0..2 {
        said(&first, &format!("shard {shard} has a new session")).await;
    }
    discord.say(channels[0], &ann, "before");
    said(&first, "shard 0: before").await;
    for shard in 0..2_u32 {
        eventually("the session is kept", PATIENCE, async || {
            (session(&cluster, shard).await["sequence"].as_u64() > Some(0)).then_some(())
        })
        .await;
    }
    first.kill().await;
    // Whether Discord has noticed makes no difference.
    for channel in channels {
        discord.say(channel, &ann, "meanwhile");
    }
    let mut second = bot(&discord, &cluster);
    for shard in 0..2 {
        said(&second, &format!("shard {shard} goes on")).await;
        said(&second, &format!("shard {shard}: meanwhile")).await;
    }
    // An orderly end keeps the sessions, too.
    second.signal(Signal::TERM);
    second.end(PATIENCE).await;
    discord.say(channels[1], &ann, "after");
    let third = bot(&discord, &cluster);
    said(&third, "shard 1: after").await;
    said(&third, "shard 0 goes on").await;
    // A library that is told to keep a session may come back once more before its process ends.
    assert_eq!(discord.identifies().len(), 2);
    assert!(discord.resumes().len() >= 4, "{:?}", discord.resumes());
    assert_eq!(budget(&cluster).await["budget"]["permits"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_discord_refuses_is_recovered_from_what_is_kept_for_that() {
    let discord = discord().await;
    let _channels = channels(&discord);
    // All but two of the budget are kept.
    let cluster = berth(&discord, &[("BERTH_IDENTIFY_RESERVE", "0.98")]).await;
    let _bot = bot(&discord, &cluster);
    // The library says that a shard has a session before Berth keeps it.
    let kept = async |shard: u32| {
        eventually("the session is kept", PATIENCE, async || {
            let id = session(&cluster, shard).await["sessionId"].clone();
            id.is_string().then_some(id)
        })
        .await
    };
    kept(0).await;
    let before = kept(1).await;
    assert_eq!(discord.invalidate(1, false), 1);
    eventually("another session is kept", PATIENCE, async || (kept(1).await != before).then_some(())).await;
    assert_eq!(discord.identifies().len(), 3);
    let metric = async |kind| cluster.config.metric("berth_identify_permits_total", &[("kind", kind)]).await;
    assert_eq!((metric("start").await, metric("recovery").await), (2.0, 1.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shards_of_a_bot_on_twilight_wait_for_berth_and_those_that_have_gone_take_nothing() {
    let discord = discord().await;
    // Long enough for whoever does not wait for a turn to be gone before it comes.
    let mut cluster = berth(&discord, &[("BERTH_IDENTIFY_EVERY", "4s")]).await;
    let queue = BerthQueue::new(&cluster.config.url(""), ADMIN_TOKEN, 8).expect("an address");
    let now = |waiting: tokio::sync::oneshot::Receiver<()>| tokio::time::timeout(PATIENCE, waiting);
    now(queue.enqueue(0)).await.expect("in time").expect("permitted");
    // Of these one does not wait for its turn.
    let (second, gone, third) = (queue.enqueue(1), queue.enqueue(2), queue.enqueue(3));
    drop(gone);
    for waiting in [second, third] {
        now(waiting).await.expect("in time").expect("permitted");
    }
    assert_eq!(budget(&cluster).await["budget"]["permits"], 3);
    // Berth is away; the shard waits until it is back.
    cluster.config.kill().await;
    let waiting = queue.enqueue(4);
    cluster.config.start_again();
    cluster.config.ready().await;
    now(waiting).await.expect("in time").expect("permitted");
    assert_eq!(budget(&cluster).await["budget"]["permits"], 4);
    assert!(BerthQueue::new("discord.com", "x", 1).is_err());
}
