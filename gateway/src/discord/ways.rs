//! The way of an event to its owner: through this pod's own door when that is the owner, over a link to it otherwise, by the
//! same router as the HTTP tier's (`shared::router`). Decides only when there is no use in trying on.

use super::lanes::{Behind, Delivered};
use crate::http::{Answerer, Door};
use shared::{
    PodId,
    event::Event,
    router::{
        Router,
        forward::{Links, Lost, NoShare, Upstream},
    },
    wire::{
        control::Beside,
        link::{Outcome, Request},
    },
};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

/// The wait before an event is routed again that nobody took in time.
const AGAIN: Duration = Duration::from_millis(250);

/// The ways to all pods, this one among them.
#[derive(Debug)]
pub(super) struct Ways {
    pub(super) me: PodId,
    pub(super) door: Door,
    pub(super) links: Links,
}

/// The right to hand over one request.
pub(super) enum Share {
    /// To this pod: its own bounds hold.
    Here,
    /// To another one.
    There(<Links as Upstream>::Share),
}

impl Upstream for Ways {
    type Share = Share;

    fn try_reserve(&self, pod: &PodId, bytes: usize) -> Result<Share, NoShare> {
        if *pod == self.me { Ok(Share::Here) } else { self.links.try_reserve(pod, bytes).map(Share::There) }
    }

    async fn reserve(&self, pod: &PodId, bytes: usize) -> Result<Share, NoShare> {
        if *pod == self.me { Ok(Share::Here) } else { self.links.reserve(pod, bytes).await.map(Share::There) }
    }

    async fn call(&self, share: Share, request: Request) -> Result<Outcome, Lost> {
        match share {
            Share::Here => Ok(self.door.answer(request).await),
            Share::There(share) => self.links.call(share, request).await,
        }
    }

    async fn ready(&self, pod: &PodId) {
        if *pod != self.me {
            self.links.ready(pod).await;
        }
    }
}

/// Takes an event to its owner, and goes on until it is committed there, in its place. A target without a home would best be
/// where `beside` says.
pub(super) async fn deliver(
    router: Arc<Router<Ways>>,
    mut event: Event,
    behind: Behind,
    beside: Option<Beside>,
) -> Delivered {
    loop {
        behind.mark(&mut event);
        let routed = router.route_beside(event.clone(), Instant::now(), beside.clone()).await;
        match routed.verdict {
            "committed" => return Delivered::Committed,
            "duplicate" => return Delivered::Duplicate,
            "too_large_for_link" => {
                tracing::error!(target = %event.target, id = event.id, bytes = event.body.len(), "what Discord told fits no frame and is left out; raise --max-frame");
                return Delivered::TooLarge;
            }
            why => {
                tracing::debug!(target = %event.target, id = event.id, why, "nobody took an event of Discord's gateway yet")
            }
        }
        sleep(AGAIN).await;
    }
}
