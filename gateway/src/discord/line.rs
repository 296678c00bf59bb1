//! One shard's connection for as long as this pod holds the shard: opens it, turns what it brings into events, keeps how far
//! the session is committed in the shard's own rows, and goes on after every end as [`after`] says. Knows no sockets, no
//! router and no database: all three are given to it.
//!
//! ```text
//!   kept session ─▸ connect ─▸ HELLO ─┬─▸ RESUMED ─┐        hold: read no more ─▸ what is under way is committed
//!        ▲            ▲               └─▸ READY ───┤              ─▸ written down ─▸ closed, resumable ─▸ released
//!        │            └─ wait ◂─ end ◂──── events ─┘        lease lost: gone at once
//! ```
//!
//! What its events are good for while the number of shards changes is `turn`'s to say.

mod turn;

use super::{
    after::{After, after},
    connector::{Connection, Connector, Dispatch, End, Heard, Session, Wanted},
    event::event,
    homes::Settle,
    lanes::{Deliver, Delivered, Lanes, Place, Room},
    meters::Meters,
    overlap::{Ring, Tail, mark},
    progress::Progress,
    status::{Kept, Plan, Refusal},
};
use futures_util::future::BoxFuture;
use shared::{
    Clock, TargetId,
    backoff::Backoff,
    event::Event,
    wire::discord::{Shard, ShardState, ShardStatus, ShardTail},
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, MissedTickBehavior},
};
use tokio_util::task::AbortOnDropHandle;

/// How often it is looked whether the pod may still act for the shard. A pod stops acting 400 ms before its lease is over.
const LOOK: Duration = Duration::from_millis(100);

/// How long what is under way may take when the shard is released. What is not committed then is told again to whoever has
/// the shard next.
const SETTLE: Duration = Duration::from_secs(1);

/// How long the closing of a connection may take.
const CLOSE: Duration = Duration::from_millis(500);

/// The wait before a connection is opened again that was never ready.
const AGAIN: Duration = Duration::from_secs(1);

/// The bounds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Events on their way to their owners at once.
    pub(super) room: Room,
    /// Events that may be open before the connection is closed until they are fewer.
    pub(super) events: usize,
    /// The same in bytes.
    pub(super) bytes: usize,
    /// How long Discord may take to greet.
    pub(super) hello: Duration,
    /// The longest wait before a connection is opened again.
    pub(super) retry: Duration,
    /// How long a shard pauses that Discord does not let in.
    pub(super) pause: Duration,
    /// How often it is written down at most how far the session is.
    pub(super) keep: Duration,
}

/// The pod, as the shard sees it.
pub(super) trait Home: Send + Sync + 'static {
    /// Returns whether the pod may act for the shard now.
    fn may(&self) -> bool;

    /// Returns what is kept of the shard.
    fn load(&self) -> BoxFuture<'_, Kept>;

    /// Keeps that instead. Returns whether it is committed.
    fn keep(&self, kept: Kept) -> BoxFuture<'_, bool>;
}

/// What a line is told.
#[derive(Debug)]
pub(super) enum Order {
    /// The shard is about to move, or the pod to stop: close, and say when that is done.
    Hold(oneshot::Sender<()>),
    /// It has not moved after all.
    GoOn,
}

/// What a line works with.
pub(super) struct Parts {
    pub(super) shard: Shard,
    /// The shard's own target.
    pub(super) own: TargetId,
    pub(super) connector: Arc<dyn Connector>,
    pub(super) home: Arc<dyn Home>,
    pub(super) deliver: Arc<Deliver>,
    pub(super) settle: Arc<Settle>,
    pub(super) bounds: Bounds,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) meters: Meters,
    pub(super) orders: mpsc::UnboundedReceiver<Order>,
    pub(super) status: watch::Sender<ShardStatus>,
    /// What config-service says of the bot's shards.
    pub(super) plan: watch::Receiver<Plan>,
    /// What this one brought last, once it has been replaced.
    pub(super) tail: watch::Sender<Option<ShardTail>>,
}

/// One shard's connection.
pub(super) struct Line {
    parts: Parts,
    session: Option<Session>,
    /// The session that Discord has refused to resume, until there is another.
    refused: Option<String>,
    progress: Progress,
    lanes: Lanes,
    kept: Kept,
    keep_at: Instant,
    /// Sees to it that the guilds of the session have homes.
    settling: Option<AbortOnDropHandle<()>>,
    shown: ShardState,
    begun: Instant,
    /// When its session began, if that was here.
    since_ms: Option<u64>,
    /// What it remembers beside the shards that it will replace.
    ring: Ring,
    /// The last number that it remembered, from when its turn came until all that is committed.
    taking_over: Option<u64>,
    /// What it brought lately, while others are to replace it.
    brought: Tail,
}

