//! What follows the end of a connection. Pure: a code goes in, what to do comes out (PLATFORMS.md, Discord gateway).

use super::connector::End;

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum After {
    /// Connect again, and resume.
    Resume,
    /// Connect again, with a new session.
    Identify,
    /// Nothing that this pod does alone will help.
    Refused {
        /// Discord's code.
        code: u16,
        /// What an operator can do.
        remedy: &'static str,
    },
}

/// Returns what follows an end.
pub(super) fn after(end: &End) -> After {
    match end {
        End::Invalid { resumable: false } => After::Identify,
        End::Invalid { resumable: true } | End::Broken(_) | End::Closed(None) => After::Resume,
        End::Closed(Some(code)) => match code {
            // An unknown sequence, and a session that has timed out. 1000 and 1001 end a session, whoever says them.
            4007 | 4009 | 1000 | 1001 => After::Identify,
            _ => remedy(*code).map_or(After::Resume, |remedy| After::Refused { code: *code, remedy }),
        },
    }
}

/// Returns what can be done about a code after which it is no use to come back.
const fn remedy(code: u16) -> Option<&'static str> {
    Some(match code {
        4004 => {
            "Discord does not know the bot's token: copy a valid one into BERTH_DISCORD_TOKEN (or its file) of the gateways \
             and of config-service, and start them anew"
        }
        4010 => "Discord knows no such shard: check --discord-shards of config-service",
        4011 => "the bot is in too many guilds for so few shards: raise --discord-shards of config-service",
        4012 => "Discord does not speak this version of its gateway any more: update Berth",
        4013 => "Discord knows no such intents: check --discord-intents of the gateways",
        4014 => {
            "the bot is not allowed an intent of --discord-intents: switch the privileged intents on in Discord's developer \
             portal, or leave them out"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
