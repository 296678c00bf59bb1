//! What Discord, or somebody in its place, should never say to a shard, and what may happen to its connection: the pod goes on, says
//! what is wrong where that helps, spends no IDENTIFY on it, and nothing is lost or told twice.

use super::discord_double::twilight::Bot;
use super::discord_shards::{Guilds, MOST, shards_of, stands};
use berth_tests::{Cluster, eventually};
use discord_double::{Answer, Settings};
use serde_json::json;
use shared::wire::discord::ShardState;
use std::{io::Write, net::TcpListener, thread, time::Duration};

/// Everything is as it should be: what is said from now on reaches its owner.
async fn all_is_well(guilds: &mut Guilds, cluster: &Cluster) {
    for id in 0..2 {
        stands(cluster, id, ShardState::Ready).await;
    }
    guilds.say(3);
    guilds.all_is_there(cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_outlives_everything_that_makes_no_sense() {
    // A beat is missed soon.
    let mut guilds =
        Guilds::with(Settings { heartbeat: Duration::from_secs(2), missed_beats: 60, ..Settings::default() }).await;
    let setup = guilds.setup().with("BERTH_DISCORD_HELLO", "3s").with("BERTH_DISCORD_RETRY", "2s");
    let cluster = setup.with("BERTH_MAX_FRAME", "1048576").start().await;
    all_is_well(&mut guilds, &cluster).await;
    let identified = guilds.identifies().len();
    // No payloads, payloads of nobody knows what, and events that nobody knows.
    for text in ["", "{", "null", "[]", "{\"op\":99,\"d\":{}}", "{\"op\":0}", "{\"op\":0,\"s\":\"7\",\"t\":7,\"d\":[]}"]
    {
        guilds.discord.send_raw(0, text);
    }
    for data in
        [json!(null), json!([1]), json!("text"), json!({"guild_id": 7, "id": {"a": 1}}), json!({"guild_id": "../1"})]
    {
        guilds.discord.send_event(0, "SOMETHING_NEW", &data);
    }
    all_is_well(&mut guilds, &cluster).await;
    // More than any frame takes.
    let large = json!({"guild_id": (2_u64 << 22).to_string(), "text": "x".repeat(2 << 20)});
    guilds.discord.send_event(0, "SOMETHING_LARGE", &large);
    all_is_well(&mut guilds, &cluster).await;
    // Bytes that are of no stream.
    let (before, garbage) = (guilds.resumed(0), [0xff_u8; 64]);
    eventually("the shard comes back after bytes that are nothing", MOST, async || {
        guilds.discord.send_bytes(0, &garbage);
        (guilds.resumed(0) > before).then_some(())
    })
    .await;
    all_is_well(&mut guilds, &cluster).await;
    // Nobody hears it any more, and nobody says so: its heartbeat is not answered. Here and below, a shard that was about to come
    // back anyway is met again.
    let before = guilds.resumed(0);
    eventually("the shard notices that nobody hears it", MOST, async || {
        guilds.discord.zombify(0);
        (guilds.resumed(0) > before).then_some(())
    })
    .await;
    all_is_well(&mut guilds, &cluster).await;
    // Where it is to resume nobody answers.
    guilds.discord.set_stale_resume_url(true);
    let before = guilds.resumed(0);
    eventually("the shard resumes elsewhere", MOST, async || {
        guilds.discord.cut(0);
        (guilds.resumed(0) > before).then_some(())
    })
    .await;
    guilds.discord.set_stale_resume_url(false);
    all_is_well(&mut guilds, &cluster).await;
    // Somebody answers, and never says HELLO.
    guilds.discord.set_silent(true);
    let connected = guilds.discord.connected().len();
    eventually("the shard tries again", MOST, async || {
        guilds.discord.cut(0);
        (guilds.discord.connected().len() >= connected + 3).then_some(())
    })
    .await;
    guilds.discord.set_silent(false);
    all_is_well(&mut guilds, &cluster).await;
    let answers = guilds.identifies();
    assert_eq!(answers.len(), identified, "every session was gone on with");
    assert!(answers.iter().all(|answer| *answer == Answer::Accepted), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_who_logs_in_as_the_same_shards_takes_nothing_from_them() {
    let mut guilds = Guilds::with(Settings::default()).await;
    let cluster = guilds.setup().start().await;
    all_is_well(&mut guilds, &cluster).await;
    let mine = guilds.identifies().len();
    let other = Bot::login(&guilds.discord, false).await;
    eventually("the other one is in", MOST, async || (guilds.identifies().len() >= mine + 2).then_some(())).await;
    all_is_well(&mut guilds, &cluster).await;
    for shard in 0..2 {
        eventually("it hears the same", MOST, async || (other.messages(shard).len() >= 9).then_some(())).await;
    }
    drop(other);
    all_is_well(&mut guilds, &cluster).await;
    assert_eq!(guilds.identifies().len(), mine + 2, "nobody began anew");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_speaks_no_tls_is_said_and_costs_no_identify() {
    let guilds = Guilds::with(Settings::default()).await;
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("bound").port();
    // Ends with the process.
    drop(thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // Whoever connects is gone by then, or not.
            let _ = stream.write_all(b"this is no TLS\r\n");
        }
    }));
    let setup = guilds.setup().with("BERTH_DISCORD_GATEWAY", &format!("wss://127.0.0.1:{port}"));
    let cluster = setup.start().await;
    eventually("a pod says what is wrong", MOST, async || {
        for pod in &cluster.gateways {
            let mut held = shards_of(&cluster, pod).await.into_iter();
            let says = |why: &Option<String>| why.as_ref().is_some_and(|why| why.contains("opened again by itself"));
            if held.any(|shard| shard.state == ShardState::Waiting && says(&shard.why)) {
                return Some(());
            }
        }
        None
    })
    .await;
    let reply = cluster.admin("/v1/discord/budget").await.expect("an answer");
    assert_eq!(reply.json()["budget"]["permits"], 0, "{}", reply.text());
}
