//! What the bot does:
//!
//! ```text
//! /warn USER reason     writes a warning down
//! /warnings USER        shows a user's warnings
//! /mute USER minutes    mutes a user; a timer lifts it
//! /stats                counts messages, warnings and mutes
//! ```
//!
//! It keeps nothing itself, so it may be stopped and started whenever you like.

use crate::call::{Call, Command, Reply};
use serde_json::{Value, json};

/// Berth sends these along with every event. Everything else is read when it is needed.
pub(crate) const PRELOAD: [&str; 4] = ["count/messages", "count/warnings", "count/mutes", "count/mutes-lifted"];

const HELP: &str = "I know /warn USER reason, /warnings USER, /mute USER minutes and /stats.";
const LONGEST_MUTE: u64 = 60 * 24 * 28;
/// Names become part of keys, and a key has at most 512 bytes.
const LONGEST_NAME: usize = 400;

/// What is said, if anything.
type Said = anyhow::Result<Option<Reply>>;

/// Does what an event asks for.
pub(crate) async fn handle(call: &mut Call, minute_ms: u64) -> Said {
    if let Some(timer) = call.event.timer.take() {
        return unmute(call, &timer.payload).await;
    }
    if let Some(command) = call.event.command.take() {
        let (user, rest) = first_word(&command.args);
        return match command.name.as_str() {
            "warn" => warn(call, &command, user, rest).await,
            "warnings" => warnings(call, user, minute_ms).await,
            "mute" => mute(call, &command, user, rest, minute_ms).await,
            "stats" => stats(call).await,
            other => Ok(Reply::private(format!("I don't know /{other}. {HELP}"))),
        };
    }
    if let Some(message) = call.event.message.take() {
        count(call, "messages").await?;
        if message.user.len() <= LONGEST_NAME {
            count(call, &format!("messages/{}", message.user)).await?;
        }
    }
    Ok(None)
}

async fn warn(call: &mut Call, command: &Command, user: &str, reason: &str) -> Said {
    if user.is_empty() || reason.is_empty() {
        return Ok(Reply::private("Say whom and why: /warn USER reason"));
    }
    count(call, "warnings").await?;
    let so_far = count(call, &format!("warned/{user}")).await?;
    note(call, user, &format!("warned by {}: {reason}", command.user)).await?;
    Ok(Reply::public(format!("{user} has been warned: {reason} ({})", times(so_far, "warning"))))
}

async fn warnings(call: &Call, user: &str, minute_ms: u64) -> Said {
    if user.is_empty() {
        return Ok(Reply::private("Say whose: /warnings USER"));
    }
    let so_far = call.get(&format!("count/warned/{user}")).await?.unwrap_or(0);
    let notes: Vec<Value> = call.get(&format!("notes/{user}")).await?.unwrap_or_default();
    let mut lines = vec![format!("{user} has {}.", times(so_far, "warning"))];
    lines.extend(notes.iter().filter_map(|note| note["text"].as_str()).map(|text| format!("- {text}")));
    if let Some(until) = call.get::<u64>(&format!("mute/{user}")).await? {
        let minutes = until.saturating_sub(call.now_ms()).div_ceil(minute_ms);
        lines.push(format!("Muted for another {}.", times(minutes, "minute")));
    }
    Ok(Reply::private(lines.join("\n")))
}

async fn mute(call: &mut Call, command: &Command, user: &str, asked: &str, minute_ms: u64) -> Said {
    let minutes = asked.parse().unwrap_or(0);
    if user.is_empty() || !(1..=LONGEST_MUTE).contains(&minutes) {
        return Ok(Reply::private(format!("Say whom and how long: /mute USER minutes (1 to {LONGEST_MUTE})")));
    }
    let until = call.now_ms() + minutes * minute_ms;
    call.set(&format!("mute/{user}"), until);
    // A second mute of the same user replaces the first one's timer.
    call.timer(&format!("unmute/{user}"), until, user);
    count(call, "mutes").await?;
    note(call, user, &format!("muted by {} for {}", command.user, times(minutes, "minute"))).await?;
    Ok(Reply::public(format!("{user} is muted for {}.", times(minutes, "minute"))))
}

async fn unmute(call: &mut Call, user: &str) -> Said {
    call.delete(format!("mute/{user}"));
    count(call, "mutes-lifted").await?;
    note(call, user, "the mute was lifted").await?;
    Ok(None)
}

async fn stats(call: &Call) -> Said {
    let mut counts = [0; PRELOAD.len()];
    for (count, key) in counts.iter_mut().zip(PRELOAD) {
        *count = call.get(key).await?.unwrap_or(0);
    }
    let [messages, warned, mutes, lifted] = counts;
    let mut people = call.scan("count/messages/").await?;
    people.sort_by(|(a, of_a), (b, of_b)| of_b.cmp(of_a).then_with(|| a.cmp(b)));
    let busiest: Vec<_> = people.iter().take(3).map(|(user, count)| format!("{user} {count}")).collect();
    let busiest = if busiest.is_empty() { String::new() } else { format!(" Busiest: {}.", busiest.join(", ")) };
    let (messages, warned, mutes) = (times(messages, "message"), times(warned, "warning"), times(mutes, "mute"));
    Ok(Reply::public(format!("{messages}, {warned}, {mutes} ({lifted} lifted).{busiest}")))
}

/// Adds one to a counter and returns it.
async fn count(call: &mut Call, what: &str) -> anyhow::Result<u64> {
    let key = format!("count/{what}");
    let count = call.get(&key).await?.unwrap_or(0) + 1;
    call.set(&key, count);
    Ok(count)
}

/// Adds a line to what is known of a user; the last twenty are kept.
async fn note(call: &mut Call, user: &str, text: &str) -> anyhow::Result<()> {
    let key = format!("notes/{user}");
    let mut notes: Vec<Value> = call.get(&key).await?.unwrap_or_default();
    notes.push(json!({"at": call.now_ms(), "text": text}));
    let from = notes.len().saturating_sub(20);
    call.set(&key, notes.split_off(from));
    Ok(())
}

/// Splits the first word off. A mention (`<@123>`, `<@U1|bob>`, `@bob`) is reduced to what it mentions. What is too long
/// for a name is none.
fn first_word(args: &str) -> (&str, &str) {
    let (word, rest) = args.trim().split_once(char::is_whitespace).unwrap_or((args.trim(), ""));
    let word = word.trim_start_matches("<@").trim_start_matches(['!', '&', '@']).trim_end_matches('>');
    let word = word.split_once('|').map_or(word, |(id, _)| id);
    (if word.len() <= LONGEST_NAME { word } else { "" }, rest.trim())
}

fn times(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
