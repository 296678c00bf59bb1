//! The moves that leave this pod: feeds their state machines and carries out what they decide, in their order. Whose turn it
//! is to be looked at, copied, frozen and sent is `turns`' matter; how rows are read and sent is `together`'s for small
//! targets and `sending`'s for the others.
//!
//! ```text
//! looked at ─┬─ small ─────────────▸ freeze, many at once ─▸ sent, many in one body
//!            └─ large ─▸ copied ───▸ freeze, few at once ──▸ changes sent, each by itself
//! ```

mod together;
mod turns;

pub(super) use together::{Carried, Look};

use super::{
    meters::Side,
    reports::Waiting,
    sending::{Left, Stream, Way},
    state::{Event, Hands, Progress, unknown},
};
use crate::dispatch::moving::{Frozen, MoveCommand};
use crate::store::transfer::{Changed, Outgoing, Sender, Snapshot};
use shared::protocol::handoff::source::{Input, Kept, Output, Rest, Source};
use shared::wire::handoff::{Move, MoveState, Said};
use shared::{Mono, MoveId, PodId, TargetId};
use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};
use together::{Cargo, Together};
use tokio::{sync::mpsc, task::AbortHandle, time::Instant};
use turns::{Turn, Turns};

/// The wait before a destination is asked, or sent to, again that did not answer.
const AGAIN: Duration = Duration::from_millis(250);

/// The source's side of a move.
#[derive(Debug)]
struct Going {
    of: Move,
    machine: Source,
    /// It travels with others: everything of it follows the freeze.
    small: bool,
    /// Since when its destination is asked whether it takes the target.
    asked_at: Option<Instant>,
    /// The copy that is up to date but for changes.
    stream: Option<Stream>,
    /// What changed up to the freeze.
    left: Option<(Sender, Snapshot, Changed)>,
    frozen_at: Instant,
    /// What it is at. What is done for many at once has no handle: nobody breaks it off for one of them.
    task: Option<(u64, Option<AbortHandle>)>,
    /// Rows and bytes that have been taken in, and whether that is still to be said.
    travelled: (u64, u64),
    unsaid: bool,
    /// What is to be sent once it is known where to.
    held: Option<(Rest, u64)>,
    /// Its destination is being told of what the target holds outside.
    announced: bool,
}

impl Going {
    fn new(of: Move, machine: Source) -> Self {
        Self {
            of,
            machine,
            small: false,
            asked_at: None,
            stream: None,
            left: None,
            frozen_at: Instant::now(),
            task: None,
            travelled: (0, 0),
            unsaid: false,
            held: None,
            announced: false,
        }
    }

    fn is_at(&self, task: u64) -> bool {
        self.task.as_ref().is_some_and(|(at, _)| *at == task)
    }

    fn cargo(&self, attempt: u64) -> Cargo {
        let Move { id, target, epoch, .. } = &self.of;
        Cargo { id: *id, target: target.clone(), epoch: *epoch, attempt, frozen_at: self.frozen_at }
    }

    fn break_off(&mut self) {
        if let Some((_, Some(task))) = self.task.take() {
            task.abort();
        }
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        self.break_off();
    }
}

/// The moves from this pod.
#[derive(Debug)]
pub(super) struct Leaving {
    hands: Hands,
    going: BTreeMap<MoveId, Going>,
    turns: Turns,
    progress: mpsc::UnboundedSender<Progress>,
    last_task: u64,
}

impl Leaving {
    pub(super) fn new(hands: Hands, progress: mpsc::UnboundedSender<Progress>) -> Self {
        let turns = Turns::new(hands.limits);
        Self { hands, going: BTreeMap::new(), turns, progress, last_task: 0 }
    }

