-- Plans, and what holds targets where they are.

CREATE TABLE plan (
    id INTEGER PRIMARY KEY, -- the revision that made it
    state TEXT NOT NULL,
    at_ms INTEGER NOT NULL, -- when it was over; while it is not, when it was made
    head TEXT NOT NULL, -- all of it but its moves, as JSON
    moves TEXT NOT NULL -- its moves, as JSON; they never change
) STRICT;
CREATE INDEX plan_running ON plan (id) WHERE state IN ('applying', 'cancelling');
CREATE INDEX plan_at ON plan (at_ms) WHERE state NOT IN ('applying', 'cancelling');

CREATE TABLE hold (
    target TEXT PRIMARY KEY,
    body TEXT NOT NULL -- JSON
) STRICT, WITHOUT ROWID;
