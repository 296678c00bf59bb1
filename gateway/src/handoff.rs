//! Moves from and to this pod (OWNERSHIP.md, Moves): one task owns them and carries out what their state machines decide
//! (`shared::protocol::handoff`), the engine does what is to be done with rows, reports go to config-service in bulk.
//! Decides how many targets are copied and frozen at once; nothing about owners.
//!
//! ```text
//! assignment stream ─ told ─▸ run ─▸ machines ─┬─▸ engine: follow, freeze, unfreeze, let go, drop, take, settle
//! other pods ─ parcels ─▸ offered ─▸           ├─▸ sending: parcels to the destination
//!                                              └─▸ reports to config-service ─ their answers ─▸ machines
//! ```

mod peers;
mod reports;
mod run;
mod sending;
mod state;

pub(crate) use state::{Limits, Parts};

use crate::agent::moves::{MovesSink, Told};
use crate::store::transfer::{NotTaken, Parcel};
use crate::{Engine, dispatch::moving::MoveCommand};
use futures_util::future::BoxFuture;
use peers::Peers;
use run::Run;
use serde::{Deserialize, Serialize};
use shared::protocol::handoff::{destination, destination::Refusal};
use shared::{MoveId, shutdown::Shutdown};
use state::Event;
use std::{sync::Arc, time::Duration};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

/// How long what is offered waits for this pod to hear of its move.
const HEAR: Duration = Duration::from_secs(2);

/// The handle of the task. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub(crate) struct Handoffs {
    events: mpsc::UnboundedSender<Event>,
    /// Counts what was told.
    told: watch::Receiver<u64>,
    peers: Peers,
    engine: Engine,
    taking: Arc<Semaphore>,
}

impl MovesSink for Handoffs {
    fn told(&self, told: Told) -> BoxFuture<'_, ()> {
        Box::pin(self.hear(told))
    }
}

/// What a parcel has come to, as its sender is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Received {
    /// The number that comes next.
    pub(crate) next: u32,
    /// Everything is here, verified and on disk.
    pub(crate) whole: bool,
}

/// Why a parcel was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// It has to begin anew.
    #[error("nothing of this attempt is here; begin anew")]
    Lost,
    /// The move is over, or given up.
    #[error("the move is over here, or was given up")]
    Over,
    /// What came cannot be kept.
    #[error("{0}")]
    Spoiled(String),
    /// Not now: it is to be sent again.
    #[error("{0}")]
    Later(&'static str),
}

impl Handoffs {
    /// Starts the task; it ends with `stop`.
    pub(crate) fn start(parts: Parts, stop: Shutdown) -> Self {
        let (events, inbox) = mpsc::unbounded_channel();
        let (count, told) = watch::channel(0);
        let (peers, engine) = (Peers::new(parts.token.clone()), parts.engine.clone());
        let taking = Arc::new(Semaphore::new(parts.limits.taking.max(1)));
        let run = Run::new(parts, peers.clone(), events.clone(), count);
        shared::shutdown::spawn(async move {
            stop.run_until_cancelled(run.run(inbox)).await;
        });
        Self { events, told, peers, engine, taking }
    }

    /// Hears how moves from and to this pod stand. What follows from it is with the engine once this returns: what the
    /// engine is told later comes after it. So the release of a target is recorded before it is taken away, and an import may
    /// be switched before its target is acquired.
    async fn hear(&self, Told { pods, moves, whole }: Told) {
        self.peers.met(&pods);
        if moves.is_empty() && !whole {
            return;
        }
        let (done, heard) = oneshot::channel();
        if self.events.send(Event::Told { moves, whole, done }).is_ok() {
            // Without the task the pod is stopping.
            let _ = heard.await;
        }
    }

    /// Takes in a parcel of another pod.
    ///
    /// # Errors
    /// [`Refused`].
    pub(crate) async fn take(&self, id: MoveId, parcel: Parcel) -> Result<Received, Refused> {
        let _turn = self.taking.acquire().await.map_err(|_| Refused::Later("this pod is stopping"))?;
        if parcel.is_first()
            && let Err(refusal) = self.offered(id, parcel.attempt()).await?
        {
            return match refusal {
                Refusal::Whole => Ok(Received { next: u32::MAX, whole: true }),
                Refusal::Older => Err(Refused::Lost),
                Refusal::Over => Err(Refused::Over),
            };
        }
        let frozen_ms = parcel.frozen_ms();
        let parcel = Box::new(parcel);
        match self.engine.step(|done| MoveCommand::Take { id, parcel, done }).await {
            Ok(Ok(taken)) => {
                if let Some(imported) = taken.whole {
                    let _ = self.events.send(Event::Whole { id, imported, frozen_ms });
                }
                Ok(Received { next: taken.next, whole: taken.whole.is_some() })
            }
            Ok(Err(NotTaken::Lost)) => {
                let _ = self.events.send(Event::Destination(id, destination::Input::Lost));
                Err(Refused::Lost)
            }
            Ok(Err(NotTaken::Older)) => Err(Refused::Lost),
            Ok(Err(NotTaken::Spoiled(why))) => {
                let _ = self.events.send(Event::Destination(id, destination::Input::Spoiled(why.clone())));
                Err(Refused::Spoiled(why))
            }
            Ok(Err(NotTaken::Busy)) => {
                Err(Refused::Later("what is left of the target here is being dropped; send it again in a moment"))
            }
            Ok(Err(NotTaken::Store(_))) | Err(_) => Err(Refused::Later("the pod cannot write its database")),
        }
    }

    /// Offers an attempt to the move's machine; waits a little for this pod to hear of the move.
    async fn offered(&self, id: MoveId, attempt: u64) -> Result<Result<(), Refusal>, Refused> {
        let mut told = self.told.clone();
        let hear = async {
            loop {
                told.borrow_and_update();
                let (reply, said) = oneshot::channel();
                self.events.send(Event::Offered { id, attempt, reply }).ok()?;
                if let Some(said) = said.await.ok()? {
                    return Some(said);
                }
                told.changed().await.ok()?;
            }
        };
        match tokio::time::timeout(HEAR, hear).await {
            Ok(Some(said)) => Ok(said),
            Ok(None) => Err(Refused::Later("this pod is stopping")),
            Err(_) => Err(Refused::Later("this pod has not heard of the move yet")),
        }
    }
}

#[cfg(test)]
mod tests;
