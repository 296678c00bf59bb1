//! Bytes ↔ frames. Every length is checked against what is there before anything is allocated.

use super::{Frame, Outcome, Request, Window};
use crate::event::{Answer, Event, EventKind};
use crate::telemetry::trace::TraceContext;
use crate::wire::Hello;
use crate::{Epoch, Revision};
use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Bytes of a frame's head.
pub const HEAD: usize = 12;

/// Why a link's bytes were refused. The link is closed: after a bad frame no boundary can be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// A frame is longer than the receiver allows.
    #[error("a frame of {length} bytes is over the limit of {limit}")]
    TooLong {
        /// Its length.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// A frame's kind is unknown: a newer peer that did not heed `hello`.
    #[error("unknown frame kind {0}")]
    Kind(u8),
    /// A field is missing, cut short or not what its tag says.
    #[error("malformed field {0}")]
    Field(&'static str),
}

mod kind {
    pub(super) const HELLO: u8 = 1;
    pub(super) const REQUEST: u8 = 2;
    pub(super) const REPLY: u8 = 3;
    pub(super) const CANCEL: u8 = 4;
    pub(super) const PING: u8 = 5;
    pub(super) const PONG: u8 = 6;
    pub(super) const GOAWAY: u8 = 7;
}

/// Tags of fields; never reused.
mod tag {
    pub(super) const MIN: u8 = 1;
    pub(super) const MAX: u8 = 2;
    pub(super) const NAME: u8 = 3;
    pub(super) const WINDOW_REQUESTS: u8 = 4;
    pub(super) const WINDOW_BYTES: u8 = 5;
    pub(super) const TARGET: u8 = 6;
    pub(super) const PARENT: u8 = 7;
    pub(super) const EPOCH: u8 = 8;
    pub(super) const REVISION: u8 = 9;
    pub(super) const DEADLINE_MS: u8 = 10;
    pub(super) const EVENT_KIND: u8 = 11;
    pub(super) const SOURCE: u8 = 12;
    pub(super) const ID: u8 = 13;
    pub(super) const RECEIVED_AT: u8 = 14;
    pub(super) const HEADER: u8 = 15;
    pub(super) const BODY: u8 = 16;
    pub(super) const OUTCOME: u8 = 17;
    pub(super) const STATUS: u8 = 18;
    pub(super) const DUPLICATE: u8 = 19;
    pub(super) const OWNER: u8 = 20;
    pub(super) const DETAIL: u8 = 21;
    pub(super) const RETRY_AFTER_MS: u8 = 22;
    pub(super) const TRACE: u8 = 23;
    pub(super) const TRACE_STATE: u8 = 24;
}

/// Appends a frame's bytes to `out`.
pub fn encode(frame: &Frame, out: &mut BytesMut) {
    let start = out.len();
    out.put_bytes(0, HEAD);
    let (kind, stream) = match frame {
        Frame::Hello { hello, name, window } => {
            number(out, tag::MIN, hello.min.into());
            number(out, tag::MAX, hello.max.into());
            field(out, tag::NAME, name.as_bytes());
            number(out, tag::WINDOW_REQUESTS, window.requests.into());
            number(out, tag::WINDOW_BYTES, window.bytes.into());
            (kind::HELLO, 0)
        }
        Frame::Request { stream, request } => {
            put_request(out, request);
            (kind::REQUEST, *stream)
        }
        Frame::Reply { stream, outcome } => {
            put_outcome(out, outcome);
            (kind::REPLY, *stream)
        }
        Frame::Cancel { stream } => (kind::CANCEL, *stream),
        Frame::Ping => (kind::PING, 0),
        Frame::Pong => (kind::PONG, 0),
        Frame::Goaway => (kind::GOAWAY, 0),
    };
    let length = u32::try_from(out.len() - start - HEAD).unwrap_or(u32::MAX);
    let mut head = &mut out[start..start + HEAD];
    head.put_u32_le(length);
    head.put_u8(kind);
    head.put_u8(0);
    head.put_u16_le(0);
    head.put_u32_le(stream);
}

/// Takes the next whole frame from `buffer`; `None` when more bytes are needed.
///
/// # Errors
/// [`LinkError`] when the bytes are no frame, or one whose payload is longer than `limit` bytes.
pub fn decode(buffer: &mut BytesMut, limit: usize) -> Result<Option<Frame>, LinkError> {
    if buffer.len() < HEAD {
        return Ok(None);
    }
    let length = u32::from_le_bytes([buffer[0], buffer[1], buffer[2], buffer[3]]) as usize;
    if length > limit {
        return Err(LinkError::TooLong { length, limit });
    }
    if buffer.len() < HEAD + length {
        buffer.reserve(HEAD + length - buffer.len());
        return Ok(None);
    }
    let mut frame = buffer.split_to(HEAD + length).freeze();
    let mut head = frame.split_to(HEAD);
    head.advance(4);
    let kind = head.get_u8();
    head.advance(3);
    let stream = head.get_u32_le();
    Ok(Some(match kind {
        kind::HELLO => get_hello(frame)?,
        kind::REQUEST => Frame::Request { stream, request: Box::new(get_request(frame)?) },
        kind::REPLY => Frame::Reply { stream, outcome: Box::new(get_outcome(frame)?) },
        kind::CANCEL => Frame::Cancel { stream },
        kind::PING => Frame::Ping,
        kind::PONG => Frame::Pong,
        kind::GOAWAY => Frame::Goaway,
        other => return Err(LinkError::Kind(other)),
    }))
}

/// Returns the length of a request's payload in bytes, as [`encode`] writes it: what it costs of the window.
pub fn request_len(request: &Request) -> usize {
    const FIELD: usize = 5;
    // Epoch, revision, deadline, kind and time of arrival.
    const NUMBERS: usize = 5 * (FIELD + 8);
    let event = &request.event;
    let parent = event.parent.as_ref().map_or(0, |parent| FIELD + parent.as_str().len());
    let headers: usize = event.headers.iter().map(|(name, value)| FIELD + name.len() + 1 + value.len()).sum();
    let named = [event.target.as_str().len(), event.source.len(), event.id.len(), event.body.len()];
    let trace = request
        .trace
        .as_ref()
        .map_or(0, |trace| FIELD + trace.to_bytes().len() + trace.state().map_or(0, |state| FIELD + state.len()));
    NUMBERS + parent + headers + trace + named.iter().map(|length| FIELD + length).sum::<usize>()
}

fn put_request(out: &mut BytesMut, request: &Request) {
    let event = &request.event;
    field(out, tag::TARGET, event.target.as_str().as_bytes());
    if let Some(parent) = &event.parent {
        field(out, tag::PARENT, parent.as_str().as_bytes());
    }
    number(out, tag::EPOCH, request.epoch.0);
    number(out, tag::REVISION, request.revision.0);
    number(out, tag::DEADLINE_MS, request.deadline_ms.into());
    number(out, tag::EVENT_KIND, event.kind as u64);
    field(out, tag::SOURCE, event.source.as_bytes());
    field(out, tag::ID, event.id.as_bytes());
    number(out, tag::RECEIVED_AT, event.received_at);
    if let Some(trace) = &request.trace {
        field(out, tag::TRACE, &trace.to_bytes());
        if let Some(state) = trace.state() {
            field(out, tag::TRACE_STATE, state.as_bytes());
        }
    }
    put_headers(out, &event.headers);
    field(out, tag::BODY, &event.body);
}

fn put_outcome(out: &mut BytesMut, outcome: &Outcome) {
    let code = match outcome {
        Outcome::Committed { answer, duplicate } => {
            number(out, tag::STATUS, answer.status.into());
            number(out, tag::DUPLICATE, u64::from(*duplicate));
            put_headers(out, &answer.headers);
            field(out, tag::BODY, &answer.body);
            1
        }
        Outcome::NotOwner { owner, epoch } => {
            if let Some(owner) = owner {
                field(out, tag::OWNER, owner.as_str().as_bytes());
            }
            number(out, tag::EPOCH, epoch.0);
            2
        }
        Outcome::NotServing { detail } => {
            field(out, tag::DETAIL, detail.as_bytes());
            3
        }
        Outcome::Busy { retry_after_ms } => {
            number(out, tag::RETRY_AFTER_MS, (*retry_after_ms).into());
            4
        }
        Outcome::NotCommitted { detail } => {
            field(out, tag::DETAIL, detail.as_bytes());
            5
        }
        Outcome::Late => 6,
    };
    number(out, tag::OUTCOME, code);
}

fn put_headers(out: &mut BytesMut, headers: &[(String, String)]) {
    for (name, value) in headers {
        out.put_u8(tag::HEADER);
        out.put_u32_le(u32::try_from(name.len() + 1 + value.len()).unwrap_or(u32::MAX));
        out.put_slice(name.as_bytes());
        out.put_u8(0);
        out.put_slice(value.as_bytes());
    }
}

fn field(out: &mut BytesMut, tag: u8, value: &[u8]) {
    out.put_u8(tag);
    out.put_u32_le(u32::try_from(value.len()).unwrap_or(u32::MAX));
    out.put_slice(value);
}

fn number(out: &mut BytesMut, tag: u8, value: u64) {
    field(out, tag, &value.to_le_bytes());
}

/// The fields of one payload, in order.
struct Fields(Bytes);

impl Iterator for Fields {
    type Item = Result<(u8, Bytes), LinkError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        if self.0.len() < 5 {
            self.0.clear();
            return Some(Err(LinkError::Field("head")));
        }
        let tag = self.0.get_u8();
        let length = self.0.get_u32_le() as usize;
        if length > self.0.len() {
            self.0.clear();
            return Some(Err(LinkError::Field("length")));
        }
        Some(Ok((tag, self.0.split_to(length))))
    }
}

