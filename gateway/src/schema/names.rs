//! The names that are not a bot's to give: Berth's own tables, SQLite's, and what both may add.

/// Berth's tables. What is added later begins with `berth_`.
pub(crate) const RESERVED: &[&str] = &[
    "bot_migration",
    "bot_schema",
    "inbox",
    "journal",
    "kv",
    "meta",
    "migration",
    "outbox",
    "session",
    "target",
    "timer",
    "volatile",
];

/// What Berth makes in a bot's schema, and what it adds to its own later, begins like this.
pub(crate) const PREFIX: &str = "berth_";

/// What Litestream makes in a database that it copies begins like this.
const COPIERS: &str = "_litestream_";

/// Tables that SQLite brings along and that tell of the whole database.
const TELLING: &[&str] = &["dbstat", "fts3tokenize"];

/// Returns whether a table is Berth's, or of what Berth has copy it, whatever its name's case.
pub(crate) fn is_berths(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    RESERVED.contains(&name.as_str()) || name.starts_with(PREFIX) || name.starts_with(COPIERS)
}

/// Returns whether a table is SQLite's.
pub(crate) fn is_sqlites(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("sqlite_") || name.starts_with("pragma_") || TELLING.contains(&name.as_str())
}
