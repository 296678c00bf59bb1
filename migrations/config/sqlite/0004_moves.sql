-- Planned moves of targets, and what operators have said of pods.

ALTER TABLE pod ADD COLUMN cordoned INTEGER NOT NULL DEFAULT 0; -- gets no new targets
ALTER TABLE pod ADD COLUMN draining INTEGER NOT NULL DEFAULT 0; -- everything is moved away from it

CREATE TABLE move (
    id INTEGER PRIMARY KEY, -- the revision that began it
    target TEXT NOT NULL,
    source TEXT NOT NULL,
    destination TEXT NOT NULL,
    state TEXT NOT NULL,
    revision INTEGER NOT NULL,
    ended_ms INTEGER,
    body TEXT NOT NULL -- all of it, as JSON
) STRICT;
CREATE INDEX move_target ON move (target, id);
CREATE INDEX move_running ON move (id) WHERE state NOT IN ('cleaned', 'aborted');
CREATE INDEX move_ended ON move (ended_ms) WHERE state IN ('cleaned', 'aborted');
