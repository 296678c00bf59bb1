//! The moves that come to this pod: feeds their state machines and carries out what they decide. Decides nothing itself; who
//! brings the rows, and over what, it does not know.

use super::{
    meters::Side,
    reports::Waiting,
    state::{Came, Event, Hands, Offer, Readiness, unknown},
};
use crate::dispatch::moving::MoveCommand;
use crate::store::transfer::Incoming;
use shared::protocol::handoff::destination::{Destination, Imported, Input, Output};
use shared::wire::handoff::{Move, MoveState};
use shared::{Mono, MoveId, TargetId};
use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

/// The destination's side of a move.
#[derive(Debug)]
struct Coming {
    of: Move,
    machine: Destination,
    /// When the end of it arrived, and for how long the target had been frozen then.
    whole: Option<(Mono, Duration)>,
}

/// The moves to this pod.
#[derive(Debug)]
pub(super) struct Arriving {
    hands: Hands,
    coming: BTreeMap<MoveId, Coming>,
    /// Imports that were switched before this process began.
    switched: BTreeMap<MoveId, Switched>,
}

/// An import that is the target's own. The leader hears of it once the replica has it too: the source drops its rows then
/// (OWNERSHIP.md, Moves).
#[derive(Debug)]
struct Switched {
    imported: Imported,
    asked: bool,
}

impl Arriving {
    pub(super) fn new(hands: Hands) -> Self {
        Self { hands, coming: BTreeMap::new(), switched: BTreeMap::new() }
    }

    /// Goes on with what the database recorded.
    pub(super) fn resume(&mut self, incoming: Vec<Incoming>, waiting: &mut Waiting) {
        for Incoming { id, target, imported, switched } in incoming {
            if switched {
                self.switched.insert(id, Switched { imported, asked: false });
                continue;
            }
            let of = unknown(id, target, imported.epoch, self.hands.me(), self.hands.me());
            let (machine, outputs) = Destination::resume(self.hands.now(), imported);
            self.coming.insert(id, Coming { of, machine, whole: None });
            self.carry_out(id, outputs, waiting);
        }
    }

    /// Takes in how a move stands.
    pub(super) fn hear(&mut self, told: Move, waiting: &mut Waiting) {
        let (id, state) = (told.id, told.state);
        self.meet(told);
        self.handle(id, Input::Told(state), waiting);
    }

    /// The rows of a move that was switched before this process began are in the replica.
    pub(super) fn arrived(&mut self, told: Move, waiting: &mut Waiting) {
        let id = told.id;
        // Nothing is left of it when it is over meanwhile.
        let Some(Switched { imported, .. }) = self.switched.remove(&id) else { return };
        let (machine, outputs) = Destination::resume_serving(self.hands.now(), imported.epoch, Duration::ZERO);
        self.coming.insert(id, Coming { of: told, machine, whole: None });
        self.carry_out(id, outputs, waiting);
    }

    fn meet(&mut self, told: Move) {
        if let Some(coming) = self.coming.get_mut(&told.id) {
            coming.of = told;
            return;
        }
        let id = told.id;
        if told.state.is_over() {
            self.switched.remove(&id);
            return;
        }
        if let Some(switched) = self.switched.get_mut(&id) {
            if !std::mem::replace(&mut switched.asked, true) {
                let target = told.target.clone();
                self.hands
                    .step(|done| MoveCommand::Arrived { target, done }, move |_: Mono| Event::Arrived(Box::new(told)));
            }
            return;
        }
        if told.state == MoveState::Committed {
            tracing::error!(move_id = %id, target = %told.target, "a move was committed whose rows are not here");
            return;
        }
        let machine = Destination::begin(told.epoch);
        self.coming.insert(id, Coming { of: told, machine, whole: None });
    }

    /// Moves that are known here and do not run any more: their end was missed.
    pub(super) fn missing(&mut self, running: &[MoveId], waiting: &mut Waiting) {
        let ended =
            |(id, coming): (&MoveId, &Coming)| (!running.contains(id) && !coming.machine.is_bound()).then_some(*id);
        let ended: Vec<MoveId> = self.coming.iter().filter_map(ended).collect();
        for id in ended {
            self.handle(id, Input::Told(MoveState::Aborted), waiting);
        }
    }

