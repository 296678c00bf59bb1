//! Senders that never wait for anybody: each feeds a target of its own, sends nothing twice, and notes what was acknowledged.

use crate::{
    wait::eventually,
    workload::{Poster, acknowledged, plan},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::task::JoinSet;

/// The pause after a refusal.
const PAUSE: Duration = Duration::from_millis(50);

/// An event that was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Which sender sent it; its target goes by that, as [`plan`] says.
    pub feeder: u64,
    /// Its target and its id.
    pub event: (String, String),
}

/// Load in the background, of which nothing is sent again.
#[derive(Debug)]
pub struct Flood {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    workers: JoinSet<Vec<Taken>>,
}

impl Flood {
    /// Feeds so many targets, each by a worker of its own, until it is stopped.
    pub fn start(poster: &Poster, targets: u64) -> Self {
        let (stop, count) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let mut workers = JoinSet::new();
        for feeder in 0..targets {
            let (poster, stop, count) = (poster.clone(), Arc::clone(&stop), Arc::clone(&count));
            workers.spawn(async move {
                let mut taken = Vec::new();
                for n in 0.. {
                    if stop.load(Ordering::SeqCst) {
                        break;
                    }
                    let planned = plan(&poster.keys, feeder, n);
                    match poster.post(&planned.delivery, feeder).await {
                        Ok(reply) if acknowledged(&reply) => {
                            taken.push(Taken { feeder, event: (planned.target, planned.id) });
                            count.fetch_add(1, Ordering::SeqCst);
                        }
                        _ => tokio::time::sleep(PAUSE).await,
                    }
                }
                taken
            });
        }
        Self { stop, count, workers }
    }

    /// Waits until so many events are acknowledged.
    ///
    /// # Panics
    /// After `most`.
    pub async fn reaches(&self, count: u64, most: Duration) {
        eventually(&format!("{count} events are acknowledged"), most, async || {
            (self.count.load(Ordering::SeqCst) >= count).then_some(())
        })
        .await;
    }

    /// Stops, and returns all that was acknowledged.
    ///
    /// # Panics
    /// When a worker did not end well.
    pub async fn finish(mut self) -> Vec<Taken> {
        self.stop.store(true, Ordering::SeqCst);
        let mut all = Vec::new();
        while let Some(taken) = self.workers.join_next().await {
            all.extend(taken.expect("a worker ends well"));
        }
        all
    }
}
