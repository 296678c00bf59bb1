//! discord.js at the double: a bot in Node, as anybody would write it (tests/discordjs/bot.mjs).

use super::{GUILDS, MOST, a_bucket_each, answers, double, one_bucket, resumed, typed};
use berth_tests::{
    eventually,
    process::{Process, clean},
};
use discord_double::{Answer, DiscordDouble, User};
use serde_json::{Value, json};
use std::{path::Path, process::Command};

/// The bot, and what it has said so far.
struct Bot(Process);

impl Bot {
    fn login(double: &DiscordDouble) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("discordjs/bot.mjs");
        let how = "type: npm ci --ignore-scripts --prefix tests/discordjs (./test does it for you)";
        assert!(script.with_file_name("node_modules/discord.js").is_dir(), "discord.js is missing; {how}");
        let mut command = clean(Command::new("node"));
        command.arg(script).args([&double.rest_url(), double.token()]);
        Self(Process::start("discord.js", command))
    }

    fn said(&self) -> Vec<Value> {
        self.0.stdout.lines().iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    async fn says(&self, what: &Value) {
        eventually(&format!("the bot says {what}"), MOST, async || self.said().contains(what).then_some(())).await;
    }

    async fn sees_its_guilds(&self) {
        let guild = |shard: usize, name| json!({"guild": GUILDS[shard].to_string(), "shard": shard, "name": name});
        self.says(&json!({"ready": [guild(0, "even"), guild(1, "odd")]})).await;
    }

    fn messages(&self, shard: u32) -> Vec<String> {
        let said = self.said().into_iter().filter(|said| said["shard"] == shard);
        said.filter_map(|said| said["message"].as_str().map(ToOwned::to_owned)).collect()
    }
}

fn message(text: &str, shard: u32) -> Value {
    json!({"message": text, "shard": shard})
}

#[tokio::test]
async fn discord_js_logs_in_with_two_shards_and_resumes_with_nothing_missing() {
    let (double, channels) = double(a_bucket_each).await;
    let bot = Bot::login(&double);
    bot.sees_its_guilds().await;
    for (shard, channel) in (0..).zip(channels) {
        typed(&double, channel, "first");
        bot.says(&message("first", shard)).await;
    }
    // Cut off with three events on the way: nothing more is heard, then the connection breaks.
    assert_eq!(double.zombify(0), 1);
    for text in ["second", "third", "fourth"] {
        typed(&double, channels[0], text);
    }
    assert_eq!(double.cut(0), 1);
    let resume = resumed(&double, 0, 1).await;
    assert_eq!((resume.replayed, resume.by_resume_url), (3, true));
    bot.says(&message("fourth", 0)).await;
    // Told to go elsewhere; closed with a code that lets it come back; refused, and allowed to come back.
    assert_eq!(double.ask_to_reconnect(1), 1);
    resumed(&double, 1, 1).await;
    assert_eq!(double.close(1, 4000), 1);
    resumed(&double, 1, 2).await;
    assert_eq!(double.invalidate(1, true), 1);
    resumed(&double, 1, 3).await;
    typed(&double, channels[1], "last");
    bot.says(&message("last", 1)).await;
    assert_eq!(bot.messages(0), ["first", "second", "third", "fourth"]);
    assert_eq!(bot.messages(1), ["first", "last"]);
    for shard in [0, 1] {
        assert_eq!(answers(&double, shard), [Answer::Accepted], "no session was lost");
    }
}

#[tokio::test]
async fn discord_js_answers_messages_and_commands_over_rest() {
    let (double, channels) = double(a_bucket_each).await;
    let bot = Bot::login(&double);
    bot.sees_its_guilds().await;
    // The first request meets an error, the next a limit: neither keeps the answer away.
    double.fail_next(&[502]);
    typed(&double, channels[0], "ping");
    let texts = async || {
        let messages = double.messages(channels[0]);
        let texts: Vec<_> = messages.iter().filter_map(|message| message["content"].as_str()).collect();
        (texts == ["ping", "pong"]).then(|| messages[1].clone())
    };
    let pong = eventually("the bot answers", MOST, texts).await;
    assert_eq!(pong["message_reference"]["message_id"], double.messages(channels[0])[0]["id"]);
    let called = double.command(channels[1], &User::new(7, "ann"), "roll", &json!([])).expect("the channel is there");
    let rolled =
        async || double.messages(channels[1]).iter().any(|said| said["content"] == "rolled for ann").then_some(());
    eventually("the bot rolls", MOST, rolled).await;
    let called = double.interaction(&called.token).expect("it was called");
    assert_eq!((called.answered, called.original.is_some()), (Some(5), true));
    double.outage(GUILDS[0], true);
    bot.says(&json!({"out": GUILDS[0].to_string()})).await;
    double.outage(GUILDS[0], false);
    bot.says(&json!({"back": GUILDS[0].to_string()})).await;
    double.remove_guild(GUILDS[0]);
    bot.says(&json!({"left": GUILDS[0].to_string()})).await;
}

#[tokio::test]
async fn discord_js_is_paced() {
    let (double, _) = double(one_bucket).await;
    let bot = Bot::login(&double);
    bot.sees_its_guilds().await;
    let identifies = double.identifies();
    assert!(identifies.iter().all(|identify| identify.answer == Answer::Accepted), "{identifies:?}");
    assert_eq!(identifies.len(), 2);
    assert_eq!(double.calls()[0].path, "/gateway/bot");
}

#[tokio::test]
async fn discord_js_gives_up_on_a_code_that_is_final() {
    let (double, _) = double(a_bucket_each).await;
    let bot = Bot::login(&double);
    bot.sees_its_guilds().await;
    assert_eq!(double.close(0, 4014), 1);
    bot.says(&json!({"disconnected": 0, "code": 4014})).await;
    assert_eq!(answers(&double, 0).len(), 1, "it did not come back");
}
