//! `berth up --check`: sends one signed event per platform to a running cluster, each twice, and compares the answers and
//! the state the owners report with what they must be. Uses new ids, so that it works on a folder with data.

use crate::{
    exit::Failure,
    home::Cluster,
    output,
    secrets::{self, DEMO, Made},
    send::{Moment, Webhook, discord, github, slack, standard, telegram},
};
use bytes::Bytes;
use ed25519_dalek::SigningKey;
use http::{Method, Response, StatusCode};
use serde_json::Value;
use shared::{
    Kind, Platform, TargetId,
    http::{Client, ClientError},
    platform::{REFUSAL_TEXT, UNSURE_TEXT},
    wire::control::TargetState,
};
use std::time::Duration;
use tokio::time::sleep;

/// How long one answer may take: more than any platform here waits.
const ANSWER: Duration = Duration::from_secs(20);
/// How often an event is sent that is not taken in time, as platforms and people do who are told to come again.
const ATTEMPTS: u64 = 10;
/// How long is waited in between.
const AGAIN: Duration = Duration::from_secs(1);

/// One event and what must become of it.
#[derive(Debug)]
struct Case {
    what: &'static str,
    target: TargetId,
    webhook: Webhook,
    answer: Expected,
    /// The id the owner must have noted; none where it is derived.
    event_id: Option<String>,
}