    /// Goes on with what the database recorded.
    pub(super) fn resume(&mut self, standing: Vec<Outgoing>, waiting: &mut Waiting) {
        let (now, attempt) = (self.hands.now(), self.hands.attempt());
        for Outgoing { id, target, epoch, kept } in standing {
            // Who it goes to is told with the move.
            let of = unknown(id, target, epoch, self.hands.me(), self.hands.me());
            let (machine, outputs) = Source::resume(now, epoch, attempt, kept);
            tracing::info!(move_id = %id, target = %of.target, frozen = kept == Kept::Frozen, "a move goes on");
            if kept == Kept::Frozen {
                self.turns.froze_before(id);
            }
            self.going.insert(id, Going::new(of, machine));
            self.carry_out(id, outputs, waiting);
        }
    }

    /// Takes in how a move stands.
    pub(super) fn hear(&mut self, told: Move, waiting: &mut Waiting) {
        let (id, state) = (told.id, told.state);
        self.meet(told, waiting);
        self.handle(id, Input::Told(state), waiting);
    }

    fn meet(&mut self, told: Move, waiting: &mut Waiting) {
        let id = told.id;
        if let Some(going) = self.going.get_mut(&id) {
            going.of = told;
            if let Some((rest, attempt)) = going.held.take() {
                self.send_rest(id, rest, attempt);
            }
            return;
        }
        let (machine, outputs) = match told.state {
            MoveState::Copying => Source::begin(told.epoch, self.hands.attempt()),
            // A freeze that this database knows nothing of: the leader aborts.
            MoveState::Frozen | MoveState::Imported => {
                waiting.add(id, Said::Failed { detail: "the source knows nothing of its freeze".to_owned() });
                return;
            }
            MoveState::Committed | MoveState::Cleaned | MoveState::Aborted => return,
        };
        tracing::debug!(move_id = %id, target = %told.target, to = %told.to, reason = told.reason, "a move begins");
        self.going.insert(id, Going::new(told, machine));
        self.carry_out(id, outputs, waiting);
    }

    /// Moves that are known here and do not run any more: their end was missed.
    pub(super) fn missing(&mut self, running: &[MoveId], waiting: &mut Waiting) {
        let gone: Vec<MoveId> = self.going.keys().filter(|id| !running.contains(id)).copied().collect();
        gone.into_iter().for_each(|id| self.handle(id, Input::Missed, waiting));
    }

    /// Returns the targets whose rows are on their way out, or wait for it.
    pub(super) fn targets(&self) -> HashSet<&TargetId> {
        self.going.values().map(|going| &going.of.target).collect()
    }

    /// Lets a machine hear something, and does what it says.
    pub(super) fn handle(&mut self, id: MoveId, input: Input, waiting: &mut Waiting) {
        let Some(going) = self.going.get_mut(&id) else { return };
        let outputs = going.machine.handle(self.hands.now(), input);
        if !going.machine.is_frozen() {
            self.turns.thawed(id);
        }
        self.carry_out(id, outputs, waiting);
    }

    fn carry_out(&mut self, id: MoveId, outputs: Vec<Output>, waiting: &mut Waiting) {
        for output in outputs {
            let Some(going) = self.going.get_mut(&id) else { return };
            match output {
                Output::AwaitCopy => self.turns.await_look(&going.of.to, id),
                Output::AwaitFreeze if going.small => self.turns.await_freeze_small(id),
                Output::AwaitFreeze => self.turns.await_freeze(id),
                Output::Copy { .. } if going.small => self.handle(id, Input::Copied(Rest::Whole), waiting),
                Output::Copy { attempt } => {
                    let way = self.way(id);
                    self.work(id, way, |way, task, events| async move {
                        let (input, stream) = way.copy(attempt).await.unzip();
                        let _ = events.send(Event::Copied { id, task, input, stream: stream.flatten() });
                    });
                }
                Output::Freeze => self.freeze(id),
                Output::SendRest { rest, attempt } => self.send_rest(id, rest, attempt),
                Output::Report(said) => waiting.add(id, said),
                Output::Stop => {
                    going.break_off();
                    (going.stream, going.left, going.held, going.announced) = (None, None, None, false);
                    let target = going.of.target.clone();
                    self.turns.stopped(id);
                    self.hands.shards.go_on(&target);
                    self.hands.tell(MoveCommand::Leave { target });
                }
                Output::Unfreeze => {
                    let target = going.of.target.clone();
                    let step = |done| MoveCommand::Unfreeze { id, target, done };
                    self.hands.step(step, move |()| Event::Source(id, Input::Unfrozen));
                }
                Output::Release => {
                    self.hands.meters.moved(Side::Source, going.travelled.1);
                    self.hands.tell(MoveCommand::LetGo { id });
                }
                Output::Drop => {
                    self.hands.step(|done| MoveCommand::Drop { id, done }, move |()| Event::Source(id, Input::Dropped));
                }
                Output::Over => {
                    self.turns.over(id);
                    self.going.remove(&id);
                }
            }
        }
    }

