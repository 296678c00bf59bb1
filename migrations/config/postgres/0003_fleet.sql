-- Pods that are dead for good, how far they are fenced, who is whose witness, and targets whose data is elsewhere.

ALTER TABLE pod ADD COLUMN buried boolean NOT NULL DEFAULT false; -- this incarnation is over, irrevocably
ALTER TABLE pod ADD COLUMN previous text; -- the incarnation before this one
ALTER TABLE pod ADD COLUMN report boolean NOT NULL DEFAULT false; -- it says what it holds before it is granted anything
ALTER TABLE pod ADD COLUMN bot text; -- JSON

ALTER TABLE assignment ADD COLUMN state text NOT NULL DEFAULT 'serving' CHECK (state IN ('serving', 'quarantined'));
ALTER TABLE assignment ADD COLUMN data_pod text COLLATE "C";
ALTER TABLE assignment ADD COLUMN data_incarnation text;
ALTER TABLE assignment ADD COLUMN data_epoch bigint;

-- The highest lease of each pod that is, or ever was, being fenced. Written before any witness is asked.
CREATE TABLE fencing (
    pod text COLLATE "C" PRIMARY KEY,
    lease_id bigint NOT NULL,
    round bigint NOT NULL,
    term bigint NOT NULL
);

-- One row: all gateways that are witnesses, and who they were one version before. Names, separated by spaces.
CREATE TABLE members (
    singleton smallint PRIMARY KEY DEFAULT 1 CHECK (singleton = 1),
    version bigint NOT NULL,
    now text NOT NULL,
    before text NOT NULL
);
-- Until now the pods themselves were the config, and its version their number.
INSERT INTO members (version, now, before)
SELECT count(*), coalesce(string_agg(name, ' ' ORDER BY name), ''), coalesce(string_agg(name, ' ' ORDER BY name), '') FROM pod;

-- The newest generation in which it is known who holds what: nothing is placed in a newer one.
ALTER TABLE leader ADD COLUMN settled bigint NOT NULL DEFAULT 1;
