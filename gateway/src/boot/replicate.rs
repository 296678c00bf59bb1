//! `berth gateway replicate`: becomes the Litestream that writes the lineage the folder was prepared for. Whoever waits for it
//! waits for Litestream itself: its process, its exit status, its words.

use super::{BootError, holder, note, steps};
use crate::{Options, replica::Litestream};
use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{Signal, set_parent_process_death_signal},
};
use std::{fs::File, io, os::unix::process::CommandExt, process::Stdio};

/// Becomes Litestream, which runs `exec`, a gateway, and ends with it. Returns only when replication is off, or it cannot.
///
/// # Errors
/// [`BootError`].
pub(super) async fn replicate(options: &Options, exec: Option<&str>, with_parent: bool) -> Result<(), BootError> {
    if !options.replica.is_on() {
        return Ok(());
    }
    if with_parent {
        die_with_parent()?;
    }
    let base = options.replica.base()?.to_string();
    let litestream = Litestream::new(&options.replica);
    litestream.check().await?;
    // While it is held by a `prepare`, the folder is being prepared.
    let lock: File = holder::take(&options.data).await?;
    let unprepared = |why: &str| BootError::Unprepared(why.to_owned());
    match note::read(&options.data) {
        None => return Err(unprepared("the data folder has no lineage")),
        Some(found) if found.over => return Err(unprepared("the data folder's lineage is over")),
        Some(found) if found.base != base => {
            return Err(unprepared("the data folder was prepared for another replica"));
        }
        Some(found) => tracing::info!(lineage = %found.lineage, replica = base, "replicating"),
    }
    let mut command = litestream.command();
    command.args(["replicate", "-no-expand-env", "-config"]).arg(options.data.join(steps::CONFIG));
    if let Some(exec) = exec {
        command.args(["-exec", exec]);
    }
    // The lock is Litestream's for as long as it lives, however this process' starter ends.
    let why = command.stdin(Stdio::from(lock)).exec();
    Err(BootError::io(&options.replica.litestream)(why))
}

/// Lets the kernel end this process, and Litestream after it, when the supervisor ends. One that has ended before that was
/// asked for is known by its end of the pipe.
fn die_with_parent() -> Result<(), BootError> {
    let failed = |why: rustix::io::Errno| BootError::io("/proc/self")(io::Error::from(why));
    set_parent_process_death_signal(Some(Signal::TERM)).map_err(failed)?;
    let input = io::stdin();
    let mut fds = [PollFd::new(&input, PollFlags::empty())];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut fds, Some(&now)).map_err(failed)?;
    if fds[0].revents().contains(PollFlags::HUP) { Err(BootError::Stopped) } else { Ok(()) }
}
