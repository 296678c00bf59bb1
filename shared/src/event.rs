//! Events: what a verified sender said, for one target, under an id that makes it count once.

use crate::{Platform, PodId, TargetId};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $word:literal;)+) => {
        /// What sort of event it is. It decides the deadline and the shape of every answer (`shared::platform`).
        /// The number travels on the link; numbers are never reused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum EventKind { $($(#[$doc])* $variant = $code),+ }

        impl EventKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Returns the word handlers, logs and the database know it by.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// Returns the kind with this number.
            pub const fn from_code(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)+ _ => None }
            }

            /// Returns the kind with this word.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

kinds! {
    /// A Discord application command (interaction type 2).
    DiscordCommand = 1, "discord_command";
    /// A Discord message component (interaction type 3).
    DiscordComponent = 2, "discord_component";
    /// A Discord autocomplete request (interaction type 4).
    DiscordAutocomplete = 3, "discord_autocomplete";
    /// A submitted Discord modal (interaction type 5).
    DiscordModal = 4, "discord_modal";
    /// A Discord webhook event.
    DiscordEvent = 5, "discord_event";
    /// A Telegram update.
    TelegramUpdate = 6, "telegram_update";
    /// A Slack event of the Events API.
    SlackEvent = 7, "slack_event";
    /// A Slack slash command.
    SlackCommand = 8, "slack_command";
    /// Slack interactivity: buttons, shortcuts, closed views, dialogs.
    SlackInteraction = 9, "slack_interaction";
    /// A submitted Slack view, whose answer must be in the body.
    SlackView = 10, "slack_view";
    /// Slack asks for the options of a menu.
    SlackOptions = 11, "slack_options";
    /// A message by Standard Webhooks.
    StandardWebhook = 12, "standard_webhook";
    /// A GitHub delivery.
    GithubEvent = 13, "github_event";
    /// A timer of a handler that fell due. Never comes from outside.
    Timer = 14, "timer";
    /// What Discord's gateway sends over a shard's connection. Nobody waits for an answer.
    DiscordDispatch = 15, "discord_dispatch";
}

impl EventKind {
    /// Returns whether a person waits for the answer: lost when it is late, refused with a sentence when nobody can
    /// answer.
    pub const fn is_interactive(self) -> bool {
        matches!(
            self,
            Self::DiscordCommand
                | Self::DiscordComponent
                | Self::DiscordAutocomplete
                | Self::DiscordModal
                | Self::SlackCommand
                | Self::SlackInteraction
                | Self::SlackView
                | Self::SlackOptions
        )
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One event for one target. Headers are those a handler may need, names in lower case; secrets and signatures are left
/// out by the ingress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Whose event it is.
    pub target: TargetId,
    /// The guild a channel belongs to, when the event says so.
    pub parent: Option<TargetId>,
    /// Which platform sent it.
    pub platform: Platform,
    /// What sort of event.
    pub kind: EventKind,
    /// Who sent it, as the inbox tells senders apart: `discord`, `discord-events`, `telegram/<bot>`, `slack`,
    /// `standard/<source>`, `github`, `timer`, `discord-gateway`.
    pub source: String,
    /// The sender's id of the event; unique per source and target.
    pub id: String,
    /// Wall time of arrival at the HTTP tier, in milliseconds since the Unix epoch.
    pub received_at: u64,
    /// Headers for the handler.
    pub headers: Vec<(String, String)>,
    /// The raw bytes that were verified.
    pub body: Bytes,
}

/// The header that marks an event as late; its value is the pod that had acknowledged it. Senders cannot set it: the ingress hands on
/// none of their headers by this name.
const LATE: &str = "berth-late";

/// The header that names the event of the same source and target that comes right before; its value is that one's id. Senders
/// cannot set it, as with [`LATE`].
const BEHIND: &str = "berth-behind";

impl Event {
    /// Says that the event is only to be committed behind another one of its source and target, whose id this is: its sender
    /// does not wait for that one's answer. `None` takes that back.
    pub fn comes_behind(&mut self, id: Option<&str>) {
        self.headers.retain(|(name, _)| name != BEHIND);
        self.headers.extend(id.map(|id| (BEHIND.to_owned(), id.to_owned())));
    }

    /// Takes out which event this one is only to be committed behind.
    pub fn take_behind(&mut self) -> Option<EventKey> {
        let at = self.headers.iter().position(|(name, _)| name == BEHIND)?;
        let (_, id) = self.headers.remove(at);
        Some(EventKey::new(&self.source, &id))
    }

    /// Marks the event as late: another pod had acknowledged it and was failed over before this one had it (OWNERSHIP.md, Data 5).
    pub fn mark_late(&mut self, from: &PodId) {
        self.headers.retain(|(name, _)| name != LATE);
        self.headers.push((LATE.to_owned(), from.as_str().to_owned()));
    }

    /// Returns whether the event is late: its sender was answered long ago, by another pod. It is applied all the same; its
    /// answer goes to nobody.
    pub fn is_late(&self) -> bool {
        self.headers.iter().any(|(name, _)| name == LATE)
    }

    /// Returns the key under which the inbox knows the event.
    pub fn key(&self) -> EventKey {
        EventKey::new(&self.source, &self.id)
    }

    /// Returns the hash that tells two payloads under one key apart: 16 bytes of SHA-256 over the body.
    pub fn payload_hash(&self) -> [u8; 16] {
        first16(Sha256::digest(&self.body).as_slice())
    }
}

/// The inbox key within a target: 16 bytes of SHA-256 over source and id, since ids are chosen by senders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventKey(pub [u8; 16]);

impl EventKey {
    /// Makes the key of an event id of one source.
    pub fn new(source: &str, id: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update((source.len() as u64).to_le_bytes());
        hash.update(source.as_bytes());
        hash.update(id.as_bytes());
        Self(first16(hash.finalize().as_slice()))
    }
}

fn first16(bytes: &[u8]) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(&bytes[..16]);
    out
}

/// An HTTP answer to the sender. Headers in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// Makes an answer without a body.
    pub const fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    /// Makes a JSON answer.
    pub fn json(status: u16, value: &serde_json::Value) -> Self {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        Self { status, headers, body: Bytes::from(value.to_string()) }
    }

    /// Adds a header. `name` is given in lower case.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// A call to the outside that leaves after the commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxCall {
    /// Unique per target; the second call with an id is the first one.
    pub id: String,
    /// The HTTP method.
    pub method: String,
    /// The absolute URL.
    pub url: String,
    /// Headers.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// The body, as text.
    #[serde(default)]
    pub body: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_cannot_take_another_sources_id() {
        assert_ne!(EventKey::new("slack", "1"), EventKey::new("discord", "1"));
        assert_ne!(EventKey::new("telegram/ab", "1"), EventKey::new("telegram/a", "b1"));
        assert_eq!(EventKey::new("slack", "1"), EventKey::new("slack", "1"));
    }

    #[test]
    fn kinds_read_back_from_their_number_and_word() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::from_code(*kind as u8), Some(*kind));
            assert_eq!(EventKind::from_word(kind.as_str()), Some(*kind));
        }
    }
}
