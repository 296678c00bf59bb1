//! Which events are acknowledged when. Pure: knows platforms and settings, and is told what an upload takes at the moment.

use crate::replication::Acknowledge;
use shared::event::EventKind;
use std::{collections::BTreeMap, str::FromStr, time::Duration};

/// What the operator has decided for one source.
pub(crate) type Overrides = BTreeMap<String, Acknowledge>;

/// What can be wrong with `--acknowledge`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is no SOURCE=local or SOURCE=replicated; a source is discord, discord-events, discord-gateway, telegram, telegram/BOT, slack, \
     standard, standard/SOURCE, github, timer, or a kind of event such as discord_command"
)]
pub struct BadMode(String);

/// The value of `--acknowledge`: `SOURCE=local|replicated,…`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AcknowledgeList(pub(crate) Overrides);

impl FromStr for AcknowledgeList {
    type Err = BadMode;

    fn from_str(text: &str) -> Result<Self, BadMode> {
        let mut all = Overrides::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let bad = || BadMode(part.to_owned());
            let (source, mode) = part.split_once('=').ok_or_else(bad)?;
            let mode = match mode.trim() {
                "local" => Acknowledge::Local,
                "replicated" => Acknowledge::Replicated,
                _ => return Err(bad()),
            };
            let source = source.trim();
            let first = source.split('/').next().unwrap_or_default();
            let known =
                ["discord", "discord-events", "discord-gateway", "telegram", "slack", "standard", "github", "timer"];
            if !known.contains(&first) && EventKind::from_word(source).is_none() {
                return Err(bad());
            }
            all.insert(source.to_owned(), mode);
        }
        Ok(Self(all))
    }
}

/// The modes of all sources.
#[derive(Debug, Clone)]
pub(crate) struct Modes {
    overrides: Overrides,
    /// A person whose platform waits 3 s is kept waiting for an upload that takes no longer than this.
    interactive_within: Duration,
}

impl Modes {
    /// Makes them from the settings.
    pub(crate) fn new(overrides: Overrides, interactive_within: Duration) -> Self {
        Self { overrides, interactive_within }
    }

    /// Returns when an event of this source and kind is acknowledged. `takes` is what an upload takes now, with the wait for
    /// its turn; none while nothing is known, or the replica does not keep up.
    ///
    /// What the platform sends again, and what it never sends again, is worth an upload; a person who sees a failure after
    /// 3 s is not kept waiting for a slow one.
    pub(crate) fn of(&self, source: &str, kind: EventKind, takes: Option<Duration>) -> Acknowledge {
        let first = source.split('/').next().unwrap_or_default();
        // telegram/BOT, then the kind of the event, then telegram.
        let nearest = (source != first).then_some(source);
        let names = nearest.into_iter().chain([kind.as_str(), first]);
        let decided = names.into_iter().find_map(|name| self.overrides.get(name));
        match decided {
            Some(mode) => *mode,
            None if !kind.is_interactive() => Acknowledge::Replicated,
            None if takes.is_some_and(|takes| takes <= self.interactive_within) => Acknowledge::Replicated,
            None => Acknowledge::Local,
        }
    }
}

#[cfg(test)]
mod tests;
