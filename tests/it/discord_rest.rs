//! One budget of REST requests for a bot on Discord, over several pods with real processes: they never make more of them in a second than
//! Discord takes, pause together, go on without the control plane, and write no message twice.

use berth_tests::{Cluster, Role, Setup, eventually, role::Program, senders::standard};
use discord_double::{DiscordDouble, Rate, Settings};
use serde_json::json;
use std::time::Duration;

/// The machine may be busy with much else: nothing here is about how long something takes.
const MOST: Duration = Duration::from_secs(180);

const GUILD: u64 = 2 << 22;

/// How many requests Discord takes in a second.
const LIMIT: usize = 50;

/// A Discord with one guild, whose channels are no bottleneck.
async fn discord() -> (DiscordDouble, u64) {
    let route = Rate::of(1_000, Duration::from_secs(1));
    let discord = DiscordDouble::start(Settings { route, ..Settings::default() }).await.expect("a free port");
    let channel = discord.add_guild(GUILD, "a guild");
    (discord, channel)
}

fn setup(discord: &DiscordDouble, gateways: usize) -> Setup {
    Setup { gateways, bot: Program::StoryBot, ..Setup::default() }
        .with("BERTH_DISCORD_API", &format!("{}/v10", discord.rest_url()))
        .with("BERTH_OUTBOX_PRIVATE", "true")
        .with("BERTH_DISCORD_REST_TERM", "20s")
}

/// Has the bot write a message in a channel, asked for by one of many targets.
async fn write(cluster: &Cluster, discord: &DiscordDouble, channel: u64, (key, id): (usize, &str)) {
    let call = json!({
        "id": id,
        "method": "POST",
        "url": format!("{}/v10/channels/{channel}/messages", discord.rest_url()),
        "headers": [["authorization", format!("Bot {}", discord.token())], ["content-type", "application/json"]],
        "body": json!({ "content": id }).to_string(),
    });
    let told = json!({ "target": format!("k{key}"), "do": "call-once", "call": call });
    let delivery = standard::signed(&cluster.keys, id, told.to_string().as_bytes());
    cluster.post_until_taken(&delivery, MOST).await;
}

/// The same with many messages, eight at a time.
async fn write_all(cluster: &Cluster, discord: &DiscordDouble, channel: u64, all: &[(usize, String)]) {
    let part = async |from: usize| {
        for (key, id) in all.iter().skip(from).step_by(8) {
            write(cluster, discord, channel, (*key, id)).await;
        }
    };
    tokio::join!(part(0), part(1), part(2), part(3), part(4), part(5), part(6), part(7));
}

/// Waits until so many messages are there, each once.
async fn written(discord: &DiscordDouble, channel: u64, ids: &[String]) {
    eventually(&format!("{} messages are written", ids.len()), MOST, async || {
        (discord.messages(channel).len() >= ids.len()).then_some(())
    })
    .await;
    let mut said: Vec<_> =
        discord.messages(channel).iter().filter_map(|message| message["content"].as_str().map(str::to_owned)).collect();
    said.sort_unstable();
    let mut wanted = ids.to_vec();
    wanted.sort_unstable();
    assert_eq!(said, wanted, "each once");
}

/// No second saw more requests than Discord takes, wherever it begins.
fn never_too_many(discord: &DiscordDouble) {
    let at: Vec<_> = discord.calls().iter().map(|call| call.at).collect();
    let fastest = at.windows(LIMIT + 1).map(|window| window[LIMIT].since(window[0])).min();
    assert!(fastest.is_none_or(|fastest| fastest >= Duration::from_secs(1)), "{fastest:?}");
}

async fn given(pod: &Role) -> f64 {
    pod.metric("berth_discord_rest_slots", &[("kind", "given")]).await
}

async fn paused(pod: &Role) -> f64 {
    pod.metric("berth_discord_rest_paused", &[]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_pods_make_no_more_requests_than_one_bot_may_also_when_the_control_plane_is_gone() {
    let (discord, channel) = discord().await;
    let mut cluster = setup(&discord, 2).start().await;
    let mut ids = Vec::new();
    for round in 0..6 {
        let of_round: Vec<_> = (0..60).map(|key| (key, format!("first-{round}-{key}"))).collect();
        write_all(&cluster, &discord, channel, &of_round).await;
        ids.extend(of_round.into_iter().map(|(_, id)| id));
    }
    written(&discord, channel, &ids).await;
    never_too_many(&discord);
    for pod in &cluster.gateways {
        assert!(pod.metric("berth_discord_rest_answers_total", &[("kind", "ok")]).await > 0.0, "{}", pod.name());
    }
    let stood = cluster.admin("/v1/discord/rest").await.expect("an answer").json();
    assert_eq!((stood["limit"].as_u64(), stood["bots"][0]["pods"].as_array().map(Vec::len)), (Some(50), Some(2)));
    cluster.leases_are_kept(2).await;
    // Nobody answers any more. What was lent ends; what each pod keeps does not.
    cluster.config.kill().await;
    for pod in &cluster.gateways {
        eventually("what was lent is over, and the rest is not", MOST, async || {
            let given = given(pod).await;
            (given > 0.0 && given <= 12.0).then_some(())
        })
        .await;
    }
    let second: Vec<_> = (0..60).map(|key| (key, format!("second-{key}"))).collect();
    write_all(&cluster, &discord, channel, &second).await;
    ids.extend(second.into_iter().map(|(_, id)| id));
    written(&discord, channel, &ids).await;
    never_too_many(&discord);
    assert!(discord.calls().iter().all(|call| call.status == 200), "nobody was told to wait");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_that_discord_asked_one_pod_for_is_kept_by_both() {
    let (discord, channel) = discord().await;
    let cluster = setup(&discord, 2).start().await;
    let mut ids: Vec<_> = (0..20).map(|n| format!("before-{n}")).collect();
    for (n, id) in ids.iter().enumerate() {
        write(&cluster, &discord, channel, (n, id)).await;
    }
    written(&discord, channel, &ids).await;
    discord.use_up_bot(Duration::from_secs(90));
    write(&cluster, &discord, channel, (0, "hit")).await;
    ids.push("hit".to_owned());
    for pod in &cluster.gateways {
        eventually("the pod pauses", MOST, async || (paused(pod).await > 0.0).then_some(())).await;
    }
    for n in 0..20 {
        let id = format!("after-{n}");
        write(&cluster, &discord, channel, (n, &id)).await;
        ids.push(id);
    }
    written(&discord, channel, &ids).await;
    let told = discord.calls().iter().filter(|call| call.status == 429).count();
    assert!(told <= 2, "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_whose_answer_was_lost_is_sent_again_and_is_one_message() {
    let (discord, channel) = discord().await;
    let cluster = setup(&discord, 1).start().await;
    discord.lose_next(1);
    write(&cluster, &discord, channel, (0, "once")).await;
    eventually("it is sent again", MOST, async || (discord.calls().len() >= 2).then_some(())).await;
    eventually("it is known as sent", MOST, async || {
        let sent = cluster.gateways[0].metric("berth_outbox_attempts_total", &[("kind", "sent")]).await;
        (sent > 0.0).then_some(())
    })
    .await;
    written(&discord, channel, &["once".to_owned()]).await;
}