fn get_number(value: &Bytes, name: &'static str) -> Result<u64, LinkError> {
    value.as_ref().try_into().map(u64::from_le_bytes).map_err(|_| LinkError::Field(name))
}

fn get_small<T: TryFrom<u64>>(value: &Bytes, name: &'static str) -> Result<T, LinkError> {
    T::try_from(get_number(value, name)?).map_err(|_| LinkError::Field(name))
}

fn get_text(value: &Bytes, name: &'static str) -> Result<String, LinkError> {
    std::str::from_utf8(value).map(str::to_owned).map_err(|_| LinkError::Field(name))
}

fn get_parsed<T: std::str::FromStr>(value: &Bytes, name: &'static str) -> Result<T, LinkError> {
    get_text(value, name)?.parse().map_err(|_| LinkError::Field(name))
}

fn get_header(value: &Bytes) -> Result<(String, String), LinkError> {
    let at = value.iter().position(|b| *b == 0).ok_or(LinkError::Field("header"))?;
    Ok((get_text(&value.slice(..at), "header")?, get_text(&value.slice(at + 1..), "header")?))
}

fn get_hello(payload: Bytes) -> Result<Frame, LinkError> {
    let (mut min, mut max, mut name) = (None, None, String::new());
    let mut window = Window { requests: 0, bytes: 0 };
    for item in Fields(payload) {
        let (tag, value) = item?;
        match tag {
            tag::MIN => min = Some(get_small(&value, "min")?),
            tag::MAX => max = Some(get_small(&value, "max")?),
            tag::NAME => name = get_text(&value, "name")?,
            tag::WINDOW_REQUESTS => window.requests = get_small(&value, "window")?,
            tag::WINDOW_BYTES => window.bytes = get_small(&value, "window")?,
            _ => {}
        }
    }
    let hello = Hello { min: min.ok_or(LinkError::Field("min"))?, max: max.ok_or(LinkError::Field("max"))? };
    Ok(Frame::Hello { hello, name, window })
}

