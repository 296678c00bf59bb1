//! The schema map: each own table, whose its rows are, and in which order tables follow their foreign keys. What exports,
//! erases, sweeps or moves a target's rows goes by it.

use super::file::TimeUnit;
use std::time::Duration;

/// What a bot's statements may do with a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    /// It is the same on every pod; migrations fill it.
    Read,
    /// It is the pod's own.
    Everything,
    /// Only with the current target's rows.
    OwnRows,
}

/// Whose the rows of a table are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Belongs {
    /// The target's whose number stands in `target_id`, which the bot writes.
    Keyed,
    /// The target's whose key stands in this column; Berth keeps its number beside it.
    Key(String),
    /// The target's to whom the parent row belongs; Berth keeps its number beside it.
    Via {
        /// The column that names the parent row.
        by: String,
        /// The parent's table.
        parent: String,
        /// The parent's column that is named.
        column: String,
    },
    /// The pod's.
    Everywhere,
    /// Every pod's the same.
    Global,
}

/// When rows are old.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expiry {
    /// The column with their time.
    pub(crate) column: String,
    /// How the time is written.
    pub(crate) unit: TimeUnit,
    /// How long they are kept.
    pub(crate) keep: Duration,
}

/// A table of the bot's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnTable {
    /// Its name.
    pub(crate) name: String,
    /// Whose its rows are.
    pub(crate) belongs: Belongs,
    /// What is kept in its rows: its columns without `target_id` and without what is computed.
    pub(crate) columns: Vec<String>,
    /// The columns that tell its rows apart: the rowid, or the primary key of a table without one.
    pub(crate) key: Vec<String>,
    /// When its rows are old.
    pub(crate) expiry: Option<Expiry>,
    /// Whether its rows name each other: they go all at once.
    pub(crate) names_itself: bool,
}

impl OwnTable {
    /// Returns whether its rows belong to targets; each has `target_id` then, and an index that begins with it.
    pub(crate) fn is_of_targets(&self) -> bool {
        !matches!(self.belongs, Belongs::Everywhere | Belongs::Global)
    }

    /// Returns what statements may do with it.
    pub(crate) fn right(&self) -> Right {
        match self.belongs {
            Belongs::Global => Right::Read,
            Belongs::Everywhere => Right::Everything,
            _ => Right::OwnRows,
        }
    }
}

/// The tables of a bot. Every table stands behind those that its foreign keys name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Map {
    /// The version of the bot's schema; none when the bot has no tables.
    pub(crate) version: Option<u32>,
    /// A hash of migrations and map, in hex: two pods with the same have the same schema.
    pub(crate) hash: String,
    /// The tables: to write rows, from first to last; to delete them, from last to first.
    pub(crate) tables: Vec<OwnTable>,
}

impl Map {
    /// Returns a table, whatever its name's case.
    pub(crate) fn table(&self, name: &str) -> Option<&OwnTable> {
        self.tables.iter().find(|table| table.name.eq_ignore_ascii_case(name))
    }

    /// Returns the tables whose rows belong to targets.
    pub(crate) fn of_targets(&self) -> impl DoubleEndedIterator<Item = &OwnTable> {
        self.tables.iter().filter(|table| table.is_of_targets())
    }
}
