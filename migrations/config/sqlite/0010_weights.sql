-- What targets weigh, as their pods told it last: written now and then, so that another leader does not begin blind.

CREATE TABLE weight (
    target TEXT PRIMARY KEY,
    events REAL NOT NULL, -- per second, smoothed
    bytes REAL NOT NULL,
    sockets REAL NOT NULL
) STRICT, WITHOUT ROWID;
