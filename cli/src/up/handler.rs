//! Which handler the gateways get: what is said to `up` about it goes to all of them, the token by environment.

use crate::exit::{Code, Failure};
use shared::settings::{SettingError, value_or_file};
use std::{ffi::OsString, path::PathBuf};

/// The setting of the handler's token.
pub(super) const TOKEN: &str = "BERTH_HANDLER_TOKEN";

/// Flags about the handler.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Handler")]
pub(crate) struct HandlerArgs {
    /// Your bot's handler, an HTTP server in any language, for example http://127.0.0.1:8080; the moderation bot when unset
    #[arg(long, env = "BERTH_HANDLER", value_name = "URL")]
    handler: Option<String>,
    /// Token that the handler is shown as Authorization: Bearer
    #[arg(long, env = "BERTH_HANDLER_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    handler_token: Option<String>,
    /// File with the handler's token
    #[arg(long, env = "BERTH_HANDLER_TOKEN_FILE", value_name = "PATH")]
    handler_token_file: Option<PathBuf>,
    /// Folder with the migrations of your bot's own tables
    #[arg(long, env = "BERTH_MIGRATIONS", value_name = "DIR")]
    migrations: Option<PathBuf>,
    /// File that says whose the rows of those tables are; schema.toml beside the migrations when it is not set
    #[arg(long, env = "BERTH_SCHEMA", value_name = "FILE", requires = "migrations")]
    schema: Option<PathBuf>,
}

impl HandlerArgs {
    /// Returns the flags that every gateway gets.
    pub(super) fn flags(&self) -> Vec<OsString> {
        let mut flags: Vec<OsString> = Vec::new();
        flags.extend(self.handler.iter().flat_map(|url| ["--handler".into(), url.into()]));
        flags.extend(self.migrations.iter().flat_map(|folder| ["--migrations".into(), folder.into()]));
        flags.extend(self.schema.iter().flat_map(|file| ["--schema".into(), file.into()]));
        flags
    }

    /// Returns the token, from wherever it was given.
    ///
    /// # Errors
    /// When it is given twice, or its file cannot be read.
    pub(super) fn token(&self) -> Result<Option<String>, Failure> {
        value_or_file(TOKEN, self.handler_token.as_deref(), self.handler_token_file.as_deref()).map_err(|why| {
            let code = if matches!(why, SettingError::Both(_)) { Code::Usage } else { Code::Error };
            Failure::new(code, why)
        })
    }
}
