-- What the bot brings along: sessions, memory kept over a restart, and the book-keeping of its own tables.

CREATE TABLE session (
  target_id  INTEGER NOT NULL,
  id         TEXT    NOT NULL,
  value      TEXT    NOT NULL,                -- JSON
  ttl_ms     INTEGER NOT NULL,                -- how long it lives after each use
  expires_ms INTEGER NOT NULL,
  PRIMARY KEY (target_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX session_expiry ON session (target_id, expires_ms);

-- What a handler kept in memory for a target when the pod let go of it; read and deleted when it is taken up again.
CREATE TABLE volatile (
  target_id INTEGER NOT NULL,
  part      INTEGER NOT NULL,                 -- 0; room for what one row cannot hold
  state     BLOB    NOT NULL,
  PRIMARY KEY (target_id, part)
) STRICT, WITHOUT ROWID;

-- The bot's migrations that ran here, each with a hash of its text.
CREATE TABLE bot_migration (
  version    INTEGER PRIMARY KEY,
  name       TEXT    NOT NULL,
  hash       TEXT    NOT NULL,
  applied_ms INTEGER NOT NULL
) STRICT;

-- The version of the bot's schema that this database was last opened with.
CREATE TABLE bot_schema (
  one     INTEGER PRIMARY KEY CHECK (one = 1),
  version INTEGER NOT NULL
) STRICT;
