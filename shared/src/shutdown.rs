//! Stopping in order: one token, passed by hand, that signals reach.

use std::io::Read;
use tokio::signal::unix::{SignalKind, signal};
pub use tokio_util::sync::CancellationToken as Shutdown;

/// Returns a token that is cancelled by SIGTERM, SIGINT and, when `with_parent`, by the end of standard input: a
/// supervisor holds the other end of that pipe, and the kernel closes it however the supervisor ends.
///
/// # Errors
/// When the signal handlers cannot be installed.
pub fn on_signals(with_parent: bool) -> std::io::Result<Shutdown> {
    let token = Shutdown::new();
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let cancel = token.clone();
    spawn(async move {
        tokio::select! {
            _ = term.recv() => tracing::info!(signal = "SIGTERM", "stopping"),
            _ = int.recv() => tracing::info!(signal = "SIGINT", "stopping"),
            () = cancel.cancelled() => {}
        }
        cancel.cancel();
    });
    if with_parent {
        let cancel = token.clone();
        std::thread::Builder::new().name("parent-watch".to_owned()).spawn(move || {
            let mut byte = [0_u8; 64];
            while matches!(std::io::stdin().read(&mut byte), Ok(n) if n > 0) {}
            tracing::warn!("the supervisor is gone, stopping");
            cancel.cancel();
        })?;
    }
    Ok(token)
}

/// Starts a task that ends by itself or by a token it was given. The one place where tasks are born without a tracker.
#[expect(clippy::disallowed_methods, reason = "the sanctioned wrapper around the banned call")]
pub fn spawn<F>(task: F) -> tokio::task::JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    tokio::spawn(task)
}
