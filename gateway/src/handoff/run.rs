//! The task that owns the moves of this pod: it feeds the state machines and carries out what they decide, in their order.
//! Decides whose turn it is to copy and to freeze; what follows from what is the machines' matter.

use super::{
    peers::Peers,
    reports::Waiting,
    sending::{Left, Stream, Way},
    state::{Coming, Event, Going, Parts, Progress, unknown},
};
use crate::store::transfer::{Sender, Standing};
use crate::{Engine, dispatch::moving::Frozen, dispatch::moving::MoveCommand};
use shared::protocol::handoff::destination::{self, Destination, Imported, Refusal};
use shared::protocol::handoff::source::{self, Kept, Rest, Source};
use shared::wire::handoff::{Move, MoveReport, MoveState, Reports, Said};
use shared::{Mono, MoveId, PodId};
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

/// The longest sleep, so that a clock that was moved is noticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// The wait before the database is asked again what is recorded.
const PAUSE: Duration = Duration::from_secs(1);
/// The time between two reports of progress.
const PROGRESS: Duration = Duration::from_secs(1);

pub(super) struct Run {
    parts: Parts,
    peers: Peers,
    events: mpsc::UnboundedSender<Event>,
    told: watch::Sender<u64>,
    going: BTreeMap<MoveId, Going>,
    coming: BTreeMap<MoveId, Coming>,
    /// Imports that were switched before this process began.
    switched: BTreeMap<MoveId, Imported>,
    to_copy: VecDeque<MoveId>,
    to_freeze: VecDeque<MoveId>,
    waiting: Waiting,
    progress: mpsc::UnboundedSender<Progress>,
    progress_told: mpsc::UnboundedReceiver<Progress>,
    progressed: BTreeMap<MoveId, (u64, u64)>,
    progress_at: Instant,
    last_task: u64,
}

impl Run {
    pub(super) fn new(
        parts: Parts,
        peers: Peers,
        events: mpsc::UnboundedSender<Event>,
        told: watch::Sender<u64>,
    ) -> Self {
        let (progress, progress_told) = mpsc::unbounded_channel();
        Self {
            parts,
            peers,
            events,
            told,
            going: BTreeMap::new(),
            coming: BTreeMap::new(),
            switched: BTreeMap::new(),
            to_copy: VecDeque::new(),
            to_freeze: VecDeque::new(),
            waiting: Waiting::default(),
            progress,
            progress_told,
            progressed: BTreeMap::new(),
            progress_at: Instant::now(),
            last_task: 0,
        }
    }

