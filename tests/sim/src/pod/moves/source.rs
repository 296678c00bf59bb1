//! The shell of production's source: copies, freezes, sends and lets go as it says. Rows travel in parcels: one with what
//! there is while the target is served, unless it is small, and one behind the freeze, with the release at its end.

use super::super::{AGAIN, Call, Done, PEER};
use crate::disk::Held;
use crate::message::{Answer, Ask, End, Rows};
use crate::network::Node;
use crate::world::{Happening, World};
use shared::protocol::handoff::source::{Input, Output, Rest, Source};
use shared::protocol::invariants::What;
use shared::{Epoch, MoveId};
use std::sync::Arc;

/// How many targets of a pod are frozen at once.
const FROZEN: usize = 8;

/// A move away from this pod.
#[derive(Debug)]
pub(super) struct Leaving {
    pub(super) target: usize,
    pub(super) epoch: Epoch,
    /// The destination; after a restart it is said with the move.
    pub(super) to: Option<u8>,
    pub(super) source: Source,
    /// What is being sent.
    parcel: Option<Sending>,
    /// How many rows the destination has of this attempt, and the number of the parcel that comes next.
    sent: (usize, u32),
}

/// A parcel, sent until it is taken or refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sending {
    attempt: u64,
    number: u32,
    /// Rows from here to there.
    rows: (usize, usize),
    end: bool,
}

impl Leaving {
    pub(super) fn new(target: usize, epoch: Epoch, source: Source) -> Self {
        Self { target, epoch, to: None, source, parcel: None, sent: (0, 0) }
    }
}

impl World {
    pub(super) fn pod_source(&mut self, n: u8, id: MoveId, input: Input) {
        let pod = &mut self.pods[usize::from(n)];
        let now = pod.hardware.look(self.now);
        let Some(leaving) = pod.process.as_mut().and_then(|process| process.moves.sources.get_mut(&id)) else { return };
        let outputs = leaving.source.handle(now, input);
        self.pod_source_does(n, id, outputs);
    }

    pub(super) fn pod_source_does(&mut self, n: u8, id: MoveId, outputs: Vec<Output>) {
        for output in outputs {
            let pod = &mut self.pods[usize::from(n)];
            let Some(process) = &mut pod.process else { return };
            let Some(leaving) = process.moves.sources.get_mut(&id) else { return };
            let target = leaving.target;
            match output {
                Output::AwaitCopy => self.pod_source(n, id, Input::Turn),
                Output::Copy { attempt } => {
                    (leaving.sent, leaving.parcel) = ((0, 0), None);
                    self.pod_syncs(n, Done::Copied(id, attempt));
                }
                Output::AwaitFreeze => process.moves.queue.push(id),
                Output::Freeze => {
                    process.ownership.freeze(&self.targets[target]);
                    self.pod_empties(n, target);
                    if self.pod_is_committing(n, target) {
                        if let Some(moves) = self.moves(n) {
                            moves.freezing.insert(target, id);
                        }
                    } else {
                        self.pod_syncs(n, Done::Frozen(id));
                    }
                }
                Output::SendRest { rest, attempt } => {
                    if rest == Rest::Whole {
                        leaving.sent = (0, 0);
                    }
                    let ((from, number), to) = (leaving.sent, row_count(&pod.disk.data.rows, target));
                    leaving.parcel = Some(Sending { attempt, number, rows: (from, to), end: true });
                    self.pod_sends(n, id);
                }
                Output::Report(said) => self.pod_says(n, id, said),
                Output::Stop => leaving.parcel = None,
                Output::Unfreeze => {
                    pod.disk.data.seq += 1;
                    process.ownership.thaw(&self.targets[target]);
                    process.moves.freezing.retain(|_, waiting| *waiting != id);
                    if let Some(row) = pod.disk.data.rows.get_mut(&target).filter(|row| row.held == Held::Frozen(id)) {
                        row.held = Held::Owned;
                        let (pod, target, epoch) = (pod.id.clone(), self.targets[target].clone(), row.epoch);
                        if process.ownership.epoch(&target) == Some(epoch) {
                            self.history.note(self.now, &What::Acquired { pod, target, epoch });
                        }
                    }
                    self.pod_source(n, id, Input::Unfrozen);
                }
                Output::Release => {
                    pod.disk.data.seq += 1;
                    if let Some(row) = pod.disk.data.rows.get_mut(&target).filter(|row| row.held == Held::Frozen(id)) {
                        row.held = Held::Released(id);
                    }
                }
                Output::Drop => {
                    pod.disk.data.seq += 1;
                    if pod.disk.data.rows.get(&target).is_some_and(|row| row.held == Held::Released(id)) {
                        pod.disk.data.rows.remove(&target);
                    }
                    self.pod_source(n, id, Input::Dropped);
                }
                Output::Over => {
                    process.moves.sources.remove(&id);
                    process.moves.queue.retain(|waiting| *waiting != id);
                    process.moves.freezing.retain(|_, waiting| *waiting != id);
                }
            }
        }
        self.pod_gives_turns(n);
    }

    /// Lets as many targets freeze as may.
    fn pod_gives_turns(&mut self, n: u8) {
        let Some(moves) = self.moves(n) else { return };
        let frozen = moves.sources.values().filter(|leaving| leaving.source.is_frozen()).count();
        if frozen < FROZEN && !moves.queue.is_empty() {
            let id = moves.queue.remove(0);
            self.pod_source(n, id, Input::Turn);
        }
    }

