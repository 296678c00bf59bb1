-- The IDENTIFY budget of a bot on Discord: what was told of it, and what was handed out. A permit is written here before
-- anybody hears of it.

CREATE TABLE identify_budget (
    bot text COLLATE "C" PRIMARY KEY,
    body text NOT NULL -- JSON
);

-- Shards that have identified lately.
CREATE TABLE identify_shard (
    bot text COLLATE "C" NOT NULL,
    shard bigint NOT NULL,
    shards bigint NOT NULL, -- of how many
    streak bigint NOT NULL, -- how often in a row
    last_ms bigint NOT NULL, -- when it was last permitted to
    recovered text, -- the fingerprint of the session it recovered from last
    PRIMARY KEY (bot, shard, shards)
);

-- Sessions that programs with connections of their own keep here.
CREATE TABLE discord_session (
    shard bigint NOT NULL,
    shards bigint NOT NULL, -- of how many
    body text NOT NULL, -- JSON
    kept_ms bigint NOT NULL, -- when it was written last
    PRIMARY KEY (shard, shards)
);
