-- The control plane: who leads, which pods there are, who owns which target, and what changed when.

-- One row. Every transaction that changes something updates it first, `WHERE term = …`: the lock orders commits, so that
-- revisions appear in the order in which they become visible, and an old leader finds no row.
CREATE TABLE leader (
    singleton smallint PRIMARY KEY DEFAULT 1 CHECK (singleton = 1),
    term bigint NOT NULL,
    revision bigint NOT NULL,
    epoch bigint NOT NULL -- the last one issued: cluster generation << 40 | counter
);
INSERT INTO leader (term, revision, epoch) VALUES (0, 0, 1::bigint << 40);

-- One row, apart from `leader`: renewing a term, and checking it for a heartbeat, never waits for a running transaction.
CREATE TABLE leader_lease (
    singleton smallint PRIMARY KEY DEFAULT 1 CHECK (singleton = 1),
    term bigint NOT NULL,
    address text NOT NULL,
    expires_at timestamptz NOT NULL
);
INSERT INTO leader_lease (term, address, expires_at) VALUES (0, '', '-infinity');

CREATE TABLE pod (
    name text COLLATE "C" PRIMARY KEY,
    incarnation text NOT NULL,
    address text NOT NULL,
    zone text,
    capacity double precision NOT NULL,
    lease_id bigint NOT NULL,
    schema_version bigint NOT NULL,
    version text NOT NULL,
    loss_accepted boolean NOT NULL,
    revision bigint NOT NULL
);

CREATE TABLE assignment (
    target text COLLATE "C" PRIMARY KEY,
    pod text COLLATE "C" NOT NULL REFERENCES pod (name),
    epoch bigint NOT NULL,
    revision bigint NOT NULL,
    parent text COLLATE "C",
    reason text NOT NULL,
    since_ms bigint NOT NULL
);

-- What each revision changed, as JSON; watchers resume from it. The oldest entries are trimmed.
CREATE TABLE change (
    revision bigint PRIMARY KEY,
    at_ms bigint NOT NULL,
    body text NOT NULL
);

-- Append-only.
CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at_ms bigint NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    reason text NOT NULL,
    revision bigint NOT NULL
);
