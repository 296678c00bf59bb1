-- Pods on which a new version is tried (PLACEMENT.md, tracks).

ALTER TABLE pod ADD COLUMN track text NOT NULL DEFAULT 'stable'; -- stable | canary, as it says