/// What the first answer must be.
#[derive(Debug, Clone, Copy)]
enum Expected {
    /// This status, whatever the body.
    Status(u16),
    /// 200 and JSON that has a text here, as the handler says something.
    Text(&'static str),
}

/// Sends everything and prints a line for each.
///
/// # Errors
/// When anything differed: how much.
pub(super) async fn run(cluster: &Cluster, made: &Made) -> Result<(), Failure> {
    let http = Client::new(&cluster.http_url, None, ANSWER)?;
    let config = Client::new(&cluster.config_url, None, ANSWER)?;
    let moment = Moment::now(None, None)?;
    let cases = cases(made, &moment)?;
    let (all, mut failed) = (cases.len() + 1, 0);
    for case in &cases {
        failed += report(case.what, case.target.as_str(), verify(case, &http, &config).await)?;
    }
    let (target, webhook) = forged(&moment)?;
    failed += report("forged signature", target.as_str(), refused(&target, &webhook, &http, &config).await)?;
    if failed > 0 {
        return Err(Failure::error(format!("{failed} of {all} checks failed")));
    }
    output::print(&format!("{all} checks passed\n"))
}

fn report(what: &str, target: &str, outcome: Result<String, String>) -> Result<usize, Failure> {
    let (word, detail, failed) = match outcome {
        Ok(detail) => ("ok  ", detail, 0),
        Err(detail) => ("FAIL", detail, 1),
    };
    output::print(&format!("{word}  {what:<22} {target}: {}\n", output::plain(&detail)))?;
    Ok(failed)
}

fn cases(made: &Made, moment: &Moment) -> Result<Vec<Case>, Failure> {
    let (n, seconds) = (moment.fresh, moment.seconds());
    let id = n.to_string();
    let key = discord_key(made)?;
    let guild = n.wrapping_add(1).to_string();
    let said = discord::Said { guild: Some(&id), channel: "2", user: "3", command: "stats", options: Vec::new() };
    let chat = -1_000_000_000_000 - i64::try_from(n % 100_000_000_000).unwrap_or_default();
    let update = (n & 0x7fff_ffff).to_string();
    let (team, other_team) = (format!("T{n}"), format!("T{}", n.wrapping_add(1)));
    let (key_name, repository) = (format!("check-{n}"), format!("{n}"));
    let slack_said = |team| slack::Said { team, channel: "C1", user: "U1", text: "hello" };
    let pushed = github::Said { repository: Some(n), installation: None, action: None, comment: None, user: "user-1" };
    let event_id = format!("Ev{n}");
    let json = |value: Value| Bytes::from(value.to_string());
    let standard_id = format!("msg_{n}");
    let standard_body = json(standard::message(Some(&key_name), Some("stats"), "user-1", ""));
    let timestamp = format!("check-{n}");
    Ok(vec![
        Case {
            what: "discord interaction",
            target: target(Platform::Discord, Kind::Guild, &[&id])?,
            webhook: discord::sign(&key, "/webhooks/discord", seconds, json(discord::interaction(&id, &said))),
            answer: Expected::Text("/data/content"),
            event_id: Some(id.clone()),
        },
        Case {
            what: "discord webhook event",
            target: target(Platform::Discord, Kind::Guild, &[&guild])?,
            webhook: discord::sign(&key, "/webhooks/discord/events", seconds, json(discord::authorized(&guild, "3", &timestamp))),
            answer: Expected::Status(204),
            event_id: None,
        },
        Case {
            what: "telegram update",
            target: target(Platform::Telegram, Kind::Channel, &[&chat.to_string()])?,
            webhook: telegram::sign(&made.telegram_secret, DEMO, json(telegram::message(&update, chat, 42, "/stats", seconds))),
            answer: Expected::Text("/text"),
            event_id: Some(update.clone()),
        },
        Case {
            what: "slack event",
            target: target(Platform::Slack, Kind::Guild, &[&team])?,
            webhook: slack::sign(&made.slack_signing_secret, slack::JSON, seconds, json(slack::event(&event_id, "message", &slack_said(&team), seconds))),
            answer: Expected::Status(200),
            event_id: Some(event_id.clone()),
        },
        Case {
            what: "slack command",
            target: target(Platform::Slack, Kind::Guild, &[&other_team])?,
            webhook: slack::sign(&made.slack_signing_secret, slack::FORM, seconds, slack::command_form(&id, "stats", &slack_said(&other_team)).into()),
            answer: Expected::Text("/text"),
            event_id: Some(id.clone()),
        },
        Case {
            what: "standard webhook",
            target: target(Platform::Webhook, Kind::Key, &[DEMO, &key_name])?,
            webhook: standard::sign(&made.standard_secret, DEMO, &standard_id, seconds, standard_body)
                .ok_or_else(|| Failure::error("standard_secret of secrets.json is not whsec_ and base64; remove the file to have new secrets made"))?,
            answer: Expected::Status(200),
            event_id: Some(standard_id.clone()),
        },
        Case {
            what: "github delivery",
            target: target(Platform::Github, Kind::Key, &["repository", &repository])?,
            webhook: github::sign(&made.github_secret, "push", &id, json(github::delivery(&pushed))),
            answer: Expected::Status(202),
            event_id: Some(id.clone()),
        },
    ])
}

fn forged(moment: &Moment) -> Result<(TargetId, Webhook), Failure> {
    let guild = moment.fresh.wrapping_add(2).to_string();
    let said = discord::Said { guild: Some(&guild), channel: "2", user: "3", command: "stats", options: Vec::new() };
    let body = Bytes::from(discord::interaction(&guild, &said).to_string());
    let stranger = SigningKey::from_bytes(&secrets::random()?);
    let webhook = discord::sign(&stranger, "/webhooks/discord", moment.seconds(), body);
    Ok((target(Platform::Discord, Kind::Guild, &[&guild])?, webhook))
}

fn discord_key(made: &Made) -> Result<SigningKey, Failure> {
    discord::key(Some(&made.discord_private_key), &crate::send::made_keys(made.clone()))
}

fn target(platform: Platform, kind: Kind, parts: &[&str]) -> Result<TargetId, Failure> {
    TargetId::from_parts(platform, kind, parts).map_err(Failure::error)
}

/// Sends an event until it is taken; returns the answer, and how often it was sent.
async fn taken(webhook: &Webhook, http: &Client) -> Result<(Response<Bytes>, u64), String> {
    let mut times = 1;
    loop {
        let answer = webhook.post(http).await.map_err(|why| why.to_string())?;
        if times == ATTEMPTS || !is_to_come_again(&answer) {
            return Ok((answer, times));
        }
        sleep(AGAIN).await;
        times += 1;
    }
}

/// Returns whether an answer says that nobody has taken the event in time, to a platform or to whoever waits.
fn is_to_come_again(answer: &Response<Bytes>) -> bool {
    let text = String::from_utf8_lossy(answer.body());
    answer.status() == StatusCode::SERVICE_UNAVAILABLE || text.contains(REFUSAL_TEXT) || text.contains(UNSURE_TEXT)
}

/// Sends a case twice; returns what was seen, or what differed.
async fn verify(case: &Case, http: &Client, config: &Client) -> Result<String, String> {
    let text = |why: ClientError| why.to_string();
    let (first, before) = taken(&case.webhook, http).await?;
    expected(case.answer, &first)?;
    let (second, after) = taken(&case.webhook, http).await?;
    if (second.status(), second.body()) != (first.status(), first.body()) {
        return Err(format!("the duplicate was answered {}, the first {}", shown(&second), shown(&first)));
    }
    let state: TargetState = config.get(&format!("/v1/targets/{}/state", case.target)).await.map_err(text)?;
    state_is_right(case, &state, before + after)?;
    Ok(format!("{} twice, applied once by {}", first.status().as_u16(), state.pod))
}

/// Sends what must be refused.
async fn refused(target: &TargetId, webhook: &Webhook, http: &Client, config: &Client) -> Result<String, String> {
    let answer = webhook.post(http).await.map_err(|why| why.to_string())?;
    if answer.status().as_u16() != 401 {
        return Err(format!("expected 401, got {}", shown(&answer)));
    }
    let path = format!("/v1/targets/{target}");
    let found = config.exchange(Method::GET, &path, &[], Bytes::new()).await.map_err(|why| why.to_string())?;
    match found.status().as_u16() {
        404 => Ok("401, no target made".to_owned()),
        _ => Err(format!("the refused event made a target: {path} answered {}", shown(&found))),
    }
}

fn expected(expected: Expected, answer: &Response<Bytes>) -> Result<(), String> {
    let status = answer.status().as_u16();
    match expected {
        Expected::Status(wanted) if status == wanted => Ok(()),
        Expected::Status(wanted) => Err(format!("expected {wanted}, got {}", shown(answer))),
        Expected::Text(pointer) => {
            let body: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
            let says = body.pointer(pointer).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
            let right = status == 200 && says;
            right.then_some(()).ok_or_else(|| format!("expected 200 with a text at {pointer}, got {}", shown(answer)))
        }
    }
}

/// An event that was sent so many times was applied once, and was a duplicate ever after; how often, only who was answered each
/// time can tell.
fn state_is_right(case: &Case, state: &TargetState, sent: u64) -> Result<(), String> {
    let noted = case.event_id.is_none() || case.event_id == state.last_event_id;
    let counted = state.applied == 1 && (1..sent).contains(&state.duplicates);
    if state.target == case.target && counted && noted {
        return Ok(());
    }
    let id = case.event_id.as_deref().unwrap_or("its id");
    Err(format!(
        "expected applied 1, duplicates 1, last event {id}; {} says applied {}, duplicates {}, last event {}",
        state.pod,
        state.applied,
        state.duplicates,
        state.last_event_id.as_deref().unwrap_or("none")
    ))
}

fn shown(answer: &Response<Bytes>) -> String {
    let body: String = String::from_utf8_lossy(answer.body()).chars().take(300).collect();
    format!("{} {body}", answer.status())
}

#[cfg(test)]
mod tests;
