-- What followers go by: how often tokens or settings were edited. They are few, so all are read again when this has grown.
ALTER TABLE leader ADD COLUMN edits bigint NOT NULL DEFAULT 0;
