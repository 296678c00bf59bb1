//! A bench for handlers: the real engine on a database in a temporary folder, a lease that holds, and clocks that are
//! moved by hand. A bot's tests give it events and read what it says; nothing here is used by a running pod.
//!
//! What goes wrong on the bench is a panic: it is made for tests.

use crate::{
    Bot, Engine, Options, TargetRow,
    ownership::{Acquired, Changes, Ownership},
};
use clap::Parser;
use serde_json::{Value, json};
use shared::{
    Clock, Epoch, LeaseId, Mono, Platform, Revision, TargetId,
    clock::{BootClock, ManualClock},
    event::{Answer, Event, EventKind},
    lease::{Lease, LeaseTerms},
    shutdown::Shutdown,
    telemetry::Metrics,
    telemetry::trace::Tracer,
    wire::control::{Assignment, Watch},
    wire::link::Outcome,
};
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::runtime::Runtime;

/// How long the bench waits, in real time, for what has to happen.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a sender waits, by the bench's clock, and by the real one too: long, so that a slow machine fails no test. An event
/// is deferred when its platform wants it, however long its sender waits.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// The steps in which time passes while senders wait.
const STEP: Duration = Duration::from_millis(250);
/// Wall time at which a bench begins, in milliseconds since the Unix epoch.
const BEGINS_MS: u64 = 1_700_000_000_000;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    options: Options,
}

/// The bench. It owns every target it is asked about.
#[derive(Debug)]
pub struct Bench {
    engine: Option<Engine>,
    runtime: Runtime,
    ownership: Ownership,
    clock: ManualClock,
    options: Options,
    bot: Bot,
    metrics: Metrics,
    next: AtomicU64,
    /// What its database is replicated to, when it is.
    #[cfg(test)]
    replica: Option<Arc<dyn crate::replication::agent::Replica>>,
}

/// An event that was sent and is waited for.
#[derive(Debug)]
pub struct Sent(tokio::task::JoinHandle<Outcome>);

impl Bench {
    /// Makes a bench for a bot.
    pub fn new(bot: impl Into<Bot>) -> Self {
        Self::with(bot, |_| {})
    }

    /// Makes a bench with other settings than the defaults.
    pub fn with(bot: impl Into<Bot>, change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Self::options();
        change(&mut options);
        let clock = ManualClock::new(BEGINS_MS);
        Self::by_clock(bot.into(), options, Arc::new(clock.clone()), clock)
    }

    /// Makes a bench whose engine reads `read`, a clock that shows what `clock` says.
    #[cfg(test)]
    pub(crate) fn reading(
        bot: impl Into<Bot>,
        change: impl FnOnce(&mut Options),
        read: impl FnOnce(ManualClock) -> Arc<dyn Clock>,
    ) -> Self {
        let mut options = Self::options();
        change(&mut options);
        let clock = ManualClock::new(BEGINS_MS);
        Self::by_clock(bot.into(), options, read(clock.clone()), clock)
    }

    fn by_clock(bot: Bot, options: Options, read: Arc<dyn Clock>, clock: ManualClock) -> Self {
        let ownership = Ownership::new(options.pod.clone(), read, LeaseTerms::default());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime can be made");
        let mut bench = Self {
            engine: None,
            runtime,
            ownership,
            clock,
            options,
            bot,
            metrics: Metrics::new(),
            next: AtomicU64::new(1),
            #[cfg(test)]
            replica: None,
        };
        bench.renew_lease();
        bench.open();
        bench
    }

    /// Makes a bench whose database has a replica.
    #[cfg(test)]
    pub(crate) fn replicating(
        bot: impl Into<Bot>,
        change: impl FnOnce(&mut Options),
        replica: Arc<dyn crate::replication::agent::Replica>,
    ) -> Self {
        let mut bench = Self::with(bot, change);
        if let Some(engine) = bench.engine.take() {
            bench.runtime.block_on(engine.stop());
        }
        bench.replica = Some(replica);
        bench.open();
        bench
    }

