//! Restores a lineage into a new file, with Litestream, and checks it. Bounds its time and leaves nothing behind when it fails.
//! Decides nothing about whether it is time to: who restores for others must have sealed the lineage first.

use super::litestream::{Litestream, LitestreamError, last_words};
use super::{Lineage, ReplicaArgs, ReplicaError, restore_config};
use crate::store::{StoreError, Thorough, verify};
use serde::Deserialize;
use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};
use tokio::time::Instant;

/// How often whoever waits hears how far it is.
const TELL: Duration = Duration::from_millis(500);
/// How much garbage Litestream's runtime lets lie before it collects, in percent of what lives. A restore is on one processor and
/// somebody waits for it: it takes an eighth less time so, and some 20 MB more.
const GARBAGE: &str = "400";
/// What Litestream says when there is nothing to restore.
const NOTHING: &str = "no matching backup files";

/// A database that was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The file.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// The last transaction that is in it, as Litestream counts them, when it says so.
    pub txid: Option<u64>,
    /// How long it took, with the check where that is part of it.
    pub took: Duration,
}

/// Why there is no restored database.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The settings.
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    /// Litestream itself.
    #[error("{0}")]
    Litestream(String),
    /// Nothing was ever uploaded.
    #[error("there is no copy in {0}: nothing was uploaded before its pod died")]
    Empty(String),
    /// The copies are damaged, or cannot be read.
    #[error("Litestream cannot restore {lineage}: {words}")]
    Failed {
        /// Which lineage.
        lineage: String,
        /// Litestream's own words.
        words: String,
    },
    /// It took too long.
    #[error("the restore of {lineage} took longer than {limit:?} (--restore-timeout)")]
    Slow {
        /// Which lineage.
        lineage: String,
        /// The bound.
        limit: Duration,
    },
    /// What was restored is no whole database.
    #[error("what was restored of {lineage} is damaged: {source}")]
    Damaged {
        /// Which lineage.
        lineage: String,
        /// What SQLite says.
        source: StoreError,
    },
    /// The file cannot be made.
    #[error("cannot restore into {path}: {source}")]
    Io {
        /// Where.
        path: String,
        /// The cause.
        source: io::Error,
    },
}

impl From<LitestreamError> for RestoreError {
    fn from(why: LitestreamError) -> Self {
        Self::Litestream(why.to_string())
    }
}

#[derive(Debug, Deserialize)]
struct Summary {
    txid: String,
}

/// Restores a lineage into `to`, which must not exist, and checks the whole file. `progress` hears of the bytes written so far,
/// about twice a second. When it fails, or is dropped, what it made is gone.
///
/// # Errors
/// [`RestoreError`].
pub async fn restore(
    args: &ReplicaArgs,
    lineage: &Lineage,
    to: &Path,
    progress: impl FnMut(u64) + Send,
) -> Result<Restored, RestoreError> {
    let begun = Instant::now();
    let restored = restore_unchecked(args, lineage, to, progress).await?;
    let mut made = Made { to, kept: false };
    let file = to.to_owned();
    let checked = tokio::task::spawn_blocking(move || verify(&file, Thorough::Whole)).await;
    let checked =
        checked.map_err(|why| RestoreError::Io { path: to.display().to_string(), source: io::Error::other(why) })?;
    checked.map_err(|source| RestoreError::Damaged { lineage: lineage.to_string(), source })?;
    made.kept = true;
    Ok(Restored { took: begun.elapsed(), ..restored })
}

/// The same without the check, which is then the caller's: nothing of the file may count before it has passed [`verify`].
///
/// # Errors
/// [`RestoreError`].
pub(crate) async fn restore_unchecked(
    args: &ReplicaArgs,
    lineage: &Lineage,
    to: &Path,
    mut progress: impl FnMut(u64) + Send,
) -> Result<Restored, RestoreError> {
    let begun = Instant::now();
    let base = args.base()?;
    let litestream = Litestream::new(args);
    litestream.check().await?;
    let failed = |source| RestoreError::Io { path: to.display().to_string(), source };
    if to.exists() {
        return Err(failed(io::ErrorKind::AlreadyExists.into()));
    }
    let mut made = Made { to, kept: false };
    let config = beside(to, ".yml");
    write_private(&config, &restore_config(args, &base, lineage, to)).map_err(failed)?;
    let mut command = litestream.command();
    command.env("GOGC", GARBAGE);
    command.args(["restore", "-no-expand-env", "-json", "-config"]).arg(&config);
    command.args(["-parallelism", &args.restore_parallelism.to_string()]).arg(to);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let run = run(command, to, &mut progress);
    let limit = args.restore_timeout;
    let slow = || RestoreError::Slow { lineage: lineage.to_string(), limit };
    let output = tokio::time::timeout(limit, run).await.map_err(|_| slow())?.map_err(failed)?;
    if !output.status.success() {
        let words = last_words(&output);
        let lineage = lineage.to_string();
        return Err(if words.contains(NOTHING) {
            RestoreError::Empty(lineage)
        } else {
            RestoreError::Failed { lineage, words }
        });
    }
    let bytes = fs::metadata(to).map_err(failed)?.len();
    let summary: Option<Summary> = serde_json::from_slice(&output.stdout).ok();
    let txid = summary.and_then(|said| u64::from_str_radix(&said.txid, 16).ok());
    made.kept = true;
    Ok(Restored { path: to.to_owned(), bytes, txid, took: begun.elapsed() })
}

async fn run(command: std::process::Command, to: &Path, progress: &mut impl FnMut(u64)) -> io::Result<Output> {
    let mut output = std::pin::pin!(tokio::process::Command::from(command).kill_on_drop(true).output());
    let (unfinished, mut tick) = (beside(to, ".tmp"), tokio::time::interval(TELL));
    loop {
        tokio::select! {
            output = &mut output => return output,
            _ = tick.tick() => {
                let size = |file: &Path| fs::metadata(file).map(|found| found.len());
                progress(size(&unfinished).or_else(|_| size(to)).unwrap_or(0));
            }
        }
    }
}

/// What a restore has made; gone again unless it is kept.
struct Made<'a> {
    to: &'a Path,
    kept: bool,
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        let extra = [".yml", ".tmp", "-wal", "-shm", "-txid"].map(|ending| beside(self.to, ending));
        let file = (!self.kept).then(|| self.to.to_owned());
        for file in extra.into_iter().chain(file) {
            if let Err(why) = fs::remove_file(&file)
                && why.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(file = %file.display(), error = %why, "cannot take away what a restore has made");
            }
        }
    }
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn write_private(file: &Path, text: &str) -> io::Result<()> {
    let mut out = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file)?;
    out.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests;
