//! What operators do with a target's data: dead letters, the journal's listing, export and erasure. As JSON between the
//! CLI, config-service and gateways; nothing here is needed to route or to serve. Never a message body.

use super::admin::{Because, REASON};
use crate::{Epoch, PodId, TargetId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, str::FromStr};

/// What a dead letter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LetterKind {
    /// An event whose handler failed too often.
    Event,
    /// A call to the outside that failed for good, or whose outcome nobody knows.
    Call,
}

impl LetterKind {
    /// Returns the word of paths: `events` or `calls`.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Event => "events",
            Self::Call => "calls",
        }
    }

    /// Reads the word of paths.
    pub fn from_plural(word: &str) -> Option<Self> {
        [Self::Event, Self::Call].into_iter().find(|kind| kind.plural() == word)
    }
}

impl fmt::Display for LetterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.plural().trim_end_matches('s'))
    }
}

/// What an operator decides about a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// An event goes back into its target's mailbox; a call is made again, maybe for the second time.
    Retry,
    /// It is shown no more and leaves when its retention is over.
    Drop,
}

impl Verb {
    /// Returns the word of paths: `retry` or `drop`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Drop => "drop",
        }
    }
}

impl FromStr for Verb {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let found = [Self::Retry, Self::Drop].into_iter().find(|verb| verb.word() == word);
        found.ok_or("a dead letter is retried (retry) or dropped (drop)")
    }
}

/// `POST /v1/dead-letters/{target}/{events|calls}/{seq}/{retry|drop}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// Why, for the audit: 1 to 1000 characters.
    #[schemars(regex(pattern = REASON), length(max = 1000))]
    pub reason: String,
}

/// `POST /v1/targets/{target}/erase`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Erase {
    /// Why, for the audit: 1 to 1000 characters.
    #[schemars(regex(pattern = REASON), length(max = 1000))]
    pub reason: String,
    /// The target's name once more.
    pub confirm: TargetId,
}

impl Because for Reason {
    fn reason(&self) -> &str {
        &self.reason
    }
}

impl Because for Erase {
    fn reason(&self) -> &str {
        &self.reason
    }
}

/// Who asks a pod for a change, and why: for its log and for what it keeps beside the row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OnBehalf {
    /// The operator's name.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// The request it came with.
    #[serde(default)]
    pub request_id: String,
}

/// An event or a call that was put aside and waits for an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeadLetter {
    /// The pod that holds it.
    pub pod: PodId,
    /// The target.
    pub target: TargetId,
    /// What it is.
    pub kind: LetterKind,
    /// Its place in the target's journal, or outbox.
    pub seq: u64,
    /// The sender's id of an event; the handler's id of a call.
    pub id: String,
    /// Who sent the event; none for a call.
    #[serde(default)]
    pub source: Option<String>,
    /// `dead`, or `uncertain`: a call that may have been made.
    pub state: String,
    /// How often it was tried.
    pub attempts: u32,
    /// Why the last attempt failed.
    pub reason: String,
    /// When it was accepted or asked for, in milliseconds since the Unix epoch.
    pub at_ms: u64,
}

impl DeadLetter {
    /// Returns where it stands among its pod's dead letters.
    pub fn place(&self) -> Place {
        Place { kind: self.kind, seq: self.seq, target: self.target.clone() }
    }
}

/// A place among a pod's dead letters, for pages that begin behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Events come before calls.
    pub kind: LetterKind,
    /// The place in its target's journal or outbox.
    pub seq: u64,
    /// The target.
    pub target: TargetId,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.kind.plural(), self.seq, self.target)
    }
}

impl FromStr for Place {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.splitn(3, '/');
        let read = (|| {
            let kind = LetterKind::from_plural(parts.next()?)?;
            Some(Self { kind, seq: parts.next()?.parse().ok()?, target: parts.next()?.parse().ok()? })
        })();
        read.ok_or("this is no place among dead letters")
    }
}

/// A pod that could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PodError {
    /// The pod.
    pub pod: PodId,
    /// Why.
    pub error: String,
}

/// A page of dead letters, ordered by pod; of one pod events come before calls, oldest target first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeadLetters {
    /// The page.
    pub items: Vec<DeadLetter>,
    /// Pods whose dead letters are not in it, since they did not answer.
    #[serde(default)]
    pub pods: Vec<PodError>,
    /// What to give as `cursor` for the next page; none on the last.
    #[serde(default)]
    pub next: Option<String>,
}

/// What became of a dead letter that was decided about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Decided {
    /// The target.
    pub target: TargetId,
    /// What it is.
    pub kind: LetterKind,
    /// Its place.
    pub seq: u64,
    /// Its id.
    pub id: String,
    /// `accepted` (an event that waits for its handler), `pending` (a call that is about to leave) or `dropped`.
    pub state: String,
    /// What to know about it; empty when there is nothing.
    #[serde(default)]
    pub note: String,
}

/// An event as it stands in its target's journal: never its headers or body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JournalEvent {
    /// Its place: the order of acceptance.
    pub seq: u64,
    /// The sender's id.
    pub id: String,
    /// Who sent it.
    pub source: String,
    /// Its kind, for example `discord_command`.
    pub kind: String,
    /// `accepted`, `done`, `failed`, `dead` or `dropped`.
    pub state: String,
    /// How often its handler has failed.
    pub attempts: u32,
    /// Why, of the last failure; or why an operator dropped it.
    #[serde(default)]
    pub reason: Option<String>,
    /// When it arrived at the HTTP tier, in milliseconds since the Unix epoch.
    pub received_at: u64,
    /// When it was committed first, in milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// A page of a target's journal, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JournalPage {
    /// The target.
    pub target: TargetId,
    /// Its owner.
    pub pod: PodId,
    /// The page.
    pub events: Vec<JournalEvent>,
    /// What to give as `cursor` for the next page; none on the last.
    #[serde(default)]
    pub next: Option<String>,
}

/// What an erasure has done so far, and what it does not reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Erased {
    /// The target.
    pub target: TargetId,
    /// Its owner.
    pub pod: PodId,
    /// The epoch it is owned under.
    pub epoch: Epoch,
    /// False when it takes longer than the caller waited: it is recorded, and goes on through restarts.
    pub done: bool,
    /// Rows that went, by table.
    pub rows: BTreeMap<String, u64>,
    /// What is still somewhere, and until when, a sentence each.
    pub remains: Vec<String>,
}

/// The first line of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExportHead {
    /// `export`.
    pub berth: String,
    /// The version of the format.
    pub version: u32,
    /// The target.
    pub target: TargetId,
    /// The epoch it was owned under.
    pub epoch: Epoch,
    /// The pod that wrote it.
    pub pod: PodId,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The tables whose rows follow, in this order.
    pub tables: Vec<String>,
}

/// The last line of an export. A file without it is truncated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExportEnd {
    /// True.
    pub end: bool,
    /// Rows written.
    pub rows: u64,
    /// SHA-256, in hexadecimal, over all bytes before this line.
    pub sha256: String,
}

impl ExportHead {
    /// What the first line says it is.
    pub const WORD: &'static str = "export";
    /// The version this build writes.
    pub const VERSION: u32 = 1;
}
