-- The control plane: who leads, which pods there are, who owns which target, and what changed when. The file's lock is
-- leadership; the term still fences what an earlier term of the same process may have under way.

CREATE TABLE leader (
    only INTEGER PRIMARY KEY DEFAULT 1 CHECK (only = 1),
    term INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    epoch INTEGER NOT NULL -- the last one issued: cluster generation << 40 | counter
) STRICT;
INSERT INTO leader (term, revision, epoch) VALUES (0, 0, 1 << 40);

CREATE TABLE leader_lease (
    only INTEGER PRIMARY KEY DEFAULT 1 CHECK (only = 1),
    term INTEGER NOT NULL,
    address TEXT NOT NULL,
    expires_ms INTEGER NOT NULL
) STRICT;
INSERT INTO leader_lease (term, address, expires_ms) VALUES (0, '', 0);

CREATE TABLE pod (
    name TEXT PRIMARY KEY,
    incarnation TEXT NOT NULL,
    address TEXT NOT NULL,
    zone TEXT,
    capacity REAL NOT NULL,
    lease_id INTEGER NOT NULL,
    schema_version INTEGER NOT NULL,
    version TEXT NOT NULL,
    loss_accepted INTEGER NOT NULL,
    revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE assignment (
    target TEXT PRIMARY KEY,
    pod TEXT NOT NULL REFERENCES pod (name),
    epoch INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    parent TEXT,
    reason TEXT NOT NULL,
    since_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What each revision changed, as JSON; watchers resume from it. The oldest entries are trimmed.
CREATE TABLE change (
    revision INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;

-- Append-only.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    reason TEXT NOT NULL,
    revision INTEGER NOT NULL
) STRICT;
