//! The handler's answer to an event. Strict: a field that is not known, or of another type, is an answer that cannot be
//! trusted, and nothing of it is kept.

use super::{super::OutboxCall, super::Reply, super::Said, super::sql::Params, place::At, place::Malformed};
use crate::handlers::said::{Asked, SessionChange, Set, Statement, TimerChange};
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use serde_json::Value;
use shared::event::Answer;
use std::{collections::BTreeMap, time::Duration};

/// Headers that say how a reply travels; those are Berth's.
const TRAVEL: [&str; 8] =
    ["connection", "content-length", "date", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];
const JSON: &str = "application/json";

/// Reads an answer. `named` gives the statements the handler has registered.
///
/// # Errors
/// What is wrong and where.
pub(crate) fn parse(body: &[u8], named: &BTreeMap<String, String>) -> Result<Said, Malformed> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Said::nothing());
    }
    let value: Value =
        serde_json::from_slice(body).map_err(|why| Malformed::new("answer", format!("no JSON: {why}")))?;
    let answer = At::root("answer", &value);
    answer.only(&["reply", "kv", "sql", "outbox", "timers", "sessions"])?;
    let mut said = Said::nothing();
    if let Some(at) = answer.find("reply")? {
        said.reply = reply(&at)?;
    }
    if let Some(at) = answer.find("kv")? {
        kv(&at, &mut said)?;
    }
    if let Some(at) = answer.find("sql")? {
        said.sql = at.items()?.map(|item| statement(&item, named)).collect::<Result<_, _>>()?;
    }
    if let Some(at) = answer.find("sessions")? {
        said.sessions = at.items()?.map(|item| session(&item)).collect::<Result<_, _>>()?;
    }
    if let Some(at) = answer.find("outbox")? {
        said.calls = at.items()?.map(|item| call(&item)).collect::<Result<_, _>>()?;
    }
    if let Some(at) = answer.find("timers")? {
        said.timers = at.items()?.map(|item| timer(&item)).collect::<Result<_, _>>()?;
    }
    Ok(said)
}

fn reply(at: &At<'_>) -> Result<Reply, Malformed> {
    if at.object()?.contains_key("text") {
        at.only(&["text", "private"])?;
        let private = at.find("private")?.map(|at| at.flag()).transpose()?.unwrap_or(false);
        let text = at.member("text")?.text()?;
        return Ok(if private { Reply::private(text) } else { Reply::text(text) });
    }
    at.only(&["status", "headers", "body"])?;
    let status = match at.find("status")? {
        Some(at) => u16::try_from(at.whole()?)
            .ok()
            .filter(|status| (200..=599).contains(status))
            .ok_or_else(|| at.wrong("expected a status from 200 to 599"))?,
        None => 200,
    };
    let (body, json) = body(at)?;
    if matches!(status, 204 | 205 | 304) && !body.is_empty() {
        return Err(at.wrong("an answer with status 204, 205 or 304 has no body"));
    }
    let mut headers = headers(at)?;
    if let Some((name, _)) = headers.iter().find(|(name, _)| TRAVEL.contains(&name.as_str())) {
        return Err(at.wrong(format_args!("headers.{name} is Berth's own; leave it out")));
    }
    type_of_json(&mut headers, json);
    Ok(Reply::raw(Answer { status, headers, body: Bytes::from(body) }))
}

/// Returns the member `body`, text as it is and anything else as JSON, and whether it is JSON.
fn body(at: &At<'_>) -> Result<(String, bool), Malformed> {
    Ok(match at.find("body")?.as_ref().map(At::value) {
        None => (String::new(), false),
        Some(Value::String(text)) => (text.clone(), false),
        Some(value) => (value.to_string(), true),
    })
}

/// Returns the member `headers`, names in lower case.
fn headers(at: &At<'_>) -> Result<Vec<(String, String)>, Malformed> {
    let Some(at) = at.find("headers")? else { return Ok(Vec::new()) };
    at.members()?
        .map(|(name, at)| {
            let text = at.text()?;
            let name: HeaderName = name.parse().map_err(|_| at.wrong("this is no name of a header"))?;
            HeaderValue::from_str(text).map_err(|_| at.wrong("a header's value is one line of plain text"))?;
            Ok((name.as_str().to_owned(), text.to_owned()))
        })
        .collect()
}

fn type_of_json(headers: &mut Vec<(String, String)>, json: bool) {
    if json && headers.iter().all(|(name, _)| name != "content-type") {
        headers.push(("content-type".to_owned(), JSON.to_owned()));
    }
}

