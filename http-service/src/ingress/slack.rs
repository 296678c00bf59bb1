//! Slack: the Events API (JSON), interactivity (a form with JSON in `payload`) and slash commands (a form), all on one
//! URL. HMAC-SHA256 over `v0:timestamp:body`, in lower-case hex.

use super::form;
use super::json::{self, Id, Obj, Ref, id, ref_id};
use super::signature::{HmacKeys, digest, header, lower_hex, timestamp};
use super::verdict::{Found, Ignored, Input, Reason, Verdict};
use serde::Deserialize;
use serde_json::json;
use shared::event::{Answer, EventKind};
use shared::{Kind, Platform, TargetId};

const SOURCE: &str = "slack";

/// Judges a request.
pub(super) fn request(keys: &HmacKeys, input: Input<'_>) -> Result<Verdict, Reason> {
    let given = header(input.headers, "x-slack-signature")?;
    let stamp = header(input.headers, "x-slack-request-timestamp")?;
    let signature = lower_hex(given.strip_prefix(b"v0=").ok_or(Reason::MalformedSignature)?)?;
    timestamp(stamp, input)?;
    if !keys.verify(&[b"v0:", stamp, b":", input.body], &signature) {
        return Err(Reason::WrongSignature);
    }
    let text = json::text(input.body)?;
    // Slack's forms begin with a field's name, its JSON with a brace; the header that says which is not signed.
    if text.trim_ascii_start().starts_with('{') { event(text, input) } else { form(text, stamp, input) }
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Id<'a>>,
    #[serde(borrow)]
    challenge: Option<Id<'a>>,
    #[serde(borrow)]
    event_id: Option<Id<'a>>,
    #[serde(borrow)]
    team_id: Option<Id<'a>>,
    #[serde(borrow)]
    enterprise_id: Option<Id<'a>>,
    #[serde(borrow)]
    context_team_id: Option<Id<'a>>,
    #[serde(borrow)]
    authorizations: Option<Vec<Obj<Authorization<'a>>>>,
}

#[derive(Deserialize)]
struct Authorization<'a> {
    #[serde(borrow)]
    team_id: Option<Id<'a>>,
    #[serde(borrow)]
    enterprise_id: Option<Id<'a>>,
}

impl Event<'_> {
    /// Returns the workspace the app was installed in. `team_id` may be another one: in a shared channel it is whoever
    /// wrote. An app installed for a whole organisation has no team in its authorization; then `context_team_id` says
    /// through which workspace the event came.
    fn team(&self) -> Option<&str> {
        let installed = self.authorizations.as_ref().and_then(|all| all.first()).map(|first| &first.0);
        installed
            .and_then(|installed| id(&installed.team_id))
            .or_else(|| id(&self.context_team_id))
            .or_else(|| id(&self.team_id))
            .or_else(|| id(&self.enterprise_id))
            .or_else(|| installed.and_then(|installed| id(&installed.enterprise_id)))
    }
}

fn event(text: &str, input: Input<'_>) -> Result<Verdict, Reason> {
    let sent: Event<'_> = json::object(text)?;
    if id(&sent.kind) == Some("url_verification") {
        let challenge = id(&sent.challenge).ok_or(Reason::MalformedBody)?;
        let answer = Answer::json(200, &json!({"challenge": challenge}));
        return Ok(Verdict::Answer { ignored: Ignored::Challenge, answer });
    }
    let kind = EventKind::SlackEvent;
    let Some(target) = target(sent.team()) else { return Ok(Ignored::NoTarget.settled(kind, input)) };
    // Only notices about the app itself (its rate limit) have no id; a retry of one has the same bytes.
    let id = id(&sent.event_id).map_or_else(|| digest(&[input.body]), str::to_owned);
    Ok(Found { kind, target, id }.into_verdict(SOURCE.to_owned(), input))
}

