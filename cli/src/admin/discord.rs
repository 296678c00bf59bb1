//! `berth discord`: how often the bot may still identify on Discord and who uses that up, which pod may make how many requests;
//! which shards it has, and how they stand.

use super::Common;
use crate::{
    exit::Failure,
    output::{self, Format, ago},
};
use serde::Serialize;
use shared::wire::{
    discord::{BrakedShard, Budget, BudgetStatus, HeldShard, ReshardPhase, ShardsStatus},
    rest::{RestBot, RestPod, RestStatus},
};

/// What to do.
#[derive(Debug, clap::Subcommand)]
#[command(before_help = "Examples:\n  berth discord budget\n  berth discord shards")]
pub(crate) enum Verb {
    /// Say how many IDENTIFYs the bot has left and which shards use them up, and which pod may make how many requests
    Budget(Show),
    /// List the bot's shards: who holds each, how it stands, and how far a change of their number is
    Shards(List),
}

/// Flags of `berth discord budget`.
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Example:\n  berth discord budget\nBeyond its budget Discord resets a bot's token. Resuming a session takes nothing of it."
)]
pub(crate) struct Show {
    /// What all verbs have.
    #[command(flatten)]
    common: Common,
}

/// Flags of `berth discord shards`.
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Example:\n  berth discord shards\nAnother number of shards (--discord-shards of config-service) comes up beside the one before; it is live once all are ready."
)]
pub(crate) struct List {
    /// What all verbs have.
    #[command(flatten)]
    common: Common,
}

/// Asks and prints.
pub(crate) async fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Budget(Show { common }) => budget(common).await,
        Verb::Shards(List { common }) => shards(common).await,
    }
}

async fn shards(common: Common) -> Result<(), Failure> {
    let status: ShardsStatus = common.api()?.get("/v1/discord/shards").await?;
    match common.output {
        Format::Table => output::print(&shown(&status, super::now_ms())),
        format => output::rows(format, &status, &status.held, &HEADS, |held| row(held, super::now_ms())),
    }
}

const HEADS: [&str; 7] = ["SHARD", "POD", "STATE", "ROLE", "SESSION", "COMMITTED", "WHY"];

fn row(held: &HeldShard, now_ms: u64) -> Vec<String> {
    let HeldShard { pod, status } = held;
    let age = status.since_ms.map(|since| ago(now_ms.saturating_sub(since)));
    // One that was there before its holder was is older than anybody here knows.
    let session = age.or_else(|| status.session.as_ref().map(|_| "resumed".to_owned()));
    vec![
        status.shard.clone(),
        pod.to_string(),
        status.state.as_str().to_owned(),
        status.role.as_str().to_owned(),
        session.unwrap_or_else(|| "none".to_owned()),
        status.seq.map_or_else(String::new, |seq| seq.to_string()),
        status.why.clone().unwrap_or_default(),
    ]
}

/// Everything an operator asks of the shards, as text.
fn shown(status: &ShardsStatus, now_ms: u64) -> String {
    let number = |count: Option<u32>| count.map_or_else(|| "not known yet".to_owned(), |count| count.to_string());
    let mut facts = output::Table::new(&["shards", &number(status.shards)]);
    if status.coming.is_some() {
        let phase = match status.phase {
            ReshardPhase::Beside => "they log in beside the others",
            ReshardPhase::Holding => "all are there, and their turn comes at once",
            ReshardPhase::Closing => "the old ones close, and they take over",
        };
        facts.row(["becoming".to_owned(), format!("{}: {phase}", number(status.coming))]);
    }
    if let Some(why) = &status.why {
        facts.row(["waits".to_owned(), why.clone()]);
    }
    let mut table = output::Table::new(&HEADS);
    status.held.iter().for_each(|held| table.row(row(held, now_ms)));
    if status.held.is_empty() { facts.render() } else { format!("{}\n{}", facts.render(), table.render()) }
}

async fn budget(common: Common) -> Result<(), Failure> {
    let api = common.api()?;
    let identify: BudgetStatus = api.get("/v1/discord/budget").await?;
    let rest: RestStatus = api.get("/v1/discord/rest").await?;
    match common.output {
        Format::Table => output::print(&format!("{}{}", sheet(&identify, super::now_ms()), requests(&rest))),
        format => {
            let all = All { identify: &identify, rest: &rest };
            output::rows(format, &all, std::slice::from_ref(&identify), &["REMAINING"], name)
        }
    }
}

/// Both budgets, the first as it has always been.
#[derive(Debug, Serialize)]
struct All<'a> {
    #[serde(flatten)]
    identify: &'a BudgetStatus,
    rest: &'a RestStatus,
}

/// Who may make how many requests, as text.
fn requests(rest: &RestStatus) -> String {
    let bot = |bot: &RestBot| {
        let pause = match bot.paused_ms {
            0 => String::new(),
            ms => format!(", pauses for {}", ago(ms)),
        };
        let mut pods = output::Table::new(&["POD", "SLOTS", "KEEPS", "COULD USE", "INVALID", "STATE"]);
        bot.pods.iter().for_each(|pod| pods.row(pod_cells(pod)));
        format!("\nrequests of {}: {} a second{pause}\n{}", bot.bot, rest.limit, pods.render())
    };
    rest.bots.iter().map(bot).collect()
}

fn pod_cells(pod: &RestPod) -> Vec<String> {
    let state = match pod {
        RestPod { refused: true, .. } => "Discord refuses its token",
        RestPod { braked: true, .. } => "braked: too many invalid requests",
        RestPod { asked_ms: None, .. } => "not heard of yet",
        _ => "ok",
    };
    let counts = [pod.slots, pod.floor, pod.wants, pod.invalid].map(|count| count.to_string());
    std::iter::once(pod.pod.to_string()).chain(counts).chain([state.to_owned()]).collect()
}