fn kv(at: &At<'_>, said: &mut Said) -> Result<(), Malformed> {
    at.only(&["set", "delete", "ttl_ms"])?;
    if let Some(at) = at.find("delete")? {
        said.deletes = at.items()?.map(|item| item.text().map(ToOwned::to_owned)).collect::<Result<_, _>>()?;
    }
    if let Some(at) = at.find("set")? {
        let set = |(key, at): (&str, At<'_>)| Set { key: key.to_owned(), value: at.value().clone(), ttl: None };
        said.sets = at.members()?.map(set).collect();
    }
    if let Some(at) = at.find("ttl_ms")? {
        for (key, at) in at.members()? {
            let ttl = Duration::from_millis(at.whole()?);
            let set = said.sets.iter_mut().find(|set| set.key == key);
            set.ok_or_else(|| at.wrong("a key that is not in kv.set has no time to live"))?.ttl = Some(ttl);
        }
    }
    Ok(())
}

fn statement(at: &At<'_>, named: &BTreeMap<String, String>) -> Result<Statement, Malformed> {
    at.only(&["statement", "params"])?;
    let text = at.member("statement")?.text()?;
    let statement = named.get(text).cloned().unwrap_or_else(|| text.to_owned());
    let params = at.find("params")?.map(|at| params(&at)).transpose()?.unwrap_or_default();
    Ok(Statement { statement, params })
}

/// Reads the body of a query that a handler makes while it works. `named` gives the statements it has registered.
///
/// # Errors
/// What is wrong and where.
pub(crate) fn parse_query(body: &[u8], named: &BTreeMap<String, String>) -> Result<(String, Params), Malformed> {
    let value: Value =
        serde_json::from_slice(body).map_err(|why| Malformed::new("query", format!("no JSON: {why}")))?;
    let at = At::root("query", &value);
    let Statement { statement, params } = statement(&at, named)?;
    Ok((statement, params))
}

fn params(at: &At<'_>) -> Result<Params, Malformed> {
    let value = |at: At<'_>| at.value().clone().try_into().map_err(|why| at.wrong(why));
    if at.value().is_array() {
        return Ok(Params::Positional(at.items()?.map(value).collect::<Result<_, _>>()?));
    }
    let named = at.members()?.map(|(name, at)| Ok((name.to_owned(), value(at)?)));
    Ok(Params::Named(named.collect::<Result<_, Malformed>>()?))
}

fn session(at: &At<'_>) -> Result<SessionChange, Malformed> {
    let id = at.member("id")?.text()?.to_owned();
    for (word, change) in
        [("touch", SessionChange::Touch { id: id.clone() }), ("delete", SessionChange::Delete { id: id.clone() })]
    {
        if let Some(flag) = at.find(word)? {
            at.only(&["id", word])?;
            return if flag.flag()? { Ok(change) } else { Err(flag.wrong("only true says anything")) };
        }
    }
    at.only(&["id", "set", "ttl_ms"])?;
    let value = at.object()?.get("set").cloned().ok_or_else(|| at.wrong("one of set, touch and delete is needed"))?;
    let ttl = at.find("ttl_ms")?.map(|at| at.whole().map(Duration::from_millis)).transpose()?;
    Ok(SessionChange::Set { id, value, ttl })
}

fn call(at: &At<'_>) -> Result<Asked, Malformed> {
    at.only(&["id", "method", "url", "headers", "body", "idempotent"])?;
    let (body, json) = body(at)?;
    let mut headers = headers(at)?;
    type_of_json(&mut headers, json);
    let method = at.find("method")?.map_or(Ok("POST"), |at| at.text())?;
    let call = OutboxCall {
        id: at.member("id")?.text()?.to_owned(),
        method: method.to_ascii_uppercase(),
        url: at.member("url")?.text()?.to_owned(),
        headers,
        body,
    };
    let idempotent = at.find("idempotent")?.map(|at| at.flag()).transpose()?;
    Ok(Asked { call, idempotent })
}

fn timer(at: &At<'_>) -> Result<TimerChange, Malformed> {
    let id = at.member("id")?.text()?.to_owned();
    if let Some(cancel) = at.find("cancel")? {
        at.only(&["id", "cancel"])?;
        return if cancel.flag()? {
            Ok(TimerChange::Cancel { id })
        } else {
            Err(cancel.wrong("only true says anything"))
        };
    }
    at.only(&["id", "at", "payload"])?;
    let payload = at.find("payload")?.map_or(Ok(""), |at| at.text())?.to_owned();
    Ok(TimerChange::At { id, due_ms: at.member("at")?.whole()?, payload })
}
