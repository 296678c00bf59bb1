//! The shell around a returned pod's reconciling: for rows that are aside it asks who serves the target and from which copy, and
//! sends the end of its journal, one event after another, as late events. Nothing of it is merged.

use super::{Call, PEER, PLANE};
use crate::agenda::{Ns, SECOND};
use crate::disk::Held;
use crate::message::{Answer, Ask, Asker};
use crate::network::Node;
use crate::pod::number;
use crate::world::{Happening, World};
use gateway::simulation::reconcile::{Origin, had};
use shared::Epoch;
use shared::wire::control::AssignmentState;
use shared::wire::link::Outcome;

/// The time between two looks at what is aside.
const EVERY: Ns = 5 * SECOND;

/// What is being sent.
#[derive(Debug, Default)]
pub(super) struct Late {
    sending: Option<Sending>,
    /// Where the last look has ended.
    after: usize,
}

#[derive(Debug)]
struct Sending {
    target: usize,
    epoch: Epoch,
    owner: u8,
    /// What of the journal is to be sent, in order.
    left: Vec<u64>,
}

impl World {
    /// Looks again after a while.
    pub(super) fn pod_looks_aside_later(&mut self, n: u8) {
        if let Some(life) = self.life(Node::Pod(n)) {
            let done = Box::new(super::Done::LooksAside);
            self.agenda.put(self.now + EVERY, Happening::Disk { pod: n, life, done });
        }
    }

    /// Begins with the next rows that are aside and not done.
    pub(super) fn pod_looks_aside(&mut self, n: u8) {
        let after = self.process(n).map_or(0, |process| process.late.after);
        let data = &self.pods[usize::from(n)].disk.data;
        let aside = |(target, row): &(&usize, &crate::disk::Row)| {
            row.held == Held::Quarantined && !data.reconciled.contains(&(**target, row.epoch))
        };
        let open: Vec<_> = data.rows.iter().filter(aside).map(|(target, row)| (*target, row.epoch)).collect();
        let next = open.iter().find(|(target, _)| *target > after).or(open.first()).copied();
        self.pod_looks_aside_later(n);
        let (Some((target, epoch)), Some(process)) = (next, self.process(n)) else { return };
        process.late.after = target;
        process.late.sending = Some(Sending { target, epoch, owner: 0, left: Vec::new() });
        let plane = self.pod_plane(n);
        self.pod_asks(n, plane, Call::Owner(target), Ask::Place(target), PLANE);
    }

    /// Who serves the target.
    pub(super) fn late_told_owner(&mut self, n: u8, target: usize, answer: &Answer) {
        let Answer::Placed(assignment) = answer else { return };
        let me = &self.pods[usize::from(n)].id;
        if assignment.state != AssignmentState::Serving || assignment.pod == *me {
            return;
        }
        let owner = number(&assignment.pod);
        if let Some(sending) = self.sending_late(n, target) {
            sending.owner = owner;
            self.pod_asks(n, Node::Pod(owner), Call::Origins(target), Ask::Origins(target), PEER);
        }
    }

    fn sending_late(&mut self, n: u8, target: usize) -> Option<&mut Sending> {
        self.process(n)?.late.sending.as_mut().filter(|sending| sending.target == target)
    }

    /// From which copies.
    pub(super) fn late_told_origins(&mut self, n: u8, target: usize, origins: &[Origin]) {
        let me = self.pod_life(n);
        let Some(epoch) = self.sending_late(n, target).map(|sending| sending.epoch) else { return };
        let data = &self.pods[usize::from(n)].disk.data;
        let Some(row) = data.rows.get(&target).filter(|row| row.held == Held::Quarantined && row.epoch == epoch) else {
            return;
        };
        let Some(had) = had(origins, &me, &data.past, epoch) else { return };
        let left: Vec<_> = row.applied.iter().skip(had as usize).copied().collect();
        if let Some(sending) = self.sending_late(n, target) {
            sending.left = left;
            self.late_sends(n, target);
        }
    }

    fn late_sends(&mut self, n: u8, target: usize) {
        let Some(sending) = self.sending_late(n, target) else { return };
        let (epoch, owner) = (sending.epoch, sending.owner);
        match sending.left.first().copied() {
            Some(event) => self.pod_asks(n, Node::Pod(owner), Call::Late(target), Ask::Late(target, event), 2 * PLANE),
            None => {
                let data = &mut self.pods[usize::from(n)].disk.data;
                data.reconciled.insert((target, epoch));
                data.seq += 1;
            }
        }
    }

    /// What became of a late event.
    pub(super) fn late_was_taken(&mut self, n: u8, target: usize, answer: &Answer) {
        if let (Answer::Outcome(Outcome::Committed { .. }), Some(sending)) = (answer, self.sending_late(n, target)) {
            // An answer may come twice.
            sending.left.drain(..1.min(sending.left.len()));
            self.late_sends(n, target);
        }
    }

    /// Somebody wants to know which copies a target's rows have come through.
    pub(super) fn pod_tells_origins(&mut self, n: u8, asker: Asker, target: usize) {
        let row = self.pods[usize::from(n)].disk.data.rows.get(&target);
        let origins = row.filter(|row| row.held == Held::Owned).map(|row| row.origins.clone());
        self.answer(Node::Pod(n), asker, Answer::Origins(origins.unwrap_or_default()));
    }

    /// An event of a returned pod's journal: as any other, under the epoch that is this pod's.
    pub(super) fn pod_receives_late(&mut self, n: u8, asker: Asker, target: usize, event: u64) {
        let name = &self.targets[target];
        let epoch = self.pods[usize::from(n)].process.as_ref().and_then(|process| process.ownership.epoch(name));
        self.pod_receives(n, asker, target, (epoch.unwrap_or_default(), true), event);
    }
}
