//! Intents: which events a session asked for, and which of them an application must be allowed to ask for.

/// Guilds, their channels and roles.
pub const GUILDS: u64 = 1;
/// Who joins and leaves (privileged).
pub const GUILD_MEMBERS: u64 = 1 << 1;
/// Who is there (privileged).
pub const GUILD_PRESENCES: u64 = 1 << 8;
/// Messages in guilds.
pub const GUILD_MESSAGES: u64 = 1 << 9;
/// Messages to the bot itself.
pub const DIRECT_MESSAGES: u64 = 1 << 12;
/// What the messages say (privileged).
pub const MESSAGE_CONTENT: u64 = 1 << 15;

/// Those that an application needs to be allowed.
pub const PRIVILEGED: u64 = GUILD_MEMBERS | GUILD_PRESENCES | MESSAGE_CONTENT;

/// All that there are: bits 0 to 16, 20, 21, 24 and 25.
pub const ALL: u64 = ((1 << 17) - 1) | (0b11 << 20) | (0b11 << 24);