fn form(text: &str, stamp: &[u8], input: Input<'_>) -> Result<Verdict, Reason> {
    let wanted = ["ssl_check", "payload", "command", "team_id", "enterprise_id", "trigger_id"];
    let [ssl_check, payload, command, team, enterprise, trigger] = form::fields(text, wanted)?;
    if ssl_check.as_deref() == Some("1") {
        return Ok(Verdict::Answer { ignored: Ignored::SslCheck, answer: Answer::empty(200) });
    }
    if let Some(payload) = payload {
        return interaction(&payload, stamp, input);
    }
    if command.is_none() {
        return Err(Reason::MalformedBody);
    }
    let kind = EventKind::SlackCommand;
    let given =
        |field: &Option<std::borrow::Cow<'_, str>>| field.as_deref().filter(|text| !text.is_empty()).map(str::to_owned);
    let Some(target) = target(given(&team).or_else(|| given(&enterprise)).as_deref()) else {
        return Ok(Ignored::NoTarget.settled(kind, input));
    };
    let id = given(&trigger).unwrap_or_else(|| digest(&[stamp, input.body]));
    Ok(Found { kind, target, id }.into_verdict(SOURCE.to_owned(), input))
}

#[derive(Deserialize)]
struct Interaction<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Id<'a>>,
    #[serde(borrow)]
    trigger_id: Option<Id<'a>>,
    #[serde(borrow)]
    action_ts: Option<Id<'a>>,
    #[serde(borrow)]
    callback_id: Option<Id<'a>>,
    #[serde(borrow)]
    team: Option<Obj<Ref<'a>>>,
    #[serde(borrow)]
    enterprise: Option<Obj<Ref<'a>>>,
    #[serde(borrow)]
    user: Option<Obj<Ref<'a>>>,
    #[serde(borrow)]
    view: Option<Obj<View<'a>>>,
}

#[derive(Deserialize)]
struct View<'a> {
    #[serde(borrow)]
    id: Option<Id<'a>>,
    #[serde(borrow)]
    hash: Option<Id<'a>>,
}

impl Interaction<'_> {
    /// Returns the workspace, or the organisation where the action belongs to no workspace.
    fn team(&self) -> Option<&str> {
        ref_id(&self.team).or_else(|| ref_id(&self.enterprise))
    }

    /// Returns the dedupe key. Where Slack gives none it is made of what names this one action; a request for options
    /// has nothing of the kind (the same question may come again tomorrow), so there it is this very request.
    fn key(&self, kind: &str, stamp: &[u8], body: &[u8]) -> String {
        if let Some(trigger) = id(&self.trigger_id) {
            return trigger.to_owned();
        }
        let text = |id: Option<&str>| id.unwrap_or_default().as_bytes().to_vec();
        let user = text(ref_id(&self.user));
        if let Some(at) = id(&self.action_ts) {
            return digest(&[kind.as_bytes(), at.as_bytes(), &user, &text(id(&self.callback_id))]);
        }
        match &self.view {
            Some(Obj(view)) if kind == "view_closed" || kind == "view_submission" => {
                digest(&[kind.as_bytes(), &text(id(&view.id)), &text(id(&view.hash)), &user])
            }
            _ => digest(&[kind.as_bytes(), stamp, body]),
        }
    }
}

fn interaction(payload: &str, stamp: &[u8], input: Input<'_>) -> Result<Verdict, Reason> {
    let sent: Interaction<'_> = json::object(json::text(payload.as_bytes())?)?;
    let name = id(&sent.kind).ok_or(Reason::MalformedBody)?;
    let kind = match name {
        "view_submission" => EventKind::SlackView,
        "block_suggestion" | "dialog_suggestion" => EventKind::SlackOptions,
        _ => EventKind::SlackInteraction,
    };
    let Some(target) = target(sent.team()) else { return Ok(Ignored::NoTarget.settled(kind, input)) };
    Ok(Found { kind, target, id: sent.key(name, stamp, input.body) }.into_verdict(SOURCE.to_owned(), input))
}

fn target(team: Option<&str>) -> Option<TargetId> {
    TargetId::from_parts(Platform::Slack, Kind::Guild, &[team?]).ok()
}

#[cfg(test)]
mod tests;
