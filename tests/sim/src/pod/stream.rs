//! A gateway's assignments: production's ownership decides what they mean, the disk keeps them.

use super::{AGAIN, Call, WATCH};
use crate::disk::{Held, Row};
use crate::message::Ask;
use crate::network::Node;
use crate::world::{Happening, World};
use gateway::ownership::Acquired;
use shared::protocol::invariants::What;
use shared::wire::control::{Assignment, AssignmentState, Watch};
use shared::{Epoch, Mono, Revision, TargetId};

/// Whether a target begins empty, whatever lies here of it.
fn begins(acquired: &Acquired) -> bool {
    acquired.kept == Some(Epoch(0))
}

impl World {
    /// A process starts: what its database says it owned counts once its lease does.
    pub(super) fn pod_takes_up(&mut self, n: u8) {
        let pod = &self.pods[usize::from(n)];
        let Some(process) = &pod.process else { return };
        let data = &pod.disk.data;
        let owned = data.rows.iter().filter(|(_, row)| matches!(row.held, Held::Owned | Held::Frozen(_)));
        let owned: Vec<_> = owned.map(|(target, row)| (self.targets[*target].clone(), row.epoch)).collect();
        let served = data.rows.iter().filter(|(_, row)| row.held == Held::Owned);
        let served: Vec<_> = served.map(|(target, row)| (self.targets[*target].clone(), row.epoch)).collect();
        process.ownership.take_up(owned, data.revision, 1);
        for (target, row) in &data.rows {
            if matches!(row.held, Held::Frozen(_)) {
                process.ownership.freeze(&self.targets[*target]);
            }
        }
        for (target, epoch) in served {
            let pod = self.pods[usize::from(n)].id.clone();
            self.history.note(self.now, &What::Acquired { pod, target, epoch });
        }
    }

    pub(crate) fn pod_watches(&mut self, n: u8) {
        let pod = &mut self.pods[usize::from(n)];
        let Some(process) = &mut pod.process else { return };
        // It was to watch again, and does since it has registered.
        if process.calls.values().any(|call| matches!(call, Call::Watch)) {
            return;
        }
        process.watching = true;
        let position = Some(process.ownership.revision()).filter(|_| process.whole);
        let after = position.filter(|revision| *revision > Revision(0));
        let ask = Ask::Watch(after, Some(pod.id.clone()));
        let plane = Node::Plane(process.plane);
        self.pod_asks(n, plane, Call::Watch, ask, WATCH);
    }

    pub(super) fn pod_loses_watch(&mut self, n: u8) {
        self.pod_turns(n);
        if let Some(life) = self.life(Node::Pod(n)) {
            self.agenda.put(self.now + AGAIN, Happening::Rewatch { node: Node::Pod(n), life });
        }
    }

    pub(super) fn pod_is_told(&mut self, n: u8, messages: Vec<Watch>) {
        // What this pod has seen was committed; a replica without it knows less of who owns what.
        let ours = self.process(n).map_or(Revision(0), |process| process.ownership.revision());
        if messages.iter().any(|message| matches!(message, Watch::Snapshot { revision, .. } if *revision < ours)) {
            return self.pod_loses_watch(n);
        }
        for message in messages {
            if !self.pod_takes_in(n, message) {
                return self.pod_loses_watch(n);
            }
        }
        self.pod_tells_lease(n);
        self.pod_watches(n);
        self.pod_restores(n);
        self.pod_arm(n);
    }

    /// Takes a message in; returns false when that has to wait.
    fn pod_takes_in(&mut self, n: u8, mut message: Watch) -> bool {
        // Moves are told before the assignments of the same message count: what a finished one has released was not taken
        // away.
        match &mut message {
            Watch::Snapshot { moves, .. } => {
                let moves = std::mem::take(moves);
                self.pod_moves_told(n, &moves, true);
            }
            Watch::Delta { moves, .. } => {
                let moves = std::mem::take(moves);
                self.pod_moves_told(n, &moves, false);
            }
            Watch::Bookmark { .. } | Watch::Resync { .. } => {}
        }
        // What a move has brought is here, and how that ended is not known yet.
        let me = &self.pods[usize::from(n)].id;
        let mine = |entry: &&Assignment| entry.pod == *me && entry.state == AssignmentState::Serving;
        let unsettled = |entry: &Assignment| self.pod_is_unsettled(n, self.index(&entry.target));
        if let Watch::Snapshot { assignments, .. } | Watch::Delta { assignments, .. } = &message
            && assignments.iter().filter(mine).any(unsettled)
        {
            return false;
        }
        let Some(process) = self.process(n) else { return true };
        let ownership = process.ownership.clone();
        let staged = ownership.stage(message);
        process.whole |= staged.completes().is_some();
        let changes = staged.changes().clone();
        if !changes.is_empty() {
            self.pods[usize::from(n)].disk.data.seq += 1;
        }
        for target in &changes.released {
            let target = self.index(target);
            self.pod_released(n, target);
        }
        let (fit, unfit): (Vec<_>, Vec<_>) =
            changes.acquired.into_iter().partition(|acquired| self.pod_can_serve(n, acquired));
        for acquired in &fit {
            let target = self.index(&acquired.target);
            if begins(acquired) {
                // Beside what lies here of it, which is nobody's from now on.
                let rows = &mut self.pods[usize::from(n)].disk.data.rows;
                let is_own = |row: &Row| matches!(row.held, Held::Owned | Held::Frozen(_));
                rows.retain(|at, row| *at != target || is_own(row) || row.epoch >= acquired.epoch);
            }
            self.pod_acquired(n, target, acquired.epoch, acquired.kept);
        }
        let unfit: Vec<_> = unfit.into_iter().map(|acquired| acquired.target).collect();
        if let Some(revision) = staged.completes() {
            let data = &mut self.pods[usize::from(n)].disk.data;
            data.revision = data.revision.max(revision);
        }
        ownership.admit(staged, &unfit);
        true
    }

