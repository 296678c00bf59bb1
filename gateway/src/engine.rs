//! The engine's handle: everything a pod does with a target's events goes through here. It decides nothing but how much
//! may wait and until when; the writer thread behind it owns the database and the mailboxes.

mod aside;
mod busy;
mod data;
mod load;
mod moving;
mod rest;

pub(crate) use crate::dispatch::erasure::Erasure;
pub(crate) use busy::Busy;
pub(crate) use data::{Export, NotDone, Wanted};
pub(crate) use load::{Rate, Shared};

use crate::{
    Options,
    dispatch::{
        Command, Commands, Known, Submitted,
        admission::Admission,
        asking::{AskSettings, Asking, Task},
        settings::Settings,
        traced::Traced,
        writer::Writer,
    },
    handlers::{Bot, Way},
    meters::{Meters, Verdict},
    outbox::{Allowed, Note, Outbox},
    ownership::{Acquired, Changes, Guard, Ownership},
    replication::{Replication, ReplicationMeters, Rules, agent, agent::Replica},
    schema::Tables,
    store::{
        KeptRow, Reader, Remembered, SqlLimits, Store, StoreError,
        checkpoint::{Checkpointer, StandBy},
        transfer::{Importer, Snapshots},
    },
};
use shared::{
    Epoch, Incarnation, Mono, TargetId,
    event::{Event, EventKind},
    platform,
    shutdown::Shutdown,
    telemetry::{Metrics, trace::Tracer},
    wire::{control::BotInfo, control::Load, link::Outcome, replication::ReplicationState},
};
use std::{
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};
use tokio::sync::{Semaphore, mpsc::UnboundedSender, oneshot};

/// What an answer is given for its way back to the router.
const TRAVEL: Duration = Duration::from_millis(300);
/// What an event takes in memory beside its body and headers, in bytes.
const EVENT_OVERHEAD: usize = 512;
/// When a sender may come back to a full pod, in milliseconds.
const BUSY_MS: u32 = 500;

/// Why the engine cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// It has stopped, or is stopping.
    #[error("the engine has stopped")]
    Stopped,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The client for outgoing calls cannot be made.
    #[error("cannot set up outgoing calls: {0}")]
    Client(Box<dyn std::error::Error + Send + Sync>),
    /// A thread cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// What the database holds of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetRow {
    /// The target.
    pub target: TargetId,
    /// The epoch it was last owned under.
    pub epoch: Epoch,
    /// Distinct events applied.
    pub applied: u64,
    /// Events that came again and changed nothing.
    pub duplicates: u64,
    /// The id of the last applied event.
    pub last_event_id: Option<String>,
    /// The journal's position.
    pub journal_seq: u64,
}

/// The engine. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Engine(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bot: Bot,
    incarnation: RwLock<Incarnation>,
    /// What the pod owned when its database was opened.
    remembered: Remembered,
    commands: Commands,
    ownership: Ownership,
    admission: Admission,
    reader: Arc<Reader>,
    exports: data::Exports,
    transfers: moving::Transfers,
    shared: Arc<Shared>,
    meters: Meters,
    notes: UnboundedSender<Note>,
    /// Who asks an asynchronous handler.
    asker: Option<Task>,
    tracer: Tracer,
    replication: Replication,
    replicated: ReplicationMeters,
    /// Taken by whoever stops the engine first.
    outbox: Mutex<Option<Outbox>>,
    /// Cancelled as soon as the writer has ended, however it ended.
    ended: Shutdown,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Dropped without being stopped: nothing is finished, and the writer ends when its last sender is gone.
        self.asker.iter().for_each(Task::abort);
        if let Some(outbox) = self.outbox.get_mut().unwrap_or_else(PoisonError::into_inner) {
            outbox.abort();
        }
    }
}

impl Engine {
    /// Opens (or creates) `berth.db` in the data folder, whose lock the caller holds, and starts the writer. `shutdown`
    /// ends the outbox; the writer goes on until [`Engine::stop`]. Everything is acknowledged locally.
    ///
    /// # Errors
    /// When the database cannot be opened or migrated, or outgoing calls cannot be set up.
    pub async fn open(
        options: &Options,
        ownership: Ownership,
        bot: Bot,
        metrics: &Metrics,
        tracer: Tracer,
        shutdown: Shutdown,
    ) -> Result<Self, EngineError> {
        Self::open_with(options, ownership, bot, metrics, tracer, shutdown, Replication::off()).await
    }

