//! The task that asks an asynchronous handler: so many at once, targets in the order in which they asked, never two for one
//! target, each within its time. It holds no transaction and decides nothing about events; every answer goes to the writer.

use super::super::{Command, Commands, mailbox::SlotNo, traced::tell};
use crate::{
    Options,
    handlers::{AsyncHandler, Call, HandlerError, Local, Preloaded, Said, Timer, Turns},
    store::Reader,
};
use futures_util::FutureExt;
use shared::{
    Clock, Epoch, Platform,
    event::Event,
    platform,
    shutdown::Shutdown,
    telemetry::trace::{Scope, Span, TraceContext},
};
use std::{
    collections::{HashMap, VecDeque},
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{
        Semaphore,
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
        oneshot,
    },
    task::{self, AbortHandle, JoinError, JoinHandle, JoinSet},
    time::{Instant, timeout_at},
};

/// Platforms that wait no longer than this want a fast handler.
const FAST: Duration = Duration::from_secs(3);
const PANICKED: &str = "the handler panicked";

/// What the writer asks for.
#[derive(Debug)]
pub(crate) enum Order {
    /// Ask the handler.
    Ask(Box<Ask>),
    /// Nobody wants the answer of this question any more.
    GiveUp(u64),
    /// Begin nothing new, and say so when nothing is out any more.
    Finish(oneshot::Sender<()>),
}

/// A question.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(super) no: u64,
    pub(super) slot: SlotNo,
    pub(super) event: Event,
    pub(super) timer: Option<Timer>,
    pub(super) epoch: Epoch,
    /// Whether the handler has answered nothing about the target since the pod began to serve it.
    pub(super) acquired: bool,
    pub(super) attempt: u32,
    pub(super) trace: Option<TraceContext>,
    /// The attempt; it ends with the answer, or when it is given up.
    pub(super) span: Span,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Returned {
    pub(super) no: u64,
    pub(super) slot: SlotNo,
    pub(super) epoch: Epoch,
    pub(super) said: Result<Said, HandlerError>,
    pub(super) took: Duration,
}

/// What the task goes by.
#[derive(Debug, Clone)]
pub(crate) struct AskSettings {
    fast: Duration,
    slow: Duration,
    most: usize,
    max_state: usize,
    reads: usize,
}

impl AskSettings {
    /// Takes from the options what the task needs.
    pub(crate) fn new(options: &Options) -> Self {
        let args = &options.handler;
        Self {
            fast: args.handler_timeout_fast,
            slow: args.handler_timeout_slow,
            most: args.handler_concurrency.max(1),
            reads: args.handler_reads,
            max_state: args.handler_max_state,
        }
    }
}

/// The task's handle.
#[derive(Debug)]
pub(crate) struct Task {
    orders: UnboundedSender<Order>,
    task: JoinHandle<()>,
}

impl Task {
    /// Starts the task.
    pub(crate) fn start(
        handler: Arc<dyn AsyncHandler>,
        reader: Arc<Reader>,
        clock: Arc<dyn Clock>,
        settings: AskSettings,
        commands: Commands,
    ) -> Self {
        let (orders, inbox) = unbounded_channel();
        let reads = Turns::of_pod(settings.reads);
        let asker = Asker { handler, reader, reads, clock, settings, stop: Shutdown::new() };
        let run = Run {
            asker: Arc::new(asker),
            commands,
            waiting: VecDeque::new(),
            out: HashMap::new(),
            tasks: JoinSet::new(),
            finishing: None,
        };
        Self { orders, task: shared::shutdown::spawn(run.run(inbox)) }
    }

    /// Returns where to leave orders.
    pub(crate) fn orders(&self) -> UnboundedSender<Order> {
        self.orders.clone()
    }

    /// Begins nothing new and waits until nothing is out any more.
    pub(crate) fn finish(&self) -> impl Future<Output = ()> + use<> {
        let (done, finished) = oneshot::channel();
        let sent = self.orders.send(Order::Finish(done));
        async move {
            if sent.is_ok() {
                // A task that has ended has nothing out.
                let _ = finished.await;
            }
        }
    }

    /// Ends it with everything that is out.
    pub(crate) fn abort(&self) {
        self.task.abort();
    }
}

struct Run {
    asker: Arc<Asker>,
    commands: Commands,
    /// In the order in which the targets' turns came.
    waiting: VecDeque<Box<Ask>>,
    /// The question of each target that is out.
    out: HashMap<SlotNo, Out>,
    tasks: JoinSet<Option<Returned>>,
    finishing: Option<oneshot::Sender<()>>,
}

struct Out {
    no: u64,
    epoch: Epoch,
    since: Instant,
    task: AbortHandle,
}

