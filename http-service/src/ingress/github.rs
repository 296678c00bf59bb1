//! GitHub: deliveries of webhooks. HMAC-SHA256 over the body, in lower-case hex.

use super::form;
use super::json::{self, Obj, Ref, ref_id};
use super::signature::{HmacKeys, header, lower_hex};
use super::verdict::{Found, Ignored, Input, Reason, Verdict};
use serde::Deserialize;
use shared::event::{Answer, EventKind};
use shared::{Kind, Platform, TargetId};

#[derive(Deserialize)]
struct Delivery<'a> {
    #[serde(borrow)]
    installation: Option<Obj<Ref<'a>>>,
    #[serde(borrow)]
    repository: Option<Obj<Ref<'a>>>,
    #[serde(borrow)]
    organization: Option<Obj<Ref<'a>>>,
}

/// Judges a delivery.
pub(super) fn delivery(keys: &HmacKeys, input: Input<'_>) -> Result<Verdict, Reason> {
    let given = header(input.headers, "x-hub-signature-256")?;
    let signature = lower_hex(given.strip_prefix(b"sha256=").ok_or(Reason::MalformedSignature)?)?;
    if !keys.verify(&[input.body], &signature) {
        return Err(Reason::WrongSignature);
    }
    let text = json::text(input.body)?;
    // A hook's content type may also be a form with the JSON in one field.
    let payload = match text.starts_with("payload=") {
        true => form::fields(text, ["payload"])?[0].take().ok_or(Reason::MalformedBody)?,
        false => text.into(),
    };
    let sent: Delivery<'_> = json::object(json::text(payload.as_bytes())?)?;
    if input.headers.get("x-github-event").is_some_and(|event| event == "ping") {
        return Ok(Verdict::Answer { ignored: Ignored::Ping, answer: Answer::empty(200) });
    }
    let id = header(input.headers, "x-github-delivery").map_err(|_| Reason::MissingId)?;
    let id = std::str::from_utf8(id).ok().filter(|id| !id.is_empty()).ok_or(Reason::MissingId)?.to_owned();
    let owner = ref_id(&sent.installation)
        .map(|id| ["installation", id])
        .or_else(|| ref_id(&sent.repository).map(|id| ["repository", id]))
        .or_else(|| ref_id(&sent.organization).map(|id| ["organization", id]));
    let target = owner.and_then(|parts| TargetId::from_parts(Platform::Github, Kind::Key, &parts).ok());
    let kind = EventKind::GithubEvent;
    match target {
        Some(target) => Ok(Found { kind, target, id }.into_verdict("github".to_owned(), input)),
        None => Ok(Ignored::NoTarget.settled(kind, input)),
    }
}

#[cfg(test)]
mod tests;
