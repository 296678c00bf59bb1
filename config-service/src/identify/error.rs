//! Why there is no permit. `http/problems.rs` says how that reads on the wire.

use crate::control::ControlError;
use std::time::Duration;

/// Why there is no permit, or no budget.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum IdentifyError {
    /// Nobody has said which bot it is.
    #[error("no bot's token is set")]
    NoToken,
    /// Discord does not know the token.
    #[error("Discord refuses the bot's token")]
    TokenRefused,
    /// Discord has never said how large the budget is.
    #[error("Discord has not said yet how often the bot may identify: {0}")]
    Unknown(String),
    /// Others of its bucket identify first.
    #[error("shards identify one after the other; shard {shard} may in {after:?}")]
    Later {
        /// The shard.
        shard: u32,
        /// How long it has to wait.
        after: Duration,
    },
    /// The shard identified too often.
    #[error("shard {shard} identified {times} times in a row and has to wait another {after:?}")]
    Braked {
        /// The shard.
        shard: u32,
        /// How often.
        times: u32,
        /// How long it has to wait.
        after: Duration,
    },
    /// What is left is kept.
    #[error(
        "{remaining} IDENTIFYs are left, of which {reserve} are kept for recovery; the budget is whole again in {after:?}"
    )]
    Spent {
        /// What is left.
        remaining: u32,
        /// What is kept of it.
        reserve: u32,
        /// Until when.
        after: Duration,
    },
    /// Too many wait.
    #[error("{0} shards wait for a permit, as many as may")]
    Full(usize),
    /// The control plane refused.
    #[error(transparent)]
    Control(#[from] ControlError),
}

impl IdentifyError {
    /// Returns the word used in metrics.
    pub(super) const fn reason(&self) -> &'static str {
        match self {
            Self::NoToken => "no-token",
            Self::TokenRefused => "token-refused",
            Self::Unknown(_) => "unknown",
            Self::Later { .. } => "later",
            Self::Braked { .. } => "braked",
            Self::Spent { .. } => "spent",
            Self::Full(_) => "full",
            Self::Control(_) => "control",
        }
    }

    /// Returns after what time it makes sense to ask again, where that is known.
    pub(crate) const fn after(&self) -> Option<Duration> {
        match self {
            Self::Later { after, .. } | Self::Braked { after, .. } | Self::Spent { after, .. } => Some(*after),
            Self::Unknown(_) | Self::Full(_) => Some(Duration::from_secs(5)),
            Self::NoToken | Self::TokenRefused | Self::Control(_) => None,
        }
    }
}
