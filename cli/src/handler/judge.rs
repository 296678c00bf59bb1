//! Judges what a handler says: the description and the answers, against version 1 of the contract and its limits. Pure.

use super::shape::{Complaint, Field, Shape, cut, describe, differences, may, must, whole};
use serde_json::{Map, Value};

/// The version of the contract that is judged.
pub(super) const API: &str = "1";
/// The longest key of a value, in bytes.
pub(super) const MAX_KEY: usize = 512;
/// The largest value, in bytes of JSON.
pub(super) const MAX_VALUE: usize = 1 << 20;
/// The largest answer, in bytes; a gateway's `--handler-max-answer` may say otherwise.
pub(super) const MAX_ANSWER: usize = 1 << 20;

/// Methods of calls to the outside.
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
/// Headers of calls to the outside that are Berth's to set.
const OURS: [&str; 9] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "upgrade",
    "te",
    "trailer",
    "expect",
    "idempotency-key",
];

/// Headers that say how a reply travels.
const TRAVEL: [&str; 8] =
    ["connection", "content-length", "date", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];
/// Most keys and beginnings of keys that travel with every event.
const MOST_PRELOADS: usize = 256;

const DESCRIPTION: Shape = Shape::Open(&[
    must("api", Shape::List(&Shape::Text)),
    may("name", Shape::Text),
    may("version", Shape::Text),
    may("preload", Shape::List(&Shape::Text)),
    may("max_concurrency", Shape::Whole),
    may("timeout_ms", Shape::Whole),
    may("statements", Shape::Map(&Shape::Text)),
    may("web", Shape::Flag),
]);

const REPLY: Shape = Shape::Closed(&[
    may("status", Shape::Whole),
    may("headers", Shape::Map(&Shape::Text)),
    may("body", Shape::Any),
    may("text", Shape::Text),
    may("private", Shape::Flag),
]);

const ANSWER: Shape = Shape::Closed(&[
    may("reply", REPLY),
    may(
        "kv",
        Shape::Closed(&[
            may("set", Shape::Map(&Shape::Any)),
            may("delete", Shape::List(&Shape::Text)),
            may("ttl_ms", Shape::Map(&Shape::Whole)),
        ]),
    ),
    may("sql", Shape::List(&Shape::Closed(&[must("statement", Shape::Text), may("params", Shape::ListOrMap)]))),
    may("outbox", Shape::List(&Shape::Closed(OUTBOX))),
    may(
        "timers",
        Shape::List(&Shape::Closed(&[
            must("id", Shape::Text),
            may("at", Shape::Whole),
            may("payload", Shape::Text),
            may("cancel", Shape::Flag),
        ])),
    ),
    may(
        "sessions",
        Shape::List(&Shape::Closed(&[
            must("id", Shape::Text),
            may("set", Shape::Any),
            may("ttl_ms", Shape::Whole),
            may("touch", Shape::Flag),
            may("delete", Shape::Flag),
        ])),
    ),
]);

const OUTBOX: &[Field] = &[
    must("id", Shape::Text),
    may("method", Shape::Text),
    must("url", Shape::Text),
    may("headers", Shape::Map(&Shape::Text)),
    may("body", Shape::Any),
    may("idempotent", Shape::Flag),
];

/// What a description says, as far as the suite needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Described {
    /// Name and version, for people.
    pub(super) name: Option<String>,
    /// The keys that travel with every event: exact, or a prefix that ends in `*`.
    pub(super) preload: Vec<String>,
    /// Whether it speaks the version that is judged, and which it speaks.
    pub(super) versions: Vec<String>,
}

/// Reads a description.
///
/// # Errors
/// Everything that is wrong with it.
pub(super) fn description(said: &Value) -> Result<Described, Vec<Complaint>> {
    let mut wrong = differences(&DESCRIPTION, said);
    let preloads = said["preload"].as_array().map_or(0, Vec::len);
    if preloads > MOST_PRELOADS {
        wrong.push(Complaint::new("preload", format!("{preloads} entries long"), format!("at most {MOST_PRELOADS}")));
    }
    for name in ["max_concurrency", "timeout_ms"].into_iter().filter(|name| whole(&said[*name]) == Some(0)) {
        wrong.push(Complaint::new(name, "0", "more than 0"));
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let texts = |name: &str| -> Vec<String> {
        said[name].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let name = said["name"].as_str().map(|name| match said["version"].as_str() {
        Some(version) => format!("{} {}", cut(name), cut(version)),
        None => cut(name),
    });
    Ok(Described { name, preload: texts("preload"), versions: texts("api") })
}

/// What is to be said of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Judged {
    /// What Berth does not take.
    pub(super) wrong: Vec<Complaint>,
    /// What it takes, and is probably not meant.
    pub(super) doubts: Vec<String>,
}

/// Judges an answer that was given at `now_ms`.
pub(super) fn answer(said: &Value, now_ms: u64) -> Judged {
    let mut judged = Judged { wrong: differences(&ANSWER, said), doubts: Vec::new() };
    // Rules on what is in it make sense only where it has its shape.
    if judged.wrong.is_empty() {
        reply(&said["reply"], &mut judged);
        kv(&said["kv"], &mut judged);
        for (n, call) in items(said, "outbox") {
            outbox(call, &format!("outbox[{n}]"), &mut judged);
        }
        for (n, timer) in items(said, "timers") {
            one_of(timer, &["at", "cancel"], &format!("timers[{n}]"), &mut judged);
            if whole(&timer["at"]).is_some_and(|at| at < now_ms) {
                judged
                    .doubts
                    .push(format!("timers[{n}].at lies in the past: it fires at once (milliseconds since 1970?)"));
            }
            key(timer["id"].as_str(), &format!("timers[{n}].id"), &mut judged);
        }
        for (n, session) in items(said, "sessions") {
            one_of(session, &["set", "touch", "delete"], &format!("sessions[{n}]"), &mut judged);
            key(session["id"].as_str(), &format!("sessions[{n}].id"), &mut judged);
        }
        for (n, _) in items(said, "sql").filter(|(_, sql)| sql["statement"].as_str().is_some_and(str::is_empty)) {
            judged.wrong.push(Complaint::new(format!("sql[{n}].statement"), "empty", "SQL, or a registered name"));
        }
    }
    judged
}

fn items<'v>(said: &'v Value, name: &str) -> impl Iterator<Item = (usize, &'v Value)> {
    said[name].as_array().into_iter().flatten().enumerate()
}

