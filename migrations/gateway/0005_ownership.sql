-- What the pod owned when it was last told, kept in the same transaction that makes it so: a restart in place goes on from
-- here (OWNERSHIP.md, Leases 12), and what was taken from the pod is told from what it gave.

-- owned        the rows are those of this pod's own target
-- frozen       the same, while a move takes them away: nothing new is accepted
-- incoming     what a move has brought so far: not the target's rows yet
-- released     given to another pod by a finished move, kept until that one has them for good
-- quarantined  another pod was given the target without this pod's release: kept, never served, never merged
ALTER TABLE target ADD COLUMN state TEXT NOT NULL DEFAULT 'owned'
  CHECK (state IN ('owned', 'frozen', 'incoming', 'released', 'quarantined'));
CREATE INDEX target_aside ON target (state, name) WHERE state <> 'owned';

ALTER TABLE meta ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;     -- the assignments are known up to here
ALTER TABLE meta ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;   -- the cluster generation that revision is of

-- The lives of this folder that were failed over, and are over for good.
CREATE TABLE berth_past_incarnation (
  incarnation TEXT    PRIMARY KEY,
  ended_ms    INTEGER NOT NULL
) STRICT;