fn get_request(payload: Bytes) -> Result<Request, LinkError> {
    let (mut target, mut parent, mut kind, mut source, mut id) = (None, None, None, None, None);
    let (mut epoch, mut revision, mut deadline_ms, mut received_at) = (None, None, None, 0);
    let (mut headers, mut body) = (Vec::new(), Bytes::new());
    let (mut trace, mut state) = (None, None);
    for item in Fields(payload) {
        let (tag, value) = item?;
        match tag {
            tag::TARGET => target = Some(get_parsed::<crate::TargetId>(&value, "target")?),
            tag::PARENT => parent = Some(get_parsed(&value, "parent")?),
            tag::EPOCH => epoch = Some(Epoch(get_number(&value, "epoch")?)),
            tag::REVISION => revision = Some(Revision(get_number(&value, "revision")?)),
            tag::DEADLINE_MS => deadline_ms = Some(get_small(&value, "deadline")?),
            tag::EVENT_KIND => kind = EventKind::from_code(get_small(&value, "kind")?),
            tag::SOURCE => source = Some(get_text(&value, "source")?),
            tag::ID => id = Some(get_text(&value, "id")?),
            tag::RECEIVED_AT => received_at = get_number(&value, "received_at")?,
            tag::TRACE => trace = Some(TraceContext::from_bytes(&value).ok_or(LinkError::Field("trace"))?),
            tag::TRACE_STATE => state = Some(get_text(&value, "trace_state")?),
            tag::HEADER => headers.push(get_header(&value)?),
            tag::BODY => body = value,
            _ => {}
        }
    }
    let target = target.ok_or(LinkError::Field("target"))?;
    let event = Event {
        platform: target.platform(),
        target,
        parent,
        kind: kind.ok_or(LinkError::Field("kind"))?,
        source: source.ok_or(LinkError::Field("source"))?,
        id: id.ok_or(LinkError::Field("id"))?,
        received_at,
        headers,
        body,
    };
    Ok(Request {
        event,
        epoch: epoch.ok_or(LinkError::Field("epoch"))?,
        revision: revision.ok_or(LinkError::Field("revision"))?,
        deadline_ms: deadline_ms.ok_or(LinkError::Field("deadline"))?,
        trace: match state {
            Some(state) => trace.map(|trace: TraceContext| trace.with_state(&state)),
            None => trace,
        },
    })
}

