//! What is done about one dead life: its database is fetched, the rows of this pod's targets are imported, the leader is told and
//! what it does not give to this pod is dropped. Each step may be done twice: what is whole here already is only told again.

use super::{
    RecoveryMeters, copying,
    copying::Found,
    fetch::{Fetched, fetch},
    plan::{Ended, Work},
};
use crate::replica::ReplicaArgs;
use crate::store::transfer::{NotTaken, Parcel, Source, Taken};
use crate::{Engine, dispatch::moving::MoveCommand, ownership::Ownership};
use shared::http::{Client, ClientError};
use shared::wire::control::{Holding, Life, MAX_RESTORED, Restored, RestoredTaken};
use shared::{MoveId, TargetId};
use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};

/// Parcels that are read ahead of the writer, and those that are with it.
const AHEAD: usize = 8;
const WITH_WRITER: usize = 32;
/// The wait before the leader is told again.
const TELL_AGAIN: Duration = Duration::from_secs(1);

/// What jobs work with.
#[derive(Debug, Clone)]
pub(super) struct Hands {
    pub(super) ownership: Ownership,
    pub(super) engine: Engine,
    pub(super) client: Client,
    pub(super) replica: ReplicaArgs,
    /// Where databases are restored to.
    pub(super) folder: PathBuf,
    /// The free space that a restore takes, in multiples of the replica's bytes.
    pub(super) space: u64,
    pub(super) meters: RecoveryMeters,
    /// The next import's number.
    pub(super) next_id: Arc<AtomicU64>,
}

impl Hands {
    /// Returns the folder of one life's restored database.
    pub(super) fn scratch(&self, life: &Life) -> PathBuf {
        self.folder.join(format!("{}.{}", life.pod, life.incarnation.as_str()))
    }
}

/// Takes a folder away, if it is there.
pub(super) async fn take_away(folder: PathBuf) {
    let gone = tokio::task::spawn_blocking(move || match std::fs::remove_dir_all(&folder) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(folder = %folder.display(), error = %why, "cannot take a restored database away");
        }
        _ => {}
    });
    // A thread that panicked has said so.
    let _ = gone.await;
}

/// One dead life.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) hands: Hands,
    pub(super) life: Life,
    pub(super) work: Work,
}

/// What was found.
#[derive(Debug, Default)]
struct Outcome {
    /// Copies that are whole here, by target.
    whole: BTreeMap<TargetId, (MoveId, Holding)>,
    /// What the replica holds and nobody can go on with.
    unfit: Vec<Holding>,
    absent: Vec<TargetId>,
    /// Why some could not be brought in, ever.
    spoiled: Option<String>,
    /// Why some could not be brought in now.
    again: Option<String>,
}

impl Job {
    /// Does it.
    pub(super) async fn run(self) -> (Life, Ended) {
        let ended = self.work().await.unwrap_or_else(|ended| ended);
        (self.life, ended)
    }

    async fn work(&self) -> Result<Ended, Ended> {
        let mut found = self.here().await?;
        let wanted = &self.work.wanted;
        let missing: Vec<_> =
            wanted.targets.iter().filter(|target| !found.whole.contains_key(*target)).cloned().collect();
        let mut failed = self.work.given_up.clone();
        if !missing.is_empty() && failed.is_none() {
            match fetch(&self.hands, &self.life, wanted.epoch).await {
                Ok(Some(fetched)) => self.import(fetched, missing, &mut found).await?,
                Ok(None) => found.absent = missing,
                // What is here already is told all the same.
                Err(Ended::Hopeless(why)) => failed = Some(why),
                Err(other) if found.whole.is_empty() => return Err(other),
                Err(other) => found.again = Some(format!("{other:?}")),
            }
        }
        let again = found.again.take();
        self.report(found, failed).await?;
        Ok(again.map_or(Ended::Done, Ended::Again))
    }

    /// Returns what is here of it already, whole.
    async fn here(&self) -> Result<Outcome, Ended> {
        let imports = self.hands.engine.step(|done| MoveCommand::Restored { fresh: false, done }).await;
        let imports = imports.map_err(again)?.map_err(again)?;
        let mut found = Outcome::default();
        for waiting in imports.waiting.into_iter().filter(|waiting| waiting.life == self.life) {
            let held = Holding { target: waiting.target.clone(), epoch: waiting.epoch, whole: true };
            found.whole.insert(waiting.target, (waiting.id, held));
        }
        Ok(found)
    }

