-- What targets weigh, as their pods told it last: written now and then, so that another leader does not begin blind.

CREATE TABLE weight (
    target text COLLATE "C" PRIMARY KEY,
    events double precision NOT NULL, -- per second, smoothed
    bytes double precision NOT NULL,
    sockets double precision NOT NULL
);
