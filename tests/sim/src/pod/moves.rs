//! A gateway's part in moves: what it knows of each, what it hears of them, and what it goes on with after a restart. The
//! shell of production's source is in `source`, that of its destination in `destination`.

mod destination;
mod source;

use super::gate::Held as Out;
use super::{Call, PLANE};
use crate::disk::Held;
use crate::message::Ask;
use crate::pod::number;
use crate::world::World;
use destination::Coming;
use shared::protocol::handoff::{destination as to, source as from};
use shared::protocol::handoff::{destination::Destination, source::Source};
use shared::wire::handoff::{Move, MoveReport, MoveState, Reports, Said};
use shared::{Mono, MoveId};
use source::Leaving;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The moves that a process takes part in.
#[derive(Debug, Default)]
pub(crate) struct Moves {
    sources: BTreeMap<MoveId, Leaving>,
    destinations: BTreeMap<MoveId, Coming>,
    /// Moves that wait for the end of a transaction before their target is frozen.
    freezing: BTreeMap<usize, MoveId>,
    /// Moves that wait for a turn to freeze.
    queue: Vec<MoveId>,
    /// Targets whose rows a move has brought: they are the target's own as soon as that is acquired.
    settled: BTreeMap<usize, MoveId>,
}

impl Moves {
    pub(super) fn wake_at(&self) -> Option<Mono> {
        let sources = self.sources.values().filter_map(|leaving| leaving.source.wake_at());
        sources.chain(self.destinations.values().filter_map(|coming| coming.destination.wake_at())).min()
    }
}

impl World {
    fn moves(&mut self, n: u8) -> Option<&mut Moves> {
        self.process(n).map(|process| &mut process.moves)
    }

    /// A process starts, or another life of its folder: what its database says of moves goes on.
    pub(super) fn pod_resumes_moves(&mut self, n: u8) {
        let pod = &mut self.pods[usize::from(n)];
        let now = pod.hardware.look(self.now);
        let data = &mut pod.disk.data;
        data.attempts += 1;
        let attempt = data.attempts << 32;
        // Of what is not whole nothing is known any more.
        data.incoming.retain(|_, came| came.whole.is_some());
        let mut sources = Vec::new();
        for (target, row) in &data.rows {
            let (id, kept) = match row.held {
                Held::Frozen(id) => (id, from::Kept::Frozen),
                Held::Released(id) => (id, from::Kept::Released),
                Held::Owned | Held::Quarantined => continue,
            };
            let (source, outputs) = Source::resume(now, row.epoch, attempt, kept);
            sources.push((id, Leaving::new(*target, row.epoch, source), outputs));
        }
        let incoming = data.incoming.iter().filter_map(|(id, came)| {
            let (destination, outputs) = Destination::resume(now, came.whole?);
            Some((*id, Coming { target: came.target, destination }, outputs))
        });
        let (destinations, switched): (Vec<_>, Vec<_>) = (incoming.collect(), data.switched.keys().copied().collect());
        for (id, leaving, outputs) in sources {
            if let Some(moves) = self.moves(n) {
                moves.sources.insert(id, leaving);
            }
            self.pod_source_does(n, id, outputs);
        }
        for (id, coming, outputs) in destinations {
            if let Some(moves) = self.moves(n) {
                moves.destinations.insert(id, coming);
            }
            self.pod_destination_does(n, id, None, outputs);
        }
        // The leader hears of these once the replica has them.
        for id in switched {
            self.pod_lets_out(n, Out::Arrived(id));
        }
    }

    /// What a move has brought is the target's own, and in the replica: the leader hears of it.
    pub(super) fn pod_has_arrived(&mut self, n: u8, id: MoveId) {
        let pod = &self.pods[usize::from(n)];
        let now = pod.hardware.look(self.now);
        let switched = pod.disk.data.switched.get(&id).copied();
        let Some(moves) = self.moves(n) else { return };
        if moves.destinations.contains_key(&id) {
            return self.pod_destination(n, id, None, to::Input::Switched { pause: Duration::ZERO });
        }
        // It was switched before this process began.
        if let Some((target, epoch)) = switched {
            let (destination, outputs) = Destination::resume_serving(now, epoch, Duration::ZERO);
            moves.destinations.insert(id, Coming { target, destination });
            self.pod_destination_does(n, id, None, outputs);
        }
    }

    /// The pod's life is over: what comes to it is nobody's, what it had frozen is put aside.
    pub(super) fn pod_forgets_moves(&mut self, n: u8) {
        if let Some(moves) = self.moves(n) {
            *moves = Moves::default();
        }
        let data = &mut self.pods[usize::from(n)].disk.data;
        data.incoming.clear();
        data.switched.clear();
        self.pod_resumes_moves(n);
    }

