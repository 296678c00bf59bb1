//! Calls to the outside: after the commit, at least once, one sender per target, in order per host. The rows are the
//! truth; this task only knows which of them wait. It decides nothing about targets and holds no payloads.

mod bot;
mod discord;
mod lanes;
mod policy;
mod resolve;
mod send;
mod span;
mod verdict;

pub(crate) use discord::{Discord, share::Asker};
pub(crate) use policy::Allowed;

use crate::{
    Options, dispatch::Commands, engine::EngineError, meters::Meters, ownership::Ownership, replication::Acknowledge,
    store::OpenCall,
};
use bot::Bot;
use lanes::{Lanes, Queued};
use send::{Next, Sender};
use shared::{Clock, TargetId, shutdown::Shutdown, telemetry::trace::Tracer};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::{self, AbortHandle, JoinError, JoinHandle, JoinSet},
};

/// How long calls that are out may take when the pod stops.
const GRACE: Duration = Duration::from_secs(3);
/// The longest sleep, so that a clock that was moved is noticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// What the writer tells the outbox, after the commit that made it true.
#[derive(Debug)]
pub(crate) enum Note {
    /// A target has calls to make.
    Open {
        /// The target.
        target: TargetId,
        /// When it counts that one is being made.
        mode: Acknowledge,
        /// Its calls, in order.
        calls: Vec<OpenCall>,
    },
    /// A target is about to be frozen: no call of it begins, one that is out may end.
    Held {
        /// The target.
        target: TargetId,
    },
    /// A target is another pod's now.
    Closed {
        /// The target.
        target: TargetId,
    },
    /// Time may have passed.
    Wake,
}

/// The outbox' handle.
#[derive(Debug)]
pub(crate) struct Outbox {
    notes: UnboundedSender<Note>,
    discord: Discord,
    stop: Shutdown,
    task: JoinHandle<()>,
}

impl Outbox {
    /// Starts the task.
    pub(crate) fn start(
        options: &Options,
        allowed: Arc<Allowed>,
        ownership: Ownership,
        commands: Commands,
        meters: Meters,
        tracer: Tracer,
        stop: Shutdown,
    ) -> Result<Self, EngineError> {
        let clock = Arc::clone(ownership.clock());
        let bot = Bot::of(options).map_err(|why| EngineError::Client(why.into()))?.map(Arc::new);
        let sender = Sender::new(allowed, ownership, commands, options, meters.clone(), tracer, bot.clone())?;
        let sender = Arc::new(sender);
        let (notes, inbox) = unbounded_channel();
        let discord = Discord::new(&options.discord_api, bot, Arc::clone(&clock));
        let run = Run {
            lanes: Lanes::default(),
            out: HashMap::new(),
            tasks: JoinSet::new(),
            sender,
            discord: discord.clone(),
            clock,
            most: options.outbox_concurrency.max(1),
            meters,
        };
        let task = shared::shutdown::spawn(run.run(inbox, stop.clone()));
        Ok(Self { notes, discord, stop, task })
    }

    /// Returns where to leave notes.
    pub(crate) fn notes(&self) -> UnboundedSender<Note> {
        self.notes.clone()
    }

    /// Returns the limits of its calls to Discord.
    pub(crate) fn discord(&self) -> Discord {
        self.discord.clone()
    }

    /// Starts no more calls, and ends when those that are out have ended, or the grace is over.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        if self.task.await.is_err() {
            tracing::error!("the outbox ended with a panic");
        }
    }

    /// Ends it without waiting for anything.
    pub(crate) fn abort(&self) {
        self.task.abort();
    }
}

struct Run {
    lanes: Lanes,
    /// The call of each target that is out, by its place.
    out: HashMap<TargetId, (u64, AbortHandle)>,
    tasks: JoinSet<Next>,
    sender: Arc<Sender>,
    discord: Discord,
    clock: Arc<dyn Clock>,
    most: usize,
    meters: Meters,
}

impl Run {
    async fn run(mut self, mut notes: UnboundedReceiver<Note>, stop: Shutdown) {
        loop {
            self.start_calls();
            let now = self.clock.now();
            let sleep = self.lanes.next_at().map_or(LONGEST_SLEEP, |at| at.since(now).min(LONGEST_SLEEP));
            let idle = self.tasks.len() >= self.most || self.lanes.next_at().is_none();
            tokio::select! {
                note = notes.recv() => match note {
                    Some(note) => self.note(note),
                    None => break,
                },
                Some(ended) = self.tasks.join_next_with_id() => self.ended(ended),
                () = tokio::time::sleep(sleep), if !idle => {}
                () = stop.cancelled() => break,
            }
        }
        let drain = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, drain).await.is_err() {
            tracing::warn!("outgoing calls were cut off; they are found as interrupted at the next start");
        }
    }

    fn note(&mut self, note: Note) {
        match note {
            Note::Open { target, mode, calls } => {
                let (now, wall_ms) = (self.clock.now(), self.clock.wall_ms());
                let queued = |call: OpenCall| {
                    let route = self.discord.route(&call);
                    Queued::new(call, route, mode, now, wall_ms)
                };
                self.lanes.push(&target, calls.into_iter().map(queued));
            }
            Note::Held { target } => self.lanes.drop_target(&target),
            Note::Closed { target } => {
                self.lanes.drop_target(&target);
                if let Some((_, call)) = self.out.remove(&target) {
                    call.abort();
                }
            }
            Note::Wake => {}
        }
        self.meters.outbox_waiting(self.lanes.waiting());
    }

    fn start_calls(&mut self) {
        while self.tasks.len() < self.most
            && let now = self.clock.now()
            && let Some((target, queued)) = self.lanes.next(now)
        {
            let admitted = queued.discord.as_ref().map(|route| self.discord.admit(route, queued.kept, now));
            let ticket = match admitted.transpose() {
                Ok(ticket) => ticket,
                Err(turn) => {
                    self.lanes.waits_for(&target, queued.seq, turn);
                    continue;
                }
            };
            let (sender, name, seq) = (Arc::clone(&self.sender), target.clone(), queued.seq);
            let task = self.tasks.spawn(async move { sender.deliver(name, queued, ticket).await });
            self.out.insert(target, (seq, task));
        }
    }

    fn ended(&mut self, ended: Result<(task::Id, Next), JoinError>) {
        let (id, next) = match ended {
            Ok(ended) => ended,
            Err(why) => {
                if why.is_panic() {
                    tracing::error!(error = %why, "an outgoing call ended with a panic");
                }
                // Its row stays `sending`, and is found as interrupted at the next start; those behind it go on.
                (why.id(), Next::Over)
            }
        };
        // A call that was given up with its target has no say about the one that is out now.
        let out =
            self.out.iter().find(|(_, (_, call))| call.id() == id).map(|(target, (seq, _))| (target.clone(), *seq));
        let Some((target, seq)) = out else { return };
        self.out.remove(&target);
        match next {
            Next::Over => self.lanes.over(&target, seq),
            Next::Again(at) => self.lanes.again(&target, seq, at),
            Next::Waits(at) => self.lanes.waits(&target, seq, at),
        }
        self.meters.outbox_waiting(self.lanes.waiting());
    }
}

#[cfg(test)]
mod tests;
