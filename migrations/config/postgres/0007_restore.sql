-- Data that is restored from the replicas of pods that are gone (docs/adr/0021).

ALTER TABLE pod ADD COLUMN replica text; -- where its database is replicated to, as it says

ALTER TABLE assignment ADD COLUMN data_restoring boolean NOT NULL DEFAULT false; -- the owner is to restore that copy
ALTER TABLE assignment ADD COLUMN data_from_pod text; -- whose replica the owner has the copy from
ALTER TABLE assignment ADD COLUMN data_from_incarnation text;
ALTER TABLE assignment ADD COLUMN data_trouble text; -- why the last attempt came to nothing
