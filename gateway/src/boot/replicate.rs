//! `berth gateway replicate`: becomes the Litestream that writes the lineage the folder was prepared for. Whoever waits for it
//! waits for Litestream itself: its process, its exit status, its words.

use super::{BootError, holder, note, steps};
use crate::{Options, folder::identity, replica::Litestream};
use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{Signal, set_parent_process_death_signal},
};
use std::{fs::File, io, os::unix::process::CommandExt, process::Command, process::Stdio};

/// Becomes Litestream, which runs `exec`, a gateway, and ends with it. With replication off it becomes `exec` itself. Returns only
/// when there is nothing to become, or it cannot.
///
/// # Errors
/// [`BootError`].
pub(super) async fn replicate(options: &Options, exec: Option<&str>, with_parent: bool) -> Result<(), BootError> {
    if with_parent {
        die_with_parent()?;
    }
    if !options.replica.is_on() {
        let Some(exec) = exec else { return Ok(()) };
        tracing::info!("replication is off, only the command is run");
        // A shell takes the words apart, as Litestream does.
        let why = Command::new("sh").args(["-c", &format!("exec {exec}")]).exec();
        return Err(BootError::io("sh")(why));
    }
    let base = options.replica.base()?.to_string();
    let litestream = Litestream::new(&options.replica);
    litestream.check().await?;
    // While it is held by a `prepare`, the folder is being prepared.
    let lock: File = holder::take(&options.data).await?;
    let by = identity(&options.pod, options.pod_uid.as_deref());
    let lineage = note::writable(&options.data, &by, &base)?;
    tracing::info!(%lineage, replica = base, "replicating");
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
