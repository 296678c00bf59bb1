//! A double of Discord for tests and for trying things out: one bot, its guilds, the gateway (v10, JSON) over a real
//! WebSocket and the part of the REST API that a bot answers with, on one port of 127.0.0.1.
//!
//! ```text
//! ws://127.0.0.1:PORT          the gateway: HELLO, IDENTIFY, READY, GUILD_CREATE, heartbeats, RESUME with replay …
//! ws://127.0.0.1:PORT/resume   the same, for sessions that resume
//! http://127.0.0.1:PORT/api    REST: /v10/gateway/bot, messages, interactions, webhooks, rate limits
//! http://127.0.0.1:PORT/       a page: somebody types a message, and sees what the bot answers
//! ```
//!
//! It obeys what Discord documents (PLATFORMS.md, Discord gateway) and does what Discord sometimes does when it is told to:
//! ask for a reconnect, refuse a session, close with any code, go silent, send nonsense. It never closes before HELLO. What
//! decides is pure ([`settings`] and time come in); only [`DiscordDouble`] knows sockets and clocks.

mod double;
mod gateway;
mod guilds;
mod ids;
pub mod intents;
mod limits;
mod objects;
pub mod record;
mod rest;
pub mod settings;
mod world;

pub use double::DiscordDouble;
pub use ids::shard_of;
pub use objects::User;
pub use record::{Answer, Call, Closed, Connected, Identify, Resume, Sent, Session};
pub use rest::Interaction;
pub use settings::{Rate, Settings};
