//! The form in which rows travel: parcels of parts, written with postcard. Every name is sent along, so that a pod with newer
//! tables finds the columns it knows. A checksum is the sum of the rows' hashes: it does not depend on their order, and a row
//! that changes is taken off and added.

use postcard::ser_flavors::Flavor;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Visitor};
use sha2::{Digest, Sha256};
use shared::Epoch;
use std::{fmt, time::Duration};

/// The version of this form. A receiver takes its own and the one before.
pub(super) const VERSION: u16 = 1;
/// The oldest version that is taken.
pub(super) const OLDEST: u16 = 1;

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text(Octets),
    Blob(Octets),
}

/// Bytes, written as they are. SQLite's text is whatever bytes it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Octets(pub(super) Vec<u8>);

impl Serialize for Octets {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Octets;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Octets, E> {
                Ok(Octets(bytes.to_vec()))
            }
        }
        from.deserialize_bytes(Bytes)
    }
}

impl Cell {
    /// Takes a value out of a row.
    pub(super) fn of(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(number) => Self::Integer(number),
            ValueRef::Real(number) => Self::Real(number),
            ValueRef::Text(text) => Self::Text(Octets(text.to_vec())),
            ValueRef::Blob(bytes) => Self::Blob(Octets(bytes.to_vec())),
        }
    }

    /// Returns about how many bytes it takes.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Null => 1,
            Self::Integer(_) | Self::Real(_) => 9,
            Self::Text(octets) | Self::Blob(octets) => octets.0.len() + 4,
        }
    }
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Real(number) => ValueRef::Real(*number),
            Self::Text(octets) => ValueRef::Text(&octets.0),
            Self::Blob(octets) => ValueRef::Blob(&octets.0),
        }))
    }
}

/// What tells a table's rows apart where they come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Key {
    /// The rowid of the source, which means nothing elsewhere.
    Rowid,
    /// The columns at these places.
    Columns(Vec<u16>),
}

/// A row: its cells in the order of the table's columns; before them the source's rowid where that is the key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) rowid: Option<i64>,
    pub(super) cells: Vec<Cell>,
}

/// A table, as its source has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TableHead {
    pub(super) name: String,
    pub(super) columns: Vec<String>,
    pub(super) key: Key,
}

/// What comes first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) version: u16,
    pub(super) target: String,
    /// The epoch the source owns the target under.
    pub(super) epoch: Epoch,
    /// The version of Berth's own tables.
    pub(super) schema: u32,
    /// The version of the bot's tables; none when it has none.
    pub(super) bot_schema: Option<u32>,
    pub(super) bot_hash: String,
    /// Whether rows may come that replace others.
    pub(super) changes: bool,
    pub(super) tables: Vec<TableHead>,
}

/// What comes last: the source's release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct End {
    /// The epoch it is released at.
    pub(super) epoch: Epoch,
    pub(super) rows: u64,
    pub(super) checksum: Sum,
    /// About how many bytes the rows take.
    pub(super) bytes: u64,
    pub(super) applied: u64,
    pub(super) duplicates: u64,
    pub(super) last_event_id: Option<String>,
    pub(super) journal_seq: u64,
    pub(super) outbox_seq: u64,
    /// For how long the target had accepted nothing when this was written, in milliseconds.
    pub(super) frozen_ms: u64,
}

/// A part of a parcel. Tables are named by their places in the head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Part {
    Head(Head),
    /// Rows with these keys are taken away, if they are there. Of what changed since the copy all keys come before any row.
    Gone {
        table: u16,
        keys: Vec<Row>,
    },
    Rows {
        table: u16,
        rows: Vec<Row>,
    },
    End(End),
}

/// A parcel: taken in as a whole, in the order of its number, once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Parcel {
    pub(super) attempt: u64,
    pub(super) number: u32,
    pub(super) parts: Vec<Part>,
}

/// It is no parcel.
#[derive(Debug, thiserror::Error)]
#[error("this is no parcel of a move: {0}")]
pub(crate) struct Unreadable(#[from] postcard::Error);

impl Parcel {
    /// Reads it.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        Ok(postcard::from_bytes(bytes)?)
    }

    /// Writes it.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub(crate) fn write(&self) -> Result<Vec<u8>, Unreadable> {
        Ok(postcard::to_allocvec(self)?)
    }

    /// Returns the attempt it belongs to.
    pub(crate) fn attempt(&self) -> u64 {
        self.attempt
    }

    /// Returns whether it begins an attempt.
    pub(crate) fn is_first(&self) -> bool {
        self.number == 0
    }

    /// Returns for how long the target had been frozen when the end was written; nothing without an end.
    pub(crate) fn frozen(&self) -> Duration {
        let end = |part: &Part| if let Part::End(end) = part { Some(end.frozen_ms) } else { None };
        Duration::from_millis(self.parts.iter().find_map(end).unwrap_or_default())
    }

    /// Returns what it brings, and the end that makes its stream whole as a parcel of its own; each if there is any.
    pub(crate) fn before_end(mut self) -> (Option<Self>, Option<Self>) {
        let Some(end) = self.parts.pop_if(|last| matches!(last, Part::End(_))) else { return (Some(self), None) };
        let number = if self.parts.is_empty() { self.number } else { self.number + 1 };
        let end = Self { attempt: self.attempt, number, parts: vec![end] };
        ((!self.parts.is_empty()).then_some(self), Some(end))
    }

    /// Returns how many rows it brings or takes away.
    pub(crate) fn rows(&self) -> usize {
        let rows = |part: &Part| match part {
            Part::Gone { keys, .. } => keys.len(),
            Part::Rows { rows, .. } => rows.len(),
            Part::Head(_) | Part::End(_) => 0,
        };
        self.parts.iter().map(rows).sum()
    }
}

/// Hashes what is written, as it is written: a row may be large.
struct Hashed(Sha256);

impl Flavor for Hashed {
    type Output = [u8; 32];

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.try_extend(&[byte])
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.update(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<[u8; 32]> {
        Ok(self.0.finalize().into())
    }
}

/// What is summed up of the rows that travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Summed {
    /// Each of them: they go through a network and another process.
    Rows,
    /// None: they never leave this process. They are counted.
    Nothing,
}

/// A checksum over rows, whatever their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Sum(pub(super) u128);

impl Sum {
    /// Returns the sum of one row.
    pub(super) fn of(table: &str, cells: &[Cell]) -> Result<Self, Unreadable> {
        let hash = Sha256::new_with_prefix(table.as_bytes()).chain_update([0]);
        let hash = postcard::serialize_with_flavor(cells, Hashed(hash))?;
        let mut half = [0; 16];
        half.copy_from_slice(&hash[..16]);
        Ok(Self(u128::from_le_bytes(half)))
    }

    /// Takes it from its bytes.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(u128::from_le_bytes(bytes.try_into().ok()?)))
    }

    pub(super) fn add(&mut self, other: Self) {
        self.0 = self.0.wrapping_add(other.0);
    }

    pub(super) fn take(&mut self, other: Self) {
        self.0 = self.0.wrapping_sub(other.0);
    }
}
