-- The pod's database. What belongs to a target begins its primary key with target_id, a small number of this database
-- only, and has no rowid: one target is one contiguous range, to be exported, imported and deleted as such. Secondary
-- indexes begin with target_id for the same reason. Times ending in _ms are milliseconds since the Unix epoch.

CREATE TABLE meta (
  one            INTEGER PRIMARY KEY CHECK (one = 1),
  incarnation    TEXT    NOT NULL,            -- one unbroken life of this data folder
  commit_seq     INTEGER NOT NULL DEFAULT 0,  -- + 1 per group commit: tells an old copy of the disk from the newest
  replicated_seq INTEGER NOT NULL DEFAULT 0,
  created_ms     INTEGER NOT NULL
) STRICT;

CREATE TABLE target (
  id            INTEGER PRIMARY KEY,
  name          TEXT    NOT NULL UNIQUE,
  epoch         INTEGER NOT NULL,             -- the highest it was owned under
  applied       INTEGER NOT NULL DEFAULT 0,   -- distinct events applied
  duplicates    INTEGER NOT NULL DEFAULT 0,   -- events that came again and changed nothing
  last_event_id TEXT,
  journal_seq   INTEGER NOT NULL DEFAULT 0,
  outbox_seq    INTEGER NOT NULL DEFAULT 0
) STRICT;

-- An event whose key is here has been committed. Rows leave together with their journal row.
CREATE TABLE inbox (
  target_id    INTEGER NOT NULL,
  key          BLOB    NOT NULL,              -- 16 bytes of SHA-256 over source and event id
  payload_hash BLOB    NOT NULL,              -- 16 bytes of SHA-256 over the body
  seq          INTEGER NOT NULL,              -- its journal row
  status       INTEGER NOT NULL,              -- the stored reply, for duplicates
  headers      TEXT,
  body         BLOB,
  PRIMARY KEY (target_id, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE journal (
  target_id   INTEGER NOT NULL,
  seq         INTEGER NOT NULL,               -- the order of acceptance
  key         BLOB    NOT NULL,
  at_ms       INTEGER NOT NULL,               -- when it was committed first
  state       TEXT    NOT NULL CHECK (state IN ('accepted', 'done', 'failed', 'dead')),
  attempts    INTEGER NOT NULL DEFAULT 0,
  reason      TEXT,
  source      TEXT    NOT NULL,
  kind        TEXT    NOT NULL,
  event_id    TEXT    NOT NULL,
  parent      TEXT,
  received_at INTEGER NOT NULL,
  headers     TEXT,
  body        BLOB,                           -- gone after the journal's own retention
  PRIMARY KEY (target_id, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX journal_accepted ON journal (target_id, seq) WHERE state = 'accepted';
CREATE INDEX journal_dead ON journal (target_id, seq) WHERE state = 'dead';

CREATE TABLE outbox (
  target_id  INTEGER NOT NULL,
  seq        INTEGER NOT NULL,
  id         TEXT    NOT NULL,
  state      TEXT    NOT NULL CHECK (state IN ('pending', 'sending', 'sent', 'uncertain', 'dead')),
  epoch      INTEGER NOT NULL,
  method     TEXT    NOT NULL,
  url        TEXT    NOT NULL,
  headers    TEXT    NOT NULL,
  body       TEXT    NOT NULL,
  idempotent INTEGER NOT NULL,
  attempts   INTEGER NOT NULL DEFAULT 0,
  created_ms INTEGER NOT NULL,
  next_ms    INTEGER NOT NULL DEFAULT 0,
  reason     TEXT,
  PRIMARY KEY (target_id, seq)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX outbox_id ON outbox (target_id, id);
CREATE INDEX outbox_open ON outbox (target_id, seq) WHERE state IN ('pending', 'sending');
CREATE INDEX outbox_aside ON outbox (target_id, seq) WHERE state IN ('uncertain', 'dead');

CREATE TABLE timer (
  target_id INTEGER NOT NULL,
  id        TEXT    NOT NULL,
  due_ms    INTEGER NOT NULL,
  payload   TEXT    NOT NULL,
  PRIMARY KEY (target_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX timer_due ON timer (target_id, due_ms, id);

CREATE TABLE kv (
  target_id  INTEGER NOT NULL,
  key        TEXT    NOT NULL,
  value      TEXT    NOT NULL,                -- JSON
  expires_ms INTEGER,
  PRIMARY KEY (target_id, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX kv_expiry ON kv (target_id, expires_ms) WHERE expires_ms IS NOT NULL;