/// Why a line stopped what it was at.
enum Stop {
    /// The connection ended.
    End(End),
    /// Too much is open.
    Full,
    /// The shard is released.
    Held(oneshot::Sender<()>),
    /// The pod may not act for it any more.
    Lost,
    /// Others go on in its place.
    Replaced,
    /// The bot has no such shard any more.
    Unused,
}

impl Stop {
    /// Returns what an order stops, if it does; without anybody to give one the line is not this pod's any more.
    fn by(order: Option<Order>) -> Option<Self> {
        match order {
            Some(Order::Hold(done)) => Some(Self::Held(done)),
            Some(Order::GoOn) => None,
            None => Some(Self::Lost),
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.parts.meters.stands(Some(self.shown), None);
        self.parts.meters.open(self.lanes.len(), 0);
    }
}

impl Line {
    pub(super) fn new(parts: Parts) -> Self {
        let lanes = Lanes::new(parts.bounds.room);
        parts.meters.stands(None, Some(ShardState::Connecting));
        Self {
            parts,
            session: None,
            refused: None,
            progress: Progress::default(),
            lanes,
            kept: Kept::default(),
            keep_at: Instant::now(),
            settling: None,
            shown: ShardState::Connecting,
            begun: Instant::now(),
            since_ms: None,
            ring: Ring::default(),
            taking_over: None,
            brought: Tail::default(),
        }
    }

    /// Runs until the shard is released or lost.
    pub(super) async fn run(mut self) {
        let (shard, bounds) = (self.parts.shard, self.parts.bounds);
        self.kept = self.parts.home.load().await;
        match self.until_used().await {
            Some(Stop::Held(done)) => return self.hold(None, done).await,
            Some(_) => return,
            None => {}
        }
        if let Some(session) = &self.kept.session {
            self.progress.begin(session.seq);
            self.session = Some(session.clone());
        }
        let mut backoff = Backoff::new(AGAIN, bounds.retry, (u64::from(shard.id) << 32) ^ self.parts.clock.wall_ms());
        let mut by_main_url = false;
        loop {
            self.shows(ShardState::Connecting, None);
            let resume = self.session.clone().map(|session| Session { seq: self.progress.received(), ..session });
            let wanted = Wanted { shard, resume, by_main_url, refused: self.refused.clone() };
            let mut connection = self.parts.connector.connect(wanted);
            let mut was = Was::default();
            let stop = self.listen(&mut *connection, &mut was).await;
            let end = match stop {
                Stop::Lost => return,
                Stop::Held(done) => return self.hold(Some(connection), done).await,
                Stop::Replaced => return self.make_room(connection).await,
                Stop::Unused => {
                    let _ = tokio::time::timeout(CLOSE, connection.close()).await;
                    return self.leave().await;
                }
                Stop::Full => {
                    // What Discord has still to tell waits there.
                    let _ = tokio::time::timeout(CLOSE, connection.close()).await;
                    tracing::warn!(shard = %shard, events = self.open(), "more happens on Discord than is committed; the shard waits until that is less");
                    match self.wait(None).await {
                        Some(Stop::Held(done)) => return self.hold(None, done).await,
                        Some(_) => return,
                        None => continue,
                    }
                }
                Stop::End(end) => end,
            };
            drop(connection);
            self.parts.meters.ended(&end);
            by_main_url = !was.greeted && !by_main_url && self.session.is_some();
            let wait = match after(&end) {
                After::Resume => {
                    if was.ready {
                        backoff.reset();
                    }
                    if was.ready { Duration::ZERO } else { backoff.next_wait() }
                }
                After::Identify => {
                    self.refused = self.session.take().map(|session| session.id).or(self.refused.take());
                    backoff.next_wait()
                }
                After::Refused { code, remedy } => self.was_refused(code, remedy).await,
            };
            if !matches!(after(&end), After::Refused { .. }) {
                tracing::info!(shard = %shard, end = ?end, again_in_ms = wait.as_millis(), "the connection to Discord's gateway ended");
                let why = format!("the connection ended ({end:?}) and is opened again by itself");
                self.shows(ShardState::Waiting, Some(why));
            }
            match self.wait(Some(Instant::now() + wait)).await {
                Some(Stop::Held(done)) => return self.hold(None, done).await,
                Some(_) => return,
                None => {}
            }
        }
    }

