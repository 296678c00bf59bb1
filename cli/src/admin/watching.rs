//! Watching something that the leader does: whoever stops watching stops nothing, and is told so.

use crate::exit::{Code, Failure};
use std::{io::IsTerminal, time::Duration};
use tokio::time::Instant;

/// What is watched, in words for whoever stops.
pub(super) struct Watched {
    /// A sentence's beginning: `the drain of gateway-1`.
    pub(super) what: String,
    /// How to look again.
    pub(super) look: String,
    /// How to end it.
    pub(super) end: String,
}

/// How far it is.
pub(super) enum Seen<T> {
    /// It is over.
    Over(T),
    /// It goes on; a sentence says how far it is, if that is known.
    On(Option<String>),
}

/// Looks every so often until it is over. Progress is told to people only, on standard error.
///
/// # Errors
/// What looking fails with; [`Code::StillRunning`] after `most`; [`Code::Interrupted`] on Ctrl-C. It goes on then.
pub(super) async fn watch<T>(
    of: &Watched,
    every: Duration,
    most: Duration,
    look: impl AsyncFnMut() -> Result<Seen<T>, Failure>,
) -> Result<T, Failure> {
    let Watched { what, look: again, end } = of;
    tokio::select! {
        done = until(of, every, most, look) => done,
        pressed = tokio::signal::ctrl_c() => {
            let why = pressed.err().map_or_else(String::new, |why| format!(" ({why})"));
            let text = format!("stopped watching{why}; {what} goes on: {again} shows it, {end} ends it");
            Err(Failure::new(Code::Interrupted, text))
        }
    }
}

async fn until<T>(
    of: &Watched,
    every: Duration,
    most: Duration,
    mut look: impl AsyncFnMut() -> Result<Seen<T>, Failure>,
) -> Result<T, Failure> {
    let (deadline, mut said) = (Instant::now() + most, None);
    loop {
        match look().await {
            Ok(Seen::Over(done)) => return Ok(done),
            Ok(Seen::On(line)) => {
                if line.is_some() && line != said && std::io::stderr().is_terminal() {
                    eprintln!("{}", line.as_deref().unwrap_or_default());
                }
                said = line;
            }
            // Another leads in a moment.
            Err(why) if why.code == Code::Unreachable => {}
            Err(why) => return Err(why),
        }
        if Instant::now() >= deadline {
            let Watched { what, look: again, .. } = of;
            return Err(Failure::new(Code::StillRunning, format!("{what} is not over yet and goes on: {again}")));
        }
        tokio::time::sleep(every).await;
    }
}
