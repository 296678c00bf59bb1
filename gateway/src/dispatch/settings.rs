//! What the writer goes by.

use crate::{Options, store::Retention};
use std::time::Duration;

/// Rows of each table that one step of the sweep looks at.
const SWEEP_ROWS: usize = 200;

/// The most that is kept of a guild, in bytes: a value of the database has no more.
const MOST_OF_GUILD: usize = 1 << 20;

/// What a frame holds beside the reply itself, at most, in bytes.
const FRAME_ROOM: usize = 1 << 10;

/// The writer's part of the options.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(super) timeout: Duration,
    pub(super) attempts: u32,
    pub(super) retry: Duration,
    pub(super) mailbox: usize,
    pub(super) group: usize,
    pub(super) max_reply: usize,
    pub(super) max_stored_reply: usize,
    pub(super) discord_api: String,
    pub(super) session_ttl: Duration,
    pub(super) volatile_max: usize,
    pub(super) retention: Retention,
    pub(super) outbox_timeout: Duration,
    pub(super) erase_compact: u64,
    pub(super) freeze_grace: Duration,
    pub(super) guild_most: usize,
}

impl Settings {
    /// Takes from the options what the writer needs.
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            timeout: options.handler_timeout,
            attempts: options.handler_attempts.max(1),
            retry: options.handler_retry,
            mailbox: options.mailbox,
            group: options.group_commit.max(1),
            // What does not fit a frame would cut the link, with everything else that is under way on it.
            max_reply: options.max_reply.min(options.max_frame.saturating_sub(FRAME_ROOM)),
            max_stored_reply: options.max_stored_reply,
            outbox_timeout: options.outbox_timeout,
            erase_compact: options.erase_compact,
            freeze_grace: options.freeze_grace,
            discord_api: options.discord_api.clone(),
            session_ttl: options.session_ttl,
            guild_most: options.discord.discord_snapshot.min(MOST_OF_GUILD),
            volatile_max: options.volatile_max,
            retention: Retention {
                inbox: options.inbox_retention,
                payload: options.journal_retention,
                chunk: SWEEP_ROWS,
            },
        }
    }
}
