//! Small targets on their way to one destination, many at once: it is asked whether it is ready before any of them is frozen,
//! and gets what is frozen in one body. What becomes of one is not the others' matter. Decides nothing about turns.

use super::super::{
    Fate, Fates, Known, Why,
    peers::Peers,
    state::{Limits, Progress},
};
use crate::Engine;
use crate::store::transfer::{Bundle, NotSent, Parcel};
use bytes::Bytes;
use http::{Method, StatusCode};
use shared::{Epoch, MoveId, PodId, TargetId};
use std::{collections::BTreeMap, time::Duration};
use tokio::{sync::mpsc, time::Instant};

/// Bytes of a bundle, unless one target alone is larger.
const BUNDLE: usize = 4 << 20;
/// Why a destination is asked, or sent to, again.
const SILENT: &str =
    "the destination does not answer, has not heard of the move, or is still dropping the target's old rows";

/// A target that is looked at, or sent.
#[derive(Debug, Clone)]
pub(in crate::handoff) struct Cargo {
    pub(super) id: MoveId,
    pub(super) target: TargetId,
    pub(super) epoch: Epoch,
    pub(super) attempt: u64,
    pub(super) frozen_at: Instant,
}

/// What a look at a target comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::handoff) enum Look {
    /// It travels with others, after the freeze.
    Small,
    /// It is copied first.
    Large,
    /// Its rows cannot be read.
    Failed(String),
    /// The destination is not ready for it.
    NotNow(String),
}

/// What sending a target comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::handoff) enum Carried {
    /// All of it is there.
    Whole,
    /// It has to begin anew.
    Lost,
    /// The leader will say how it ends.
    Over,
    /// It cannot be kept there, or read here.
    Spoiled(String),
    /// It is to be sent again, under the same attempt.
    NotNow(u64),
}

/// What small targets on their way to one destination work with.
#[derive(Debug)]
pub(super) struct Together {
    pub(super) engine: Engine,
    pub(super) peers: Peers,
    pub(super) to: PodId,
    pub(super) limits: Limits,
    /// Told how many rows and bytes have been taken in.
    pub(super) progress: mpsc::UnboundedSender<Progress>,
}

/// What is read of some targets: the bundle, and how much of each is in it.
#[derive(Debug, Default)]
struct Load {
    bundle: Bundle,
    aboard: Vec<(Cargo, u64, u64)>,
    unread: Vec<(MoveId, String)>,
}

impl Together {
    /// Asks the destination, and looks at the targets that it is ready for.
    pub(super) async fn look(self, cargo: Vec<Cargo>) -> Vec<(MoveId, Look)> {
        let known = self.ask(&cargo).await;
        let (ready, silent): (Vec<_>, Vec<_>) = cargo.into_iter().partition(|one| known.contains(&one.id));
        let mut looks: Vec<_> = silent.into_iter().map(|one| (one.id, Look::NotNow(SILENT.to_owned()))).collect();
        let failed: Vec<_> = ready.iter().map(|one| one.id).collect();
        let looked = tokio::task::spawn_blocking(move || self.sizes(&ready)).await;
        looks.extend(looked.unwrap_or_else(|_| {
            let why = "reading the target's rows failed";
            failed.into_iter().map(|id| (id, Look::Failed(why.to_owned()))).collect()
        }));
        looks
    }

    /// Returns the moves that the destination is ready for; none when it does not answer.
    async fn ask(&self, cargo: &[Cargo]) -> Vec<MoveId> {
        let Some(client) = self.peers.client(&self.to) else { return Vec::new() };
        let ids: Vec<_> = cargo.iter().map(|one| one.id).collect();
        match client.within(self.limits.reach).post::<Known>("/v1/handoff/ask", &Known { moves: ids }).await {
            Ok(known) => known.moves,
            Err(why) => {
                tracing::debug!(to = %self.to, error = %why, "a destination does not answer");
                Vec::new()
            }
        }
    }

    fn sizes(&self, cargo: &[Cargo]) -> Vec<(MoveId, Look)> {
        let snapshot = match self.engine.snapshot() {
            Ok(snapshot) => snapshot,
            Err(why) => return cargo.iter().map(|one| (one.id, Look::Failed(why.to_string()))).collect(),
        };
        let size = |one: &Cargo| {
            let sender = self.engine.sender(&one.target, one.epoch, one.attempt);
            let look = match sender.is_small(&snapshot, self.limits.small) {
                Ok(true) => Look::Small,
                Ok(false) => Look::Large,
                Err(why) => Look::Failed(why.to_string()),
            };
            (one.id, look)
        };
        let looks = cargo.iter().map(size).collect();
        self.engine.give_back(snapshot);
        looks
    }

