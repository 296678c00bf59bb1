//! The shell of production's destination: takes parcels in as its importer does, each once and in order, says what is whole,
//! and makes it the target's own when that is acquired.

use super::super::Done;
use super::super::gate::Held as Out;
use crate::disk::{Held, Incoming, Row};
use crate::message::{Answer, Asker, End, Rows};
use crate::network::Node;
use crate::world::World;
use shared::protocol::handoff::destination::{Destination, Imported, Input, Output, Refusal};
use shared::{Epoch, MoveId};

/// A move to this pod.
#[derive(Debug)]
pub(super) struct Coming {
    pub(super) target: usize,
    pub(super) destination: Destination,
}

impl World {
    pub(in crate::pod) fn pod_is_sent_rows(&mut self, n: u8, asker: Asker, id: MoveId, attempt: u64, rows: Rows) {
        if self.moves(n).is_none_or(|moves| !moves.destinations.contains_key(&id)) {
            // It has not heard of the move yet.
            return self.answer(Node::Pod(n), asker, Answer::Elsewhere);
        }
        if rows.number == 0 {
            return self.pod_destination(n, id, Some((asker, rows)), Input::Offered { attempt });
        }
        self.pod_syncs(n, Done::Imported(id, asker, attempt, rows));
    }

    pub(in crate::pod) fn pod_destination(&mut self, n: u8, id: MoveId, parcel: Option<(Asker, Rows)>, input: Input) {
        let pod = &mut self.pods[usize::from(n)];
        let now = pod.hardware.look(self.now);
        let coming = pod.process.as_mut().and_then(|process| process.moves.destinations.get_mut(&id));
        let Some(coming) = coming else { return };
        let outputs = coming.destination.handle(now, input);
        self.pod_destination_does(n, id, parcel, outputs);
    }

    pub(super) fn pod_destination_does(
        &mut self,
        n: u8,
        id: MoveId,
        parcel: Option<(Asker, Rows)>,
        outputs: Vec<Output>,
    ) {
        for output in outputs {
            match output {
                Output::Import { attempt } => {
                    if let Some((asker, rows)) = parcel.clone() {
                        self.pod_syncs(n, Done::Imported(id, asker, attempt, rows));
                    }
                }
                Output::Refuse(why) => {
                    let answer = match why {
                        Refusal::Whole => Answer::Taken,
                        Refusal::Older => Answer::Refused(409, "begin-anew"),
                        Refusal::Over => Answer::Refused(409, "move-over"),
                    };
                    if let Some((asker, _)) = &parcel {
                        self.answer(Node::Pod(n), *asker, answer);
                    }
                }
                Output::Report(said) => self.pod_says(n, id, said),
                Output::Switch => {
                    let Some(moves) = self.moves(n) else { return };
                    let Some(target) = moves.destinations.get(&id).map(|coming| coming.target) else { return };
                    moves.settled.insert(target, id);
                }
                Output::Drop => {
                    let data = &mut self.pods[usize::from(n)].disk.data;
                    data.incoming.remove(&id);
                    data.seq += 1;
                    self.pod_destination(n, id, None, Input::Dropped);
                }
                Output::Over => {
                    let data = &mut self.pods[usize::from(n)].disk.data;
                    data.switched.remove(&id);
                    data.seq += 1;
                    if let Some(moves) = self.moves(n) {
                        moves.destinations.remove(&id);
                    }
                }
            }
        }
    }

    /// A parcel is taken in, on disk.
    pub(in crate::pod) fn pod_imported(&mut self, n: u8, id: MoveId, asker: Asker, attempt: u64, rows: Rows) {
        // Production's writer takes parcels in their order: one that comes twice is not taken behind the switch.
        let coming = self.moves(n).and_then(|moves| moves.destinations.get(&id));
        if coming.is_none_or(|coming| coming.destination.is_bound()) {
            return self.answer(Node::Pod(n), asker, Answer::Taken);
        }
        let data = &mut self.pods[usize::from(n)].disk.data;
        data.seq += 1;
        let (answer, input) = match take(data.incoming.get(&id), attempt, rows) {
            Ok(came) => {
                let whole = came.whole.map(Input::Whole);
                data.incoming.insert(id, came);
                (Answer::Taken, whole)
            }
            Err(NotTaken::Older) => (Answer::Refused(409, "begin-anew"), None),
            Err(NotTaken::Lost) => (Answer::Refused(409, "begin-anew"), Some(Input::Lost)),
            Err(NotTaken::Spoiled) => {
                let why = "what came is not what was sent".to_owned();
                (Answer::Refused(409, "not-kept"), Some(Input::Spoiled(why)))
            }
        };
        if let Some(input) = input {
            self.pod_destination(n, id, None, input);
        }
        self.answer(Node::Pod(n), asker, answer);
        self.pod_arm(n);
    }

    /// Whether what a move has brought becomes a target's own when that is acquired.
    pub(in crate::pod) fn pod_has_settled(&self, n: u8, target: usize) -> bool {
        let pod = &self.pods[usize::from(n)];
        let settled = pod.process.as_ref().and_then(|process| process.moves.settled.get(&target));
        settled.is_some_and(|id| pod.disk.data.incoming.contains_key(id))
    }

    /// Whether everything of a target is here that a move has brought, and nobody has said yet that it is the target's own.
    pub(in crate::pod) fn pod_is_unsettled(&self, n: u8, target: usize) -> bool {
        let data = &self.pods[usize::from(n)].disk.data;
        let is_whole = data.incoming.values().any(|came| came.target == target && came.whole.is_some());
        let has_import = data.imports.keys().any(|(_, of)| *of == target);
        is_whole && !has_import && !self.pod_has_settled(n, target)
    }

    /// A target is taken up under a new epoch: what a move brought is its own from now on.
    pub(in crate::pod) fn pod_switches(&mut self, n: u8, target: usize, epoch: Epoch) {
        let Some(id) = self.moves(n).and_then(|moves| moves.settled.remove(&target)) else { return };
        let data = &mut self.pods[usize::from(n)].disk.data;
        let Some(came) = data.incoming.remove(&id) else { return };
        let row = Row { origins: came.origins, ..Row::new(epoch, Held::Owned, came.applied) };
        data.rows.insert(target, row);
        data.switched.insert(id, (target, epoch));
        data.seq += 1;
        self.pod_lets_out(n, Out::Arrived(id));
    }
}

/// Why a parcel was not taken in.
enum NotTaken {
    Older,
    Lost,
    Spoiled,
}

/// Takes a parcel in beside what is there of its move.
fn take(there: Option<&Incoming>, attempt: u64, rows: Rows) -> Result<Incoming, NotTaken> {
    let Rows { target, number, applied, origins, end } = rows;
    let mut came = match there {
        Some(came) if came.attempt == attempt => came.clone(),
        Some(came) if came.attempt > attempt => return Err(NotTaken::Older),
        _ if number > 0 => return Err(NotTaken::Lost),
        _ => Incoming { target, attempt, next: 0, applied: Vec::new(), origins: Vec::new(), whole: None },
    };
    if number < came.next {
        return Ok(came);
    }
    if number > came.next {
        return Err(NotTaken::Lost);
    }
    came.applied.extend(applied.iter());
    came.origins = origins;
    came.next += 1;
    if let Some(end) = end {
        if End::of(end.epoch, &came.applied) != end {
            return Err(NotTaken::Spoiled);
        }
        came.whole = Some(Imported { epoch: end.epoch, rows: came.applied.len() as u64, bytes: 0 });
    }
    Ok(came)
}
