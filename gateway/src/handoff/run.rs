//! The task that owns the moves of this pod: hands what it is told to the side whose matter it is, and reports. Decides when
//! time is looked at and when is reported; what follows from what is the machines' matter, whose turn it is `leaving`'s.

use super::{
    arriving::Arriving,
    leaving::Leaving,
    peers::Peers,
    reports::Waiting,
    state::{Event, Hands, Parts, Progress},
};
use crate::{Engine, dispatch::moving::MoveCommand, store::transfer::Standing};
use shared::MoveId;
use shared::http::Client;
use shared::wire::handoff::{Move, MoveReport, Reports};
use std::time::Duration;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

/// The longest sleep, so that a clock that was moved is noticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// The wait before the database is asked again what is recorded.
const PAUSE: Duration = Duration::from_secs(1);
/// The time between two reports of progress.
const PROGRESS: Duration = Duration::from_secs(1);
/// The time between two reports that moves wait for their turn.
const WAITING: Duration = Duration::from_secs(5);
/// Most that is taken in before it is looked whose turn it is.
const AT_ONCE: usize = 4_096;

pub(super) struct Run {
    hands: Hands,
    client: Client,
    told: watch::Sender<u64>,
    leaving: Leaving,
    arriving: Arriving,
    waiting: Waiting,
    progress: mpsc::UnboundedReceiver<Progress>,
    progress_at: Instant,
    waiting_at: Instant,
}

impl Run {
    pub(super) fn new(
        parts: Parts,
        peers: Peers,
        events: mpsc::UnboundedSender<Event>,
        told: watch::Sender<u64>,
    ) -> Self {
        let Parts { ownership, engine, client, shards, limits, meters, .. } = parts;
        let hands = Hands { ownership, engine, peers, shards, limits, meters, events };
        let (sent, progress) = mpsc::unbounded_channel();
        let now = Instant::now();
        Self {
            client,
            told,
            leaving: Leaving::new(hands.clone(), sent),
            arriving: Arriving::new(hands.clone()),
            hands,
            waiting: Waiting::default(),
            progress,
            progress_at: now,
            waiting_at: now,
        }
    }

    pub(super) async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Event>) {
        let Some(Standing { out, incoming }) = standing(self.hands.engine.clone()).await else { return };
        self.leaving.resume(out, &mut self.waiting);
        self.arriving.resume(incoming, &mut self.waiting);
        loop {
            self.leaving.give_turns(&mut self.waiting);
            self.report();
            self.leaving.show();
            self.arriving.show();
            let sleep = self.sleep();
            tokio::select! {
                event = inbox.recv() => {
                    let Some(event) = event else { return };
                    self.take(event);
                    for _ in 0..AT_ONCE {
                        let Ok(event) = inbox.try_recv() else { break };
                        self.take(event);
                    }
                }
                Some(progress) = self.progress.recv() => self.leaving.travelled(progress),
                () = tokio::time::sleep(sleep) => {
                    self.leaving.tick(&mut self.waiting);
                    self.arriving.tick(&mut self.waiting);
                }
            }
        }
    }

    fn sleep(&self) -> Duration {
        let now = self.hands.now();
        let wake_at = self.leaving.wake_at().into_iter().chain(self.arriving.wake_at()).min();
        let wake_in = wake_at.map_or(LONGEST_SLEEP, |at| at.since(now).min(LONGEST_SLEEP));
        self.leaving.carries_in().map_or(wake_in, |carries_in| carries_in.min(wake_in)).max(Duration::from_millis(1))
    }

    fn take(&mut self, event: Event) {
        let waiting = &mut self.waiting;
        match event {
            Event::Told { moves, whole, done } => {
                self.hear(moves, whole);
                self.told.send_modify(|count| *count += 1);
                // Whoever told it may be gone; so it is with every answer here.
                let _ = done.send(());
            }
            Event::Asked { ids, reply } => drop(reply.send(self.arriving.ready_for(&ids, &self.leaving.targets()))),
            Event::Offered { offers, reply } => drop(reply.send(self.arriving.offered(&offers))),
            Event::Whole(came) => came.into_iter().for_each(|came| self.arriving.whole(came, waiting)),
            Event::Arrived(told) => self.arriving.arrived(*told, waiting),
            Event::Source(id, input) => self.leaving.handle(id, input, waiting),
            Event::Destination(id, input) => self.arriving.handle(id, input, waiting),
            Event::Looked { to, looks } => self.leaving.looked(&to, looks, waiting),
            Event::Again(to) => self.leaving.again(&to),
            Event::Copied { id, task, input, stream } => self.leaving.copied(id, task, input, stream, waiting),
            Event::Announced(id) => self.leaving.announced(id, waiting),
            Event::Held(id) => self.leaving.held(id, waiting),
            Event::Froze { id, sender, frozen } => self.leaving.froze(id, sender, frozen, waiting),
            Event::Sent { id, task, input } => self.leaving.sent(id, task, input, waiting),
            Event::Carried { to, task, carried } => self.leaving.carried(&to, task, carried, waiting),
            Event::Reported(answer) => {
                waiting.out = false;
                match answer {
                    Ok(reported) => self.hear(reported.moves, false),
                    Err(why) => tracing::debug!(error = %why, "reports on moves were not taken"),
                }
            }
        }
    }

    /// Takes in how moves stand; `whole` says that these are all there are.
    fn hear(&mut self, moves: Vec<Move>, whole: bool) {
        let running: Vec<MoveId> = moves.iter().map(|told| told.id).collect();
        for told in moves {
            if told.from == *self.hands.me() {
                self.leaving.hear(told, &mut self.waiting);
            } else if told.to == *self.hands.me() {
                self.arriving.hear(told, &mut self.waiting);
            }
        }
        if whole {
            self.leaving.missing(&running, &mut self.waiting);
            self.arriving.missing(&running, &mut self.waiting);
        }
    }

    fn report(&mut self) {
        if self.progress_at.elapsed() >= PROGRESS {
            self.progress_at = Instant::now();
            self.leaving.say_what_travelled(&mut self.waiting);
        }
        if self.waiting_at.elapsed() >= WAITING {
            self.waiting_at = Instant::now();
            self.leaving.say_who_waits(&mut self.waiting);
        }
        let (pod, incarnation) = (self.hands.me().clone(), self.hands.engine.incarnation().clone());
        let make = |reports: Vec<MoveReport>| Reports { pod, incarnation, reports };
        let Some(reports) = self.waiting.next(make) else { return };
        let (client, events) = (self.client.clone(), self.hands.events.clone());
        shared::shutdown::spawn(async move {
            let answer = client.post("/v1/moves/reports", &reports).await;
            let _ = events.send(Event::Reported(answer));
        });
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
