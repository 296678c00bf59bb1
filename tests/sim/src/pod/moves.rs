//! A gateway's part in moves: the shell of production's source and destination. Rows travel in one message, with the release
//! at its end.

use super::{AGAIN, Call, Done, PEER, PLANE};
use crate::disk::{Held, Incoming, Row};
use crate::message::{Answer, Ask, Asker, Rows};
use crate::network::Node;
use crate::pod::number;
use crate::world::World;
use shared::protocol::handoff::{destination, destination::Destination, source, source::Source};
use shared::wire::handoff::{Move, MoveReport, MoveState, Reports, Said};
use shared::{Epoch, Mono, MoveId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How many targets of a pod are frozen at once.
const FROZEN: usize = 8;

/// The moves that a process takes part in.
#[derive(Debug, Default)]
pub(crate) struct Moves {
    sources: BTreeMap<MoveId, Leaving>,
    destinations: BTreeMap<MoveId, Coming>,
    /// Moves that wait for the end of a transaction before their target is frozen.
    freezing: BTreeMap<usize, MoveId>,
    /// Moves that wait for a turn to freeze.
    queue: Vec<MoveId>,
}

#[derive(Debug)]
struct Leaving {
    target: usize,
    to: u8,
    source: Source,
}

#[derive(Debug)]
struct Coming {
    target: usize,
    destination: Destination,
    rows: Option<Rows>,
}

impl Moves {
    /// Whether a target accepts nothing because it is leaving.
    pub(super) fn freezes(&self, target: usize) -> bool {
        self.sources.values().any(|leaving| leaving.target == target && leaving.source.is_frozen())
    }

    pub(super) fn wake_at(&self) -> Option<Mono> {
        let sources = self.sources.values().filter_map(|leaving| leaving.source.wake_at());
        sources.chain(self.destinations.values().filter_map(|coming| coming.destination.wake_at())).min()
    }
}

impl World {
    fn moves(&mut self, n: u8) -> Option<&mut Moves> {
        self.process(n).map(|process| &mut process.moves)
    }

    /// A process starts: what its database says of moves goes on.
    pub(super) fn pod_resumes_moves(&mut self, n: u8) {
        let pod = &mut self.pods[usize::from(n)];
        let now = pod.hardware.look(self.now);
        let data = &mut pod.disk.data;
        data.attempts += 1;
        let attempt = data.attempts << 32;
        let mut sources = Vec::new();
        for (target, row) in &data.rows {
            let (id, kept) = match row.held {
                Held::Frozen(id) => (id, source::Kept::Frozen),
                Held::Released(id) => (id, source::Kept::Released),
                Held::Owned | Held::Quarantined => continue,
            };
            sources.push((id, *target, Source::resume(now, row.epoch, attempt, kept)));
        }
        let incoming = data.incoming.iter().map(|(id, came)| {
            let imported = destination::Imported { epoch: came.epoch, rows: came.applied.len() as u64, bytes: 0 };
            (*id, came.target, Destination::resume(now, imported))
        });
        let switched = data
            .switched
            .iter()
            .map(|(id, (target, epoch))| (*id, *target, Destination::resume_serving(now, *epoch, Duration::ZERO)));
        let destinations: Vec<_> = incoming.chain(switched).collect();
        for (id, target, (source, outputs)) in sources {
            // Where its rows go is said with the move.
            let to = u8::MAX;
            if let Some(moves) = self.moves(n) {
                moves.sources.insert(id, Leaving { target, to, source });
            }
            self.pod_source_does(n, id, outputs);
        }
        for (id, target, (destination, outputs)) in destinations {
            if let Some(moves) = self.moves(n) {
                moves.destinations.insert(id, Coming { target, destination, rows: None });
            }
            self.pod_destination_does(n, id, None, outputs);
        }
    }

    /// The pod's life is over: it takes part in nothing more.
    pub(super) fn pod_forgets_moves(&mut self, n: u8) {
        if let Some(moves) = self.moves(n) {
            *moves = Moves::default();
        }
        let data = &mut self.pods[usize::from(n)].disk.data;
        data.incoming.clear();
        data.switched.clear();
    }

    /// How moves stand, by the watch or the answer to a report.
    pub(super) fn pod_moves_told(&mut self, n: u8, told: Vec<Move>) {
        let me = self.pods[usize::from(n)].id.clone();
        for entry in told {
            let (id, target) = (entry.id, self.index(&entry.target));
            if entry.from == me {
                self.pod_source_told(n, id, target, &entry);
            } else if entry.to == me {
                let Some(moves) = self.moves(n) else { return };
                if !moves.destinations.contains_key(&id) && entry.state < MoveState::Committed {
                    let destination = Destination::begin(entry.epoch);
                    moves.destinations.insert(id, Coming { target, destination, rows: None });
                }
                self.pod_destination(n, id, None, destination::Input::Told(entry.state));
            }
        }
        self.pod_arm(n);
    }

    fn pod_source_told(&mut self, n: u8, id: MoveId, target: usize, entry: &Move) {
        let pod = &mut self.pods[usize::from(n)];
        let attempt = (pod.disk.data.attempts << 32) + 1;
        let owned =
            pod.disk.data.rows.get(&target).is_some_and(|row| row.held == Held::Owned && row.epoch == entry.epoch);
        let Some(process) = &mut pod.process else { return };
        if let Some(leaving) = process.moves.sources.get_mut(&id) {
            leaving.to = number(&entry.to);
        } else if entry.state == MoveState::Copying && owned {
            let (source, outputs) = Source::begin(entry.epoch, attempt);
            process.moves.sources.insert(id, Leaving { target, to: number(&entry.to), source });
            self.pod_source_does(n, id, outputs);
        }
        self.pod_source(n, id, source::Input::Told(entry.state));
    }

    pub(super) fn pod_moves_tick(&mut self, n: u8) {
        let Some(moves) = self.moves(n) else { return };
        let sources: Vec<_> = moves.sources.keys().copied().collect();
        let destinations: Vec<_> = moves.destinations.keys().copied().collect();
        for id in sources {
            self.pod_source(n, id, source::Input::Tick);
        }
        for id in destinations {
            self.pod_destination(n, id, None, destination::Input::Tick);
        }
    }

    pub(super) fn pod_source(&mut self, n: u8, id: MoveId, input: source::Input) {
        let pod = &mut self.pods[usize::from(n)];
        let now = pod.hardware.look(self.now);
        let Some(leaving) = pod.process.as_mut().and_then(|process| process.moves.sources.get_mut(&id)) else { return };
        let outputs = leaving.source.handle(now, input);
        self.pod_source_does(n, id, outputs);
    }

    fn pod_source_does(&mut self, n: u8, id: MoveId, outputs: Vec<source::Output>) {
        for output in outputs {
            let pod = &mut self.pods[usize::from(n)];
            let Some(process) = &mut pod.process else { return };
            let Some(Leaving { target, to, .. }) = process.moves.sources.get(&id) else { return };
            let (target, to) = (*target, *to);
            match output {
                source::Output::AwaitCopy => self.pod_source(n, id, source::Input::Turn),
                source::Output::Copy { .. } => self.pod_syncs(n, Done::Copied(id)),
                source::Output::AwaitFreeze => {
                    process.moves.queue.push(id);
                    self.pod_gives_turns(n);
                }
                source::Output::Freeze => {
                    self.pod_empties(n, target);
                    if self.pod_is_committing(n, target) {
                        if let Some(moves) = self.moves(n) {
                            moves.freezing.insert(target, id);
                        }
                    } else {
                        self.pod_syncs(n, Done::Frozen(id));
                    }
                }
                source::Output::SendRest { attempt, .. } => {
                    let row = pod.disk.data.rows.get(&target);
                    let Some(row) = row.filter(|_| to != u8::MAX) else {
                        self.pod_has_sent_rows(n, id, false);
                        continue;
                    };
                    let rows = Rows { target, epoch: row.epoch, applied: Arc::new(row.applied.clone()) };
                    self.pod_asks(n, Node::Pod(to), Call::Rows(id), Ask::Rows(id, attempt, rows), PEER);
                }
                source::Output::Report(said) => self.pod_says(n, id, said),
                source::Output::Stop => {}
                source::Output::Unfreeze => {
                    if let Some(row) = pod.disk.data.rows.get_mut(&target).filter(|row| row.held == Held::Frozen(id)) {
                        row.held = Held::Owned;
                    }
                    self.pod_source(n, id, source::Input::Unfrozen);
                }
                source::Output::Release => {
                    if let Some(row) = pod.disk.data.rows.get_mut(&target).filter(|row| row.held == Held::Frozen(id)) {
                        row.held = Held::Released(id);
                    }
                }
                source::Output::Drop => {
                    if pod.disk.data.rows.get(&target).is_some_and(|row| row.held == Held::Released(id)) {
                        pod.disk.data.rows.remove(&target);
                    }
                    self.pod_source(n, id, source::Input::Dropped);
                }
                source::Output::Over => {
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
            self.pod_source(n, id, source::Input::Turn);
        }
    }

    pub(super) fn pod_copied(&mut self, n: u8, id: MoveId) {
        self.pod_source(n, id, source::Input::Copied(source::Rest::Changes));
        self.pod_arm(n);
    }

    /// A transaction has ended that a freeze waited for.
    pub(super) fn pod_freezes_on(&mut self, n: u8, target: usize) {
        if let Some(id) = self.moves(n).and_then(|moves| moves.freezing.remove(&target)) {
            self.pod_syncs(n, Done::Frozen(id));
        }
    }

    /// The freeze is on disk.
    pub(super) fn pod_froze(&mut self, n: u8, id: MoveId) {
        let pod = &mut self.pods[usize::from(n)];
        let Some(process) = &mut pod.process else { return };
        let Some(leaving) = process.moves.sources.get(&id).filter(|leaving| leaving.source.is_frozen()) else { return };
        let row = pod.disk.data.rows.get_mut(&leaving.target).filter(|row| row.held == Held::Owned);
        let input = match row {
            Some(row) => {
                row.held = Held::Frozen(id);
                source::Input::Froze
            }
            None => source::Input::Failed("the target is not this pod's any more".to_owned()),
        };
        self.pod_source(n, id, input);
        self.pod_arm(n);
    }

    pub(super) fn pod_has_sent_rows(&mut self, n: u8, id: MoveId, taken: bool) {
        if taken {
            self.pod_source(n, id, source::Input::Sent);
        } else if let Some(life) = self.life(Node::Pod(n)) {
            let done = Done::Resend(id);
            self.agenda.put(self.now + AGAIN, crate::world::Happening::Disk { pod: n, life, done });
        }
        self.pod_arm(n);
    }

    pub(super) fn pod_resends(&mut self, n: u8, id: MoveId) {
        self.pod_source(n, id, source::Input::Lost);
        self.pod_arm(n);
    }

    fn pod_says(&mut self, n: u8, id: MoveId, said: Said) {
        let pod = &self.pods[usize::from(n)];
        let incarnation = pod.disk.data.incarnation.clone();
        let reports = Reports { pod: pod.id.clone(), incarnation, reports: vec![MoveReport { id, said }] };
        let plane = self.pod_plane(n);
        self.pod_asks(n, plane, Call::Reports, Ask::Reports(reports), PLANE);
    }

    pub(super) fn pod_is_sent_rows(&mut self, n: u8, asker: Asker, id: MoveId, attempt: u64, rows: Rows) {
        let Some(moves) = self.moves(n) else { return };
        let Some(coming) = moves.destinations.get_mut(&id) else {
            return self.answer(Node::Pod(n), asker, Answer::Elsewhere);
        };
        coming.rows = Some(rows);
        self.pod_destination(n, id, Some(asker), destination::Input::Offered { attempt });
        self.pod_arm(n);
    }

    fn pod_destination(&mut self, n: u8, id: MoveId, asker: Option<Asker>, input: destination::Input) {
        let pod = &mut self.pods[usize::from(n)];
        let now = pod.hardware.look(self.now);
        let coming = pod.process.as_mut().and_then(|process| process.moves.destinations.get_mut(&id));
        let Some(coming) = coming else { return };
        let outputs = coming.destination.handle(now, input);
        self.pod_destination_does(n, id, asker, outputs);
    }

    fn pod_destination_does(&mut self, n: u8, id: MoveId, asker: Option<Asker>, outputs: Vec<destination::Output>) {
        for output in outputs {
            let pod = &mut self.pods[usize::from(n)];
            match output {
                destination::Output::Import { .. } => {
                    pod.disk.data.incoming.remove(&id);
                    if let Some(asker) = asker {
                        self.pod_syncs(n, Done::Imported(id, asker));
                    }
                }
                destination::Output::Refuse(why) => {
                    let answer = match why {
                        destination::Refusal::Whole => Answer::Taken,
                        destination::Refusal::Older | destination::Refusal::Over => Answer::Refused(409, "refused"),
                    };
                    if let Some(asker) = asker {
                        self.answer(Node::Pod(n), asker, answer);
                    }
                }
                destination::Output::Report(said) => self.pod_says(n, id, said),
                destination::Output::Switch => {
                    if pod.disk.data.switched.contains_key(&id) {
                        let pause = Duration::ZERO;
                        self.pod_destination(n, id, None, destination::Input::Switched { pause });
                    }
                }
                destination::Output::Drop => {
                    pod.disk.data.incoming.remove(&id);
                    self.pod_destination(n, id, None, destination::Input::Dropped);
                }
                destination::Output::Over => {
                    pod.disk.data.switched.remove(&id);
                    if let Some(moves) = self.moves(n) {
                        moves.destinations.remove(&id);
                    }
                }
            }
        }
    }

    /// The rows of a move are on disk.
    pub(super) fn pod_imported(&mut self, n: u8, id: MoveId, asker: Asker) {
        let pod = &mut self.pods[usize::from(n)];
        let coming = pod.process.as_mut().and_then(|process| process.moves.destinations.get_mut(&id));
        let Some(Rows { target, epoch, applied }) = coming.and_then(|coming| coming.rows.take()) else { return };
        let rows = applied.len() as u64;
        let came = Incoming { target, epoch, applied: applied.to_vec() };
        pod.disk.data.incoming.insert(id, came);
        let imported = destination::Imported { epoch, rows, bytes: 0 };
        self.pod_destination(n, id, None, destination::Input::Whole(imported));
        self.answer(Node::Pod(n), asker, Answer::Taken);
        self.pod_arm(n);
    }

    /// A target is taken up under a new epoch: what a move brought is its own from now on.
    pub(super) fn pod_switches(&mut self, n: u8, target: usize, epoch: Epoch) {
        let data = &mut self.pods[usize::from(n)].disk.data;
        let mut came = data.incoming.iter().filter(|(_, came)| came.target == target && came.epoch < epoch);
        let Some((id, _)) = came.next_back() else { return };
        let id = *id;
        let Some(came) = data.incoming.remove(&id) else { return };
        data.rows.insert(target, Row::new(epoch, Held::Owned, came.applied));
        data.switched.insert(id, (target, epoch));
        self.pod_destination(n, id, None, destination::Input::Switched { pause: Duration::ZERO });
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
