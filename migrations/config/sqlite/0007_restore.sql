-- Data that is restored from the replicas of pods that are gone (docs/adr/0021).

ALTER TABLE pod ADD COLUMN replica TEXT; -- where its database is replicated to, as it says

ALTER TABLE assignment ADD COLUMN data_restoring INTEGER NOT NULL DEFAULT 0; -- the owner is to restore that copy
ALTER TABLE assignment ADD COLUMN data_from_pod TEXT; -- whose replica the owner has the copy from
ALTER TABLE assignment ADD COLUMN data_from_incarnation TEXT;
ALTER TABLE assignment ADD COLUMN data_trouble TEXT; -- why the last attempt came to nothing
