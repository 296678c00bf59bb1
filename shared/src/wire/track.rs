//! Which pods a target may be on while a new version is tried (PLACEMENT.md, Inputs).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A track: of a pod, which targets it is for; of a target, which pods may have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Track {
    /// The pods of the version that everybody has.
    #[default]
    Stable,
    /// The pods on which the next one is tried.
    Canary,
}

impl Track {
    /// Both, in the order in which they are shown.
    pub const ALL: [Self; 2] = [Self::Stable, Self::Canary];

    /// Returns the word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Canary => "canary",
        }
    }
}

impl fmt::Display for Track {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no track.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no track: stable or canary")]
pub struct UnknownTrack(String);

impl FromStr for Track {
    type Err = UnknownTrack;

    /// An empty word is the ordinary track: that is what an orchestrator passes on that knows none.
    fn from_str(text: &str) -> Result<Self, UnknownTrack> {
        match text.trim() {
            "" => Ok(Self::default()),
            word => Self::ALL.into_iter().find(|track| track.as_str() == word).ok_or_else(|| UnknownTrack(word.into())),
        }
    }
}
