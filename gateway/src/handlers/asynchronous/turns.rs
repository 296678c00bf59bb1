//! Whose turn it is to read: so many reads of one call at once, and so many of all calls of the pod, so that no call takes
//! the threads and the memory that others need. Decides nothing about what is read.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Reads of one call at once.
const OF_CALL: usize = 4;

/// The turns of one call. Cheap to clone; clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Turns {
    of_call: Arc<Semaphore>,
    of_pod: Arc<Semaphore>,
}

/// A turn; the next one's when dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _of_call: Option<OwnedSemaphorePermit>,
    _of_pod: Option<OwnedSemaphorePermit>,
}

impl Turns {
    /// Makes the turns of a pod on which `most` reads may run at once, at least one.
    pub(crate) fn of_pod(most: usize) -> Arc<Semaphore> {
        Arc::new(Semaphore::new(most.clamp(1, Semaphore::MAX_PERMITS)))
    }

    /// Makes the turns of a call.
    pub(crate) fn of_call(of_pod: &Arc<Semaphore>) -> Self {
        Self { of_call: Arc::new(Semaphore::new(OF_CALL)), of_pod: Arc::clone(of_pod) }
    }

    /// Waits for a turn: first among the call's own reads, so that a call never fills the pod's queue.
    pub(crate) async fn next(&self) -> Turn {
        // Nobody closes them.
        let of_call = Arc::clone(&self.of_call).acquire_owned().await.ok();
        let of_pod = Arc::clone(&self.of_pod).acquire_owned().await.ok();
        Turn { _of_call: of_call, _of_pod: of_pod }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn a_call_that_reads_much_waits_for_itself_and_not_others_for_it() {
        let pod = Turns::of_pod(6);
        let (greedy, modest) = (Turns::of_call(&pod), Turns::of_call(&pod));
        let mut held: Vec<_> = (0..100).filter_map(|_| greedy.next().now_or_never()).collect();
        assert_eq!(held.len(), OF_CALL);
        let other = [modest.next().now_or_never(), modest.next().now_or_never()];
        assert!(other.iter().all(Option::is_some), "the pod has room left");
        assert!(Turns::of_call(&pod).next().now_or_never().is_none(), "the pod is full");
        held.pop();
        assert!(Turns::of_call(&pod).next().now_or_never().is_some());
    }
}