    /// There has been time to copy: a small target travels whole behind the freeze, of others there is a first parcel.
    pub(in crate::pod) fn pod_copies(&mut self, n: u8, id: MoveId, attempt: u64) {
        let small = self.draw.chance(500);
        let pod = &mut self.pods[usize::from(n)];
        let Some(leaving) = pod.process.as_mut().and_then(|process| process.moves.sources.get_mut(&id)) else { return };
        let row = pod.disk.data.rows.get(&leaving.target);
        let Some(row) = row.filter(|row| row.held == Held::Owned && row.epoch == leaving.epoch) else {
            self.pod_source(n, id, Input::Failed("the target is not this pod's any more".to_owned()));
            return self.pod_arm(n);
        };
        if small {
            self.pod_source(n, id, Input::Copied(Rest::Whole));
        } else {
            leaving.parcel = Some(Sending { attempt, number: 0, rows: (0, row.applied.len()), end: false });
            self.pod_sends(n, id);
        }
        self.pod_arm(n);
    }

    /// Sends what is to be sent, once more if it was sent before.
    fn pod_sends(&mut self, n: u8, id: MoveId) {
        let pod = &self.pods[usize::from(n)];
        let leaving = pod.process.as_ref().and_then(|process| process.moves.sources.get(&id));
        let Some((leaving, Sending { attempt, number, rows, end })) =
            leaving.and_then(|leaving| Some((leaving, leaving.parcel?)))
        else {
            return;
        };
        let row = pod.disk.data.rows.get(&leaving.target).filter(|row| row.applied.len() >= rows.1);
        let (Some(to), Some(row)) = (leaving.to, row) else {
            return self.pod_sends_later(n, id, attempt);
        };
        let applied = Arc::new(row.applied[rows.0..rows.1].to_vec());
        let end = end.then(|| End::of(row.epoch, &row.applied));
        let rows = Rows { target: leaving.target, number, applied, origins: row.origins.clone(), end };
        self.pod_asks(n, Node::Pod(to), Call::Rows(id, attempt, number), Ask::Rows(id, attempt, rows), PEER);
    }

    fn pod_sends_later(&mut self, n: u8, id: MoveId, attempt: u64) {
        if let Some(life) = self.life(Node::Pod(n)) {
            self.agenda
                .put(self.now + AGAIN, Happening::Disk { pod: n, life, done: Box::new(Done::Resend(id, attempt)) });
        }
    }

    pub(in crate::pod) fn pod_resends(&mut self, n: u8, id: MoveId, attempt: u64) {
        if self.sending(n, id).is_some_and(|sending| sending.attempt == attempt) {
            self.pod_sends(n, id);
        }
    }

    fn sending(&mut self, n: u8, id: MoveId) -> Option<Sending> {
        self.moves(n)?.sources.get(&id)?.parcel
    }

    /// The destination has answered, or has not.
    pub(in crate::pod) fn pod_has_sent(&mut self, n: u8, id: MoveId, parcel: (u64, u32), answer: Option<&Answer>) {
        let Some(sending) = self.sending(n, id).filter(|at| (at.attempt, at.number) == parcel) else { return };
        let Some(leaving) = self.moves(n).and_then(|moves| moves.sources.get_mut(&id)) else { return };
        let input = match answer {
            Some(Answer::Taken) => {
                (leaving.parcel, leaving.sent) = (None, (sending.rows.1, sending.number + 1));
                if sending.end { Input::Sent } else { Input::Copied(Rest::Changes) }
            }
            Some(Answer::Refused(_, "begin-anew")) => {
                leaving.parcel = None;
                Input::Lost
            }
            Some(Answer::Refused(_, "not-kept")) => {
                leaving.parcel = None;
                Input::Failed("the destination cannot keep it".to_owned())
            }
            // The leader will say how it ended.
            Some(Answer::Refused(_, "move-over")) => {
                leaving.parcel = None;
                return;
            }
            _ => return self.pod_sends_later(n, id, sending.attempt),
        };
        self.pod_source(n, id, input);
        self.pod_arm(n);
    }

    /// A transaction has ended that a freeze waited for.
    pub(in crate::pod) fn pod_freezes_on(&mut self, n: u8, target: usize) {
        if let Some(id) = self.moves(n).and_then(|moves| moves.freezing.remove(&target)) {
            self.pod_syncs(n, Done::Frozen(id));
        }
    }

    /// The freeze is on disk.
    pub(in crate::pod) fn pod_froze(&mut self, n: u8, id: MoveId) {
        let pod = &mut self.pods[usize::from(n)];
        let Some(process) = &mut pod.process else { return };
        let Some(leaving) = process.moves.sources.get(&id).filter(|leaving| leaving.source.is_frozen()) else { return };
        pod.disk.data.seq += 1;
        let row = pod.disk.data.rows.get_mut(&leaving.target);
        let input = match row.filter(|row| row.held == Held::Owned && row.epoch == leaving.epoch) {
            Some(row) => {
                row.held = Held::Frozen(id);
                let (pod, target) = (pod.id.clone(), self.targets[leaving.target].clone());
                self.history.note(self.now, &What::Released { pod, target });
                let target = leaving.target;
                self.pod_gives_back(n, target);
                Input::Froze
            }
            None => {
                process.ownership.thaw(&self.targets[leaving.target]);
                Input::Failed("the target is not this pod's any more".to_owned())
            }
        };
        self.pod_source(n, id, input);
        self.pod_arm(n);
    }
}

fn row_count(rows: &std::collections::BTreeMap<usize, crate::disk::Row>, target: usize) -> usize {
    rows.get(&target).map_or(0, |row| row.applied.len())
}