    /// The same with a replica; [`Engine::replicate`] says which.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub(crate) async fn open_with(
        options: &Options,
        ownership: Ownership,
        bot: Bot,
        metrics: &Metrics,
        tracer: Tracer,
        shutdown: Shutdown,
        replication: Replication,
    ) -> Result<Self, EngineError> {
        let (folder, clock) = (options.data.clone(), Arc::clone(ownership.clock()));
        let limits = sql_limits(options);
        let about = bot.clone();
        let stand_by = replication.gone().map(|gone| StandBy { from: options.replication.replication_wal, gone });
        let tables = Tables::load(options, bot.own_tables()).map_err(StoreError::from)?;
        let kept_tables = tables.clone();
        let opened = tokio::task::spawn_blocking(move || {
            let store = Store::open(&folder, clock, &tables, limits)?;
            let kept = (store.incarnation()?, store.remembered()?);
            let readers = (Reader::open(&folder, &store)?, Reader::open(&folder, &store)?);
            let importer = Importer::open(&folder, Arc::clone(store.plan()))?;
            Ok::<_, StoreError>((store, importer, kept, readers, Checkpointer::start(&folder, stand_by)?))
        });
        let (store, importer, (incarnation, remembered), (reader, handlers_reader), checkpoints) =
            opened.await.map_err(|_| EngineError::Stopped)??;
        let meters = Meters::register(metrics);
        let allowed = Arc::new(Allowed::new(&options.outbox_hosts, &options.discord_api, options.outbox_private));
        let (commands, inbox) = Commands::channel();
        let outbox = Outbox::start(
            options,
            Arc::clone(&allowed),
            ownership.clone(),
            commands.clone(),
            meters.clone(),
            tracer.clone(),
            shutdown.child_token(),
        )?;
        let shared = Arc::new(Shared::new(ownership.clock().now()));
        let notes = outbox.notes();
        let asker = match &bot.way {
            Way::Sync(_) => None,
            Way::Async(handler) => Some(Task::start(
                Arc::clone(handler),
                Arc::new(handlers_reader),
                Arc::clone(ownership.clock()),
                AskSettings::new(options),
                commands.clone(),
            )),
        };
        let plan = Arc::clone(store.plan());
        let (commits, clock) = (Arc::clone(store.commits()), Arc::clone(ownership.clock()));
        let replicated = ReplicationMeters::register(metrics, replication.clone(), commits, clock);
        let writer = Writer::new(
            store,
            importer,
            checkpoints,
            bot,
            asker.as_ref().map(|task| Asking::new(task.orders())),
            ownership.clone(),
            Settings::new(options),
            allowed,
            notes.clone(),
            inbox,
            meters.clone(),
            tracer.clone(),
            Arc::clone(&shared),
            replication.clone(),
            replicated.clone(),
        );
        let ended = Shutdown::new();
        let writer_ends = ended.clone().drop_guard();
        std::thread::Builder::new().name("berth-writer".to_owned()).spawn(move || {
            let _ended = writer_ends;
            writer.run();
        })?;
        Ok(Self(Arc::new(Inner {
            bot: about,
            incarnation: RwLock::new(incarnation),
            remembered,
            commands,
            ownership,
            admission: Admission::new(options.mailbox_total, options.mailbox_bytes),
            reader: Arc::new(reader),
            exports: data::Exports {
                folder: options.data.clone(),
                slots: Arc::new(Semaphore::new(options.exports)),
                stall: options.export_stall,
                timeout: options.export_timeout,
            },
            transfers: moving::Transfers {
                plan,
                snapshots: Snapshots::new(options.data.clone()),
                tables: kept_tables,
                limits,
            },
            shared,
            meters,
            notes,
            asker,
            tracer,
            replication,
            replicated,
            outbox: Mutex::new(Some(outbox)),
            ended,
        })))
    }

    /// Has a replica followed, until `stop`: from now on what waits for it can be acknowledged. A lineage that turns out to be
    /// sealed ends everything this pod does.
    pub(crate) async fn replicate(&self, replica: Arc<dyn Replica>, rules: Rules, stop: Shutdown) {
        let parts = agent::Parts {
            replica,
            ownership: self.0.ownership.clone(),
            commands: self.0.commands.clone(),
            meters: self.0.replicated.clone(),
            rules,
        };
        agent::run(self.0.replication.clone(), parts, stop).await;
    }

    /// Returns what is known of the replica.
    pub(crate) fn replication(&self) -> &Replication {
        &self.0.replication
    }

    /// Returns how the replica stands, in numbers.
    pub(crate) fn replication_state(&self) -> ReplicationState {
        let (database, wal) = self.0.reader.sizes();
        let pod = Some(self.0.ownership.pod().clone());
        ReplicationState { pod, wal_bytes: wal, database_bytes: database + wal, ..self.0.replicated.state() }
    }

    /// Waits until everything is in the replica that is committed when this is polled first, at most for `most`; outlives the
    /// engine. Returns whether it is.
    pub(crate) fn flush(&self, most: Duration) -> impl Future<Output = bool> + use<> {
        let (replication, commits) = (self.0.replication.clone(), Arc::clone(self.0.replicated.commits()));
        async move { replication.reached(commits.seq(), most).await }
    }

    /// Returns what makes spans.
    pub(crate) fn tracer(&self) -> &Tracer {
        &self.0.tracer
    }

    /// Returns the life of this database: made with it, and anew when it was failed over.
    pub fn incarnation(&self) -> Incarnation {
        self.0.incarnation.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the version of the database's schema.
    pub fn schema(&self) -> u32 {
        Store::schema()
    }

    /// Returns what there is to say of the bot.
    pub(crate) fn bot(&self) -> BotInfo {
        let (map, (name, version)) = (self.0.reader.map(), self.0.bot.called());
        let schema_hash = map.version.map(|_| map.hash.clone());
        BotInfo { name, version, schema: map.version, schema_hash }
    }

    /// Returns the highest epoch the database has seen, over all targets.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn highest_epoch(&self) -> Result<Epoch, EngineError> {
        self.read(Reader::highest_epoch).await
    }

    /// Returns the number of the last group that was committed.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) async fn commit_seq(&self) -> Result<u64, EngineError> {
        self.read(Reader::commit_seq).await
    }

    /// Returns some of the targets whose rows are in the database, by name, after `after`, at most `most`; only those that
    /// are `quarantined`, when that is asked for.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) async fn kept(
        &self,
        quarantined: bool,
        after: Option<TargetId>,
        most: usize,
    ) -> Result<Vec<KeptRow>, EngineError> {
        let state = quarantined.then_some("quarantined");
        self.read(move |reader| reader.kept(state, after.as_ref(), most)).await
    }

    /// Returns the lives of the database that were failed over, the last one first, at most `most`.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(crate) async fn past_incarnations(&self, most: usize) -> Result<Vec<Incarnation>, EngineError> {
        self.read(move |reader| reader.past_incarnations(most)).await
    }

    /// Returns what the busiest targets do, if there is news of it; whoever asks has it alone.
    pub(crate) fn weights(&self) -> Vec<shared::wire::control::TargetWeight> {
        self.0.shared.take_weights()
    }

    /// Returns the count of its answers.
    pub(crate) fn answers(&self) -> &crate::answers::Answers {
        self.0.meters.answers()
    }

    /// Returns how often it was told what the busiest targets do.
    pub(crate) fn windows(&self) -> u64 {
        self.0.shared.windows()
    }

    /// Returns what targets store, by name: at most `most` of those after `after`.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(crate) async fn stored(
        &self,
        after: Option<TargetId>,
        most: usize,
    ) -> Result<Vec<(TargetId, u64)>, EngineError> {
        self.read(move |reader| reader.stored(after.as_ref(), most)).await
    }

    /// Returns what the pod carries.
    pub fn load(&self) -> Load {
        Load {
            targets: self.0.ownership.count() as u64,
            events_per_second: self.0.shared.rate(),
            bytes: self.0.reader.size(),
            aside: self.0.meters.asides(),
            usage: None,
            replication: self.0.replicated.lag(),
        }
    }

    /// Follows a change of the pod's assignments. What is lost is taken out of service: who waits for one of its events is
    /// told that the pod is not the owner. What is acquired is taken into service: what it has left unfinished is loaded and
    /// goes before everything new; a target in service already only gets its new epoch. The database remembers all of it,
    /// and up to where the assignments are known, in one transaction. Returns the targets that are the pod's and cannot be
    /// served, since the rows here were given away or put aside.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub(crate) async fn follow(&self, changes: Changes, known: Option<Known>) -> Result<Vec<TargetId>, EngineError> {
        let (done, finished) = oneshot::channel();
        self.0.commands.send(Command::Follow { changes, known, done })?;
        Ok(finished.await.map_err(|_| EngineError::Stopped)??)
    }

    /// Takes into service what the database says the pod owned, and tells the ownership. It counts under a lease that was
    /// kept too, or once the assignment stream has confirmed it.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub(crate) async fn take_up(&self) -> Result<(), EngineError> {
        let Remembered { owned, revision, generation } = self.0.remembered.clone();
        let acquired = owned.iter().cloned().map(|(target, epoch)| Acquired::new(target, epoch)).collect();
        self.follow(Changes { acquired, released: Vec::new() }, None).await?;
        self.0.ownership.take_up(owned, revision, generation);
        Ok(())
    }

    /// Begins another life of the database: this one was failed over, and is over for good. Nothing is served any more, and
    /// the rows of all that was owned are put aside until they are given back (OWNERSHIP.md, Data 5).
    ///
    /// # Errors
    /// When the database cannot be written.
    pub(crate) async fn begin_anew(&self) -> Result<Incarnation, EngineError> {
        self.0.ownership.give_all_up();
        let (done, begun) = oneshot::channel();
        self.0.commands.send(Command::BeginAnew { done })?;
        let incarnation = begun.await.map_err(|_| EngineError::Stopped)??;
        *self.0.incarnation.write().unwrap_or_else(PoisonError::into_inner) = incarnation.clone();
        if let Some(log) = self.0.ownership.log() {
            log.begin(incarnation.clone());
        }
        Ok(incarnation)
    }

    /// Puts an event into its target's mailbox and waits for what becomes of it, at most until `answer_by`. It belongs to
    /// the span that is current here.
    pub async fn submit(&self, guard: Guard, mut event: Event, answer_by: Mono) -> Outcome {
        let (now, platform) = (self.0.ownership.clock().now(), event.platform);
        if let Some(detail) = self.0.replication.refuses(&event) {
            self.0.meters.event(platform, Verdict::NotServing);
            return Outcome::NotServing { detail };
        }
        let Some(permit) = self.0.admission.admit(size(&event)) else {
            self.0.meters.event(platform, Verdict::Busy);
            return Outcome::Busy { retry_after_ms: BUSY_MS };
        };
        let (reply, outcome) = oneshot::channel();
        let submitted = Submitted {
            key: event.key(),
            payload_hash: event.payload_hash(),
            behind: event.take_behind(),
            defer_at: defer_at(event.kind, now, answer_by),
            answer_by,
            guard,
            event,
            permit,
            trace: Traced::arrived(&self.0.tracer),
            reply,
        };
        let stopping = || Outcome::NotServing { detail: "this pod is stopping".to_owned() };
        if self.0.commands.send(Command::Submit(Box::new(submitted))).is_err() {
            return stopping();
        }
        match tokio::time::timeout(answer_by.since(now), outcome).await {
            // A writer that broke off says nothing; what it was doing may have been committed.
            Ok(outcome) => outcome.unwrap_or(Outcome::Late),
            Err(_) => Outcome::Late,
        }
    }

    /// Returns what the database holds of a target.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn state(&self, target: &TargetId) -> Result<Option<TargetRow>, EngineError> {
        let target = target.clone();
        self.read(move |reader| reader.target(&target)).await
    }

    /// Returns whether the last commit succeeded.
    pub fn writable(&self) -> bool {
        self.0.shared.is_writable()
    }

    /// Completes when the writer has ended. Before it was asked to, that is a defect: nothing can be committed any more.
    pub(crate) async fn ended(&self) {
        self.0.ended.cancelled().await;
    }

    /// Returns whether the disk is, or was lately, too slow for the pod's word about others to count.
    pub(crate) fn is_disk_slow(&self) -> bool {
        self.0.shared.is_disk_slow(self.0.ownership.clock().now())
    }

    /// Returns for how long the writer has been at one thing, when that is too long for anything but a fault.
    pub fn stuck(&self) -> Option<Duration> {
        self.0.shared.stuck(self.0.ownership.clock().now())
    }

    /// Lets an asynchronous handler finish what it is at; it is asked nothing new. The caller bounds the wait.
    pub(crate) async fn finish_calls(&self) {
        if let Some(asker) = &self.0.asker {
            asker.finish().await;
            // What came back is committed with the groups before this.
            self.wake().await;
        }
    }

    /// Finishes what is being committed, answers the rest, and closes the database.
    pub async fn stop(self) {
        self.0.asker.iter().for_each(Task::abort);
        let outbox = self.0.outbox.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(outbox) = outbox {
            outbox.stop().await;
        }
        let (done, finished) = oneshot::channel();
        if self.0.commands.send(Command::Stop { done }).is_ok() {
            // An error means that the writer has ended already.
            let _ = finished.await;
        }
    }

    /// Ends the engine as a crash would: nothing is finished, nobody is answered.
    pub(crate) async fn abandon(self) {
        self.0.asker.iter().for_each(Task::abort);
        if let Some(outbox) = self.0.outbox.lock().unwrap_or_else(PoisonError::into_inner).take() {
            outbox.abort();
        }
        let (done, finished) = oneshot::channel();
        if self.0.commands.send(Command::Abandon { done }).is_ok() {
            // An error means that the writer has ended already.
            let _ = finished.await;
        }
    }

    /// Tells the engine that a clock which is moved by hand has been moved, and waits until the writer has looked.
    pub(crate) async fn wake(&self) {
        let (done, looked) = oneshot::channel();
        // Without a writer or an outbox there is nobody to wake.
        let _ = self.0.commands.send(Command::Wake { done });
        let _ = looked.await;
        self.0.replication.committed(None);
        let _ = self.0.notes.send(Note::Wake);
    }

    /// Lets a test meddle with the writer's connection.
    #[cfg(test)]
    pub(crate) async fn meddle(&self, with: fn(&Store)) {
        let (done, finished) = oneshot::channel();
        self.0.commands.send(Command::Meddle(with, done)).expect("running");
        finished.await.expect("running");
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, EngineError> {
        let reader = Arc::clone(&self.0.reader);
        let done = tokio::task::spawn_blocking(move || read(&reader)).await;
        Ok(done.map_err(|_| EngineError::Stopped)??)
    }
}

/// Returns when an event is accepted instead of waited for: when its platform wants it, counted from its arrival at the
/// HTTP tier (what the router has used is known by what it has left), and in time for the answer to travel back.
fn defer_at(kind: EventKind, now: Mono, answer_by: Mono) -> Mono {
    let (whole, after) = (platform::deadline(kind), platform::defer_after(kind));
    let left = answer_by.since(now);
    // Where there is more time, the router's own bound is the nearer one.
    let used = if whole <= Duration::from_secs(3) {
        platform::park(kind, Duration::MAX).saturating_sub(left)
    } else {
        Duration::ZERO
    };
    now.after(after.saturating_sub(used)).min(answer_by.before(TRAVEL)).max(now)
}

fn sql_limits(options: &Options) -> SqlLimits {
    SqlLimits {
        rows: options.sql_rows,
        bytes: options.sql_bytes,
        statement: options.sql_statement,
        params: options.sql_params,
        read: options.sql_read_timeout,
    }
}

fn size(event: &Event) -> usize {
    let headers: usize = event.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    EVENT_OVERHEAD + event.body.len() + headers
}

#[cfg(test)]
mod tests;
