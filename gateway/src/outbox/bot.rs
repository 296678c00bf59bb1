//! Calls to Discord's API that are the bot's: they are shown its token on their way, so that no handler has to know it and no row
//! holds it. Pure.

use shared::settings::{Secret, SettingError, value_or_file};

/// What interactions and webhooks are called under: their own token is in the path.
const OTHERS: [&str; 2] = ["webhooks/", "interactions/"];

/// The bot.
#[derive(Debug)]
pub(super) struct Bot {
    /// Where its API is, with a slash at the end.
    api: String,
    token: Secret,
}

impl Bot {
    /// Returns the bot whose token the pod has; none when it has none.
    ///
    /// # Errors
    /// When it is given twice, or its file cannot be read.
    pub(super) fn of(options: &crate::Options) -> Result<Option<Self>, SettingError> {
        let args = &options.discord;
        let token =
            value_or_file("BERTH_DISCORD_TOKEN", args.discord_token.as_deref(), args.discord_token_file.as_deref())?;
        let api = format!("{}/", options.discord_api.trim_end_matches('/'));
        Ok(token.map(|token| Self { api, token: Secret::new(token.trim()) }))
    }

    /// Returns what a call without an `Authorization` of its own carries as that; nothing when it is not the bot's.
    pub(super) fn token_for(&self, url: &str) -> Option<String> {
        let path = url.strip_prefix(&self.api)?;
        // A path with dots in it may end elsewhere.
        let other = OTHERS.iter().any(|other| path.starts_with(other)) || path.contains("..") || path.contains('%');
        (!other).then(|| format!("Bot {}", self.token.expose()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_bots_own_calls_are_shown_its_token() {
        let bot = Bot { api: "https://discord.com/api/v10/".to_owned(), token: Secret::new("t") };
        assert_eq!(bot.token_for("https://discord.com/api/v10/channels/1/messages").as_deref(), Some("Bot t"));
        for other in [
            "https://discord.com/api/v10/webhooks/1/secret",
            "https://discord.com/api/v10/interactions/1/secret/callback",
            "https://discord.com/api/v100/channels/1/messages",
            "https://discord.com.evil.example/api/v10/channels/1",
            "https://discord.com/api/v10/../../elsewhere",
            "https://discord.com/api/v10/%2e%2e/elsewhere",
            "https://hooks.slack.com/x",
        ] {
            assert_eq!(bot.token_for(other), None, "{other}");
        }
    }
}
