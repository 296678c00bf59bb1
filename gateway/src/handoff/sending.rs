//! Sends the rows of a target that is not small to its destination: reads them on a thread of their own, a few parcels ahead, and repeats each until
//! it is taken. Decides when a copy has come close enough to the target to freeze it.

use super::{Received, peers::Peers, state::Progress};
use crate::store::transfer::{Changed, NotSent, Parcel, Sender, Snapshot};
use crate::{Engine, dispatch::moving::MoveCommand};
use bytes::Bytes;
use http::{Method, StatusCode};
use shared::Problem;
use shared::backoff::Backoff;
use shared::protocol::handoff::source::{Input, Rest};
use shared::wire::handoff::Move;
use std::time::Duration;
use tokio::{sync::mpsc, time::Instant};

/// Parcels that are read ahead.
const AHEAD: usize = 2;
/// So few changes are left to the freeze.
const FEW: usize = 200;
/// Rounds of changes before the freeze comes anyway.
const ROUNDS: usize = 8;
/// Changes of one round at most: what changes faster is not copied this way.
const TOO_MANY: usize = 500_000;
/// The waits before a parcel is sent again.
const REPEAT: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// What one copy works with.
#[derive(Debug, Clone)]
pub(super) struct Way {
    pub(super) engine: Engine,
    pub(super) peers: Peers,
    pub(super) of: Move,
    /// Told how many rows and bytes have been taken in.
    pub(super) progress: mpsc::UnboundedSender<Progress>,
}

/// A copy that is up to date but for what changes.
#[derive(Debug)]
pub(super) struct Stream {
    sender: Sender,
    pub(super) snapshot: Snapshot,
}

/// What is left once a target is frozen.
#[derive(Debug)]
pub(super) enum Left {
    /// Everything, under this attempt.
    Whole(u64),
    /// What changed.
    Changes(Box<(Sender, Snapshot, Changed)>),
}

/// Why sending ended early.
#[derive(Debug)]
enum Ended {
    Lost,
    /// The move is over for the destination: the leader will say so.
    Over,
    Failed(String),
}

impl From<NotSent> for Ended {
    fn from(why: NotSent) -> Self {
        Self::Failed(why.to_string())
    }
}

impl Stream {
    /// Splits it, so that the snapshot can be pinned at the freeze.
    pub(super) fn split(self) -> (Sender, Snapshot) {
        (self.sender, self.snapshot)
    }
}

impl Way {
    /// Copies a target while it is served. Returns what the machine is to be told; nothing when the leader will say.
    pub(super) async fn copy(self, attempt: u64) -> Option<(Input, Option<Stream>)> {
        match self.try_copy(attempt).await {
            Ok(stream) => Some((Input::Copied(Rest::Changes), Some(stream))),
            Err(ended) => ended.input().map(|input| (input, None)),
        }
    }

    /// Sends what is left of a frozen target, and the release at its end.
    pub(super) async fn rest(self, left: Left, frozen_at: Instant) -> Option<Input> {
        let engine = self.engine.clone();
        let sent = match left {
            Left::Whole(attempt) => {
                let sender = self.engine.sender(&self.of.target, self.of.epoch, attempt);
                self.stream(sender, move |sender, sink| {
                    let snapshot = engine.snapshot().map_err(NotSent::from)?;
                    let done = sender.all(&snapshot, false, || millis(frozen_at), sink);
                    engine.give_back(snapshot);
                    done
                })
                .await
            }
            Left::Changes(left) => {
                let (sender, snapshot, changed) = *left;
                self.stream(sender, move |sender, sink| {
                    let done = sender.changed(&snapshot, changed, Some(millis(frozen_at)), sink);
                    engine.give_back(snapshot);
                    done
                })
                .await
            }
        };
        match sent {
            Ok((_, true)) => Some(Input::Sent),
            Ok((_, false)) => Some(Input::Failed("the destination has not taken the end".to_owned())),
            Err(ended) => ended.input(),
        }
    }

