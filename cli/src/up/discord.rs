//! A Discord of one's own beside the cluster: its port, its guilds, and what the children are told so that their bot is this one's.

use super::ports;
use crate::exit::Failure;
use discord_double::{DiscordDouble, Rate, Settings, intents};
use std::{ffi::OsString, time::Duration};

/// The setting of the bot's token.
const TOKEN: &str = "BERTH_DISCORD_TOKEN";

/// A token that is worth nothing: the bot's id, and words.
const MADE_UP: &str = "OTAwMDAwMDAwMDAwMDAwMDAx.made-up.of-no-value";

/// The shards of the bot.
const SHARDS: u32 = 2;

/// The guilds that it is in; every second one is another shard's.
const GUILDS: [(u64, &str); 3] = [(2 << 22, "Harbour"), (3 << 22, "Lighthouse"), (4 << 22, "Shipyard")];

/// Flags of the double.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Discord")]
pub(crate) struct DiscordArgs {
    /// Run a Discord of your own beside the cluster, with a page where you type and see the bot answer; no token is needed
    #[arg(long, env = "BERTH_UP_DISCORD_DOUBLE")]
    discord_double: bool,
    /// Port of that Discord and its page [default: 3005]; 0 for any free one
    #[arg(long, env = "BERTH_UP_DISCORD_DOUBLE_PORT", value_name = "PORT")]
    discord_double_port: Option<u16>,
}

impl DiscordArgs {
    /// Starts the double, when it is wanted. With `yielding`, a taken default port gives way to any free one.
    ///
    /// # Errors
    /// When its port is taken.
    pub(super) fn start(&self, yielding: bool) -> Result<Option<Discord>, Failure> {
        if !self.discord_double {
            return Ok(None);
        }
        let listener =
            ports::one(self.discord_double_port, 3005, "the double of Discord", "--discord-double-port", yielding)?;
        let quick = Rate::of(50, Duration::from_secs(1));
        let settings = Settings {
            token: MADE_UP.to_owned(),
            name: "berth".to_owned(),
            shards: SHARDS,
            pace: Duration::ZERO,
            route: quick,
            ..Settings::default()
        };
        let double = DiscordDouble::start_on(listener, settings).map_err(Failure::error)?;
        for (guild, name) in GUILDS {
            double.add_guild(guild, name);
        }
        Ok(Some(Discord(double)))
    }
}

/// The double as it runs. It ends when it is dropped.
#[derive(Debug)]
pub(super) struct Discord(DiscordDouble);

impl Discord {
    fn api(&self) -> String {
        format!("{}/v10", self.0.rest_url())
    }

    /// Returns the flags of config-service. Whoever starts this again and again has no budget to lose.
    pub(super) fn of_config(&self) -> Vec<OsString> {
        let flags = ["--identify-every", "100ms", "--identify-free", "1000000", "--identify-reserve", "0"];
        let mut flags: Vec<OsString> = flags.into_iter().map(Into::into).collect();
        flags.extend(["--discord-api".into(), self.api().into()]);
        flags.extend(["--discord-shards".into(), SHARDS.to_string().into()]);
        flags
    }

    /// Returns the flags of a gateway. Its calls to the outside have to reach the double, which has an address of this machine.
    pub(super) fn of_gateway(&self) -> Vec<OsString> {
        let intents = intents::GUILDS | intents::GUILD_MESSAGES | intents::DIRECT_MESSAGES | intents::MESSAGE_CONTENT;
        let mut flags: Vec<OsString> = vec!["--outbox-private".into(), "--discord-api".into(), self.api().into()];
        flags.extend(["--discord-gateway".into(), self.0.gateway_url().into()]);
        flags.extend(["--discord-intents".into(), intents.to_string().into()]);
        flags
    }

    /// Returns the token as it travels to both.
    pub(super) fn secret(&self) -> (&'static str, String) {
        (TOKEN, self.0.token().to_owned())
    }

    /// Returns the names of settings that a child must not inherit beside that.
    pub(super) fn hidden() -> [String; 2] {
        [TOKEN.to_owned(), format!("{TOKEN}_FILE")]
    }

    /// Returns what the screen says of it.
    pub(super) fn lines(&self) -> String {
        format!(
            "  discord    {}   type a message there, and see the bot answer\n             its API is {}, the bot's token {}\n",
            self.0.page_url(),
            self.api(),
            self.0.token()
        )
    }
}
