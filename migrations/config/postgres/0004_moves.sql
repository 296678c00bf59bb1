-- Planned moves of targets, and what operators have said of pods.

ALTER TABLE pod ADD COLUMN cordoned boolean NOT NULL DEFAULT false; -- gets no new targets
ALTER TABLE pod ADD COLUMN draining boolean NOT NULL DEFAULT false; -- everything is moved away from it

CREATE TABLE move (
    id bigint PRIMARY KEY, -- the revision that began it
    target text COLLATE "C" NOT NULL,
    source text COLLATE "C" NOT NULL,
    destination text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    ended_ms bigint,
    body text NOT NULL -- all of it, as JSON
);
CREATE INDEX move_target ON move (target, id);
CREATE INDEX move_running ON move (id) WHERE state NOT IN ('cleaned', 'aborted');
CREATE INDEX move_ended ON move (ended_ms) WHERE state IN ('cleaned', 'aborted');