    /// Has the engine freeze a target; what has been copied is brought up to that moment.
    fn freeze(&mut self, id: MoveId) {
        let Some(going) = self.going.get_mut(&id) else { return };
        going.frozen_at = Instant::now();
        let (sender, snapshot) = going.stream.take().map(Stream::split).unzip();
        let (target, epoch) = (going.of.target.clone(), going.of.epoch);
        // Told at once: what takes it back is told later.
        let step = |done| MoveCommand::Freeze { id, target, epoch, snapshot, done };
        self.hands.step(step, move |frozen| {
            let frozen = frozen.map_err(|why| why.to_string());
            Event::Froze { id, sender, frozen }
        });
    }

    pub(super) fn froze(
        &mut self,
        id: MoveId,
        sender: Option<Sender>,
        frozen: Result<Frozen, String>,
        waiting: &mut Waiting,
    ) {
        self.turns.froze(id);
        let Some(going) = self.going.get_mut(&id) else { return };
        match frozen {
            Ok(Frozen { changed }) => {
                going.left = sender.zip(changed).map(|(sender, (snapshot, changed))| (sender, snapshot, changed));
                self.handle(id, Input::Froze, waiting);
            }
            Err(why) => self.handle(id, Input::Failed(why), waiting),
        }
    }

    fn send_rest(&mut self, id: MoveId, rest: Rest, attempt: u64) {
        let Some(going) = self.going.get_mut(&id) else { return };
        if going.of.to == *self.hands.me() {
            // A move that goes on after a restart: where to is told with the move.
            going.held = Some((rest, attempt));
            return;
        }
        let (left, frozen_at) = (going.left.take(), going.frozen_at);
        let left = match (rest, left) {
            (Rest::Changes, Some((sender, snapshot, changed))) => Left::Changes(Box::new((sender, snapshot, changed))),
            _ if going.small => {
                going.break_off();
                return self.turns.await_carry(&going.of.to, going.cargo(attempt), Instant::now());
            }
            _ => Left::Whole(attempt),
        };
        let way = self.way(id);
        self.work(id, way, |way, task, events| async move {
            let input = way.rest(left, frozen_at).await;
            let _ = events.send(Event::Sent { id, task, input });
        });
    }

    /// Gives turns, as many as there are.
    pub(super) fn give_turns(&mut self, waiting: &mut Waiting) {
        while let Some(turn) = self.turns.next(Instant::now()) {
            match turn {
                Turn::Look(to, ids) => self.look(to, &ids),
                Turn::Copy(id) => {
                    self.handle(id, Input::Turn, waiting);
                    if self.going.get(&id).is_none_or(|going| going.task.is_none()) {
                        self.turns.copied(id);
                    }
                }
                Turn::Freeze(id) => self.let_go(id, waiting),
                Turn::Carry(to, cargo) => self.carry(to, cargo),
            }
        }
    }

    /// A target may freeze: first it lets go of what it holds outside, a connection to Discord's gateway. Whoever takes that
    /// over prepares itself before.
    fn let_go(&mut self, id: MoveId, waiting: &mut Waiting) {
        let shard = self.going.get_mut(&id).filter(|going| self.hands.shards.has(&going.of.target));
        let Some(going) = shard else { return self.handle(id, Input::Turn, waiting) };
        going.announced = true;
        let (target, to) = (going.of.target.clone(), self.hands.peers.client(&going.of.to));
        let (shards, events) = (self.hands.shards.clone(), self.hands.events.clone());
        shared::shutdown::spawn(async move {
            if let Some(to) = to {
                shards.announce(target, to).await;
            }
            let _ = events.send(Event::Announced(id));
        });
    }

