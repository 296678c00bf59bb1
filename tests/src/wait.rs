//! Waiting for a condition with a deadline. Stories never sleep for a length of time and hope.

use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(20);

/// Looks at `condition` until it gives a value.
///
/// # Panics
/// After `most`, saying `what` did not happen.
pub async fn eventually<T>(what: &str, most: Duration, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + most;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < deadline, "not within {most:?}: {what}");
        sleep(POLL).await;
    }
}

/// Looks at what is `missing` until nothing is.
///
/// # Panics
/// After `most`, saying `what` it is.
pub async fn none_left<T: std::fmt::Debug>(what: &str, most: Duration, mut missing: impl AsyncFnMut() -> Vec<T>) {
    let deadline = Instant::now() + most;
    loop {
        let left = missing().await;
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "not within {most:?}: {what}: {left:?}");
        sleep(POLL).await;
    }
}

/// Waits for `future`.
///
/// # Panics
/// After `most`, saying `what` did not happen.
pub async fn within<T>(what: &str, most: Duration, future: impl Future<Output = T>) -> T {
    match timeout(most, future).await {
        Ok(value) => value,
        Err(_) => panic!("not within {most:?}: {what}"),
    }
}

/// Checks that `condition` holds from now on for `period`.
///
/// # Panics
/// When it does not, with the sentence the condition gave.
pub async fn holds_for(period: Duration, mut condition: impl AsyncFnMut() -> Result<(), String>) {
    let end = Instant::now() + period;
    while Instant::now() < end {
        if let Err(why) = condition().await {
            panic!("held only until {:?} before the end: {why}", end.saturating_duration_since(Instant::now()));
        }
        sleep(POLL).await;
    }
}
