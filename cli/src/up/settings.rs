//! Which secrets the children get: what the user gave wins, what is unset is what `up` made. They travel by environment,
//! never on a command line, and each child gets only what it needs.

use crate::{
    exit::{Code, Failure},
    secrets::{DEMO, Made},
};
use http_service::SourceArgs;
use shared::{
    http::Tokens,
    settings::{Secret, SettingError, value_or_file},
};
use std::path::{Path, PathBuf};

/// Flags for secrets of the user's own.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Secrets")]
pub(crate) struct SecretArgs {
    /// Tokens the services present to each other; made when unset
    #[arg(long, env = "BERTH_SERVICE_TOKENS", hide_env_values = true, value_name = "TOKENS")]
    service_tokens: Option<String>,
    /// File with the services' tokens
    #[arg(long, env = "BERTH_SERVICE_TOKENS_FILE", value_name = "PATH")]
    service_tokens_file: Option<PathBuf>,
    /// Tokens that may change things through the admin API; made when unset
    #[arg(long, env = "BERTH_ADMIN_TOKENS", hide_env_values = true, value_name = "TOKENS")]
    admin_tokens: Option<String>,
    /// File with the admin tokens
    #[arg(long, env = "BERTH_ADMIN_TOKENS_FILE", value_name = "PATH")]
    admin_tokens_file: Option<PathBuf>,
    /// The platforms' secrets; what is unset is made.
    #[command(flatten)]
    sources: SourceArgs,
}

/// The names of the settings; the children know them by these.
pub(super) const SERVICE_TOKENS: &str = "BERTH_SERVICE_TOKENS";
pub(super) const ADMIN_TOKENS: &str = "BERTH_ADMIN_TOKENS";
const DISCORD: &str = "BERTH_DISCORD_PUBLIC_KEY";
const TELEGRAM: &str = "BERTH_TELEGRAM_SECRETS";
const SLACK: &str = "BERTH_SLACK_SIGNING_SECRET";
const STANDARD: &str = "BERTH_STANDARD_SECRETS";
const GITHUB: &str = "BERTH_GITHUB_SECRET";

/// Every secret setting, so that a child's environment can be cleared of those it has no use for.
pub(super) const ALL: [&str; 7] = [SERVICE_TOKENS, ADMIN_TOKENS, DISCORD, TELEGRAM, SLACK, STANDARD, GITHUB];

/// One secret as a child gets it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Passed {
    /// The setting.
    pub(super) name: &'static str,
    /// Its value.
    pub(super) value: String,
    /// Whether the user gave it.
    pub(super) given: bool,
}

impl SecretArgs {
    /// Settles every secret. With `also_made` the made ones are accepted beside the user's own, so that a check can sign.
    ///
    /// # Errors
    /// When a value and a file are given for the same secret, or a file cannot be read.
    pub(super) fn settle(&self, made: &Made, also_made: bool) -> Result<Vec<Passed>, Failure> {
        let sources = &self.sources;
        let wishes: [(_, &Option<String>, &Option<PathBuf>, String); 7] = [
            (SERVICE_TOKENS, &self.service_tokens, &self.service_tokens_file, made.service_token.clone()),
            (ADMIN_TOKENS, &self.admin_tokens, &self.admin_tokens_file, made.admin_token.clone()),
            (DISCORD, &sources.discord_public_key, &sources.discord_public_key_file, made.discord_public_key.clone()),
            (
                TELEGRAM,
                &sources.telegram_secrets,
                &sources.telegram_secrets_file,
                format!("{DEMO}={}", made.telegram_secret),
            ),
            (
                SLACK,
                &sources.slack_signing_secret,
                &sources.slack_signing_secret_file,
                made.slack_signing_secret.clone(),
            ),
            (
                STANDARD,
                &sources.standard_secrets,
                &sources.standard_secrets_file,
                format!("{DEMO}={}", made.standard_secret),
            ),
            (GITHUB, &sources.github_secret, &sources.github_secret_file, made.github_secret.clone()),
        ];
        let mut passed = Vec::with_capacity(wishes.len());
        for (name, value, file, made) in wishes {
            let given = read(name, value.as_deref(), file.as_deref())?;
            passed.push(match given {
                Some(value) if also_made => Passed { name, value: format!("{value},{made}"), given: true },
                Some(value) => Passed { name, value, given: true },
                None => Passed { name, value: made, given: false },
            });
        }
        Ok(passed)
    }

    /// Returns where Standard Webhooks bodies name their target, if the user said so.
    pub(super) fn standard_targets(&self) -> Option<&str> {
        self.sources.standard_targets.as_deref()
    }
}

/// Returns the token that the services present to each other.
///
/// # Errors
/// When what was given holds none.
pub(super) fn service_token(passed: &[Passed]) -> Result<Secret, Failure> {
    let given = passed.iter().find(|passed| passed.name == SERVICE_TOKENS);
    let tokens = Tokens::parse(given.map_or("", |passed| &passed.value));
    let missing =
        || Failure::new(Code::Usage, format!("{SERVICE_TOKENS} holds no token; leave it out, and one is made"));
    tokens.current().cloned().ok_or_else(missing)
}

fn read(name: &'static str, value: Option<&str>, file: Option<&Path>) -> Result<Option<String>, Failure> {
    value_or_file(name, value, file).map_err(|why| {
        let code = if matches!(why, SettingError::Both(_)) { Code::Usage } else { Code::Error };
        Failure::new(code, why)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value<'a>(passed: &'a [Passed], name: &str) -> (&'a str, bool) {
        let found = passed.iter().find(|passed| passed.name == name).expect("settled");
        (&found.value, found.given)
    }

    #[test]
    fn what_the_user_gave_wins_and_what_is_unset_is_made() {
        let made = Made::fresh().expect("made");
        let sources = SourceArgs { discord_public_key: Some("aa".into()), ..SourceArgs::default() };
        let args = SecretArgs { sources, admin_tokens: Some(" ".into()), ..SecretArgs::default() };
        let passed = args.settle(&made, false).expect("settled");
        assert_eq!(value(&passed, DISCORD), ("aa", true));
        assert_eq!(value(&passed, ADMIN_TOKENS), (made.admin_token.as_str(), false));
        assert_eq!(value(&passed, TELEGRAM), (format!("demo={}", made.telegram_secret).as_str(), false));
        let checked = args.settle(&made, true).expect("settled");
        assert_eq!(value(&checked, DISCORD).0, format!("aa,{}", made.discord_public_key));
        assert_eq!(passed.iter().map(|passed| passed.name).collect::<Vec<_>>(), ALL);
    }

    #[test]
    fn a_secret_from_two_places_is_refused() {
        let args = SecretArgs {
            service_tokens: Some("a".into()),
            service_tokens_file: Some("/dev/null".into()),
            ..SecretArgs::default()
        };
        let failure = args.settle(&Made::fresh().expect("made"), false).map(|_| ()).expect_err("two places");
        assert_eq!(failure.code, Code::Usage);
    }
}
