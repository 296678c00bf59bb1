//! Moves from and to this pod (OWNERSHIP.md, Moves): one task owns them and carries out what their state machines decide
//! (`shared::protocol::handoff`), the engine does what is to be done with rows, reports go to config-service in bulk.
//! Decides how many targets are copied and frozen at once; nothing about owners.
//!
//! ```text
//! assignment stream ─ told ─▸ run ─▸ machines ─┬─▸ engine: follow, freeze, unfreeze, let go, drop, take, settle
//! other pods ─ parcels ─▸ offered ─▸           ├─▸ sending, together: parcels to the destination
//!                                              └─▸ reports to config-service ─ their answers ─▸ machines
//! ```

mod arriving;
mod leaving;
mod meters;
mod peers;
mod reports;
mod run;
mod sending;
mod state;

pub(crate) use meters::HandoffMeters;
pub(crate) use state::{Limits, Parts};

use crate::agent::moves::{MovesSink, Told};
use crate::store::transfer::{NotTaken, Parcel, Piece, Taken};
use crate::{Engine, dispatch::moving::MoveCommand};
use futures_util::future::BoxFuture;
use peers::Peers;
use run::Run;
use serde::{Deserialize, Serialize};
use shared::protocol::handoff::{destination, destination::Refusal};
use shared::{MoveId, shutdown::Shutdown};
use state::{Came, Event, Offer, Readiness};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{
    sync::{Semaphore, mpsc, oneshot, watch},
    time::Instant,
};

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

/// Moves that a pod is asked about, or is ready for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Known {
    /// Them.
    pub(crate) moves: Vec<MoveId>,
}

/// What the parcels of a bundle have come to, as their sender is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fates {
    /// One for each move.
    pub(crate) fates: Vec<Fate>,
}

/// What one move's parcels have come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fate {
    /// The move.
    pub(crate) id: MoveId,
    /// Everything is here, verified and on disk.
    #[serde(default)]
    pub(crate) whole: bool,
    /// Why they were not taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refused: Option<Why>,
    /// The same in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) detail: String,
}

/// [`Refused`], as a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Why {
    Lost,
    Over,
    Spoiled,
    Later,
}

/// Why a parcel was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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

/// Why nothing more is taken.
const STOPPING: Refused = Refused::Later("this pod is stopping");
const UNHEARD: Refused = Refused::Later("this pod has not heard of the move yet");

impl Refused {
    fn word(&self) -> Why {
        match self {
            Self::Lost => Why::Lost,
            Self::Over => Why::Over,
            Self::Spoiled(_) => Why::Spoiled,
            Self::Later(_) => Why::Later,
        }
    }
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

    /// Returns which of these moves this pod is ready for; waits a little to hear of all.
    pub(crate) async fn ready_for(&self, asked: Known) -> Known {
        let ids = asked.moves.clone();
        let ask = |reply| Event::Asked { ids: ids.clone(), reply };
        let said = self.heard(ask, |said| *said != Readiness::Unheard).await.unwrap_or_default();
        let ready = |(id, said)| (said == Readiness::Ready).then_some(id);
        Known { moves: asked.moves.into_iter().zip(said).filter_map(ready).collect() }
    }

    /// Takes in a parcel of another pod.
    ///
    /// # Errors
    /// [`Refused`].
    pub(crate) async fn take(&self, id: MoveId, parcel: Parcel) -> Result<Received, Refused> {
        let (at, frozen) = (Instant::now(), parcel.frozen());
        let _turn = self.taking.acquire().await.map_err(|_| STOPPING)?;
        if parcel.is_first() {
            let offers = vec![(id, parcel.attempt())];
            let offer = |reply| Event::Offered { offers: offers.clone(), reply };
            let said = self.heard(offer, Option::is_some).await.ok_or(STOPPING)?;
            if let Some(received) = accepted(said.into_iter().next().flatten())? {
                return Ok(received);
            }
        }
        let taken = self.taken(id, self.hand_in(id, parcel)).await?;
        if let Some(imported) = taken.whole {
            let _ = self.events.send(Event::Whole(vec![Came { id, imported, at, frozen }]));
        }
        Ok(Received { next: taken.next, whole: taken.whole.is_some() })
    }

