//! What clients say over the gateway, and how the gateway's own words look. Reads and writes; decides only what is not
//! readable.

use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Close codes (PLATFORMS.md, Discord gateway).
pub(crate) mod code {
    pub(crate) const UNKNOWN_ERROR: u16 = 4000;
    pub(crate) const UNKNOWN_OPCODE: u16 = 4001;
    pub(crate) const DECODE: u16 = 4002;
    pub(crate) const NOT_AUTHENTICATED: u16 = 4003;
    pub(crate) const AUTHENTICATION_FAILED: u16 = 4004;
    pub(crate) const ALREADY_AUTHENTICATED: u16 = 4005;
    pub(crate) const INVALID_SEQ: u16 = 4007;
    pub(crate) const RATE_LIMITED: u16 = 4008;
    pub(crate) const TIMED_OUT: u16 = 4009;
    pub(crate) const INVALID_SHARD: u16 = 4010;
    pub(crate) const SHARDING_REQUIRED: u16 = 4011;
    pub(crate) const INVALID_VERSION: u16 = 4012;
    pub(crate) const INVALID_INTENTS: u16 = 4013;
    pub(crate) const DISALLOWED_INTENTS: u16 = 4014;

    /// Returns whether a session is over once its connection ended with this code, whoever sent it.
    pub(crate) fn ends_session(code: u16) -> bool {
        matches!(
            code,
            1000 | 1001 | AUTHENTICATION_FAILED | INVALID_SEQ | TIMED_OUT | INVALID_SHARD..=DISALLOWED_INTENTS
        )
    }
}

/// A payload that a client sent.
#[derive(Debug)]
pub(crate) enum Said {
    Heartbeat,
    Identify(Box<Identifies>),
    Resume(Resumes),
    /// Presence, voice state, request for members and the like.
    Other(u64, Value),
}

#[derive(Debug, Deserialize)]
pub(crate) struct Identifies {
    pub(crate) token: String,
    pub(crate) intents: u64,
    #[serde(default)]
    pub(crate) shard: Option<(u32, u32)>,
    #[serde(default)]
    pub(crate) compress: Option<bool>,
    /// Who the client is; it must say something.
    #[expect(dead_code, reason = "it must be there and be an object; nobody looks into it")]
    properties: serde_json::Map<String, Value>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Resumes {
    pub(crate) token: String,
    pub(crate) session_id: String,
    pub(crate) seq: u64,
}

#[derive(Deserialize)]
struct Payload {
    op: u64,
    #[serde(default)]
    d: Value,
}

/// Reads a payload, or says the code to close with.
pub(crate) fn read(bytes: &[u8]) -> Result<Said, u16> {
    let Payload { op, d } = serde_json::from_slice(bytes).map_err(|_| code::DECODE)?;
    Ok(match op {
        1 => Said::Heartbeat,
        2 => Said::Identify(Box::new(serde_json::from_value(d).map_err(|_| code::DECODE)?)),
        6 => Said::Resume(serde_json::from_value(d).map_err(|_| code::DECODE)?),
        3 | 4 | 8 | 31 => Said::Other(op, d),
        _ => return Err(code::UNKNOWN_OPCODE),
    })
}

/// A payload that is no event.
fn plain(op: u8, data: &Value) -> Arc<str> {
    format!(r#"{{"t":null,"s":null,"op":{op},"d":{data}}}"#).into()
}

pub(crate) fn hello(interval_ms: u128) -> Arc<str> {
    plain(
        10,
        &json!({"heartbeat_interval": u64::try_from(interval_ms).unwrap_or(u64::MAX), "_trace": ["[\"double\"]"]}),
    )
}

pub(crate) fn acknowledged() -> Arc<str> {
    plain(11, &Value::Null)
}

/// Asks for a heartbeat now.
pub(crate) fn beat() -> Arc<str> {
    plain(1, &Value::Null)
}

pub(crate) fn reconnect() -> Arc<str> {
    plain(7, &Value::Null)
}

pub(crate) fn invalid_session(resumable: bool) -> Arc<str> {
    plain(9, &json!(resumable))
}

/// An event with its number.
pub(crate) fn dispatch(name: &str, seq: u64, data: &str) -> Arc<str> {
    format!(r#"{{"t":"{name}","s":{seq},"op":0,"d":{data}}}"#).into()
}