    /// Says that Discord does not let the shard in, and how long to leave it alone.
    async fn was_refused(&mut self, code: u16, remedy: &str) -> Duration {
        let pause = self.parts.bounds.pause;
        tracing::error!(shard = %self.parts.shard, code, pause_s = pause.as_secs(), "Discord does not let the shard in: {remedy}");
        self.kept.refused = Some(Refusal { code, remedy: remedy.to_owned() });
        self.parts.home.keep(self.kept.clone()).await;
        self.shows(ShardState::Refused, Some(format!("Discord closed the connection with {code}: {remedy}")));
        pause
    }

    /// Listens to a connection until it is over, or the line has something else to do.
    async fn listen(&mut self, connection: &mut dyn Connection, was: &mut Was) -> Stop {
        let (bounds, greet_by) = (self.parts.bounds, Instant::now() + self.parts.bounds.hello);
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if let Some(stop) = self.takes_turn(was.ready) {
                return stop;
            }
            if self.open() >= bounds.events || self.lanes.bytes() >= bounds.bytes {
                return Stop::Full;
            }
            let keep_at = self.keep_at;
            let behind = was.ready && self.is_behind();
            tokio::select! {
                biased;
                _ = look.tick() => if !self.parts.home.may() {
                    return Stop::Lost;
                },
                order = self.parts.orders.recv() => if let Some(stop) = Stop::by(order) {
                    return stop;
                },
                // Whoever looks after shards ends this one when that is gone.
                Ok(()) = self.parts.plan.changed() => {}
                (place, delivered) = self.lanes.next(&*self.parts.deliver) => self.delivered(place, delivered),
                () = tokio::time::sleep_until(keep_at), if behind => { self.keep().await; }
                heard = connection.next() => match heard {
                    Heard::Hello => was.greeted = true,
                    Heard::Ready { session, guilds } => {
                        (was.greeted, was.ready) = (true, true);
                        self.ready(session, guilds).await;
                    }
                    Heard::Resumed { seq } => {
                        (was.greeted, was.ready) = (true, true);
                        self.progress.passed(seq);
                        self.parts.meters.session(false);
                        tracing::info!(shard = %self.parts.shard, seq, "the session on Discord's gateway goes on");
                        self.shows(ShardState::Ready, None);
                    }
                    Heard::Dispatch(dispatch) => self.take(&dispatch),
                    Heard::End(end) => return Stop::End(end),
                },
                () = tokio::time::sleep_until(greet_by), if !was.greeted => {
                    let why = format!("Discord did not say HELLO within {:?}", bounds.hello);
                    return Stop::End(End::Broken(why));
                }
            }
        }
    }

    /// Waits until then, or until only half of what may be open is. Returns what came before that.
    async fn wait(&mut self, until: Option<Instant>) -> Option<Stop> {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (events, bytes) = (self.parts.bounds.events / 2, self.parts.bounds.bytes / 2);
        loop {
            let over = match until {
                Some(until) => Instant::now() >= until,
                None => self.open() <= events && self.lanes.bytes() <= bytes,
            };
            if over {
                return None;
            }
            if until.is_none()
                && let Some(stop) = self.takes_turn(true)
            {
                return Some(stop);
            }
            let (keep_at, behind) = (self.keep_at, self.is_behind());
            tokio::select! {
                _ = look.tick() => if !self.parts.home.may() {
                    return Some(Stop::Lost);
                },
                order = self.parts.orders.recv() => if let Some(stop) = Stop::by(order) {
                    return Some(stop);
                },
                (place, delivered) = self.lanes.next(&*self.parts.deliver) => self.delivered(place, delivered),
                () = tokio::time::sleep_until(keep_at), if behind => { self.keep().await; }
                () = tokio::time::sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {}
            }
        }
    }

    /// A new session has begun.
    async fn ready(&mut self, session: Session, guilds: Vec<String>) {
        tracing::info!(shard = %self.parts.shard, session = session.id, guilds = guilds.len(), "a session on Discord's gateway begins");
        self.parts.meters.session(true);
        self.progress.begin(session.seq);
        self.session = Some(session);
        self.refused = None;
        self.settling = Some(AbortOnDropHandle::new(shared::shutdown::spawn((self.parts.settle)(guilds))));
        self.since_ms = Some(self.parts.clock.wall_ms());
        // What came meanwhile is in no session that is left.
        self.ring = Ring::default();
        self.taking_over = self.taking_over.map(|_| self.progress.received());
        if self.brought.records() {
            self.brought.begin(Instant::now());
        }
        self.keep().await;
        self.shows(ShardState::Ready, None);
    }