    /// The destination is prepared, or will not be.
    pub(super) fn announced(&mut self, id: MoveId, waiting: &mut Waiting) {
        let Some(going) = self.going.get_mut(&id).filter(|going| going.announced) else { return };
        going.announced = false;
        let Some(held) = self.hands.shards.hold(&going.of.target) else {
            return self.handle(id, Input::Turn, waiting);
        };
        let events = self.hands.events.clone();
        shared::shutdown::spawn(async move {
            held.await;
            let _ = events.send(Event::Held(id));
        });
    }

    /// A target has let go of what it held outside.
    pub(super) fn held(&mut self, id: MoveId, waiting: &mut Waiting) {
        self.handle(id, Input::Turn, waiting);
    }

    /// Asks a destination whether it knows these moves, and looks how large their targets are.
    fn look(&mut self, to: PodId, ids: &[MoveId]) {
        let mut cargo = Vec::new();
        for id in ids {
            let Some(going) = self.going.get_mut(id) else { continue };
            going.asked_at.get_or_insert_with(Instant::now);
            cargo.push(going.cargo(0));
        }
        let (together, events) = (self.together(&to), self.hands.events.clone());
        shared::shutdown::spawn(async move {
            let looks = together.look(cargo).await;
            let _ = events.send(Event::Looked { to, looks });
        });
    }

    pub(super) fn looked(&mut self, to: &PodId, looks: Vec<(MoveId, Look)>, waiting: &mut Waiting) {
        let mut answers = true;
        for (id, look) in looks {
            let Some(going) = self.going.get_mut(&id) else { continue };
            match look {
                Look::Small => {
                    (going.small, going.asked_at) = (true, None);
                    self.handle(id, Input::Turn, waiting);
                }
                Look::Large => {
                    (going.small, going.asked_at) = (false, None);
                    self.turns.await_copy(id);
                }
                Look::Failed(why) => self.handle(id, Input::Failed(why), waiting),
                Look::NotNow(why) => {
                    answers = false;
                    if going.asked_at.is_some_and(|at| at.elapsed() >= self.hands.limits.reach) {
                        self.handle(id, Input::Failed(why), waiting);
                    } else {
                        self.turns.await_look(to, id);
                    }
                }
            }
        }
        if answers {
            self.turns.looked(to);
        } else {
            self.hands.later(AGAIN, Event::Again(to.clone()));
        }
    }

    /// A destination may be asked, or sent to, again.
    pub(super) fn again(&mut self, to: &PodId) {
        self.turns.looked(to);
        self.turns.carried(to);
    }

    fn carry(&mut self, to: PodId, mut cargo: Vec<Cargo>) {
        self.last_task += 1;
        let task = self.last_task;
        // What was aborted meanwhile is not sent.
        cargo.retain(|one| {
            let going = self.going.get_mut(&one.id).filter(|going| going.machine.is_frozen());
            going.is_some_and(|going| going.task.replace((task, None)).is_none())
        });
        let (together, events) = (self.together(&to), self.hands.events.clone());
        shared::shutdown::spawn(async move {
            let carried = together.carry(cargo).await;
            let _ = events.send(Event::Carried { to, task, carried });
        });
    }

    pub(super) fn carried(&mut self, to: &PodId, task: u64, carried: Vec<(MoveId, Carried)>, waiting: &mut Waiting) {
        let mut answers = true;
        for (id, carried) in carried {
            let Some(going) = self.going.get_mut(&id).filter(|going| going.is_at(task)) else { continue };
            going.task = None;
            match carried {
                Carried::Whole => self.handle(id, Input::Sent, waiting),
                Carried::Lost => self.handle(id, Input::Lost, waiting),
                Carried::Over => {}
                Carried::Spoiled(why) => self.handle(id, Input::Failed(why), waiting),
                Carried::NotNow(attempt) => {
                    answers = false;
                    self.turns.await_carry(to, going.cargo(attempt), Instant::now());
                }
            }
        }
        if answers {
            self.turns.carried(to);
        } else {
            self.hands.later(AGAIN, Event::Again(to.clone()));
        }
    }