    /// Brings the rows of these targets in. What did not come whole goes again.
    async fn import(&self, fetched: Fetched, targets: Vec<TargetId>, found: &mut Outcome) -> Result<(), Ended> {
        let mut begun = Vec::new();
        let brought = self.bring_in(&fetched, targets, &mut begun, found).await;
        let whole: HashSet<_> = found.whole.values().map(|(id, _)| *id).collect();
        for id in begun.into_iter().filter(|id| !whole.contains(id)) {
            self.hands.engine.step(|done| MoveCommand::DropImport { id, done }).await.map_err(again)?;
        }
        if matches!(brought, Err(Ended::Unread(_))) {
            // It may have been damaged on its way.
            take_away(fetched.folder).await;
        }
        brought
    }

    /// Brings them in while the database that they are from is checked: no copy is whole, and none counts, before that.
    async fn bring_in(
        &self,
        fetched: &Fetched,
        targets: Vec<TargetId>,
        begun: &mut Vec<MoveId>,
        found: &mut Outcome,
    ) -> Result<(), Ended> {
        let (to, mut from) = mpsc::channel(AHEAD);
        let (opened, is_open) = oneshot::channel();
        let (engine, folder, incarnation) =
            (self.hands.engine.clone(), fetched.folder.clone(), fetched.lineage.incarnation.clone());
        let reading = tokio::task::spawn_blocking(move || {
            let scratch = engine.scratch(&folder).map_err(|why| Ended::Unread(why.to_string()))?;
            let life = scratch.incarnation().map_err(|why| Ended::Unread(why.to_string()))?;
            if life != incarnation {
                return Err(Ended::Hopeless(format!("the replica of incarnation {incarnation} holds one of {life}")));
            }
            // Whoever checks it may be gone.
            let _ = opened.send(());
            copying::copy(&scratch, &targets, &to).map_err(|why| Ended::Unread(why.to_string()))
        });
        let lineage = asked(&fetched.lineage, &self.life);
        let mut source = Arc::new(Source { lineage: lineage.clone(), commit_seq: 0, txid: fetched.txid });
        let (mut current, mut with_writer, mut ends) = (None, WithWriter::default(), Vec::new());
        let rows = async {
            while let Some(next) = from.recv().await {
                match next {
                    Found::Seq(commit_seq) => {
                        source = Arc::new(Source { lineage: lineage.clone(), commit_seq, txid: fetched.txid });
                    }
                    Found::Absent(target) => found.absent.push(target),
                    Found::Held(held) if held.whole => {
                        let id = MoveId(self.hands.next_id.fetch_add(1, Ordering::Relaxed));
                        begun.push(id);
                        current = Some((id, held));
                    }
                    Found::Held(held) => found.unfit.push(held),
                    Found::Parcel(parcel) => {
                        let Some((id, held)) = &current else { continue };
                        let done = self.hand_in(*id, parcel, &source)?;
                        with_writer.add(*id, held.clone(), done, found).await?;
                    }
                    Found::End(parcel) => {
                        if let Some((id, held)) = current.take() {
                            ends.push((id, held, parcel));
                        }
                    }
                }
            }
            reading.await.map_err(again)?
        };
        let checked = async {
            // Without, whoever reads it says what is wrong.
            if is_open.await.is_ok() { fetched.check().await } else { Ok(()) }
        };
        let (rows, checked) = tokio::join!(rows, checked);
        if let Err(ended) = checked.and(rows) {
            // What the writer has still before it would come after what drops it.
            with_writer.all(found).await?;
            return Err(ended);
        }
        fetched.note_good(&self.hands).await;
        for (id, held, parcel) in ends {
            let done = self.hand_in(id, parcel, &source)?;
            with_writer.add(id, held, done, found).await?;
        }
        with_writer.all(found).await
    }

    fn hand_in(&self, id: MoveId, parcel: Box<Parcel>, source: &Arc<Source>) -> Result<Asked, Ended> {
        let (done, taken) = oneshot::channel();
        let from = Arc::clone(source);
        self.hands.engine.tell(MoveCommand::TakeRestored { id, parcel, from, done }).map_err(again)?;
        Ok(taken)
    }

