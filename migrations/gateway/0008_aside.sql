-- Rows of targets that were put aside (OWNERSHIP.md, Data 5): since when, why, and what became of the end of their journal,
-- which the pod that serves the target now may not have had. Not a target's rows: they do not travel.

-- failed-over  this life of the database was failed over
-- taken        the target was given to another pod without this pod's release
-- released     a move had given it away; it has begun anew beside these rows
CREATE TABLE berth_aside (
  local    INTEGER PRIMARY KEY,               -- the target_id of the rows
  since_ms INTEGER NOT NULL,                  -- 0: before this was written down
  why      TEXT    NOT NULL CHECK (why IN ('failed-over', 'taken', 'released')),
  sent_seq INTEGER NOT NULL DEFAULT 0,        -- the journal up to here is the new owner's business
  call_seq INTEGER NOT NULL DEFAULT 0,        -- the same of the outbox
  report   TEXT,                              -- JSON: what became of it
  dropping TEXT                               -- JSON: who had the rows dropped, when and why
) STRICT;

INSERT INTO berth_aside (local, since_ms, why)
  SELECT id, 0, 'taken' FROM target WHERE state = 'quarantined';