    pub(super) fn copied(
        &mut self,
        id: MoveId,
        task: u64,
        input: Option<Input>,
        stream: Option<Stream>,
        waiting: &mut Waiting,
    ) {
        let Some(going) = self.going.get_mut(&id).filter(|going| going.is_at(task)) else { return };
        (going.task, going.stream) = (None, stream);
        self.turns.copied(id);
        if let Some(input) = input {
            self.handle(id, input, waiting);
        }
    }

    pub(super) fn sent(&mut self, id: MoveId, task: u64, input: Option<Input>, waiting: &mut Waiting) {
        let Some(going) = self.going.get_mut(&id).filter(|going| going.is_at(task)) else { return };
        going.task = None;
        if let Some(input) = input {
            self.handle(id, input, waiting);
        }
    }

    /// Notes how much of a move has been taken in.
    pub(super) fn travelled(&mut self, (id, rows, bytes): Progress) {
        if let Some(going) = self.going.get_mut(&id) {
            (going.travelled, going.unsaid) = ((rows, bytes), true);
        }
    }

    /// Reports what has been taken in since the last time.
    pub(super) fn say_what_travelled(&mut self, waiting: &mut Waiting) {
        for (id, going) in self.going.iter_mut().filter(|(_, going)| going.unsaid) {
            let (rows, bytes) = going.travelled;
            going.unsaid = false;
            waiting.add(*id, Said::Progress { rows, bytes });
        }
    }

    /// Reports on those that only wait for their turn: nothing is stuck. What is being copied, or asked for, has to make
    /// progress by itself.
    pub(super) fn say_who_waits(&self, waiting: &mut Waiting) {
        for id in self.turns.waiting() {
            if let Some(going) = self.going.get(&id) {
                let (rows, bytes) = going.travelled;
                waiting.add(id, Said::Progress { rows, bytes });
            }
        }
    }

    /// Brings the gauges up to date.
    pub(super) fn show(&self) {
        self.hands.meters.moves(Side::Source, self.going.len());
        self.hands.meters.frozen(self.turns.frozen());
    }

    pub(super) fn wake_at(&self) -> Option<Mono> {
        self.going.values().filter_map(|going| going.machine.wake_at()).min()
    }

    /// Returns how long until what waits for company is sent without.
    pub(super) fn carries_in(&self) -> Option<Duration> {
        self.turns.carries_in(Instant::now())
    }

    /// Lets time pass.
    pub(super) fn tick(&mut self, waiting: &mut Waiting) {
        let now = self.hands.now();
        let due = |(id, going): (&MoveId, &Going)| going.machine.wake_at().filter(|at| *at <= now).map(|_| *id);
        let due: Vec<MoveId> = self.going.iter().filter_map(due).collect();
        due.into_iter().for_each(|id| self.handle(id, Input::Tick, waiting));
    }

    fn together(&self, to: &PodId) -> Together {
        let Hands { engine, peers, limits, .. } = self.hands.clone();
        Together { engine, peers, to: to.clone(), limits, progress: self.progress.clone() }
    }

    fn way(&self, id: MoveId) -> Option<Way> {
        let going = self.going.get(&id)?;
        Some(Way {
            engine: self.hands.engine.clone(),
            peers: self.hands.peers.clone(),
            of: going.of.clone(),
            progress: self.progress.clone(),
        })
    }

    /// Starts what a move is at; what it was at before is broken off.
    fn work<F>(&mut self, id: MoveId, way: Option<Way>, work: impl FnOnce(Way, u64, mpsc::UnboundedSender<Event>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Some((going, way)) = self.going.get_mut(&id).zip(way) else { return };
        going.break_off();
        self.last_task += 1;
        let task = shared::shutdown::spawn(work(way, self.last_task, self.hands.events.clone()));
        going.task = Some((self.last_task, Some(task.abort_handle())));
    }
}
