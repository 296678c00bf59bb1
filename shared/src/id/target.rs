//! Targets, the unit of ownership: `platform:kind:id`.

use super::IdError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr, sync::Arc};

/// The longest id of a target, in bytes.
const MAX_ID: usize = 128;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $error:expr, { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "lowercase")]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Returns the word used in ids, logs and metrics.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                match text { $($word => Ok(Self::$variant),)+ _ => Err($error) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

words! {
    /// Where an event comes from.
    Platform, IdError::Platform, {
        /// Discord: interactions, webhook events, the gateway.
        Discord = "discord",
        /// Telegram bots.
        Telegram = "telegram",
        /// Slack apps.
        Slack = "slack",
        /// CyTube channels.
        Cytube = "cytube",
        /// Any sender that follows Standard Webhooks.
        Webhook = "webhook",
        /// GitHub webhooks.
        Github = "github",
    }
}

words! {
    /// What kind of thing a target is.
    Kind, IdError::Kind, {
        /// A guild, workspace or enterprise.
        Guild = "guild",
        /// A channel or chat.
        Channel = "channel",
        /// A user outside any guild.
        User = "user",
        /// A Discord shard connection.
        Shard = "shard",
        /// What else a platform keys on: a poll, an installation.
        Key = "key",
    }
}

/// The unit of ownership, `platform:kind:id`. Cheap to clone; ordered and hashed by its text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TargetId(Arc<str>);

impl TargetId {
    /// Makes a target from raw parts as a platform sends them, escaping each as PLATFORMS.md says.
    ///
    /// Parts are joined with `.`; characters outside `[A-Za-z0-9._~-]`, and a `.` inside any part but the last, become
    /// `~hh`. What is then longer than 128 bytes ends in `~~` and 32 hex digits of its SHA-256.
    ///
    /// # Errors
    /// [`IdError::Id`] when every part is empty.
    pub fn from_parts(platform: Platform, kind: Kind, parts: &[&str]) -> Result<Self, IdError> {
        let last = parts.len().saturating_sub(1);
        let mut id = String::new();
        for (i, part) in parts.iter().enumerate() {
            if i > 0 {
                id.push('.');
            }
            escape_part(part, i < last, &mut id);
        }
        if parts.iter().all(|part| part.is_empty()) {
            return Err(IdError::Id);
        }
        if id.len() > MAX_ID {
            let digest = Sha256::digest(id.as_bytes());
            let mut keep = MAX_ID - 34;
            // Never cut an escape in two: a lone `~h` would read as another character.
            while keep > 0 && (id.as_bytes()[keep - 1] == b'~' || (keep > 1 && id.as_bytes()[keep - 2] == b'~')) {
                keep -= 1;
            }
            id.truncate(keep);
            id.push_str("~~");
            for byte in &digest[..16] {
                id.push_str(&format!("{byte:02x}"));
            }
        }
        format!("{platform}:{kind}:{id}").parse()
    }

    /// Returns the whole name, `platform:kind:id`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the platform.
    pub fn platform(&self) -> Platform {
        self.split().0
    }

    /// Returns the kind.
    pub fn kind(&self) -> Kind {
        self.split().1
    }

    /// Returns the id, the last of the three parts.
    pub fn id(&self) -> &str {
        self.split().2
    }

    fn split(&self) -> (Platform, Kind, &str) {
        parse(&self.0).expect("checked when it was made")
    }
}

/// Appends `part` to `out` with every character outside `[A-Za-z0-9._~-]` written as `~hh` per byte of its UTF-8; a `~`
/// too, so that no two parts read the same, and a `.` when `escape_dot`.
pub fn escape_part(part: &str, escape_dot: bool, out: &mut String) {
    for byte in part.bytes() {
        let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') || (byte == b'.' && !escape_dot);
        if plain {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("~{byte:02x}"));
        }
    }
}

fn parse(text: &str) -> Result<(Platform, Kind, &str), IdError> {
    let mut parts = text.splitn(3, ':');
    let (Some(platform), Some(kind), Some(id)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(IdError::TargetForm);
    };
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'~' | b'-');
    let (platform, kind) = (platform.parse()?, kind.parse()?);
    if id.is_empty() || id.len() > MAX_ID || !id.bytes().all(allowed) {
        return Err(IdError::Id);
    }
    Ok((platform, kind, id))
}

impl FromStr for TargetId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        parse(text)?;
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for TargetId {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<TargetId> for String {
    fn from(id: TargetId) -> Self {
        id.0.to_string()
    }
}

impl AsRef<str> for TargetId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for TargetId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TargetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_target_has_three_parts() {
        let target: TargetId = "telegram:channel:-1001234567890".parse().expect("valid");
        assert_eq!(
            (target.platform(), target.kind(), target.id()),
            (Platform::Telegram, Kind::Channel, "-1001234567890")
        );
        for (bad, why) in [
            ("discord", IdError::TargetForm),
            ("irc:guild:1", IdError::Platform),
            ("discord:room:1", IdError::Kind),
            ("discord:guild:", IdError::Id),
            ("discord:guild:a/b", IdError::Id),
            ("discord:guild:1:2", IdError::Id),
        ] {
            assert_eq!(bad.parse::<TargetId>(), Err(why), "{bad}");
        }
    }

    #[test]
    fn parts_are_escaped_and_long_ids_end_in_their_hash() {
        let key =
            |parts: &[&str]| TargetId::from_parts(Platform::Webhook, Kind::Key, parts).expect("valid").id().to_owned();
        assert_eq!(key(&["shop", "a b"]), "shop.a~20b");
        assert_eq!(key(&["s.hop", "a.b"]), "s~2ehop.a.b");
        assert_ne!(key(&["s", "~20"]), key(&["s", " "]));
        let long = key(&["shop", &"x".repeat(300)]);
        assert_eq!(long.len(), 128);
        assert!(long[94..].starts_with("~~"));
        assert!(TargetId::from_parts(Platform::Webhook, Kind::Key, &[""]).is_err());
    }

    proptest! {
        #[test]
        fn any_text_makes_a_valid_target(a in ".{1,200}", b in ".{0,200}") {
            let target = TargetId::from_parts(Platform::Slack, Kind::Channel, &[&a, &b]).expect("escaped");
            prop_assert_eq!(target.as_str().parse::<TargetId>().expect("parses"), target);
        }

        #[test]
        fn two_texts_never_share_a_target(a in ".{1,80}", b in ".{1,80}") {
            let make = |text: &str| TargetId::from_parts(Platform::Webhook, Kind::Key, &["s", text]).expect("escaped");
            prop_assert_eq!(a == b, make(&a) == make(&b));
        }
    }
}