    pub(super) async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Event>) {
        let Some(standing) = standing(self.parts.engine.clone()).await else { return };
        self.resume(standing);
        loop {
            self.give_turns();
            self.report();
            let now = self.now();
            let sleep = self.wake_at().map_or(LONGEST_SLEEP, |at| at.since(now).min(LONGEST_SLEEP));
            tokio::select! {
                event = inbox.recv() => match event {
                    Some(event) => self.take(event),
                    None => return,
                },
                Some((id, rows, bytes)) = self.progress_told.recv() => drop(self.progressed.insert(id, (rows, bytes))),
                () = tokio::time::sleep(sleep.max(Duration::from_millis(1))) => self.tick(),
            }
        }
    }

    fn now(&self) -> Mono {
        self.parts.ownership.clock().now()
    }

    fn me(&self) -> &PodId {
        self.parts.ownership.pod()
    }

    /// A number for a stream that is higher than any this pod has given before.
    fn attempt(&self) -> u64 {
        self.parts.ownership.clock().wall_ms()
    }

    fn resume(&mut self, standing: Standing) {
        let (now, attempt) = (self.now(), self.attempt());
        for out in standing.out {
            // Who it goes to is told with the move.
            let of = unknown(out.id, out.target, out.epoch, self.me(), self.me());
            let (machine, outputs) = Source::resume(now, out.epoch, attempt, out.kept);
            tracing::info!(move_id = %out.id, target = %of.target, frozen = out.kept == Kept::Frozen, "a move goes on");
            self.going.insert(out.id, Going::new(of, machine, out.kept == Kept::Frozen));
            self.source_does(out.id, outputs);
        }
        for incoming in standing.incoming {
            if incoming.switched {
                self.switched.insert(incoming.id, incoming.imported);
                continue;
            }
            let of = unknown(incoming.id, incoming.target, incoming.imported.epoch, self.me(), self.me());
            let (machine, outputs) = Destination::resume(now, incoming.imported);
            self.coming.insert(incoming.id, Coming { of, machine, whole: None });
            self.destination_does(incoming.id, outputs);
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Told { moves, whole, done } => {
                self.hear(moves, whole);
                self.told.send_modify(|count| *count += 1);
                // Whoever told it may be gone.
                let _ = done.send(());
            }
            Event::Offered { id, attempt, reply } => {
                let said = self.offered(id, attempt);
                let _ = reply.send(said);
            }
            Event::Whole { id, imported, frozen_ms } => {
                if let Some(coming) = self.coming.get_mut(&id) {
                    let frozen = Duration::from_millis(frozen_ms.unwrap_or_default());
                    coming.whole.get_or_insert((Instant::now(), frozen));
                }
                self.destination(id, destination::Input::Whole(imported));
            }
            Event::Source(id, input) => self.source(id, input),
            Event::Destination(id, input) => self.destination(id, input),
            Event::Copied { id, task, input, stream } => {
                let Some(going) = self.going.get_mut(&id).filter(|going| going.is_at(task)) else { return };
                (going.task, going.copies, going.stream) = (None, false, stream);
                if let Some(input) = input {
                    self.source(id, input);
                }
            }
            Event::Sent { id, task, input } => {
                let Some(going) = self.going.get_mut(&id).filter(|going| going.is_at(task)) else { return };
                going.task = None;
                if let Some(input) = input {
                    self.source(id, input);
                }
            }
            Event::Froze { id, sender, frozen } => self.froze(id, sender, frozen),
            Event::Reported(answer) => {
                self.waiting.out = false;
                match answer {
                    Ok(reported) => self.hear(reported.moves, false),
                    Err(why) => tracing::debug!(error = %why, "reports on moves were not taken"),
                }
            }
        }
    }

    /// Takes in how moves stand.
    fn hear(&mut self, moves: Vec<Move>, whole: bool) {
        let running: Vec<MoveId> = moves.iter().map(|told| told.id).collect();
        for told in moves {
            let (id, state) = (told.id, told.state);
            if told.from == *self.me() {
                self.hear_as_source(told);
                self.source(id, source::Input::Told(state));
            } else if told.to == *self.me() {
                self.hear_as_destination(told);
                self.destination(id, destination::Input::Told(state));
            }
        }
        if whole {
            self.missing(&running);
        }
    }

    fn hear_as_source(&mut self, told: Move) {
        if let Some(going) = self.going.get_mut(&told.id) {
            going.of = told;
            return;
        }
        let id = told.id;
        let (machine, outputs) = match told.state {
            MoveState::Copying => Source::begin(told.epoch, self.attempt()),
            // A freeze that this database knows nothing of: the leader aborts.
            MoveState::Frozen | MoveState::Imported => {
                self.waiting.add(id, Said::Failed { detail: "the source knows nothing of its freeze".to_owned() });
                return;
            }
            MoveState::Committed | MoveState::Cleaned | MoveState::Aborted => return,
        };
        tracing::info!(move_id = %id, target = %told.target, to = %told.to, reason = told.reason, "a move begins");
        self.going.insert(id, Going::new(told, machine, false));
        self.source_does(id, outputs);
    }

    fn hear_as_destination(&mut self, told: Move) {
        if let Some(coming) = self.coming.get_mut(&told.id) {
            coming.of = told;
            return;
        }
        let id = told.id;
        if told.state.is_over() {
            self.switched.remove(&id);
            return;
        }
        if let Some(imported) = self.switched.remove(&id) {
            let (machine, outputs) = Destination::resume_serving(self.now(), imported.epoch, Duration::ZERO);
            self.coming.insert(id, Coming { of: told, machine, whole: None });
            return self.destination_does(id, outputs);
        }
        if told.state == MoveState::Committed {
            tracing::error!(move_id = %id, target = %told.target, "a move was committed whose rows are not here");
            return;
        }
        let machine = Destination::begin(told.epoch);
        self.coming.insert(id, Coming { of: told, machine, whole: None });
    }

    /// Moves that are known here and do not run any more: their end was missed.
    fn missing(&mut self, running: &[MoveId]) {
        let gone: Vec<MoveId> = self.going.keys().filter(|id| !running.contains(id)).copied().collect();
        for id in gone {
            let Some(going) = self.going.get(&id) else { continue };
            let epoch = going.of.epoch;
            if going.machine.is_bound() {
                // Only the leader's word counts: it is asked for it.
                self.waiting.add(id, Said::Frozen { epoch });
            } else {
                self.source(id, source::Input::Told(MoveState::Aborted));
            }
        }
        let gone: Vec<MoveId> = self.coming.keys().filter(|id| !running.contains(id)).copied().collect();
        for id in gone {
            if self.coming.get(&id).is_some_and(|coming| !coming.machine.is_bound()) {
                self.destination(id, destination::Input::Told(MoveState::Aborted));
            }
        }
    }

    fn offered(&mut self, id: MoveId, attempt: u64) -> Option<Result<(), Refusal>> {
        let now = self.now();
        let coming = self.coming.get_mut(&id)?;
        let outputs = coming.machine.handle(now, destination::Input::Offered { attempt });
        let refused = outputs.iter().find_map(|output| match output {
            destination::Output::Refuse(refusal) => Some(*refusal),
            _ => None,
        });
        Some(refused.map_or(Ok(()), Err))
    }

    fn source(&mut self, id: MoveId, input: source::Input) {
        let now = self.now();
        let Some(going) = self.going.get_mut(&id) else { return };
        let outputs = going.machine.handle(now, input);
        if !going.machine.is_frozen() {
            going.has_place = false;
        }
        self.source_does(id, outputs);
    }

    fn destination(&mut self, id: MoveId, input: destination::Input) {
        let now = self.now();
        let Some(coming) = self.coming.get_mut(&id) else { return };
        let outputs = coming.machine.handle(now, input);
        self.destination_does(id, outputs);
    }

    fn source_does(&mut self, id: MoveId, outputs: Vec<source::Output>) {
        for output in outputs {
            let Some(going) = self.going.get_mut(&id) else { return };
            match output {
                source::Output::AwaitCopy => self.to_copy.push_back(id),
                source::Output::AwaitFreeze => self.to_freeze.push_back(id),
                source::Output::Copy { attempt } => {
                    let way = self.way(id);
                    if let Some(way) = way {
                        self.work(id, |task, events| async move {
                            let (input, stream) = match way.copy(attempt).await {
                                Some((input, stream)) => (Some(input), stream),
                                None => (None, None),
                            };
                            let _ = events.send(Event::Copied { id, task, input, stream });
                        });
                    }
                }
                source::Output::Freeze => self.freeze(id),
                source::Output::SendRest { rest, attempt } => {
                    let (left, frozen_at) = (going.left.take(), going.frozen_at);
                    let left = match (rest, left) {
                        (Rest::Changes, Some((sender, snapshot, changed))) => {
                            Left::Changes(Box::new((sender, snapshot, changed)))
                        }
                        _ => Left::Whole(attempt),
                    };
                    if let Some(way) = self.way(id) {
                        self.work(id, |task, events| async move {
                            let input = way.rest(left, frozen_at).await;
                            let _ = events.send(Event::Sent { id, task, input });
                        });
                    }
                }
                source::Output::Report(said) => self.waiting.add(id, said),
                source::Output::Stop => {
                    if let Some((_, task)) = going.task.take() {
                        task.abort();
                    }
                    (going.copies, going.stream, going.left) = (false, None, None);
                    let target = going.of.target.clone();
                    self.tell(MoveCommand::Leave { target });
                }
                source::Output::Unfreeze => {
                    let target = going.of.target.clone();
                    self.step(id, move |done| MoveCommand::Unfreeze { id, target, done }, source::Input::Unfrozen);
                }
                source::Output::Release => self.tell(MoveCommand::LetGo { id }),
                source::Output::Drop => {
                    self.step(id, move |done| MoveCommand::Drop { id, done }, source::Input::Dropped);
                }
                source::Output::Over => drop(self.going.remove(&id)),
            }
        }
    }

    fn destination_does(&mut self, id: MoveId, outputs: Vec<destination::Output>) {
        for output in outputs {
            let Some(coming) = self.coming.get_mut(&id) else { return };
            match output {
                destination::Output::Import { .. } | destination::Output::Refuse(_) => {}
                destination::Output::Report(said) => self.waiting.add(id, said),
                destination::Output::Switch => {
                    let (target, whole) = (coming.of.target.clone(), coming.whole);
                    let (done, switched) = oneshot::channel();
                    self.tell(MoveCommand::Settle { id, target, done });
                    let events = self.events.clone();
                    shared::shutdown::spawn(async move {
                        if switched.await.is_ok() {
                            let pause = whole.map_or(Duration::ZERO, |(at, frozen)| frozen + at.elapsed());
                            let input = destination::Input::Switched { pause };
                            let _ = events.send(Event::Destination(id, input));
                        }
                    });
                }
                destination::Output::Drop => {
                    let (engine, events) = (self.parts.engine.clone(), self.events.clone());
                    shared::shutdown::spawn(async move {
                        if engine.step(|done| MoveCommand::DropImport { id, done }).await.is_ok() {
                            let _ = events.send(Event::Destination(id, destination::Input::Dropped));
                        }
                    });
                }
                destination::Output::Over => drop(self.coming.remove(&id)),
            }
        }
    }

    /// Has the engine freeze a target; what has been copied is brought up to that moment.
    fn freeze(&mut self, id: MoveId) {
        let Some(going) = self.going.get_mut(&id) else { return };
        going.frozen_at = Instant::now();
        let (sender, snapshot) = going.stream.take().map(Stream::split).unzip();
        let (target, epoch) = (going.of.target.clone(), going.of.epoch);
        let (engine, events) = (self.parts.engine.clone(), self.events.clone());
        let step = move |done| MoveCommand::Freeze { id, target, epoch, snapshot, done };
        shared::shutdown::spawn(async move {
            // No answer: it was taken back.
            if let Ok(frozen) = engine.step(step).await {
                let frozen = frozen.map_err(|why| why.to_string());
                let _ = events.send(Event::Froze { id, sender, frozen });
            }
        });
    }

    fn froze(&mut self, id: MoveId, sender: Option<Sender>, frozen: Result<Frozen, String>) {
        let Some(going) = self.going.get_mut(&id) else { return };
        match frozen {
            Ok(Frozen { changed }) => {
                going.left = sender.zip(changed).map(|(sender, (snapshot, changed))| (sender, snapshot, changed));
                self.source(id, source::Input::Froze);
            }
            Err(why) => self.source(id, source::Input::Failed(why)),
        }
    }

    /// Gives turns to copy and to freeze, as many as there are.
    fn give_turns(&mut self) {
        let copies = self.going.values().filter(|going| going.copies).count();
        for _ in copies..self.parts.limits.copying.max(1) {
            let Some(id) = self.to_copy.pop_front() else { break };
            if let Some(going) = self.going.get_mut(&id) {
                going.copies = true;
                self.source(id, source::Input::Turn);
            }
        }
        let frozen = self.going.values().filter(|going| going.has_place).count();
        for _ in frozen..self.parts.limits.frozen.max(1) {
            let Some(id) = self.to_freeze.pop_front() else { break };
            if let Some(going) = self.going.get_mut(&id) {
                going.has_place = true;
                self.source(id, source::Input::Turn);
            }
        }
    }

    fn report(&mut self) {
        if self.progress_at.elapsed() >= PROGRESS {
            self.progress_at = Instant::now();
            for (id, (rows, bytes)) in std::mem::take(&mut self.progressed) {
                self.waiting.add(id, Said::Progress { rows, bytes });
            }
        }
        let (pod, incarnation) = (self.me().clone(), self.parts.engine.incarnation().clone());
        let make = |reports: Vec<MoveReport>| Reports { pod, incarnation, reports };
        let Some(reports) = self.waiting.next(make) else { return };
        let (client, events) = (self.parts.client.clone(), self.events.clone());
        shared::shutdown::spawn(async move {
            let answer = client.post("/v1/moves/reports", &reports).await;
            let _ = events.send(Event::Reported(answer));
        });
    }

    fn wake_at(&self) -> Option<Mono> {
        let going = self.going.values().filter_map(|going| going.machine.wake_at());
        let coming = self.coming.values().filter_map(|coming| coming.machine.wake_at());
        going.chain(coming).min()
    }

    fn tick(&mut self) {
        let now = self.now();
        let due = |at: Option<Mono>| at.is_some_and(|at| at <= now);
        let going: Vec<MoveId> =
            self.going.iter().filter(|(_, going)| due(going.machine.wake_at())).map(|(id, _)| *id).collect();
        let coming: Vec<MoveId> =
            self.coming.iter().filter(|(_, coming)| due(coming.machine.wake_at())).map(|(id, _)| *id).collect();
        going.into_iter().for_each(|id| self.source(id, source::Input::Tick));
        coming.into_iter().for_each(|id| self.destination(id, destination::Input::Tick));
    }

    fn way(&self, id: MoveId) -> Option<Way> {
        let going = self.going.get(&id)?;
        Some(Way {
            engine: self.parts.engine.clone(),
            peers: self.peers.clone(),
            of: going.of.clone(),
            small: self.parts.limits.small,
            progress: self.progress.clone(),
        })
    }

    /// Starts what a move is at; what it was at before is broken off.
    fn work<F>(&mut self, id: MoveId, work: impl FnOnce(u64, mpsc::UnboundedSender<Event>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.last_task += 1;
        let task = shared::shutdown::spawn(work(self.last_task, self.events.clone())).abort_handle();
        if let Some(going) = self.going.get_mut(&id)
            && let Some((_, before)) = going.task.replace((self.last_task, task))
        {
            before.abort();
        }
    }

    fn step(
        &self,
        id: MoveId,
        step: impl FnOnce(oneshot::Sender<()>) -> MoveCommand + Send + 'static,
        then: source::Input,
    ) {
        // Sent at once, so that steps are taken in the order of the machine's words.
        let (done, finished) = oneshot::channel();
        self.tell(step(done));
        let events = self.events.clone();
        shared::shutdown::spawn(async move {
            if finished.await.is_ok() {
                let _ = events.send(Event::Source(id, then));
            }
        });
    }

    fn tell(&self, step: MoveCommand) {
        if self.parts.engine.tell(step).is_err() {
            tracing::debug!("a step of a move was not taken: the pod is stopping");
        }
    }
}

/// Returns what the database has recorded; nothing when the pod stops.
async fn standing(engine: Engine) -> Option<Standing> {
    loop {
        match engine.step(|done| MoveCommand::Standing { done }).await {
            Ok(Ok(standing)) => return Some(standing),
            Ok(Err(why)) => tracing::error!(error = %why, "cannot read which moves the pod was at"),
            Err(_) => return None,
        }
        tokio::time::sleep(PAUSE).await;
    }
}
