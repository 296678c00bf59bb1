//! twilight-gateway at the double: zlib-stream, its own queue, its own way to resume.

use super::{GUILDS, MOST, a_bucket_each, answers, double, one_bucket, resumed, typed};
use berth_tests::{Client, eventually};
use bytes::Bytes;
use discord_double::{Answer, DiscordDouble, User};
use http::Method;
use serde_json::json;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::task::JoinSet;
use twilight_gateway::{
    ConfigBuilder, Event, EventTypeFlags, Intents, Shard, ShardId, StreamExt, queue::InMemoryQueue,
};
use twilight_model::{application::interaction::InteractionData, gateway::payload::incoming::GuildCreate};

/// A bot of two shards, and what each of them has seen.
pub(crate) struct Bot {
    seen: Arc<Mutex<Vec<(u32, Seen)>>>,
    _shards: JoinSet<()>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Guild(u64, String),
    Message(String),
    Command(String),
    /// An outage.
    Out(u64),
    Removed(u64),
    Closed(Option<u16>),
    /// It will not connect again.
    Ended,
}

impl Bot {
    /// Logs in. With `paced` the queue is what `/gateway/bot` says; without, nobody waits for anybody.
    pub(crate) async fn login(double: &DiscordDouble, paced: bool) -> Self {
        let client = Client::new(MOST);
        let url = format!("{}/v10/gateway/bot", double.rest_url());
        let bot = [("authorization".to_owned(), format!("Bot {}", double.token()))];
        // Others may have asked too often.
        let told = eventually("Discord says how many may log in", MOST, async || {
            let reply = client.call(Method::GET, &url, &bot, Bytes::new()).await.ok();
            reply.filter(|reply| reply.status == 200).map(|reply| reply.json())
        })
        .await;
        let limit = &told["session_start_limit"];
        let number = |field: &str| u32::try_from(limit[field].as_u64().expect("a number")).expect("small");
        let concurrency = if paced { u16::try_from(number("max_concurrency")).expect("small") } else { 0 };
        let reset = Duration::from_millis(limit["reset_after"].as_u64().expect("a number"));
        let queue = InMemoryQueue::new(concurrency, number("remaining"), reset, number("total"));
        let intents = Intents::GUILDS | Intents::GUILD_MESSAGES | Intents::MESSAGE_CONTENT;
        let url = told["url"].as_str().expect("a URL").to_owned();
        let config = ConfigBuilder::new(double.token().to_owned(), intents).proxy_url(url).queue(queue).build();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut shards = JoinSet::new();
        let count = u32::try_from(told["shards"].as_u64().expect("a number")).expect("small");
        for number in 0..count {
            let shard = Shard::with_config(ShardId::new(number, count), config.clone());
            shards.spawn(watch(shard, number, Arc::clone(&seen)));
        }
        Self { seen, _shards: shards }
    }

    fn of(&self, shard: u32) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().filter(|(of, _)| *of == shard).map(|(_, seen)| seen.clone()).collect()
    }

    pub(crate) fn messages(&self, shard: u32) -> Vec<String> {
        let texts = self.of(shard).into_iter().filter_map(|seen| match seen {
            Seen::Message(text) => Some(text),
            _ => None,
        });
        texts.collect()
    }

    async fn sees(&self, shard: u32, what: &Seen) {
        let describe = format!("shard {shard} sees {what:?}");
        eventually(&describe, MOST, async || self.of(shard).contains(what).then_some(())).await;
    }

    async fn sees_its_guilds(&self) {
        self.sees(0, &Seen::Guild(GUILDS[0], "even".to_owned())).await;
        self.sees(1, &Seen::Guild(GUILDS[1], "odd".to_owned())).await;
    }
}

/// Drives a shard for as long as it lives, and notes what it sees.
async fn watch(mut shard: Shard, number: u32, seen: Arc<Mutex<Vec<(u32, Seen)>>>) {
    while let Some(item) = shard.next_event(EventTypeFlags::all()).await {
        // What it cannot read or reach it tries again by itself.
        let Ok(event) = item else { continue };
        let what = match event {
            Event::GuildCreate(guild) => match *guild {
                GuildCreate::Available(guild) => Some(Seen::Guild(guild.id.get(), guild.name)),
                GuildCreate::Unavailable(_) => None,
            },
            Event::GuildDelete(guild) if guild.unavailable == Some(true) => Some(Seen::Out(guild.id.get())),
            Event::GuildDelete(guild) => Some(Seen::Removed(guild.id.get())),
            Event::MessageCreate(message) => Some(Seen::Message(message.content.clone())),
            Event::InteractionCreate(called) => match &called.data {
                Some(InteractionData::ApplicationCommand(command)) => Some(Seen::Command(command.name.clone())),
                _ => None,
            },
            Event::GatewayClose(frame) => Some(Seen::Closed(frame.map(|frame| frame.code))),
            _ => None,
        };
        seen.lock().unwrap_or_else(PoisonError::into_inner).extend(what.map(|what| (number, what)));
    }
    seen.lock().unwrap_or_else(PoisonError::into_inner).push((number, Seen::Ended));
}