    /// Takes in what another pod sends of several moves. Returns what became of each; the trouble of one is its own.
    pub(crate) async fn take_all(&self, pieces: Vec<Piece>) -> Fates {
        let at = Instant::now();
        let mut results: BTreeMap<MoveId, Result<Received, Refused>> = BTreeMap::new();
        let Ok(_turn) = self.taking.acquire().await else {
            results.extend(pieces.into_iter().map(|piece| (piece.id, Err(STOPPING))));
            return fates(results);
        };
        let first = pieces.iter().filter(|piece| piece.parcel.is_first());
        let offers: Vec<_> = first.map(|piece| (piece.id, piece.parcel.attempt())).collect();
        let (reply, said) = oneshot::channel();
        let asked = self.events.send(Event::Offered { offers: offers.clone(), reply });
        let said = if asked.is_ok() { said.await.unwrap_or_default() } else { Vec::new() };
        for ((id, _), said) in offers.into_iter().zip(said.into_iter().chain(std::iter::repeat(None))) {
            if let Some(result) = accepted(said).transpose() {
                results.insert(id, result);
            }
        }
        // All of them are with the writer before any is waited for: so they share its next transaction.
        let accepted = pieces.into_iter().filter(|piece| !results.contains_key(&piece.id));
        let waiting: Vec<_> =
            accepted.map(|piece| (piece.id, piece.frozen, self.hand_in(piece.id, piece.parcel))).collect();
        let mut came = Vec::new();
        for (id, frozen, done) in waiting {
            let taken = self.taken(id, done).await;
            if let Ok(Taken { whole: Some(imported), .. }) = taken {
                came.push(Came { id, imported, at, frozen });
            }
            let result = taken.map(|taken| Received { next: taken.next, whole: taken.whole.is_some() });
            // Of several parcels the last one counts, unless one before it was refused.
            if !results.get(&id).is_some_and(Result::is_err) {
                results.insert(id, result);
            }
        }
        let _ = self.events.send(Event::Whole(came));
        fates(results)
    }

    /// Gives the writer a parcel.
    fn hand_in(&self, id: MoveId, parcel: Parcel) -> oneshot::Receiver<Result<Taken, NotTaken>> {
        let (done, taken) = oneshot::channel();
        let parcel = Box::new(parcel);
        // Without the writer nobody answers.
        let _ = self.engine.tell(MoveCommand::Take { id, parcel, done });
        taken
    }

    /// Waits for what becomes of a parcel.
    async fn taken(&self, id: MoveId, done: oneshot::Receiver<Result<Taken, NotTaken>>) -> Result<Taken, Refused> {
        match done.await {
            Ok(Ok(taken)) => Ok(taken),
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

    /// Asks the task until every answer is as wanted, or a little time is over. Returns the last answers; none when the pod
    /// is stopping.
    async fn heard<T>(
        &self,
        ask: impl Fn(oneshot::Sender<Vec<T>>) -> Event,
        wanted: impl Fn(&T) -> bool,
    ) -> Option<Vec<T>> {
        let (mut told, until) = (self.told.clone(), Instant::now() + HEAR);
        loop {
            told.borrow_and_update();
            let (reply, said) = oneshot::channel();
            self.events.send(ask(reply)).ok()?;
            let said = said.await.ok()?;
            if said.iter().all(&wanted) {
                return Some(said);
            }
            match tokio::time::timeout_at(until, told.changed()).await {
                Ok(changed) => changed.ok()?,
                Err(_) => return Some(said),
            }
        }
    }
}

/// Says what follows from an offer: nothing when the parcel is to be taken in.
fn accepted(offer: Offer) -> Result<Option<Received>, Refused> {
    match offer {
        None => Err(UNHEARD),
        Some(Ok(())) => Ok(None),
        Some(Err(Refusal::Whole)) => Ok(Some(Received { next: u32::MAX, whole: true })),
        Some(Err(Refusal::Older)) => Err(Refused::Lost),
        Some(Err(Refusal::Over)) => Err(Refused::Over),
    }
}

fn fates(results: BTreeMap<MoveId, Result<Received, Refused>>) -> Fates {
    let fate = |(id, result): (MoveId, Result<Received, Refused>)| match result {
        Ok(Received { whole, .. }) => Fate { id, whole, refused: None, detail: String::new() },
        Err(why) => Fate { id, whole: false, refused: Some(why.word()), detail: why.to_string() },
    };
    Fates { fates: results.into_iter().map(fate).collect() }
}

#[cfg(test)]
mod tests;