    /// How moves stand, by the watch or the answer to a report. `whole`: these are all there are.
    pub(super) fn pod_moves_told(&mut self, n: u8, told: &[Move], whole: bool) {
        let me = self.pods[usize::from(n)].id.clone();
        for entry in told {
            if entry.from == me {
                self.pod_source_told(n, entry);
            } else if entry.to == me {
                self.pod_destination_told(n, entry);
            }
        }
        if whole {
            self.pod_misses_moves(n, &told.iter().map(|entry| entry.id).collect());
        }
        self.pod_arm(n);
    }

    fn pod_source_told(&mut self, n: u8, entry: &Move) {
        let (id, target) = (entry.id, self.index(&entry.target));
        let pod = &mut self.pods[usize::from(n)];
        let attempt = (pod.disk.data.attempts << 32) + 1;
        let Some(process) = &mut pod.process else { return };
        match (process.moves.sources.get_mut(&id), entry.state) {
            (Some(leaving), _) => leaving.to = Some(number(&entry.to)),
            (None, MoveState::Copying) => {
                let (source, outputs) = Source::begin(entry.epoch, attempt);
                let mut leaving = Leaving::new(target, entry.epoch, source);
                leaving.to = Some(number(&entry.to));
                process.moves.sources.insert(id, leaving);
                self.pod_source_does(n, id, outputs);
            }
            // A freeze that this database knows nothing of: the leader aborts.
            (None, MoveState::Frozen | MoveState::Imported) => {
                let detail = "the source knows nothing of its freeze".to_owned();
                return self.pod_says(n, id, Said::Failed { detail });
            }
            (None, MoveState::Committed | MoveState::Cleaned | MoveState::Aborted) => return,
        }
        self.pod_source(n, id, from::Input::Told(entry.state));
    }

    fn pod_destination_told(&mut self, n: u8, entry: &Move) {
        let (id, target) = (entry.id, self.index(&entry.target));
        let Some(moves) = self.moves(n) else { return };
        if !moves.destinations.contains_key(&id) && entry.state.is_over() {
            self.pods[usize::from(n)].disk.data.switched.remove(&id);
            return;
        }
        if !moves.destinations.contains_key(&id) && entry.state < MoveState::Committed {
            let destination = Destination::begin(entry.epoch);
            moves.destinations.insert(id, Coming { target, destination });
        }
        self.pod_destination(n, id, None, to::Input::Told(entry.state));
    }

    /// Moves that are known here and do not run any more: their end was missed.
    fn pod_misses_moves(&mut self, n: u8, running: &BTreeSet<MoveId>) {
        let Some(moves) = self.moves(n) else { return };
        let gone = |id: &&MoveId| !running.contains(*id);
        let leaving: Vec<_> = moves.sources.keys().filter(gone).copied().collect();
        let coming: Vec<_> = moves.destinations.keys().filter(gone).copied().collect();
        for id in leaving {
            self.pod_source(n, id, from::Input::Missed);
        }
        for id in coming {
            let coming = self.moves(n).and_then(|moves| moves.destinations.get(&id));
            if coming.is_some_and(|coming| !coming.destination.is_bound()) {
                self.pod_destination(n, id, None, to::Input::Told(MoveState::Aborted));
            }
        }
    }

    pub(super) fn pod_moves_tick(&mut self, n: u8) {
        let pod = &self.pods[usize::from(n)];
        let now = pod.hardware.look(self.now);
        let Some(moves) = self.moves(n) else { return };
        let due = |at: Option<Mono>| at.is_some_and(|at| at <= now);
        let leaving = moves.sources.iter().filter(|(_, leaving)| due(leaving.source.wake_at()));
        let leaving: Vec<_> = leaving.map(|(id, _)| *id).collect();
        let coming = moves.destinations.iter().filter(|(_, coming)| due(coming.destination.wake_at()));
        let coming: Vec<_> = coming.map(|(id, _)| *id).collect();
        for id in leaving {
            self.pod_source(n, id, from::Input::Tick);
        }
        for id in coming {
            self.pod_destination(n, id, None, to::Input::Tick);
        }
    }

    fn pod_says(&mut self, n: u8, id: MoveId, said: Said) {
        let pod = &self.pods[usize::from(n)];
        let incarnation = pod.disk.data.incarnation.clone();
        let reports = Reports { pod: pod.id.clone(), incarnation, reports: vec![MoveReport { id, said }] };
        let plane = self.pod_plane(n);
        self.pod_asks(n, plane, Call::Reports, Ask::Reports(reports), PLANE);
    }

    /// Returns the targets that are on their way from or to a pod.
    pub(crate) fn pod_moving(&self, n: u8) -> BTreeSet<usize> {
        let moves = self.pods[usize::from(n)].process.as_ref().map(|process| &process.moves);
        let all = moves.into_iter().flat_map(|moves| {
            let leaving = moves.sources.values().map(|leaving| leaving.target);
            leaving.chain(moves.destinations.values().map(|coming| coming.target))
        });
        all.collect()
    }
}
