-- Which pod has which part of a bot's REST requests on Discord. A slice is written here before anybody hears of it.

CREATE TABLE rest_slices (
    bot TEXT PRIMARY KEY,
    body TEXT NOT NULL -- JSON: pod, life, version, slots, floor of each
) STRICT, WITHOUT ROWID;
