//! Reads `schema.toml`. Decides what may stand in it; whether it fits the tables is the checker's to say.

use serde::Deserialize;
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// Why the bot's tables cannot be used. Nothing is served then.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The schema map cannot be read.
    #[error("schema.toml: {0}")]
    Map(String),
    /// A migration's file is missing, or has a name that says no place.
    #[error("{0}")]
    Migration(String),
    /// A file cannot be read.
    #[error("cannot read {path}: {source}; check --migrations and --schema")]
    File {
        /// Which.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// Map and tables do not fit together.
    #[error("the bot's tables and schema.toml do not fit together:\n  {}", .0.join("\n  "))]
    Unfit(Vec<String>),
}

/// How a time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub(crate) enum TimeUnit {
    /// Milliseconds since the Unix epoch.
    #[default]
    #[serde(rename = "ms")]
    Millis,
    /// Seconds since the Unix epoch.
    #[serde(rename = "s")]
    Seconds,
    /// Text that begins with the day, as `CURRENT_TIMESTAMP` and ISO 8601 write it, in UTC.
    #[serde(rename = "text")]
    Text,
}

/// What the file says of one table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    pub(crate) column: Option<String>,
    pub(crate) via: Option<String>,
    pub(crate) by: Option<String>,
    #[serde(default)]
    pub(crate) everywhere: bool,
    #[serde(default)]
    pub(crate) global: bool,
    pub(crate) time: Option<String>,
    #[serde(default)]
    pub(crate) time_unit: TimeUnit,
    #[serde(default, deserialize_with = "time")]
    pub(crate) retention: Option<Duration>,
}

/// The file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    /// The version of the whole schema; the number of the last migration when it is not said.
    pub(crate) version: Option<u32>,
    /// The tables.
    #[serde(default)]
    pub(crate) tables: BTreeMap<String, Entry>,
}

fn time<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(from)?;
    shared::settings::duration(&text).map(Some).map_err(serde::de::Error::custom)
}

impl File {
    /// Reads it.
    ///
    /// # Errors
    /// [`SchemaError::Map`] with the place.
    pub(crate) fn parse(text: &str) -> Result<Self, SchemaError> {
        let file: Self = basic_toml::from_str(text).map_err(|why| SchemaError::Map(why.to_string()))?;
        for (name, entry) in &file.tables {
            entry.check().map_err(|why| SchemaError::Map(format!("[tables.{name}]: {why}")))?;
        }
        Ok(file)
    }
}

impl Entry {
    fn check(&self) -> Result<(), &'static str> {
        let ways = [self.column.is_some(), self.via.is_some(), self.everywhere, self.global];
        if ways.iter().filter(|way| **way).count() != 1 {
            return Err("say one of column = \"…\", via = \"table.column\", everywhere = true, global = true");
        }
        if self.by.is_some() && self.via.is_none() {
            return Err("by goes with via: it names the column that holds the parent's");
        }
        if self.via.as_deref().is_some_and(|via| via.split('.').filter(|part| !part.is_empty()).count() != 2) {
            return Err("via is written \"table.column\"");
        }
        if self.retention.is_some() && self.time.is_none() {
            return Err("retention needs time = \"…\", the column that says how old a row is");
        }
        if self.retention.is_some() && self.global {
            return Err("a global table is the migrations' alone; it has no retention");
        }
        if self.retention.is_some_and(|keep| keep.is_zero()) {
            return Err("a retention of nothing would delete every row");
        }
        Ok(())
    }
}