    /// Tells the leader, in parts, and drops what it does not give to this pod.
    async fn report(&self, found: Outcome, failed: Option<String>) -> Result<(), Ended> {
        let Outcome { whole, unfit, mut absent, spoiled, .. } = found;
        let ids: BTreeMap<TargetId, MoveId> = whole.iter().map(|(target, (id, _))| (target.clone(), *id)).collect();
        if !whole.is_empty() {
            let kept = self.hands.engine.step(|done| MoveCommand::KeepRestored { done }).await;
            kept.map_err(again)?.map_err(again)?;
        }
        let mut targets: Vec<Holding> = whole.into_values().map(|(_, held)| held).chain(unfit).collect();
        loop {
            let some: Vec<_> = targets.drain(..targets.len().min(MAX_RESTORED)).collect();
            let none: Vec<_> = absent.drain(..absent.len().min(MAX_RESTORED - some.len())).collect();
            let last = targets.is_empty() && absent.is_empty();
            let failed = failed.clone().or_else(|| spoiled.clone()).filter(|_| last);
            if some.is_empty() && none.is_empty() && failed.is_none() {
                return Ok(());
            }
            let named: Vec<_> = some.iter().map(|held| held.target.clone()).collect();
            let taken = self.tell(some, none, failed).await?;
            let serving: HashSet<_> = taken.serving.iter().collect();
            let dropped: Vec<_> =
                named.iter().filter(|target| !serving.contains(target)).filter_map(|target| ids.get(target)).collect();
            self.hands.meters.answered(serving.len(), dropped.len());
            tracing::info!(
                pod = %self.life.pod, serving = serving.len(), dropped = dropped.len(),
                "told config-service what was restored"
            );
            for id in dropped {
                let id = *id;
                // The rows go a little at a time; nobody has to wait for it.
                self.hands.engine.step(|done| MoveCommand::DropImport { id, done }).await.map_err(again)?;
            }
            if last {
                return Ok(());
            }
        }
    }

    /// Tells the leader until it has answered.
    async fn tell(
        &self,
        targets: Vec<Holding>,
        absent: Vec<TargetId>,
        failed: Option<String>,
    ) -> Result<RestoredTaken, Ended> {
        let path = format!("/v1/pods/{}/restored", self.hands.ownership.pod());
        loop {
            if let Some((lease, _)) = self.hands.ownership.lease() {
                let said = Restored {
                    incarnation: self.hands.engine.incarnation(),
                    lease_id: lease.id,
                    from: self.life.clone(),
                    targets: targets.clone(),
                    absent: absent.clone(),
                    failed: failed.clone(),
                };
                match self.hands.client.post(&path, &said).await {
                    Ok(taken) => return Ok(taken),
                    Err(ClientError::Problem(problem)) if problem.status == 422 => {
                        return Err(Ended::Again(problem.to_string()));
                    }
                    Err(why) => tracing::debug!(error = %why, "what was restored is not told yet"),
                }
            }
            tokio::time::sleep(TELL_AGAIN).await;
        }
    }
}

/// Names the life that was asked for: the rows are the newest it has, also where it had none but those it began with.
fn asked(found: &crate::replica::Lineage, life: &Life) -> crate::replica::Lineage {
    crate::replica::Lineage { pod: life.pod.clone(), incarnation: life.incarnation.clone(), ..found.clone() }
}

fn again(why: impl ToString) -> Ended {
    Ended::Again(why.to_string())
}

/// Parcels of which it is not known yet what becomes of them.
#[derive(Debug, Default)]
struct WithWriter(VecDeque<(MoveId, Holding, Asked)>);

/// The writer's answer.
type Asked = oneshot::Receiver<Result<Taken, NotTaken>>;

impl WithWriter {
    /// Adds one, and waits for the first of too many.
    async fn add(&mut self, id: MoveId, held: Holding, done: Asked, found: &mut Outcome) -> Result<(), Ended> {
        self.0.push_back((id, held, done));
        if self.0.len() >= WITH_WRITER { self.first(found).await } else { Ok(()) }
    }

    async fn all(mut self, found: &mut Outcome) -> Result<(), Ended> {
        while !self.0.is_empty() {
            self.first(found).await?;
        }
        Ok(())
    }

    async fn first(&mut self, found: &mut Outcome) -> Result<(), Ended> {
        let Some((id, held, done)) = self.0.pop_front() else { return Ok(()) };
        match done.await {
            Ok(Ok(Taken { whole: Some(_), .. })) => drop(found.whole.insert(held.target.clone(), (id, held))),
            Ok(Ok(Taken { whole: None, .. })) => {}
            // The first of its parcels was not taken: what became of that is noted.
            Ok(Err(NotTaken::Lost | NotTaken::Older)) => {}
            Ok(Err(NotTaken::Busy)) => {
                found.again = Some(format!("what is left of {} here is being dropped", held.target));
            }
            Ok(Err(NotTaken::Spoiled(why))) => found.spoiled = Some(format!("{}: {why}", held.target)),
            Ok(Err(NotTaken::Store(_))) | Err(_) => {
                found.again = Some(format!("the rows of {} could not be written", held.target));
            }
        }
        Ok(())
    }
}
