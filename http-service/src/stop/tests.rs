use super::delayed;
use shared::{http::Probes, shutdown::Shutdown};
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn it_is_not_ready_at_once_and_ends_when_the_delay_is_over() {
    let (shutdown, probes, begun) = (Shutdown::new(), Probes::new(), Instant::now());
    let ends = delayed(shutdown.clone(), Duration::from_secs(10), probes.clone());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!ends.is_cancelled() && probes.closed().is_empty(), "nobody has told it to stop");
    shutdown.cancel();
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert!(!ends.is_cancelled());
    assert_eq!(probes.closed().into_keys().collect::<Vec<_>>(), ["stopping"]);
    ends.cancelled().await;
    assert_eq!(begun.elapsed().as_secs(), 70);
}

#[tokio::test(start_paused = true)]
async fn without_a_delay_it_ends_at_once() {
    let (shutdown, begun) = (Shutdown::new(), Instant::now());
    let ends = delayed(shutdown.clone(), Duration::ZERO, Probes::new());
    shutdown.cancel();
    ends.cancelled().await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
}
