-- Moves of targets to and from this pod (OWNERSHIP.md, Moves), as far as its rows are concerned. Each is written in the same
-- transaction as what it speaks of: a crash goes on from here. Not a target's rows: they do not travel.

-- coming    rows arrive, under a number of their own; after a crash they are dropped
-- whole     everything is here and verified; nothing of it is served
-- switched  they are the target's rows: where these come from
-- leaving   the rows are being dropped
CREATE TABLE berth_moved_in (
  local       INTEGER PRIMARY KEY,           -- the target_id of its rows
  move        INTEGER NOT NULL,
  attempt     INTEGER NOT NULL,
  target      TEXT    NOT NULL,
  epoch       INTEGER NOT NULL,              -- that the source released it at
  state       TEXT    NOT NULL CHECK (state IN ('coming', 'whole', 'switched', 'leaving')),
  rows        INTEGER NOT NULL DEFAULT 0,
  bytes       INTEGER NOT NULL DEFAULT 0,    -- that travelled
  checksum    BLOB,                          -- over the rows, whatever their order
  journal_seq INTEGER NOT NULL DEFAULT 0,    -- how far the source's journal had come
  at_ms       INTEGER NOT NULL
) STRICT;

-- frozen    nothing is accepted for the target: only the leader's word lets it go on
-- released  the target is another pod's; its rows are kept until that one has them for good
-- dropping  the rows are being dropped
-- dropped   only the target's own row is left: the fence
CREATE TABLE berth_moved_out (
  local INTEGER PRIMARY KEY,                 -- the target_id of its rows
  move  INTEGER NOT NULL,
  target TEXT   NOT NULL,
  epoch INTEGER NOT NULL,                    -- that it was released at
  state TEXT    NOT NULL CHECK (state IN ('frozen', 'released', 'dropping', 'dropped')),
  at_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX moved_in_target ON berth_moved_in (target);
CREATE INDEX moved_in_move ON berth_moved_in (move);
CREATE INDEX moved_in_leaving ON berth_moved_in (local) WHERE state = 'leaving';
CREATE INDEX moved_out_target ON berth_moved_out (target);
CREATE INDEX moved_out_move ON berth_moved_out (move);