    fn take(&mut self, dispatch: &Dispatch) {
        let Some(session) = &self.session else { return };
        match event(&self.parts.own, &session.id, dispatch, self.parts.clock.wall_ms()) {
            Ok(event) => {
                if !self.progress.came(dispatch.seq) {
                    return;
                }
                if self.kept.beside && self.taking_over.is_none() {
                    let mark = mark(&self.parts.own, &event, dispatch);
                    return self.ring.push(Instant::now(), dispatch.seq, event, mark);
                }
                if self.brought.records() {
                    let all = self.forgets_nothing();
                    self.brought.push(Instant::now(), mark(&self.parts.own, &event, dispatch), all);
                }
                self.bring(dispatch.seq, event);
            }
            Err(why) => {
                tracing::warn!(shard = %self.parts.shard, name = dispatch.name, error = %why, "Discord told something that is no event");
                self.parts.meters.malformed();
                self.progress.passed(dispatch.seq);
            }
        }
    }

    fn bring(&mut self, seq: u64, event: Event) {
        let place = Place { session: self.progress.session(), seq };
        let before = self.lanes.len();
        self.lanes.push(place, event, &*self.parts.deliver);
        self.parts.meters.open(before, self.lanes.len());
    }

    /// Returns how many events are here that are not committed.
    fn open(&self) -> usize {
        self.lanes.len() + self.ring.len()
    }

    fn delivered(&mut self, place: Place, delivered: Delivered) {
        self.parts.meters.delivered(delivered);
        self.parts.meters.open(self.lanes.len() + 1, self.lanes.len());
        self.progress.committed(place.session, place.seq);
    }

    /// Returns what is to be kept of the session now.
    fn safe(&self) -> Option<Session> {
        self.session.clone().map(|session| Session { seq: self.progress.safe(), ..session })
    }

    fn is_behind(&self) -> bool {
        if self.has_taken_over() {
            return true;
        }
        let safe = self.session.as_ref().map(|session| (session.id.as_str(), self.progress.safe()));
        safe.is_some() && safe != self.kept.session.as_ref().map(|kept| (kept.id.as_str(), kept.seq))
    }

    /// Writes down how far the session is. Returns whether that is committed.
    async fn keep(&mut self) -> bool {
        let beside = self.kept.beside && !self.has_taken_over();
        let kept = Kept { session: self.safe(), refused: None, beside, tail: self.kept.tail.clone() };
        let written = self.parts.home.keep(kept.clone()).await;
        if written {
            if self.kept.beside && !kept.beside {
                self.taking_over = None;
            }
            self.kept = kept;
        }
        self.keep_at = Instant::now() + self.parts.bounds.keep;
        let (shown, why) = (self.shown, self.parts.status.borrow().why.clone());
        self.shows(shown, why);
        written
    }

    /// Releases the shard: what is under way ends, how far it is gets written down, the connection is closed so that its
    /// session can be resumed. Then waits until the shard is another pod's, or this pod's again.
    async fn hold(mut self, connection: Option<Box<dyn Connection>>, done: oneshot::Sender<()>) {
        self.settling = None;
        let before = self.lanes.len();
        self.lanes.forget_waiting();
        self.parts.meters.open(before, self.lanes.len());
        let settle_by = Instant::now() + SETTLE;
        while self.lanes.len() > 0 {
            match tokio::time::timeout_at(settle_by, self.lanes.next(&*self.parts.deliver)).await {
                Ok((place, delivered)) => self.delivered(place, delivered),
                Err(_) => break,
            }
        }
        if self.is_behind() {
            self.keep().await;
        }
        if let Some(connection) = connection {
            let _ = tokio::time::timeout(CLOSE, connection.close()).await;
        }
        self.shows(ShardState::Held, Some("the shard is moving to another pod, or this one stops".to_owned()));
        tracing::info!(shard = %self.parts.shard, seq = self.progress.safe(), "the shard is released, its session can be resumed");
        // Whoever asked may be gone.
        let _ = done.send(());
        let mut look = tokio::time::interval(LOOK);
        while self.parts.home.may() {
            tokio::select! {
                _ = look.tick() => {}
                order = self.parts.orders.recv() => match order {
                    Some(Order::Hold(done)) => {
                        let _ = done.send(());
                    }
                    Some(Order::GoOn) | None => return,
                },
            }
        }
    }

    fn shows(&mut self, state: ShardState, why: Option<String>) {
        self.parts.meters.stands(Some(self.shown), Some(state));
        self.shown = state;
        let kept = self.kept.session.as_ref();
        let (session, seq) = (kept.map(|kept| kept.id.clone()), kept.map(|kept| kept.seq));
        let (shard, role, covered) = (self.parts.shard.to_string(), self.role(), self.brought.covers(Instant::now()));
        let status = ShardStatus { shard, state, session, seq, why, role, since_ms: self.since_ms, covered };
        self.parts.status.send_replace(status);
    }
}

/// How far a connection came.
#[derive(Debug, Default)]
struct Was {
    greeted: bool,
    ready: bool,
}

#[cfg(test)]
mod tests;