    fn options() -> Options {
        let folder = std::env::temp_dir().join(format!("berth-bench-{}", uuid::Uuid::now_v7()));
        let folder = folder.to_str().expect("the temporary folder has a plain name").to_owned();
        Line::parse_from(["bench", "--pod", "gateway-0", "--data", &folder]).options
    }

    fn open(&mut self) {
        let bot = self.bot.clone();
        #[cfg(test)]
        if let Some(replica) = self.replica.clone() {
            return self.open_replicating(bot, replica);
        }
        let opening =
            Engine::open(&self.options, self.ownership.clone(), bot, &self.metrics, Tracer::off(), Shutdown::new());
        self.engine = Some(self.runtime.block_on(opening).expect("the database opens"));
    }

    #[cfg(test)]
    fn open_replicating(&mut self, bot: Bot, replica: Arc<dyn crate::replication::agent::Replica>) {
        let replication = crate::replication::Replication::new(&self.options.replication);
        // Each life of a database has its own count.
        self.metrics = Metrics::new();
        let (ownership, stop) = (self.ownership.clone(), Shutdown::new());
        let opening =
            Engine::open_with(&self.options, ownership, bot, &self.metrics, Tracer::off(), stop.clone(), replication);
        let engine = self.runtime.block_on(opening).expect("the database opens");
        let (agent, rules) = (engine.clone(), self.options.replication.rules());
        self.runtime.spawn(async move {
            tokio::select! {
                () = agent.replicate(replica, rules, stop) => {}
                () = agent.ended() => {}
            }
        });
        self.engine = Some(engine);
    }

    /// Returns the engine.
    pub fn engine(&self) -> &Engine {
        self.engine.as_ref().expect("the engine is there until the bench is dropped")
    }

    /// Returns what the pod owns, to take leases and targets away.
    pub fn ownership(&self) -> &Ownership {
        &self.ownership
    }

    /// Returns the clock.
    pub fn clock(&self) -> &ManualClock {
        &self.clock
    }

    /// Holds a lease for a day from now.
    pub fn renew_lease(&self) {
        let valid_until = self.clock.now().after(Duration::from_secs(86_400));
        self.ownership.hold(Lease { id: LeaseId(1), valid_until }, None);
    }

    /// Lets the pod own a target under an epoch.
    pub fn own(&self, target: &str, epoch: u64) -> TargetId {
        let target: TargetId = target.parse().expect("a target is written platform:kind:id");
        if self.ownership.epoch(&target) == Some(Epoch(epoch)) {
            return target;
        }
        self.serve(vec![Acquired::new(target.clone(), Epoch(epoch))]);
        let assignment = Assignment {
            target: target.clone(),
            pod: self.ownership.pod().clone(),
            epoch: Epoch(epoch),
            revision: Revision(0),
            parent: None,
            reason: "first-contact".to_owned(),
            since_ms: 0,
            state: Default::default(),
            data: None,
        };
        let revision = self.ownership.revision();
        let changes =
            self.ownership.apply(Watch::Delta { revision, pods: vec![], assignments: vec![assignment], moves: vec![] });
        assert!(!changes.is_empty(), "an epoch only grows");
        target
    }

    /// Lets time pass, a little at a time, and the lease, if there is one, be renewed.
    pub fn advance(&self, by: Duration) {
        let mut passed = Duration::ZERO;
        while passed < by {
            // Senders wait for seconds, timers for hours: nothing in between is skipped.
            let most = if passed < Duration::from_secs(5) { STEP } else { 240 * STEP };
            let step = most.min(by.saturating_sub(passed));
            self.clock.advance(step);
            passed += step;
            if self.ownership.lease().is_some() {
                self.renew_lease();
            }
            self.runtime.block_on(self.engine().wake());
        }
    }

