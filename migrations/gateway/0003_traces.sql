-- The span that an event and a call belong to, as 25 bytes: trace, span, flags. NULL when nothing was traced. It lets what
-- happens after a restart, or a retry, be seen in the trace where it began.

ALTER TABLE journal ADD COLUMN trace BLOB;
ALTER TABLE outbox ADD COLUMN trace BLOB;
