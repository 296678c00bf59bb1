-- Who may do what, what was answered, and who owned what.

ALTER TABLE audit ADD COLUMN request_id TEXT NOT NULL DEFAULT '';
CREATE INDEX audit_subject ON audit (subject, id);
CREATE INDEX audit_actor ON audit (actor, id);
CREATE INDEX audit_at ON audit (at_ms);

CREATE TABLE token (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE, -- SHA-256 of the secret, hex
    created_ms INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    expires_ms INTEGER,
    used_ms INTEGER
) STRICT, WITHOUT ROWID;

-- Only what somebody has set; everything else has its default.
CREATE TABLE setting (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Answers by Idempotency-Key, written with what they answer.
CREATE TABLE kept_answer (
    actor TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    body TEXT NOT NULL,
    revision INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (actor, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX kept_answer_at ON kept_answer (at_ms);

-- Who owned each target from when to when. What is over is trimmed by its end; what lasts is kept.
CREATE TABLE history (
    target TEXT NOT NULL,
    revision INTEGER NOT NULL,
    pod TEXT NOT NULL,
    from_pod TEXT,
    epoch INTEGER NOT NULL,
    reason TEXT NOT NULL,
    since_ms INTEGER NOT NULL,
    until_ms INTEGER,
    PRIMARY KEY (target, revision)
) STRICT, WITHOUT ROWID;
CREATE INDEX history_until ON history (until_ms) WHERE until_ms IS NOT NULL;
INSERT INTO history (target, revision, pod, epoch, reason, since_ms)
SELECT target, revision, pod, epoch, reason, since_ms FROM assignment;