fn reply(reply: &Value, judged: &mut Judged) {
    let Some(said) = reply.as_object() else { return };
    let there = |name: &str| said.get(name).is_some_and(|value| !value.is_null());
    let raw: Vec<_> = ["status", "headers", "body"].into_iter().filter(|name| there(name)).collect();
    match (there("text"), raw.first()) {
        (true, Some(name)) => judged.wrong.push(Complaint::new(
            format!("reply.{name}"),
            "beside reply.text",
            "either text and private, or status, headers and body",
        )),
        (false, _) if there("private") => {
            judged.wrong.push(Complaint::new("reply.text", "missing", "the text that is private"));
        }
        _ => {}
    }
    if let Some(status) = said.get("status").and_then(whole)
        && !(200..=599).contains(&status)
    {
        judged.wrong.push(Complaint::new("reply.status", status.to_string(), "an HTTP status from 200 to 599"));
    }
    for (name, value) in said.get("headers").and_then(Value::as_object).into_iter().flatten() {
        header(name, value, "reply.headers", judged);
        if TRAVEL.iter().any(|ours| name.eq_ignore_ascii_case(ours)) {
            judged.wrong.push(Complaint::new(format!("reply.headers.{name}"), "Berth's own to set", "another header"));
        }
    }
}

fn kv(kv: &Value, judged: &mut Judged) {
    let set = kv["set"].as_object();
    for (name, value) in set.into_iter().flatten() {
        key(Some(name), "a key of kv.set", judged);
        let size = value.to_string().len();
        if size > MAX_VALUE {
            let path = format!("kv.set.{}", cut(name));
            judged.wrong.push(Complaint::new(path, format!("{size} bytes"), format!("at most {MAX_VALUE}")));
        }
    }
    for name in kv["delete"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if set.is_some_and(|set| set.contains_key(name)) {
            judged.doubts.push(format!("kv sets and deletes the key {} in one answer", cut(name)));
        }
    }
    for name in kv["ttl_ms"].as_object().into_iter().flat_map(Map::keys) {
        if !set.is_some_and(|set| set.contains_key(name)) {
            let path = format!("kv.ttl_ms.{}", cut(name));
            judged.wrong.push(Complaint::new(path, "for a key that is not set", "a key of kv.set"));
        }
    }
}

fn key(name: Option<&str>, path: &str, judged: &mut Judged) {
    let size = name.map_or(0, str::len);
    if !(1..=MAX_KEY).contains(&size) {
        judged.wrong.push(Complaint::new(path, format!("{size} bytes long"), format!("1 to {MAX_KEY} bytes")));
    }
}

fn outbox(call: &Value, path: &str, judged: &mut Judged) {
    key(call["id"].as_str(), &format!("{path}.id"), judged);
    let method = &call["method"];
    if !method.is_null()
        && !method.as_str().is_some_and(|said| METHODS.iter().any(|method| said.eq_ignore_ascii_case(method)))
    {
        let wanted = format!("one of {}", METHODS.join(", "));
        judged.wrong.push(Complaint::new(format!("{path}.method"), describe(method), wanted));
    }
    let uri = call["url"].as_str().and_then(|url| url.parse::<http::Uri>().ok());
    match uri.as_ref().and_then(http::Uri::scheme_str) {
        Some("https") => {}
        Some("http") => judged.doubts.push(format!("{path}.url is plain http, which is refused unless it is allowed")),
        _ => judged.wrong.push(Complaint::new(format!("{path}.url"), describe(&call["url"]), "an absolute https URL")),
    }
    for (name, value) in call["headers"].as_object().into_iter().flatten() {
        header(name, value, &format!("{path}.headers"), judged);
        if OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours)) {
            judged.wrong.push(Complaint::new(format!("{path}.headers.{name}"), "Berth's own to set", "another header"));
        }
    }
}

fn header(name: &str, value: &Value, path: &str, judged: &mut Judged) {
    let fits = http::HeaderName::from_bytes(name.as_bytes()).is_ok()
        && value.as_str().is_some_and(|value| http::HeaderValue::from_str(value).is_ok());
    if !fits {
        let path = format!("{path}.{}", cut(name));
        judged.wrong.push(Complaint::new(path, "no HTTP header", "a name of letters and dashes, and one line of text"));
    }
}

/// Exactly one of `names` must be there, and what says yes or no must say yes.
fn one_of(item: &Value, names: &[&str], path: &str, judged: &mut Judged) {
    // A session may be set to null.
    let there = |name: &&&str| item.get(**name).is_some_and(|value| !value.is_null() || **name == "set");
    let there: Vec<_> = names.iter().filter(there).collect();
    let found = match there.as_slice() {
        [name] if item[**name] == Value::Bool(false) && **name != "set" => format!("with {name} false"),
        [_] => return,
        [] => "with none of them".to_owned(),
        many => format!("with {} of them", many.len()),
    };
    judged.wrong.push(Complaint::new(path, found, format!("one of {}", names.join(", "))));
}

#[cfg(test)]
mod tests;
