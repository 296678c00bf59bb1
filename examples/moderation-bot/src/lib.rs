//! A moderation bot, on every platform that Berth knows:
//!
//! ```text
//! /warn USER reason     writes a warning down
//! /warnings USER        shows a user's warnings
//! /mute USER minutes    mutes a user; a timer lifts it
//! /stats                counts messages, warnings and mutes
//! ```
//!
//! Everything it knows is in its target's keys and values. What one event changes is kept or lost as a whole, together
//! with the answer, and an event that is sent twice changes nothing twice: the bot has to do nothing for that.

use gateway::handlers::{Command, EventExt};
use gateway::handlers::{Event, Handler, HandlerError, Reply, Target, Timer};
use serde_json::{Value, json};

const HELP: &str = "I know /warn USER reason, /warnings USER, /mute USER minutes and /stats.";
const MINUTE_MS: u64 = 60_000;
const LONGEST_MUTE: u64 = 60 * 24 * 28;
/// The longest name of a user, in bytes: it becomes part of keys, and keys are bounded.
const LONGEST_NAME: usize = 400;

/// The bot. It holds nothing itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct ModerationBot;

impl Handler for ModerationBot {
    fn handle(&self, event: &Event, target: &mut Target<'_>) -> Result<Reply, HandlerError> {
        if let Some(command) = event.command() {
            return match command.name.as_str() {
                "warn" => warn(&command, target),
                "warnings" => warnings(&command, target),
                "mute" => mute(&command, target),
                "stats" => stats(target),
                other => Ok(Reply::private(format!("I don't know /{other}. {HELP}"))),
            };
        }
        if let Some(message) = event.message() {
            count(target, "messages")?;
            if message.user.len() <= LONGEST_NAME {
                count(target, &format!("messages/{}", message.user))?;
            }
        }
        Ok(Reply::none())
    }

    fn on_timer(&self, timer: &Timer, target: &mut Target<'_>) -> Result<(), HandlerError> {
        let user = &timer.payload;
        target.kv().delete(&format!("mute/{user}"))?;
        count(target, "mutes-lifted")?;
        note(target, user, "the mute was lifted")
    }
}

fn warn(command: &Command, target: &mut Target<'_>) -> Result<Reply, HandlerError> {
    let Some((user, reason)) = named(command).filter(|(_, reason)| !reason.is_empty()) else {
        return Ok(Reply::private("Say whom and why: /warn USER reason"));
    };
    count(target, "warnings")?;
    let so_far = count(target, &format!("warned/{user}"))?;
    note(target, user, &format!("warned by {}: {reason}", command.user))?;
    Ok(Reply::text(format!("{user} has been warned: {reason} ({})", times(so_far, "warning"))))
}

fn warnings(command: &Command, target: &mut Target<'_>) -> Result<Reply, HandlerError> {
    let Some((user, _)) = named(command) else {
        return Ok(Reply::private("Say whose: /warnings USER"));
    };
    let so_far: u64 = target.kv().get(&format!("count/warned/{user}"))?.unwrap_or(0);
    let notes: Vec<Value> = target.kv().get(&format!("notes/{user}"))?.unwrap_or_default();
    let muted: Option<u64> = target.kv().get(&format!("mute/{user}"))?;
    let mut lines = vec![format!("{user} has {}.", times(so_far, "warning"))];
    lines.extend(notes.iter().filter_map(|note| note["text"].as_str()).map(|text| format!("- {text}")));
    if let Some(until_ms) = muted {
        let minutes = until_ms.saturating_sub(target.now_ms()).div_ceil(MINUTE_MS);
        lines.push(format!("Muted for another {}.", times(minutes, "minute")));
    }
    Ok(Reply::private(lines.join("\n")))
}

fn mute(command: &Command, target: &mut Target<'_>) -> Result<Reply, HandlerError> {
    let asked = named(command).and_then(|(user, minutes)| Some((user, minutes.parse::<u64>().ok()?)));
    let Some((user, minutes)) = asked.filter(|(_, minutes)| (1..=LONGEST_MUTE).contains(minutes)) else {
        return Ok(Reply::private(format!("Say whom and how long: /mute USER minutes (1 to {LONGEST_MUTE})")));
    };
    let until_ms = target.now_ms() + minutes * MINUTE_MS;
    target.kv().set(&format!("mute/{user}"), &until_ms)?;
    // A second mute of the same user replaces the first one's timer.
    target.timer().at(&format!("unmute/{user}"), until_ms, user)?;
    count(target, "mutes")?;
    note(target, user, &format!("muted by {} for {}", command.user, times(minutes, "minute")))?;
    Ok(Reply::text(format!("{user} is muted for {}.", times(minutes, "minute"))))
}

fn stats(target: &mut Target<'_>) -> Result<Reply, HandlerError> {
    let mut counts = [0_u64; 4];
    for (count, key) in counts.iter_mut().zip(["messages", "warnings", "mutes", "mutes-lifted"]) {
        *count = target.kv().get(&format!("count/{key}"))?.unwrap_or(0);
    }
    let [messages, warnings, mutes, lifted] = counts;
    let mut people: Vec<(String, u64)> = target.kv().scan("count/messages/", 1_000)?;
    people.sort_by(|(a, of_a), (b, of_b)| of_b.cmp(of_a).then_with(|| a.cmp(b)));
    let busiest: Vec<String> = people
        .iter()
        .take(3)
        .map(|(key, count)| format!("{} {count}", key.trim_start_matches("count/messages/")))
        .collect();
    let busiest = if busiest.is_empty() { String::new() } else { format!(" Busiest: {}.", busiest.join(", ")) };
    let (warnings, mutes) = (times(warnings, "warning"), times(mutes, "mute"));
    Ok(Reply::text(format!("{}, {warnings}, {mutes} ({lifted} lifted).{busiest}", times(messages, "message"))))
}

/// Returns whom a command is about, and what else it says. What is too long for a name is none.
fn named(command: &Command) -> Option<(&str, &str)> {
    command.first().filter(|(user, _)| user.len() <= LONGEST_NAME)
}

/// Adds one to a counter and returns it.
fn count(target: &mut Target<'_>, what: &str) -> Result<u64, HandlerError> {
    let key = format!("count/{what}");
    let count = target.kv().get(&key)?.unwrap_or(0) + 1;
    target.kv().set(&key, &count)?;
    Ok(count)
}

/// Adds a line to what is known of a user; the last twenty are kept.
fn note(target: &mut Target<'_>, user: &str, text: &str) -> Result<(), HandlerError> {
    let key = format!("notes/{user}");
    let mut notes: Vec<Value> = target.kv().get(&key)?.unwrap_or_default();
    notes.push(json!({"at": target.now_ms(), "text": text}));
    let from = notes.len().saturating_sub(20);
    target.kv().set(&key, &notes[from..])
}

fn times(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;
