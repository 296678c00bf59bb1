//! `litestream.lock`: held by Litestream, as its standard input, for as long as it lives, however its starter has ended. Decides
//! whether whoever holds it is ended or waited for: only a process that really has that file there is ever ended.

use super::BootError;
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
    process::{Pid, Signal, kill_process},
};
use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// The lock's file.
const LOCK: &str = "litestream.lock";
/// How long Litestream may take to upload its last frames: its own bound is 30 s.
const PATIENCE: Duration = Duration::from_secs(35);
/// How long a `prepare` may hold the lock while a Litestream waits: restores take their time.
const PREPARES: Duration = Duration::from_secs(3_600);
/// How often the lock is tried.
const TRY: Duration = Duration::from_millis(50);

/// Takes the lock, for a Litestream that is to be, or so that there is none. A Litestream that holds it is ended: asked to, so
/// that it uploads its last frames, and killed when it does not.
///
/// # Errors
/// When it cannot be had.
pub(super) async fn take(folder: &Path) -> Result<File, BootError> {
    let path = folder.join(LOCK);
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let lock = opened.map_err(BootError::io(&path))?;
    let (begun, mut asked, mut killed) = (Instant::now(), false, false);
    loop {
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(lock),
            Err(Errno::WOULDBLOCK) => {}
            Err(why) => return Err(BootError::io(&path)(why.into())),
        }
        let holders = holders(&lock);
        let waited = begun.elapsed();
        if !holders.is_empty() && !asked {
            tracing::info!(?holders, "ending the Litestream of an earlier process");
            holders.iter().for_each(|pid| signal(*pid, Signal::TERM));
            asked = true;
        } else if !holders.is_empty() && !killed && waited >= PATIENCE {
            tracing::warn!(?holders, "a Litestream did not end in time and is killed");
            holders.iter().for_each(|pid| signal(*pid, Signal::KILL));
            killed = true;
        }
        let most = if holders.is_empty() { PREPARES } else { PATIENCE * 2 };
        if waited >= most {
            let holder = if holders.is_empty() {
                "a process that cannot be seen here".to_owned()
            } else {
                format!("{holders:?}")
            };
            return Err(BootError::Held { path, holder });
        }
        sleep(TRY).await;
    }
}

/// Returns the processes whose standard input is this very file: that is how a Litestream holds it.
fn holders(lock: &File) -> Vec<i32> {
    let Ok(own) = lock.metadata() else { return Vec::new() };
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let me = i32::try_from(std::process::id()).unwrap_or_default();
    let holds = |pid: &i32| {
        let input = PathBuf::from(format!("/proc/{pid}/fd/0"));
        fs::metadata(input).is_ok_and(|found| (found.dev(), found.ino()) == (own.dev(), own.ino()))
    };
    pids.filter(|pid| *pid != me).filter(holds).collect()
}

fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        // Gone already is as good.
        let _ = kill_process(pid, signal);
    }
}

#[cfg(test)]
mod tests;