    /// Makes an event with an id of its own.
    pub fn event(&self, target: &str, kind: EventKind, body: &str) -> Event {
        let target: TargetId = target.parse().expect("a target is written platform:kind:id");
        let id = self.next.fetch_add(1, Ordering::Relaxed).to_string();
        Event {
            platform: target.platform(),
            target,
            parent: None,
            kind,
            source: "bench".to_owned(),
            id,
            received_at: self.clock.wall_ms(),
            headers: vec![],
            body: body.to_owned().into(),
        }
    }

    /// Sends an event and returns what became of it.
    pub fn send(&self, event: Event) -> Outcome {
        self.post(event).outcome(self)
    }

    /// Sends an event and does not wait. The target becomes the pod's if it was nobody's.
    pub fn post(&self, event: Event) -> Sent {
        if self.ownership.epoch(&event.target).is_none() {
            self.own(event.target.as_str(), 1);
        }
        self.post_within(event, ANSWER_WITHIN)
    }

    /// Sends an event whose sender waits for `within`, by the bench's clock.
    pub fn post_within(&self, event: Event, within: Duration) -> Sent {
        let answer_by: Mono = self.clock.now().after(within);
        let (engine, ownership) = (self.engine().clone(), self.ownership.clone());
        let (entered, door) = std::sync::mpsc::channel();
        let sent = self.runtime.spawn(async move {
            let guard = match ownership.guard(&event.target) {
                Ok(guard) => guard,
                Err(why) => return Outcome::NotServing { detail: why.to_string() },
            };
            let submit = std::pin::pin!(engine.submit(guard, event, answer_by));
            let mut submit = submit;
            // The first poll puts it into the mailbox: events posted one after another are accepted in that order.
            let first = std::future::poll_fn(|context| std::task::Poll::Ready(submit.as_mut().poll(context))).await;
            let _ = entered.send(());
            match first {
                std::task::Poll::Ready(outcome) => outcome,
                std::task::Poll::Pending => submit.await,
            }
        });
        // An error means that it was refused at the door.
        let _ = door.recv_timeout(PATIENCE);
        Sent(sent)
    }

    /// Gives a command as a person on the target's platform would, and returns the text of the answer.
    pub fn command(&self, target: &str, user: &str, text: &str) -> String {
        let platform: Platform = target.split(':').next().and_then(|word| word.parse().ok()).expect("a platform");
        let (name, args) = text.trim_start_matches('/').split_once(' ').unwrap_or((text.trim_start_matches('/'), ""));
        let event = match platform {
            Platform::Discord => {
                let options: Vec<Value> =
                    args.split_whitespace().map(|word| json!({"name": "x", "value": word})).collect();
                let body = json!({"data": {"name": name, "options": options}, "member": {"user": {"id": user}}});
                self.event(target, EventKind::DiscordCommand, &body.to_string())
            }
            Platform::Slack => {
                let form = format!("command=%2F{name}&text={}&user_id={user}", args.replace(' ', "+"));
                self.event(target, EventKind::SlackCommand, &form)
            }
            Platform::Telegram => self.message_event(target, user, &format!("/{name} {args}")),
            _ => {
                let body = json!({"command": name, "args": args, "user": user});
                self.event(target, EventKind::StandardWebhook, &body.to_string())
            }
        };
        match self.send(event) {
            Outcome::Committed { answer, .. } => text_of(&answer),
            other => panic!("not committed: {other:?}"),
        }
    }

    /// Says something in a Telegram chat.
    pub fn say(&self, target: &str, user: &str, text: &str) -> Outcome {
        self.send(self.message_event(target, user, text))
    }

    fn message_event(&self, target: &str, user: &str, text: &str) -> Event {
        let from = json!({"id": 1, "username": user});
        let body = json!({"message": {"message_id": 1, "chat": {"id": -1}, "text": text, "from": from}});
        self.event(target, EventKind::TelegramUpdate, &body.to_string())
    }

    /// Returns what the database holds of a target.
    pub fn state(&self, target: &TargetId) -> TargetRow {
        self.runtime.block_on(self.engine().state(target)).expect("it can be read").expect("the target is known")
    }