    /// Sends frozen targets, the release at the end of each. Returns what came of every one.
    pub(super) async fn carry(self, cargo: Vec<Cargo>) -> Vec<(MoveId, Carried)> {
        let mut carried = Vec::new();
        let mut left = cargo;
        while !left.is_empty() {
            let engine = self.engine.clone();
            let read = tokio::task::spawn_blocking(move || read(&engine, left)).await;
            let Ok((load, rest)) = read else { break };
            left = rest;
            carried.extend(load.unread.into_iter().map(|(id, why)| (id, Carried::Spoiled(why))));
            carried.extend(self.post(load.bundle, load.aboard).await);
        }
        carried
    }

    async fn post(&self, mut bundle: Bundle, aboard: Vec<(Cargo, u64, u64)>) -> Vec<(MoveId, Carried)> {
        if aboard.is_empty() {
            return Vec::new();
        }
        let frozen: BTreeMap<MoveId, Instant> = aboard.iter().map(|(one, ..)| (one.id, one.frozen_at)).collect();
        bundle.stamp(|id| frozen.get(&id).map_or(Duration::ZERO, Instant::elapsed));
        let fates = self.exchange(bundle.into_bytes().into()).await;
        let said: BTreeMap<MoveId, Fate> = fates.into_iter().map(|fate| (fate.id, fate)).collect();
        let carried = aboard.into_iter().map(|(one, rows, bytes)| {
            let carried = match said.get(&one.id) {
                None => Carried::NotNow(one.attempt),
                Some(Fate { refused: None, whole: true, .. }) => {
                    let _ = self.progress.send((one.id, rows, bytes));
                    Carried::Whole
                }
                Some(Fate { refused: None, .. }) => {
                    Carried::Spoiled("the destination has not taken the end".to_owned())
                }
                Some(Fate { refused: Some(Why::Lost), .. }) => Carried::Lost,
                Some(Fate { refused: Some(Why::Over), .. }) => Carried::Over,
                Some(Fate { refused: Some(Why::Spoiled), detail, .. }) => Carried::Spoiled(detail.clone()),
                Some(Fate { refused: Some(Why::Later), .. }) => Carried::NotNow(one.attempt),
            };
            (one.id, carried)
        });
        carried.collect()
    }

    /// Returns what the destination says of each; nothing when it does not answer.
    async fn exchange(&self, bundle: Bytes) -> Vec<Fate> {
        let Some(client) = self.peers.client(&self.to) else { return Vec::new() };
        let headers = [("content-type".to_owned(), "application/octet-stream".to_owned())];
        let answer = client.exchange(Method::POST, "/v1/handoff/parcels", &headers, bundle).await;
        let fates = match answer {
            Ok(answer) if answer.status() == StatusCode::OK => {
                serde_json::from_slice(answer.body()).map(|fates: Fates| fates.fates).map_err(|why| why.to_string())
            }
            Ok(answer) => Err(answer.status().to_string()),
            Err(why) => Err(why.to_string()),
        };
        fates.unwrap_or_else(|why| {
            tracing::debug!(to = %self.to, error = why, "a destination does not take what is sent");
            Vec::new()
        })
    }
}

/// Reads targets until a bundle is full. Returns what is left.
fn read(engine: &Engine, mut cargo: Vec<Cargo>) -> (Load, Vec<Cargo>) {
    let mut load = Load::default();
    let snapshot = match engine.snapshot() {
        Ok(snapshot) => snapshot,
        Err(why) => {
            load.unread = cargo.into_iter().map(|one| (one.id, why.to_string())).collect();
            return (load, Vec::new());
        }
    };
    let mut taken = 0;
    for one in &cargo {
        taken += 1;
        let (mut parcels, mut rows, mut bytes) = (Vec::new(), 0, 0);
        let mut sink = |parcel: Parcel| {
            let written = parcel.write()?;
            (rows, bytes) = (rows + parcel.rows() as u64, bytes + written.len() as u64);
            parcels.push(written);
            Ok::<_, NotSent>(())
        };
        let mut sender = engine.sender(&one.target, one.epoch, one.attempt);
        // The bundle is stamped with the time when it is sent.
        match sender.all(&snapshot, false, || 0, &mut sink) {
            Ok(()) => {
                parcels.iter().for_each(|parcel| load.bundle.add(one.id, parcel));
                load.aboard.push((one.clone(), rows, bytes));
            }
            Err(why) => load.unread.push((one.id, why.to_string())),
        }
        if load.bundle.len() >= BUNDLE {
            break;
        }
    }
    engine.give_back(snapshot);
    let rest = cargo.split_off(taken);
    (load, rest)
}
