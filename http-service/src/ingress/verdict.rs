//! What ingress makes of a request. The words in here are closed sets: they are labels of metrics.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use shared::event::{Answer, Event, EventKind};
use shared::{TargetId, platform};

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// An event for its target's owner.
    Event(Box<VerifiedEvent>),
    /// Verified, and answered at once by rule: it belongs to nobody.
    Answer {
        /// Which rule.
        ignored: Ignored,
        /// The answer.
        answer: Answer,
    },
    /// Refused. Nothing of it is kept or repeated.
    Refused(Reason),
}

/// An event whose signature has been checked. Only the verifiers make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedEvent(Event);

impl VerifiedEvent {
    pub(super) const fn new(event: Event) -> Self {
        Self(event)
    }

    /// Returns the event. `received_at` is when it was verified.
    pub const fn event(&self) -> &Event {
        &self.0
    }

    /// Returns the event itself.
    pub fn into_event(self) -> Event {
        self.0
    }
}

/// Which rule answers a verified request without an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ignored {
    /// The platform asks whether somebody is there.
    Ping,
    /// The platform asks for proof that the URL is ours.
    Challenge,
    /// Slack checks the certificate.
    SslCheck,
    /// The event belongs to no target.
    NoTarget,
    /// A kind of event that Berth does not know.
    UnknownKind,
}

impl Ignored {
    /// Returns the word used in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ping => "ignored_ping",
            Self::Challenge => "ignored_challenge",
            Self::SslCheck => "ignored_ssl_check",
            Self::NoTarget => "ignored_no_target",
            Self::UnknownKind => "ignored_unknown_kind",
        }
    }

    /// Answers an event that belongs to nobody as its platform expects of an event that was taken; a person who waits is
    /// told that nothing was changed.
    pub(super) fn settled(self, kind: EventKind, input: Input<'_>) -> Verdict {
        let answer =
            if kind.is_interactive() { platform::refusal(kind, input.body) } else { platform::acknowledged(kind) };
        Verdict::Answer { ignored: self, answer }
    }
}

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The source has no secret: it is off.
    SourceOff,
    /// A header that carries the signature, its timestamp or the secret token is missing.
    MissingSignature,
    /// Such a header came twice; which one counts would be a guess.
    DuplicateHeader,
    /// The signature does not have its form.
    MalformedSignature,
    /// The timestamp does not have its form.
    MalformedTimestamp,
    /// The timestamp is older than the window.
    Stale,
    /// The timestamp is further in the future than the window.
    Future,
    /// No key of the source made this signature for these bytes.
    WrongSignature,
    /// The signature is right, the body is not UTF-8.
    NotUtf8,
    /// The signature is right, the body nests too deep.
    TooDeep,
    /// The signature is right, the body is not what the platform sends: no JSON, a field of another type, a key twice.
    MalformedBody,
    /// The signature is right, the event has no id.
    MissingId,
    /// The body is over the limit.
    TooLarge,
    /// The body did not arrive in time.
    SlowBody,
    /// The sender went away before the body was whole.
    CutBody,
    /// All bodies together hold as much memory as they may.
    NoMemory,
}

impl Reason {
    /// Returns the word used in metrics and as the problem's code.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SourceOff => "source_off",
            Self::MissingSignature => "missing_signature",
            Self::DuplicateHeader => "duplicate_header",
            Self::MalformedSignature => "malformed_signature",
            Self::MalformedTimestamp => "malformed_timestamp",
            Self::Stale => "stale",
            Self::Future => "future",
            Self::WrongSignature => "wrong_signature",
            Self::NotUtf8 => "not_utf8",
            Self::TooDeep => "too_deep",
            Self::MalformedBody => "malformed_body",
            Self::MissingId => "missing_id",
            Self::TooLarge => "too_large",
            Self::SlowBody => "slow_body",
            Self::CutBody => "cut_body",
            Self::NoMemory => "no_memory",
        }
    }

    /// Returns the status of the answer.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::SourceOff => StatusCode::NOT_FOUND,
            Self::MissingSignature
            | Self::DuplicateHeader
            | Self::MalformedSignature
            | Self::MalformedTimestamp
            | Self::Stale
            | Self::Future
            | Self::WrongSignature => StatusCode::UNAUTHORIZED,
            Self::NotUtf8 | Self::TooDeep | Self::MalformedBody | Self::MissingId | Self::CutBody => {
                StatusCode::BAD_REQUEST
            }
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::SlowBody => StatusCode::REQUEST_TIMEOUT,
            Self::NoMemory => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Returns a sentence for whoever sets the sender up. It repeats nothing that was sent.
    pub const fn detail(self) -> &'static str {
        match self {
            Self::SourceOff => "this source is off, or unknown here",
            Self::MissingSignature => "the request is not signed",
            Self::DuplicateHeader => "a signature header came more than once",
            Self::MalformedSignature => "the signature is malformed",
            Self::MalformedTimestamp => "the signed timestamp is malformed",
            Self::Stale => "the signed timestamp is too old",
            Self::Future => "the signed timestamp is in the future",
            Self::WrongSignature => "the signature does not fit the body",
            Self::NotUtf8 => "the body is not UTF-8",
            Self::TooDeep => "the body nests too deep",
            Self::MalformedBody => "the body is not what this source sends",
            Self::MissingId => "the event has no id",
            Self::TooLarge => "the body is over the limit",
            Self::SlowBody => "the body did not arrive in time",
            Self::CutBody => "the body ended early",
            Self::NoMemory => "too many bodies are being read; send it again in a moment",
        }
    }
}

/// What the verifiers of all platforms are given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input<'a> {
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a Bytes,
    /// Wall time in milliseconds.
    pub(super) now_ms: u64,
    /// How far a signed timestamp may be from now, in seconds.
    pub(super) window_s: u64,
}

/// What a platform's rules say of a verified body.
pub(super) struct Found {
    pub(super) kind: EventKind,
    pub(super) target: TargetId,
    /// The sender's id of the event.
    pub(super) id: String,
}

/// The headers that handlers see. Signatures, tokens and cookies are never among them.
const HANDLER_HEADERS: &[&str] = &[
    "content-type",
    "user-agent",
    "x-github-event",
    "x-github-delivery",
    "x-github-hook-id",
    "x-github-hook-installation-target-id",
    "x-github-hook-installation-target-type",
    "x-slack-retry-num",
    "x-slack-retry-reason",
    "webhook-id",
    "webhook-timestamp",
    "svix-id",
    "svix-timestamp",
];

/// The longest event id that travels as it is; a longer one travels as its hash.
const MAX_EVENT_ID: usize = 256;

impl Found {
    /// Makes the event. The platform follows from the target.
    pub(super) fn into_verdict(self, source: String, input: Input<'_>) -> Verdict {
        let shown = |name: &&str| {
            let value = input.headers.get(*name)?.to_str().ok()?;
            Some(((*name).to_owned(), value.to_owned()))
        };
        let id = if self.id.len() > MAX_EVENT_ID { super::signature::digest(&[self.id.as_bytes()]) } else { self.id };
        Verdict::Event(Box::new(VerifiedEvent::new(Event {
            platform: self.target.platform(),
            target: self.target,
            parent: None,
            kind: self.kind,
            source,
            id,
            received_at: input.now_ms,
            headers: HANDLER_HEADERS.iter().filter_map(shown).collect(),
            body: input.body.clone(),
        })))
    }
}
