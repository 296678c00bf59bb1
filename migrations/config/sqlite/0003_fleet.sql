-- Pods that are dead for good, how far they are fenced, who is whose witness, and targets whose data is elsewhere.

ALTER TABLE pod ADD COLUMN buried INTEGER NOT NULL DEFAULT 0; -- this incarnation is over, irrevocably
ALTER TABLE pod ADD COLUMN previous TEXT; -- the incarnation before this one
ALTER TABLE pod ADD COLUMN report INTEGER NOT NULL DEFAULT 0; -- it says what it holds before it is granted anything
ALTER TABLE pod ADD COLUMN bot TEXT; -- JSON

ALTER TABLE assignment ADD COLUMN state TEXT NOT NULL DEFAULT 'serving' CHECK (state IN ('serving', 'quarantined'));
ALTER TABLE assignment ADD COLUMN data_pod TEXT;
ALTER TABLE assignment ADD COLUMN data_incarnation TEXT;
ALTER TABLE assignment ADD COLUMN data_epoch INTEGER;

-- The highest lease of each pod that is, or ever was, being fenced. Written before any witness is asked.
CREATE TABLE fencing (
    pod TEXT PRIMARY KEY,
    lease_id INTEGER NOT NULL,
    round INTEGER NOT NULL,
    term INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row: all gateways that are witnesses, and who they were one version before. Names, separated by spaces.
CREATE TABLE members (
    only INTEGER PRIMARY KEY DEFAULT 1 CHECK (only = 1),
    version INTEGER NOT NULL,
    now TEXT NOT NULL,
    before TEXT NOT NULL
) STRICT;
-- Until now the pods themselves were the config, and its version their number.
INSERT INTO members (version, now, before)
SELECT count(*), coalesce(group_concat(name, ' ' ORDER BY name), ''), coalesce(group_concat(name, ' ' ORDER BY name), '') FROM pod;

-- The newest generation in which it is known who holds what: nothing is placed in a newer one.
ALTER TABLE leader ADD COLUMN settled INTEGER NOT NULL DEFAULT 1;
