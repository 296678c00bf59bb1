-- What operators decide about a target's data. A dead row keeps its state and says beside it who dropped it, when and why:
-- an older version then still shows it, and loses nothing.

ALTER TABLE journal ADD COLUMN dropped TEXT;    -- JSON: actor, reason, request_id, at_ms
ALTER TABLE outbox ADD COLUMN dropped TEXT;     -- the same

DROP INDEX journal_dead;
CREATE INDEX journal_dead ON journal (target_id, seq) WHERE state = 'dead' AND dropped IS NULL;
DROP INDEX outbox_aside;
CREATE INDEX outbox_aside ON outbox (target_id, seq) WHERE state IN ('uncertain', 'dead') AND dropped IS NULL;

-- Since when the target is being erased, in milliseconds since the Unix epoch. Until it is NULL again nothing of the target
-- is served, and whoever opens the database next goes on erasing.
ALTER TABLE target ADD COLUMN erasing INTEGER;