    async fn try_copy(&self, attempt: u64) -> Result<Stream, Ended> {
        let engine = self.engine.clone();
        let sender = self.engine.sender(&self.of.target, self.of.epoch, attempt);
        let snapshot = blocking(move || engine.snapshot()).await?.map_err(NotSent::from)?;
        let (target, epoch) = (self.of.target.clone(), self.of.epoch);
        let followed = self.engine.step(|done| MoveCommand::Follow { target, epoch, snapshot, done }).await;
        let snapshot = followed.map_err(|_| Ended::Over)?.map_err(|why| Ended::Failed(why.to_string()))?;
        let (mut sender, mut snapshot) =
            self.stream_by(sender, snapshot, |sender, snapshot, sink| sender.all(snapshot, true, || 0, sink)).await?;
        for _ in 0..ROUNDS {
            let target = self.of.target.clone();
            let changed = self.engine.step(|done| MoveCommand::Changed { target, snapshot, done }).await;
            let (pinned, changed) = changed.map_err(|_| Ended::Over)?.map_err(|why| Ended::Failed(why.to_string()))?;
            let count = changed.len();
            if count > TOO_MANY {
                return Err(Ended::Failed("the target changes faster than it can be copied".to_owned()));
            }
            (sender, snapshot) = self
                .stream_by(sender, pinned, move |sender, snapshot, sink| sender.changed(snapshot, changed, None, sink))
                .await?;
            if count <= FEW {
                break;
            }
        }
        Ok(Stream { sender, snapshot })
    }

    async fn stream_by(
        &self,
        sender: Sender,
        snapshot: Snapshot,
        read: impl FnOnce(&mut Sender, &Snapshot, &mut Sink<'_>) -> Result<(), NotSent> + Send + 'static,
    ) -> Result<(Sender, Snapshot), Ended> {
        let (back, given_back) = tokio::sync::oneshot::channel();
        let (sender, _) = self
            .stream(sender, move |sender, sink| {
                let done = read(sender, &snapshot, sink);
                // Whoever waits is there, unless the copy was broken off.
                let _ = back.send(snapshot);
                done
            })
            .await?;
        Ok((sender, given_back.await.map_err(|_| Ended::Over)?))
    }

    /// Reads on a thread, and sends what comes. Returns whether the destination has everything now.
    async fn stream(
        &self,
        mut sender: Sender,
        read: impl FnOnce(&mut Sender, &mut Sink<'_>) -> Result<(), NotSent> + Send + 'static,
    ) -> Result<(Sender, bool), Ended> {
        let (parcels, mut packed) = mpsc::channel::<(Vec<u8>, u64)>(AHEAD);
        let reading = blocking(move || {
            let mut sink = |parcel: Parcel| {
                let packed = (parcel.write()?, parcel.rows() as u64);
                parcels.blocking_send(packed).map_err(|_| NotSent::Cut)
            };
            let done = read(&mut sender, &mut sink);
            (sender, done)
        });
        let posting = async move {
            let (mut whole, mut rows, mut bytes) = (false, 0, 0);
            while let Some((parcel, more)) = packed.recv().await {
                (rows, bytes) = (rows + more, bytes + parcel.len() as u64);
                whole = self.post(parcel.into()).await?.whole;
                let _ = self.progress.send((self.of.id, rows, bytes));
            }
            Ok::<_, Ended>(whole)
        };
        // When posting ends early its end of the channel is dropped, and the reading is cut.
        let (read, posted) = tokio::join!(reading, posting);
        let whole = posted?;
        let (sender, done) = read?;
        done?;
        Ok((sender, whole))
    }

    /// Sends one parcel until it is taken or refused.
    async fn post(&self, parcel: Bytes) -> Result<Received, Ended> {
        let mut backoff = Backoff::new(REPEAT.0, REPEAT.1, self.of.id.0);
        let path = format!("/v1/handoff/{}/parcels", self.of.id);
        let headers = [("content-type".to_owned(), "application/octet-stream".to_owned())];
        loop {
            if let Some(client) = self.peers.client(&self.of.to)
                && let Ok(answer) = client.exchange(Method::POST, &path, &headers, parcel.clone()).await
            {
                if answer.status() == StatusCode::OK {
                    return serde_json::from_slice(answer.body()).map_err(|why| Ended::Failed(why.to_string()));
                }
                let problem: Option<Problem> = serde_json::from_slice(answer.body()).ok();
                match problem.as_ref().map_or("", |problem| &problem.code) {
                    "begin-anew" => return Err(Ended::Lost),
                    "move-over" => return Err(Ended::Over),
                    "not-kept" => {
                        let detail = problem.map(|problem| problem.detail);
                        return Err(Ended::Failed(detail.unwrap_or_default()));
                    }
                    _ => {}
                }
            }
            tokio::time::sleep(backoff.next_wait()).await;
        }
    }
}

type Sink<'a> = dyn FnMut(Parcel) -> Result<(), NotSent> + 'a;

impl Ended {
    fn input(self) -> Option<Input> {
        match self {
            Self::Lost => Some(Input::Lost),
            Self::Over => None,
            Self::Failed(detail) => Some(Input::Failed(detail)),
        }
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Ended> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Ended::Failed("reading the target's rows failed".to_owned()))
}