    /// Returns whether this pod is ready for these moves. `left` are targets whose rows are on their way out.
    pub(super) fn ready_for(&self, ids: &[MoveId], left: &HashSet<&TargetId>) -> Vec<Readiness> {
        let dropping: HashSet<_> = self
            .coming
            .values()
            .filter(|coming| coming.machine.is_dropping())
            .map(|coming| &coming.of.target)
            .collect();
        let ready = |id: &MoveId| match self.coming.get(id) {
            None => Readiness::Unheard,
            Some(Coming { of, .. }) if left.contains(&of.target) || dropping.contains(&of.target) => Readiness::Busy,
            Some(_) => Readiness::Ready,
        };
        ids.iter().map(ready).collect()
    }

    /// Offers attempts to the machines of their moves.
    pub(super) fn offered(&mut self, offers: &[(MoveId, u64)]) -> Vec<Offer> {
        let now = self.hands.now();
        let offer = |(id, attempt): &(MoveId, u64)| {
            let outputs = self.coming.get_mut(id)?.machine.handle(now, Input::Offered { attempt: *attempt });
            let refused = outputs.iter().find_map(|output| match output {
                Output::Refuse(refusal) => Some(*refusal),
                _ => None,
            });
            Some(refused.map_or(Ok(()), Err))
        };
        offers.iter().map(offer).collect()
    }

    /// Everything of a move is here, verified and on disk.
    pub(super) fn whole(&mut self, Came { id, imported, at, frozen }: Came, waiting: &mut Waiting) {
        let at = self.hands.now().before(at.elapsed());
        match self.coming.get_mut(&id) {
            Some(coming) => {
                if coming.whole.replace((at, frozen)).is_none() {
                    self.hands.meters.moved(Side::Destination, imported.bytes);
                }
                self.handle(id, Input::Whole(imported), waiting);
            }
            // It was given up while its rows were on their way in.
            None => self.drop_import(id),
        }
    }

    /// Lets a machine hear something, and does what it says.
    pub(super) fn handle(&mut self, id: MoveId, input: Input, waiting: &mut Waiting) {
        let Some(coming) = self.coming.get_mut(&id) else { return };
        let outputs = coming.machine.handle(self.hands.now(), input);
        self.carry_out(id, outputs, waiting);
    }

    fn carry_out(&mut self, id: MoveId, outputs: Vec<Output>, waiting: &mut Waiting) {
        for output in outputs {
            let Some(coming) = self.coming.get_mut(&id) else { return };
            match output {
                Output::Import { .. } | Output::Refuse(_) => {}
                Output::Report(said) => waiting.add(id, said),
                Output::Switch => {
                    let (target, whole) = (coming.of.target.clone(), coming.whole);
                    self.hands.step(
                        |done| MoveCommand::Settle { id, target, done },
                        move |served: Mono| {
                            let pause = whole.map_or(Duration::ZERO, |(at, frozen)| frozen + served.since(at));
                            Event::Destination(id, Input::Switched { pause })
                        },
                    );
                }
                Output::Drop => self.drop_import(id),
                Output::Over => drop(self.coming.remove(&id)),
            }
        }
    }

    fn drop_import(&self, id: MoveId) {
        self.hands.step(|done| MoveCommand::DropImport { id, done }, move |()| Event::Destination(id, Input::Dropped));
    }

    /// Brings the gauge up to date.
    pub(super) fn show(&self) {
        self.hands.meters.moves(Side::Destination, self.coming.len());
    }

    pub(super) fn wake_at(&self) -> Option<Mono> {
        self.coming.values().filter_map(|coming| coming.machine.wake_at()).min()
    }

    /// Lets time pass.
    pub(super) fn tick(&mut self, waiting: &mut Waiting) {
        let now = self.hands.now();
        let due = |(id, coming): (&MoveId, &Coming)| coming.machine.wake_at().filter(|at| *at <= now).map(|_| *id);
        let due: Vec<MoveId> = self.coming.iter().filter_map(due).collect();
        due.into_iter().for_each(|id| self.handle(id, Input::Tick, waiting));
    }
}