fn get_outcome(payload: Bytes) -> Result<Outcome, LinkError> {
    let (mut code, mut owner, mut epoch, mut retry_after_ms) = (0, None, Epoch(0), 0);
    let (mut duplicate, mut detail) = (false, String::new());
    let mut answer = Answer::empty(0);
    for item in Fields(payload) {
        let (tag, value) = item?;
        match tag {
            tag::OUTCOME => code = get_number(&value, "outcome")?,
            tag::STATUS => answer.status = get_small(&value, "status")?,
            tag::DUPLICATE => duplicate = get_number(&value, "duplicate")? != 0,
            tag::HEADER => answer.headers.push(get_header(&value)?),
            tag::BODY => answer.body = value,
            tag::OWNER => owner = Some(get_parsed(&value, "owner")?),
            tag::EPOCH => epoch = Epoch(get_number(&value, "epoch")?),
            tag::DETAIL => detail = get_text(&value, "detail")?,
            tag::RETRY_AFTER_MS => retry_after_ms = get_small(&value, "retry_after")?,
            _ => {}
        }
    }
    Ok(match code {
        1 if (100..=599).contains(&answer.status) => Outcome::Committed { answer, duplicate },
        2 => Outcome::NotOwner { owner, epoch },
        3 => Outcome::NotServing { detail },
        4 => Outcome::Busy { retry_after_ms },
        5 => Outcome::NotCommitted { detail },
        6 => Outcome::Late,
        _ => return Err(LinkError::Field("outcome")),
    })
}

#[cfg(test)]
mod tests;
