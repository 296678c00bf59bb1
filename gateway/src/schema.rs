//! Which row of a bot's own tables belongs to which target: the schema map. Decides how a table finds its target and what a
//! statement may do with it. Pure; knows no database.

pub(crate) mod names;

use std::collections::BTreeMap;

/// What a bot's statements may do with a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(dead_code, reason = "the reader of schema.toml makes the others")]
pub(crate) enum Right {
    /// It is the same on every pod; migrations fill it.
    Read,
    /// It is the pod's own.
    Everything,
    /// Only with the current target's rows.
    OwnRows,
}

/// The tables of a bot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Map {
    rights: BTreeMap<String, Right>,
}

impl Map {
    /// Returns what statements may do with a table, whatever its name's case; `None` when it is none of the bot's.
    pub(crate) fn right(&self, table: &str) -> Option<Right> {
        self.rights.get(&table.to_ascii_lowercase()).copied()
    }

    /// Returns the names of the tables whose rows belong to targets.
    pub(crate) fn of_targets(&self) -> impl Iterator<Item = &str> {
        self.rights.iter().filter(|(_, right)| **right == Right::OwnRows).map(|(name, _)| name.as_str())
    }
}
