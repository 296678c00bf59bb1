-- Where a target's rows come from that were restored from a dead pod's replica (OWNERSHIP.md, Data 4 and 5): what that pod
-- accepted later it sends to whoever serves the target now. Its rows travel with the target's.

CREATE TABLE berth_provenance (
  target_id   INTEGER NOT NULL,
  epoch       INTEGER NOT NULL,               -- the last it was owned under in that copy
  generation  INTEGER NOT NULL,               -- of the cluster, when that life of the pod began
  pod         TEXT    NOT NULL,               -- whose replica it was
  incarnation TEXT    NOT NULL,
  commit_seq  INTEGER NOT NULL,               -- how far that pod's database was
  txid        INTEGER,                        -- the same, as Litestream counts
  journal_seq INTEGER NOT NULL,               -- the target's journal was restored up to here
  at_ms       INTEGER NOT NULL,               -- when it was imported
  PRIMARY KEY (target_id, epoch)
) STRICT, WITHOUT ROWID;
