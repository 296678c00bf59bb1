-- Plans, and what holds targets where they are.

CREATE TABLE plan (
    id bigint PRIMARY KEY, -- the revision that made it
    state text COLLATE "C" NOT NULL,
    at_ms bigint NOT NULL, -- when it was over; while it is not, when it was made
    head text NOT NULL, -- all of it but its moves, as JSON
    moves text NOT NULL -- its moves, as JSON; they never change
);
CREATE INDEX plan_running ON plan (id) WHERE state IN ('applying', 'cancelling');
CREATE INDEX plan_at ON plan (at_ms) WHERE state NOT IN ('applying', 'cancelling');

CREATE TABLE hold (
    target text COLLATE "C" PRIMARY KEY,
    body text NOT NULL -- JSON
);