    /// Whether the rows of a target that is this pod's from now on are here: those of an owner, or none for a target that
    /// begins. What another pod may have changed since is never served (OWNERSHIP.md, Data 5).
    fn pod_can_serve(&self, n: u8, acquired: &Acquired) -> bool {
        let target = self.index(&acquired.target);
        let data = &self.pods[usize::from(n)].disk.data;
        self.pod_has_settled(n, target)
            || self.pod_has_import(n, target, acquired.kept)
            || match data.rows.get(&target) {
                // Given back with rows that are not here: it must not begin empty.
                None => acquired.kept.is_none_or(|kept| kept == Epoch(0)),
                Some(row) => match row.held {
                    Held::Owned | Held::Frozen(_) => true,
                    // What was served under this very epoch, in a life that is over, has begun already.
                    Held::Released(_) | Held::Quarantined => {
                        begins(acquired) && row.epoch < acquired.epoch || acquired.kept == Some(row.epoch)
                    }
                },
            }
    }

    fn pod_acquired(&mut self, n: u8, target: usize, epoch: Epoch, kept: Option<Epoch>) {
        if self.pod_has_settled(n, target) {
            self.pod_switches(n, target, epoch);
        } else {
            self.pod_takes_import(n, target, epoch, kept);
        }
        let pod = &mut self.pods[usize::from(n)];
        pod.disk.data.highest = pod.disk.data.highest.max(epoch);
        let row = pod.disk.data.rows.entry(target).or_insert_with(|| Row::new(epoch, Held::Owned, Vec::new()));
        row.epoch = epoch;
        if !matches!(row.held, Held::Frozen(_)) {
            row.held = Held::Owned;
        }
        let (id, name) = (pod.id.clone(), self.targets[target].clone());
        let row = &self.pods[usize::from(n)].disk.data.rows[&target];
        if self.profile.replicas.is_some() && self.newest[target] == epoch {
            let holds = row.applied.clone();
            self.history.note(self.now, &What::TakenUp { target: name.clone(), epoch, holds });
        }
        // What a pod hears late is nobody's copy any more; its lease does not let it act on that.
        let broken = match self.newest[target] == epoch {
            true => self.history.checker().holds(Mono::from_nanos(self.now), &name, |event| row.times(event)),
            false => Vec::new(),
        };
        let frozen = matches!(row.held, Held::Frozen(_));
        self.history.broken.extend(broken);
        // What is frozen is not served until its move was aborted.
        if !frozen {
            self.history.note(self.now, &What::Acquired { pod: id, target: name, epoch });
        }
    }

    fn pod_released(&mut self, n: u8, target: usize) {
        let pod = &mut self.pods[usize::from(n)];
        if let Some(row) = pod.disk.data.rows.get_mut(&target) {
            row.held = match row.held {
                Held::Released(id) => Held::Released(id),
                Held::Owned | Held::Frozen(_) | Held::Quarantined => Held::Quarantined,
            };
        }
        let (id, name) = (pod.id.clone(), self.targets[target].clone());
        if let Some(process) = &pod.process {
            process.ownership.thaw(&name);
        }
        self.pod_empties(n, target);
        self.history.note(self.now, &What::Released { pod: id, target: name });
    }

    /// Forgets everything the pod owned.
    pub(super) fn pod_gives_all_up(&mut self, n: u8) {
        let terms = self.terms;
        let pod = &mut self.pods[usize::from(n)];
        let Some(process) = &mut pod.process else { return };
        let owned = process.ownership.targets();
        let clock = std::sync::Arc::new(pod.hardware.seen());
        process.ownership = gateway::ownership::Ownership::new(pod.id.clone(), clock, terms);
        process.told = None;
        // What was asked for by a position in the log says too little to the new one: it begins with a snapshot.
        process.calls.retain(|_, call| !matches!(call, Call::Watch));
        (process.watching, process.whole) = (false, false);
        let id = pod.id.clone();
        self.history.note(self.now, &What::Stopped { pod: id.clone() });
        for (target, _) in owned {
            let at = self.index(&target);
            self.pod_empties(n, at);
            self.history.note(self.now, &What::Released { pod: id.clone(), target });
        }
        self.pod_forgets_moves(n);
    }

    /// Returns the number of a target.
    pub(crate) fn index(&self, target: &TargetId) -> usize {
        target.id().parse().expect("every target of a run is a number")
    }
}
