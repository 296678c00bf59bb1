-- Who may do what, what was answered, and who owned what.

ALTER TABLE audit ADD COLUMN request_id text NOT NULL DEFAULT '';
CREATE INDEX audit_subject ON audit (subject, id);
CREATE INDEX audit_actor ON audit (actor, id);
CREATE INDEX audit_at ON audit (at_ms);

CREATE TABLE token (
    id text COLLATE "C" PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE,
    role text NOT NULL,
    hash text NOT NULL UNIQUE, -- SHA-256 of the secret, hex
    created_ms bigint NOT NULL,
    created_by text NOT NULL,
    expires_ms bigint,
    used_ms bigint
);

-- Only what somebody has set; everything else has its default.
CREATE TABLE setting (
    name text COLLATE "C" PRIMARY KEY,
    value text NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    at_ms bigint NOT NULL
);

-- Answers by Idempotency-Key, written with what they answer.
CREATE TABLE kept_answer (
    actor text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    fingerprint text NOT NULL,
    body text NOT NULL,
    revision bigint NOT NULL,
    at_ms bigint NOT NULL,
    PRIMARY KEY (actor, key)
);
CREATE INDEX kept_answer_at ON kept_answer (at_ms);

-- Who owned each target from when to when. What is over is trimmed by its end; what lasts is kept.
CREATE TABLE history (
    target text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    pod text COLLATE "C" NOT NULL,
    from_pod text COLLATE "C",
    epoch bigint NOT NULL,
    reason text NOT NULL,
    since_ms bigint NOT NULL,
    until_ms bigint,
    PRIMARY KEY (target, revision)
);
CREATE INDEX history_until ON history (until_ms) WHERE until_ms IS NOT NULL;
INSERT INTO history (target, revision, pod, epoch, reason, since_ms)
SELECT target, revision, pod, epoch, reason, since_ms FROM assignment;
