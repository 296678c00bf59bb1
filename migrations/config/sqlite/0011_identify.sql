-- The IDENTIFY budget of a bot on Discord: what was told of it, and what was handed out. A permit is written here before
-- anybody hears of it.

CREATE TABLE identify_budget (
    bot TEXT PRIMARY KEY,
    body TEXT NOT NULL -- JSON
) STRICT, WITHOUT ROWID;

-- Shards that have identified lately.
CREATE TABLE identify_shard (
    bot TEXT NOT NULL,
    shard INTEGER NOT NULL,
    shards INTEGER NOT NULL, -- of how many
    streak INTEGER NOT NULL, -- how often in a row
    last_ms INTEGER NOT NULL, -- when it was last permitted to
    recovered TEXT, -- the fingerprint of the session it recovered from last
    PRIMARY KEY (bot, shard, shards)
) STRICT, WITHOUT ROWID;

-- Sessions that programs with connections of their own keep here.
CREATE TABLE discord_session (
    shard INTEGER NOT NULL,
    shards INTEGER NOT NULL, -- of how many
    body TEXT NOT NULL, -- JSON
    kept_ms INTEGER NOT NULL, -- when it was written last
    PRIMARY KEY (shard, shards)
) STRICT, WITHOUT ROWID;
