//! Between the word to stop and the end: a balancer notices late, and requests that it still sends are served. Decides for how
//! long; what is still running at the end is the listener's.

use shared::{http::Probes, shutdown::Shutdown};
use std::time::Duration;

/// Returns a token that is cancelled `delay` after `shutdown`. In between the probes say that this process is not ready.
pub(crate) fn delayed(shutdown: Shutdown, delay: Duration, probes: Probes) -> Shutdown {
    let ends = Shutdown::new();
    let end = ends.clone();
    shared::shutdown::spawn(async move {
        shutdown.cancelled().await;
        let _closed = probes.latch("stopping", "this http-service is stopping");
        if !delay.is_zero() {
            tracing::info!(?delay, "not ready any more, serving on until balancers have noticed");
            tokio::time::sleep(delay).await;
        }
        end.cancel();
    });
    ends
}

#[cfg(test)]
mod tests;