    /// Waits until something is so.
    pub fn until(&self, what: &str, mut is_so: impl FnMut(&Self) -> bool) {
        let begun = BootClock.now();
        while !is_so(self) {
            assert!(BootClock.now().since(begun) < PATIENCE, "still not so: {what}");
            self.runtime.block_on(async {
                self.engine().wake().await;
                tokio::time::sleep(Duration::from_millis(2)).await;
            });
        }
    }

    /// Waits for something that happens elsewhere.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Stops the engine in order and opens its database again. The pod owns what it owned.
    pub fn restart(&mut self) {
        if let Some(engine) = self.engine.take() {
            self.runtime.block_on(engine.stop());
        }
        self.open_again();
    }

    /// Ends the engine as a crash would, with nothing finished, and opens its database again. The pod owns what it owned.
    pub fn crash(&mut self) {
        if let Some(engine) = self.engine.take() {
            self.runtime.block_on(engine.abandon());
        }
        self.open_again();
    }

    /// Ends the engine as a crash would, and lets a process begin that knows only what the database says.
    #[cfg(test)]
    pub(crate) fn forget(&mut self) {
        if let Some(engine) = self.engine.take() {
            self.runtime.block_on(engine.abandon());
        }
        let (pod, terms) = (self.options.pod.clone(), LeaseTerms::default());
        self.ownership = Ownership::new(pod, Arc::new(self.clock.clone()), terms);
        self.open();
        self.runtime.block_on(self.engine().take_up()).expect("what was owned can be taken up");
    }

    fn open_again(&mut self) {
        self.open();
        let targets = self.ownership.targets().into_iter();
        self.serve(targets.map(|(target, epoch)| Acquired::new(target, epoch)).collect());
    }

    /// Has the engine serve targets.
    pub(crate) fn serve(&self, acquired: Vec<Acquired>) {
        let follow = self.engine().follow(Changes { acquired, released: Vec::new() }, None);
        let unfit = self.runtime.block_on(follow).expect("the targets' rows can be read");
        assert!(unfit.is_empty(), "rows of {unfit:?} are put aside");
    }

    /// Has the engine let go of a target.
    #[cfg(test)]
    pub(crate) fn let_go(&self, target: &TargetId) {
        let changes = Changes { acquired: Vec::new(), released: vec![target.clone()] };
        self.runtime.block_on(self.engine().follow(changes, None)).expect("the target can be let go of");
    }

    /// Has the engine serve a target again that was let go of: its rows are given back.
    #[cfg(test)]
    pub(crate) fn give_back(&self, target: &TargetId, epoch: u64) {
        self.serve(vec![Acquired { target: target.clone(), epoch: Epoch(epoch), kept: Some(Epoch(epoch)) }]);
    }

    /// Returns the folder of the database.
    pub fn folder(&self) -> &PathBuf {
        &self.options.data
    }

    /// Returns the metrics as they would be scraped.
    pub fn metrics(&self) -> String {
        self.metrics.render().expect("metrics can be written")
    }
}

impl Sent {
    /// Waits for the outcome.
    pub fn outcome(self, bench: &Bench) -> Outcome {
        let waited = bench.runtime.block_on(async { tokio::time::timeout(PATIENCE, self.0).await });
        waited.expect("an outcome comes").expect("the engine does not panic")
    }

    /// Returns whether there is an outcome.
    pub fn is_done(&self) -> bool {
        self.0.is_finished()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if let Some(engine) = self.engine.take() {
            self.runtime.block_on(engine.stop());
        }
        // What stays behind is in the system's temporary folder.
        let _ = std::fs::remove_dir_all(&self.options.data);
    }
}

/// Returns the text a person reads in an answer; empty when there is none.
pub fn text_of(answer: &Answer) -> String {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    let text = body.pointer("/data/content").or_else(|| body.get("text"));
    text.and_then(Value::as_str).unwrap_or_default().to_owned()
}