#[tokio::test]
async fn twilight_logs_in_with_two_shards_and_resumes_with_nothing_missing() {
    let (double, channels) = double(a_bucket_each).await;
    let bot = Bot::login(&double, true).await;
    bot.sees_its_guilds().await;
    for (shard, channel) in (0..).zip(channels) {
        typed(&double, channel, "first");
        bot.sees(shard, &Seen::Message("first".to_owned())).await;
    }
    // Cut off with three events on the way: nothing more is heard, then the connection breaks.
    assert_eq!(double.zombify(0), 1);
    for text in ["second", "third", "fourth"] {
        typed(&double, channels[0], text);
    }
    assert_eq!(double.cut(0), 1);
    let resume = resumed(&double, 0, 1).await;
    assert_eq!((resume.replayed, resume.by_resume_url), (3, true));
    bot.sees(0, &Seen::Message("fourth".to_owned())).await;
    // Told to go elsewhere, and closed with a code that lets it come back.
    assert_eq!(double.ask_to_reconnect(1), 1);
    resumed(&double, 1, 1).await;
    assert_eq!(double.close(1, 4000), 1);
    resumed(&double, 1, 2).await;
    typed(&double, channels[1], "last");
    bot.sees(1, &Seen::Message("last".to_owned())).await;
    assert_eq!(bot.messages(0), ["first", "second", "third", "fourth"]);
    assert_eq!(bot.messages(1), ["first", "last"]);
    for shard in [0, 1] {
        assert_eq!(answers(&double, shard), [Answer::Accepted], "no session was lost");
    }
    let compressed = double.connected().iter().all(|made| made.compress.as_deref() == Some("zlib-stream"));
    assert!(compressed, "{:?}", double.connected());
}

#[tokio::test]
async fn twilight_falls_back_to_the_main_url_when_the_resume_url_is_stale() {
    let (double, channels) = double(a_bucket_each).await;
    let bot = Bot::login(&double, true).await;
    bot.sees_its_guilds().await;
    double.set_stale_resume_url(true);
    assert_eq!(double.zombify(0), 1);
    typed(&double, channels[0], "missed");
    assert_eq!(double.cut(0), 1);
    let resume = resumed(&double, 0, 1).await;
    assert_eq!((resume.replayed, resume.by_resume_url), (1, false));
    bot.sees(0, &Seen::Message("missed".to_owned())).await;
    assert_eq!(answers(&double, 0), [Answer::Accepted]);
}

#[tokio::test]
async fn twilight_starts_a_new_session_when_its_own_is_over() {
    let (double, channels) = double(|settings| (settings.concurrency, settings.pace) = (2, Duration::ZERO)).await;
    let bot = Bot::login(&double, true).await;
    bot.sees_its_guilds().await;
    assert_eq!(double.invalidate(1, false), 1);
    eventually("shard 1 has a new session", MOST, async || {
        (answers(&double, 1) == [Answer::Accepted, Answer::Accepted]).then_some(())
    })
    .await;
    double.outage(GUILDS[0], true);
    bot.sees(0, &Seen::Out(GUILDS[0])).await;
    double.remove_guild(GUILDS[0]);
    bot.sees(0, &Seen::Removed(GUILDS[0])).await;
    double.command(channels[1], &User::new(7, "ann"), "roll", &json!([])).expect("the channel is there");
    bot.sees(1, &Seen::Command("roll".to_owned())).await;
    assert!(double.resumes().is_empty(), "{:?}", double.resumes());
}

#[tokio::test]
async fn twilight_is_paced_and_whoever_is_not_is_refused() {
    let (double, _) = double(one_bucket).await;
    let bot = Bot::login(&double, true).await;
    bot.sees_its_guilds().await;
    let identifies = double.identifies();
    assert!(identifies.iter().all(|identify| identify.answer == Answer::Accepted), "{identifies:?}");
    assert_eq!(identifies.len(), 2);
    drop(bot);
    let (double, _) = super::double(|settings| settings.pace = Duration::from_secs(3600)).await;
    let _bot = Bot::login(&double, false).await;
    eventually("two have identified", MOST, async || (double.identifies().len() >= 2).then_some(())).await;
    let answers: Vec<_> = double.identifies().into_iter().take(2).map(|identify| identify.answer).collect();
    assert_eq!(answers, [Answer::Accepted, Answer::Invalid]);
}

#[tokio::test]
async fn twilight_gives_up_on_a_code_that_is_final() {
    let (double, _) = double(a_bucket_each).await;
    let bot = Bot::login(&double, true).await;
    bot.sees_its_guilds().await;
    assert_eq!(double.close(0, 4014), 1);
    bot.sees(0, &Seen::Ended).await;
    assert!(bot.of(0).contains(&Seen::Closed(Some(4014))), "{:?}", bot.of(0));
    assert_eq!(answers(&double, 0).len(), 1, "it did not come back");
}
