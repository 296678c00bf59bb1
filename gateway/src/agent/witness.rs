//! This pod as a witness of the others: the task that carries out what [`Witness`] decides, and keeps its marks on disk
//! before anybody is told of them (OWNERSHIP.md, Leases 4). Decides nothing about promises itself.

use crate::folder::kept::Kept;
use shared::protocol::witness::{Input, Output, Witness};
use shared::shutdown::Shutdown;
use shared::wire::peers::{Extend, Extended, Fence, Fenced, Mark};
use shared::{Clock, LeaseId, PodId};
use std::{collections::BTreeMap, io, sync::Arc, time::Duration};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// How long the disk is left alone after it has refused the marks.
const AGAIN: Duration = Duration::from_secs(1);

/// What the task is told.
#[derive(Debug)]
enum Order {
    Extend(Extend, oneshot::Sender<Extended>),
    Fence(Fence, oneshot::Sender<Fenced>),
    Said(Input),
}

/// The task's handle. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Witnessing(mpsc::Sender<Order>);

/// The witness has more to do than it takes on.
#[derive(Debug, thiserror::Error)]
#[error("this pod has too many questions of other pods to answer; ask again")]
pub(crate) struct Overrun;

impl Witnessing {
    /// Starts the task with the marks that are on disk. At most `most` questions wait.
    pub(crate) fn start(me: PodId, clock: Arc<dyn Clock>, kept: Kept, most: usize, stop: Shutdown) -> Self {
        let (orders, inbox) = mpsc::channel(most.max(1));
        let marks = kept.marks();
        let on_disk = marks.iter().flatten().map(|mark| (mark.pod.clone(), mark.lease_id)).collect();
        let terms = shared::lease::LeaseTerms::default();
        let witness = Witness::new(me, terms, clock.now(), marks);
        let run = Run { witness, clock, kept, wanted: on_disk, unwritten: false, fences: Vec::new(), writing: None };
        shared::shutdown::spawn(async move { stop.run_until_cancelled(run.run(inbox)).await });
        Self(orders)
    }

    /// Asks for a promise.
    ///
    /// # Errors
    /// [`Overrun`].
    pub(crate) async fn extend(&self, question: Extend) -> Result<Extended, Overrun> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send(Order::Extend(question, answer)).map_err(|_| Overrun)?;
        answered.await.map_err(|_| Overrun)
    }

    /// Has a lease fenced. Completes once the mark is on disk; not at all while the marks may have been lost.
    ///
    /// # Errors
    /// [`Overrun`].
    pub(crate) async fn fence(&self, fence: Fence) -> Result<Fenced, Overrun> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send(Order::Fence(fence, answer)).map_err(|_| Overrun)?;
        answered.await.map_err(|_| Overrun)
    }

    /// Tells it what has happened to this pod.
    pub(crate) async fn said(&self, input: Input) {
        // The task ends only when the pod does.
        let _ = self.0.send(Order::Said(input)).await;
    }
}

struct Run {
    witness: Witness,
    clock: Arc<dyn Clock>,
    kept: Kept,
    /// What is on disk, or is to be.
    wanted: BTreeMap<PodId, LeaseId>,
    /// Whether some of it is not even being written.
    unwritten: bool,
    /// Who waits to hear that a lease is fenced.
    fences: Vec<(Fence, oneshot::Sender<Fenced>)>,
    writing: Option<JoinHandle<(Vec<Mark>, io::Result<()>)>>,
}

impl Run {
    async fn run(mut self, mut inbox: mpsc::Receiver<Order>) {
        loop {
            let writing = self.writing.as_mut();
            tokio::select! {
                order = inbox.recv() => match order {
                    Some(order) => self.take(order),
                    None => return,
                },
                written = async { match writing { Some(writing) => writing.await, None => std::future::pending().await } } => {
                    self.writing = None;
                    match written {
                        Ok((marks, Ok(()))) => marks.into_iter().for_each(|mark| self.handle(Input::Kept(mark))),
                        Ok((_, Err(why))) => {
                            tracing::error!(error = %why, "cannot keep the fencing marks, trying again; no lease is fenced meanwhile");
                            self.write(AGAIN);
                        }
                        Err(why) => {
                            tracing::error!(error = %why, "keeping the fencing marks failed, trying again");
                            self.write(AGAIN);
                        }
                    }
                }
            }
            if self.unwritten && self.writing.is_none() {
                self.write(Duration::ZERO);
            }
        }
    }

    fn take(&mut self, order: Order) {
        match order {
            Order::Extend(question, answer) => {
                let outputs = self.witness.handle(self.clock.now(), Input::Extend(question));
                for output in outputs {
                    if let Output::Answer { answer: said, .. } = output {
                        // Whoever asked may be gone; the promise binds all the same.
                        return drop(answer.send(said));
                    }
                }
            }
            Order::Fence(fence, answer) => {
                self.fences.retain(|(_, waiting)| !waiting.is_closed());
                self.fences.push((fence.clone(), answer));
                tracing::info!(pod = %fence.pod, lease = %fence.lease_id, term = %fence.term, round = fence.round, "asked to fence a lease");
                self.handle(Input::Fence(fence));
            }
            Order::Said(input) => self.handle(input),
        }
    }

    fn handle(&mut self, input: Input) {
        for output in self.witness.handle(self.clock.now(), input) {
            match output {
                Output::Answer { .. } => {}
                Output::Keep(mark) => self.want(mark),
                Output::KeepAll(marks) => {
                    marks.into_iter().for_each(|mark| self.want(mark));
                    self.unwritten = true;
                }
                Output::Fenced { to_leader } => self.fenced(&to_leader),
            }
        }
    }

    fn want(&mut self, mark: Mark) {
        let wanted = self.wanted.entry(mark.pod).or_default();
        *wanted = mark.lease_id.max(*wanted);
        self.unwritten = true;
    }

    fn fenced(&mut self, fenced: &Fenced) {
        let asked = |fence: &Fence| {
            (&fence.pod, fence.lease_id, fence.term, fence.round)
                == (&fenced.pod, fenced.lease_id, fenced.term, fenced.round)
        };
        let (answered, waiting) =
            std::mem::take(&mut self.fences).into_iter().partition::<Vec<_>, _>(|(fence, _)| asked(fence));
        self.fences = waiting;
        for (_, answer) in answered {
            // The leader asks again when it has not heard.
            let _ = answer.send(fenced.clone());
        }
    }

    /// Writes what is wanted, after a while.
    fn write(&mut self, after: Duration) {
        self.unwritten = false;
        let marks: Vec<_> =
            self.wanted.iter().map(|(pod, lease_id)| Mark { pod: pod.clone(), lease_id: *lease_id }).collect();
        let kept = self.kept.clone();
        self.writing = Some(shared::shutdown::spawn(async move {
            tokio::time::sleep(after).await;
            let written = tokio::task::spawn_blocking(move || {
                let written = kept.keep_marks(marks.clone());
                (marks, written)
            });
            written.await.unwrap_or_else(|why| (Vec::new(), Err(io::Error::other(why))))
        }));
    }
}

#[cfg(test)]
mod tests;