fn name(status: &BudgetStatus) -> Vec<String> {
    vec![status.budget.as_ref().map_or_else(|| "?".to_owned(), |budget| budget.remaining.to_string())]
}

/// Everything an operator asks, as text.
fn sheet(status: &BudgetStatus, now_ms: u64) -> String {
    let mut table = output::Table::new(&["bot", status.bot.as_deref().unwrap_or("none")]);
    let mut fact = |name: &str, value: String| table.row([name.to_owned(), value]);
    let why = status.why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
    fact("state", format!("{}{why}", status.state));
    if let Some(budget) = &status.budget {
        for (name, value) in facts(budget, now_ms) {
            fact(name, value);
        }
    }
    fact("waiting", status.waiting.to_string());
    if status.braked.is_empty() {
        return table.render();
    }
    let mut braked = output::Table::new(&["BRAKED SHARD", "IDENTIFIED", "WAITS"]);
    status.braked.iter().for_each(|shard| braked.row(cells(shard)));
    format!("{}\n{}", table.render(), braked.render())
}

fn facts(budget: &Budget, now_ms: u64) -> [(&'static str, String); 6] {
    let Budget { shards, total, remaining, reserve, max_concurrency, resets_ms, told_ms, permits } = budget;
    let resets = match resets_ms.checked_sub(now_ms) {
        Some(left) if left > 0 => format!("in {}", ago(left)),
        _ => "now; Discord is being asked".to_owned(),
    };
    [
        ("remaining", format!("{remaining} of {total} IDENTIFYs, {reserve} of them kept for recovery")),
        ("whole again", resets),
        ("at once", format!("{max_concurrency} every five seconds")),
        ("shards", format!("{shards} recommended")),
        ("told", format!("{} ago", ago(now_ms.saturating_sub(*told_ms)))),
        ("permits", format!("{permits} so far")),
    ]
}

fn cells(shard: &BrakedShard) -> Vec<String> {
    let times = format!("{} times in a row", shard.identified);
    vec![format!("{} of {}", shard.shard, shard.shards), times, ago(shard.wait_ms)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget() -> Budget {
        Budget {
            shards: 16,
            total: 1_000,
            remaining: 640,
            reserve: 200,
            max_concurrency: 2,
            resets_ms: 7_201_000,
            told_ms: 1_000,
            permits: 361,
        }
    }

    #[test]
    fn the_sheet_says_what_is_left_until_when_and_who_has_to_wait() {
        let braked = vec![BrakedShard { shard: 3, shards: 16, identified: 5, wait_ms: 240_000 }];
        let (bot, state, why) = (Some("813847".to_owned()), "old".to_owned(), Some("it answers 503\n".to_owned()));
        let status = BudgetStatus { bot, state, why, budget: Some(budget()), waiting: 2, braked };
        let text = sheet(&status, 1_000);
        for part in [
            "bot          813847\n",
            "state        old: it answers 503\\u{a}\n",
            "remaining    640 of 1000 IDENTIFYs, 200 of them kept for recovery\n",
            "whole again  in 2h",
            "at once      2 every five seconds\n",
            "waiting      2\n",
            "3 of 16       5 times in a row  4m",
        ] {
            assert!(text.contains(part), "{part:?} in\n{text}");
        }
    }

    #[test]
    fn who_may_make_requests_is_told_by_pod_and_why_one_makes_none() {
        let pod = |n: u32, slots, braked| RestPod {
            pod: format!("gateway-{n}").parse().expect("a name"),
            slots,
            floor: 12,
            wants: 30,
            invalid: 2,
            braked,
            refused: false,
            asked_ms: Some(5),
        };
        let bot =
            RestBot { bot: "813847".to_owned(), paused_ms: 3_000, pods: vec![pod(0, 30, false), pod(1, 19, true)] };
        let text = requests(&RestStatus { limit: 50, invalid_limit: 5_000, bots: vec![bot] });
        for part in [
            "requests of 813847: 50 a second, pauses for 3.0s\n",
            "gateway-0  30     12     30         2        ok",
            "gateway-1  19     12     30         2        braked: too many invalid requests",
        ] {
            assert!(text.contains(part), "{part:?} in\n{text}");
        }
    }

    #[test]
    fn shards_are_shown_with_who_holds_them_and_what_is_waited_for() {
        let held = serde_json::json!({"pod": "gateway-1", "shard": "0-2", "state": "ready", "session": "a", "seq": 7,
            "why": null, "role": "live", "since_ms": 1_000});
        let held = serde_json::from_value(held).expect("a shard");
        let why = Some("1 of them are not ready yet, 3-4 for one".to_owned());
        let (shards, coming, phase) = (Some(2), Some(4), ReshardPhase::Beside);
        let text = shown(&ShardsStatus { shards, coming, phase, why, held: vec![held] }, 61_000);
        for part in
            ["shards    2\n", "becoming  4: they log in", "waits     1 of them", "0-2    gateway-1  ready  live  1m"]
        {
            assert!(text.contains(part), "{part:?} in\n{text}");
        }
    }

    #[test]
    fn a_bot_without_a_token_has_no_budget() {
        let (state, why) = ("no-token".to_owned(), Some("set BERTH_DISCORD_TOKEN".to_owned()));
        let status = BudgetStatus { bot: None, state, why, budget: None, waiting: 0, braked: Vec::new() };
        let text = sheet(&status, 0);
        assert_eq!(text, "bot      none\nstate    no-token: set BERTH_DISCORD_TOKEN\nwaiting  0\n");
        assert_eq!(name(&status), ["?"]);
    }
}