impl Run {
    async fn run(mut self, mut orders: UnboundedReceiver<Order>) {
        loop {
            self.begin();
            if self.tasks.is_empty()
                && let Some(done) = self.finishing.take()
            {
                // Whoever asked may have given up.
                let _ = done.send(());
            }
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Ask(ask)) => self.waiting.push_back(ask),
                    Some(Order::GiveUp(no)) => self.give_up(no),
                    Some(Order::Finish(done)) => {
                        self.asker.stop.cancel();
                        self.finishing = Some(done);
                    }
                    None => return,
                },
                Some(ended) = self.tasks.join_next_with_id() => self.ended(ended),
            }
        }
    }

    fn begin(&mut self) {
        let wanted = self.asker.handler.describe().max_concurrency.unwrap_or(usize::MAX).max(1);
        let most = self.asker.settings.most.min(wanted);
        while !self.asker.stop.is_cancelled() && self.tasks.len() < most {
            // What was given up may still be on its way out: its target waits for that.
            let Some(i) = self.waiting.iter().position(|ask| !self.out.contains_key(&ask.slot)) else { return };
            let Some(ask) = self.waiting.remove(i) else { return };
            let (slot, no, epoch) = (ask.slot, ask.no, ask.epoch);
            let (asker, trace) = (Arc::clone(&self.asker), ask.trace.clone());
            let task = self.tasks.spawn(Scope::new(trace, async move { asker.ask(*ask).await }));
            self.out.insert(slot, Out { no, epoch, since: Instant::now(), task });
        }
    }

    fn give_up(&mut self, no: u64) {
        self.waiting.retain(|ask| ask.no != no);
        if let Some(out) = self.out.values().find(|out| out.no == no) {
            out.task.abort();
        }
    }

    fn ended(&mut self, ended: Result<(task::Id, Option<Returned>), JoinError>) {
        let (id, returned, panicked) = match ended {
            Ok((id, returned)) => (id, returned, false),
            Err(why) => (why.id(), None, why.is_panic()),
        };
        let slot = self.out.iter().find(|(_, out)| out.task.id() == id).map(|(slot, _)| *slot);
        let Some(slot) = slot else { return };
        let Some(out) = self.out.remove(&slot) else { return };
        let returned = returned.or_else(|| {
            let said = Err(HandlerError::Retry(PANICKED.to_owned()));
            panicked.then(|| Returned { no: out.no, slot, epoch: out.epoch, said, took: out.since.elapsed() })
        });
        // Nothing came of what was given up, or not begun before the end.
        if let Some(returned) = returned {
            // Without a writer nobody waits.
            let _ = self.commands.send(Command::Returned(Box::new(returned)));
        }
    }
}

/// Who asks: what all questions share.
struct Asker {
    handler: Arc<dyn AsyncHandler>,
    reader: Arc<Reader>,
    /// The reads that calls may do at once.
    reads: Arc<Semaphore>,
    clock: Arc<dyn Clock>,
    settings: AskSettings,
    stop: Shutdown,
}

impl Asker {
    /// Asks, and returns the answer; nothing when the handler cannot be reached and the pod stops.
    async fn ask(&self, ask: Ask) -> Option<Returned> {
        tokio::select! {
            biased;
            () = self.handler.available() => {}
            () = self.stop.cancelled() => return None,
        }
        let (begun, no, slot, epoch) = (Instant::now(), ask.no, ask.slot, ask.epoch);
        let said = self.call(ask).await;
        Some(Returned { no, slot, epoch, said, took: begun.elapsed() })
    }

    async fn call(&self, mut ask: Ask) -> Result<Said, HandlerError> {
        let described = self.handler.describe();
        let fast = platform::deadline(ask.event.kind) <= FAST;
        let most = if fast { self.settings.fast } else { self.settings.slow };
        let most = described.timeout.map_or(most, |timeout| timeout.min(most));
        let (reader, clock) = (Arc::clone(&self.reader), Arc::clone(&self.clock));
        let local = Local::new(reader, clock, ask.event.target.clone(), Turns::of_call(&self.reads));
        let state = if described.preload.is_empty() {
            Preloaded::default()
        } else {
            let loaded = local.preload(described.preload, self.settings.max_state).await;
            tell(&mut ask.span, &loaded);
            loaded?
        };
        let guild = if ask.acquired && ask.event.target.platform() == Platform::Discord {
            let read = local.guild_now().await;
            tell(&mut ask.span, &read);
            read?
        } else {
            None
        };
        let deadline = Instant::now() + most;
        let Ask { event, timer, epoch, acquired, attempt, span, .. } = ask;
        let span = Mutex::new(span);
        let call = Call { event, timer, epoch, attempt, state, local, acquired, guild, deadline, span };
        // Even a handler that panics before its first await takes only its own call along.
        let work = async { self.handler.handle(&call).await };
        let said = match timeout_at(deadline, AssertUnwindSafe(work).catch_unwind()).await {
            Ok(Ok(said)) => said.map(|said| said.touch_sessions(call.local.sessions_read())),
            Ok(Err(_)) => Err(HandlerError::Retry(PANICKED.to_owned())),
            Err(_) => {
                call.describe(|live| {
                    live.fail_as("timeout");
                });
                Err(HandlerError::Retry(format!("the handler took longer than {most:?}")))
            }
        };
        tell(&mut call.span.into_inner().unwrap_or_else(PoisonError::into_inner), &said);
        said
    }
}
