//! The address of a dead letter, as it is printed and typed: `TARGET/events/N` or `TARGET/calls/N`.

use shared::{TargetId, wire::data::LetterKind};
use std::{fmt, str::FromStr};

/// One dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Letter {
    /// Its target.
    pub(super) target: TargetId,
    /// Event or call.
    pub(super) kind: LetterKind,
    /// Its place in the target's journal or outbox.
    pub(super) seq: u64,
}

impl fmt::Display for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.target, self.kind.plural(), self.seq)
    }
}

impl FromStr for Letter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = "it is written TARGET/events/N or TARGET/calls/N; `berth event list --dead -o name` prints them";
        let mut parts = text.splitn(3, '/');
        let (Some(target), Some(kind), Some(seq)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(form.to_owned());
        };
        Ok(Self {
            target: target.parse().map_err(|why: shared::id::IdError| why.to_string())?,
            kind: LetterKind::from_plural(kind).ok_or(form)?,
            seq: seq.parse().map_err(|_| form)?,
        })
    }
}
