//! The Discord double, tried by clients that we did not write: discord.js and twilight log in with two shards, see their
//! guilds, hear what is typed, are cut off and miss nothing, and are paced.

mod discordjs;
pub(crate) mod twilight;

use berth_tests::eventually;
use discord_double::{Answer, DiscordDouble, Resume, Settings, User};
use std::time::Duration;

/// The first guild of shard 0, and of shard 1, of two.
const GUILDS: [u64; 2] = [2 << 22, 3 << 22];

/// How long a client may take for anything: they wait by themselves before they connect again.
const MOST: Duration = Duration::from_secs(120);

/// A double with a guild for each of two shards, and its guilds' channels.
async fn double(change: impl FnOnce(&mut Settings)) -> (DiscordDouble, [u64; 2]) {
    let mut settings = Settings { shards: 2, ..Settings::default() };
    change(&mut settings);
    let double = DiscordDouble::start(settings).await.expect("a free port");
    let channels = [double.add_guild(GUILDS[0], "even"), double.add_guild(GUILDS[1], "odd")];
    (double, channels)
}

/// Two buckets: each shard has one for itself, so that no client ever has to wait. Whoever takes the wrong one waits for
/// an hour.
fn a_bucket_each(settings: &mut Settings) {
    (settings.concurrency, settings.pace) = (2, Duration::from_secs(3600));
}

/// One bucket for both. The clients keep Discord's five seconds; the double minds less, for their clocks are not ours and
/// a busy machine takes one message later than the next.
fn one_bucket(settings: &mut Settings) {
    (settings.concurrency, settings.pace) = (1, Duration::from_secs(1));
}

/// A user types.
fn typed(double: &DiscordDouble, channel: u64, text: &str) {
    double.say(channel, &User::new(7, "ann"), text).expect("the channel is there");
}

/// How each IDENTIFY of a shard was answered.
fn answers(double: &DiscordDouble, shard: u32) -> Vec<Answer> {
    let of_shard = double.identifies().into_iter().filter(|identify| identify.shard == (shard, 2));
    of_shard.map(|identify| identify.answer).collect()
}

/// Waits until a shard has resumed so often, and returns its last RESUME.
async fn resumed(double: &DiscordDouble, shard: u32, times: usize) -> Resume {
    eventually(&format!("shard {shard} has resumed {times} times"), MOST, async || {
        let of_shard = double.resumes().into_iter().filter(|resume| resume.shard == Some((shard, 2)));
        of_shard.filter(|resume| resume.answer == Answer::Accepted).nth(times - 1)
    })
    .await
}
