//! Follower or leader: bids for the term, reads the database, lets the desk work, and bids again when the term is over.
//! Beside it, `mirror` follows whoever leads meanwhile.

use super::{
    Control, Leading, Reply, Role, Settings,
    desk::{Desk, Ended},
    gate::Gate,
    hub::Hub,
    mirror::{Ask, Following, Mirror},
};
use crate::{
    domain::{Assignments, Model},
    metrics::Metrics,
    store::{Answer, Bid, Missed, Store, StoreError},
};
use shared::wire::admin::Plan;
use shared::{Clock, Term, backoff::Backoff, http::Latch, shutdown::Shutdown};
use std::{future::Future, sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::Instant,
};

/// Commands that may wait for the leader's task; more wait in their own requests.
const COMMANDS: usize = 4_096;

/// Most changes that a leader takes from the log to go on with what it knows from following: beyond that, the table is read sooner.
const MISSED: usize = 20_000;

/// What leading takes.
#[derive(Debug, Clone)]
struct Campaign {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    metrics: Metrics,
    /// The way to what this process knows while another leads.
    following: watch::Receiver<Option<Following>>,
    /// Whether this process is reading everything, to follow.
    reading: watch::Receiver<bool>,
    /// Told when nobody leads.
    vacant: Arc<Notify>,
    gate: Gate,
    shutdown: Shutdown,
}

/// Returns a handle for asking the leader, and the task that leads whenever it can. The task ends with `shutdown`, or
/// with an error when the store can never be used. `latch` is open while this process leads.
pub(crate) fn lead(
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    metrics: Metrics,
    latch: Latch,
    shutdown: Shutdown,
) -> (Control, impl Future<Output = Result<(), StoreError>> + Send) {
    let (role, seen) = watch::channel(Role::Idle);
    let (shown, following) = watch::channel(None);
    let (begins, reading) = watch::channel(false);
    let bookmark = settings.watch_bookmark;
    let control = Control { role: seen.clone(), following: following.clone(), store: Arc::clone(&store), bookmark };
    let (gate, vacant) = (Gate::new(latch), Arc::new(Notify::new()));
    let mirror = Mirror {
        store: Arc::clone(&store),
        settings: settings.clone(),
        metrics: metrics.clone(),
        role: seen,
        shown,
        reading: begins,
        vacant: Arc::clone(&vacant),
        gate: gate.clone(),
        shutdown: shutdown.clone(),
    };
    let campaign = Campaign { store, clock, settings, metrics, following, reading, vacant, gate, shutdown };
    let both = async move {
        // The mirror ends with the campaign: it sees nobody's role any more.
        let (led, ()) = tokio::join!(campaign.run(role), mirror.run());
        led
    };
    (control, both)
}

/// How often it is said again that the store cannot be reached.
const REPEAT: Duration = Duration::from_secs(10);

/// Says that the store cannot be reached, when that is news or was not said for a while.
fn complain(why: &StoreError, said: &mut Option<(String, Instant)>) {
    let text = why.to_string();
    if said.as_ref().is_none_or(|(before, at)| *before != text || at.elapsed() >= REPEAT) {
        tracing::warn!(error = text, "cannot reach the store yet");
        *said = Some((text, Instant::now()));
    }
}

impl Campaign {
    async fn run(self, role: watch::Sender<Role>) -> Result<(), StoreError> {
        // Spread by name: two processes that lost the same database do not ask it in step.
        let seed = self.settings.address.bytes().fold(0, |seed: u64, byte| seed.rotate_left(8) ^ u64::from(byte));
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2), seed);
        let (mut prepared, mut said) = (false, None);
        while !self.shutdown.is_cancelled() {
            let bid = self.bid(&mut prepared).await;
            let wait = match bid {
                Ok(Bid::Won(term)) => {
                    backoff.reset();
                    let ended = self.term(term, &role).await;
                    role.send_replace(Role::Idle);
                    self.metrics.leader(None);
                    self.gate.stands_by("this config-service does not lead");
                    match ended {
                        Ok(Ended::Stopping) if self.shutdown.is_cancelled() => break,
                        Ok(Ended::Stopping) => {
                            tracing::info!(%term, "stepped down");
                            self.stand_back(&role).await;
                            continue;
                        }
                        Ok(Ended::Fenced) => tracing::warn!(%term, "the term is over, another leads"),
                        Ok(Ended::Generation(generation)) => {
                            tracing::warn!(
                                generation,
                                "a new generation begins: every pod registers anew and reports what it holds"
                            );
                        }
                        Ok(Ended::Unsure(why)) => tracing::warn!(%term, error = %why, "reading everything anew"),
                        Err(StoreError::Unusable(why)) => return Err(StoreError::Unusable(why)),
                        Err(why) => tracing::warn!(%term, error = %why, "cannot read the database"),
                    }
                    backoff.next_wait()
                }
                Ok(Bid::Held { address, remaining }) => {
                    backoff.reset();
                    let leader = (!address.is_empty()).then_some(address);
                    self.gate.stands_by(&format!("{} leads", leader.as_deref().unwrap_or("another config-service")));
                    role.send_if_modified(|role| {
                        let known = matches!(role, Role::Follower { leader: known } if *known == leader);
                        *role = Role::Follower { leader: leader.clone() };
                        !known
                    });
                    remaining.clamp(Duration::from_millis(20), self.settings.leader_lease / 3)
                }
                Err(StoreError::Unusable(why)) => return Err(StoreError::Unusable(why)),
                Err(why) => {
                    self.metrics.store_error(&why);
                    complain(&why, &mut said);
                    self.gate.stands_by("the store cannot be reached");
                    backoff.next_wait()
                }
            };
            tokio::select! {
                () = self.shutdown.cancelled() => break,
                () = tokio::time::sleep(wait) => {}
                () = self.vacant.notified() => {}
            }
        }
        Ok(())
    }

    /// Leaves the leadership to another for as long as a term lasts, and says who has it.
    async fn stand_back(&self, role: &watch::Sender<Role>) {
        let until = Instant::now() + self.settings.leader_lease;
        // It follows meanwhile whoever takes it.
        role.send_replace(Role::Follower { leader: None });
        tokio::select! {
            () = self.shutdown.cancelled() => {}
            () = tokio::time::sleep_until(until) => {}
        }
    }

    async fn bid(&self, prepared: &mut bool) -> Result<Bid, StoreError> {
        if !*prepared {
            self.store.prepare().await?;
            *prepared = true;
        }
        self.store.lead(self.settings.address.clone(), self.settings.leader_lease).await
    }

    /// Leads for one term, and gives it up in the end.
    async fn term(&self, term: Term, role: &watch::Sender<Role>) -> Result<Ended, StoreError> {
        let ended = self.serve(term, role).await;
        let fenced = matches!(ended, Ok(Ended::Fenced) | Err(StoreError::Fenced));
        if !fenced && let Err(why) = self.store.resign(term).await {
            tracing::debug!(error = %why, "cannot resign; the term ends by itself");
        }
        ended
    }

    async fn serve(&self, term: Term, role: &watch::Sender<Role>) -> Result<Ended, StoreError> {
        let began = Instant::now();
        let Some((model, plans)) = self.read(term, role).await? else { return Ok(Ended::Stopping) };
        let Some(weights) = self.renewing(term, self.store.weights()).await? else { return Ok(Ended::Stopping) };
        let (pods, targets, revision) = (model.pods().len(), model.len(), model.revision());
        let closed = self.shutdown.child_token();
        let _end_watches = closed.clone().drop_guard();
        let hub = Hub::new(revision, self.settings.watch_backlog, self.settings.max_watchers, closed);
        let (commands, waiting) = mpsc::channel(COMMANDS);
        let mut desk = Desk::new(
            Arc::clone(&self.store),
            Arc::clone(&self.clock),
            self.settings.clone(),
            self.metrics.clone(),
            hub.clone(),
            term,
            (model, plans),
        );
        desk.remember(weights);
        let standing = desk.standing();
        let leave = self.shutdown.child_token();
        role.send_replace(Role::Leader(Leading { commands, hub, standing, term, leave: leave.clone() }));
        self.metrics.leader(Some(term));
        self.gate.leads();
        let took_ms = began.elapsed().as_millis();
        tracing::info!(%term, %revision, pods, targets, took_ms, "leading");
        Ok(desk.run(waiting, &leave).await)
    }

    /// Returns all there is, and the plans whose moves are being made. Whoever has followed reads little of it: the assignments it
    /// has, and what they have become since is in the log (docs/adr/0016). None when the service stops.
    async fn read(&self, term: Term, role: &watch::Sender<Role>) -> Result<Option<(Model, Vec<Plan>)>, StoreError> {
        let known = self.known(term, role).await?;
        let (known, room) = match known {
            Some(copy) => {
                let missed = self.store.catch_up(term, copy.revision(), MISSED);
                let Some(missed) = self.renewing(term, missed).await? else { return Ok(None) };
                let room = copy.all().clone();
                (missed.map(|missed| (copy, missed)), room)
            }
            None => (None, Assignments::default()),
        };
        if let Some((copy, Missed { mut rest, changes })) = known {
            let plans = std::mem::take(&mut rest.plans);
            return Ok(Some((Model::caught_up(copy, rest, changes), plans)));
        }
        let Some(mut snapshot) = self.renewing(term, self.store.load_again(term, room)).await? else { return Ok(None) };
        let plans: Vec<Plan> = std::mem::take(&mut snapshot.plans);
        Ok(Some((Model::new(snapshot), plans)))
    }

    /// Returns a copy of what this process knows from following. One that is just reading it all is waited for: reading it twice
    /// takes longer, and room.
    async fn known(&self, term: Term, role: &watch::Sender<Role>) -> Result<Option<Model>, StoreError> {
        let mut reading = self.reading.clone();
        let read: Answer<'_, ()> = Box::pin(async move {
            // The mirror runs as long as this does.
            let _ = reading.wait_for(|reading| !reading).await;
            Ok(())
        });
        self.renewing(term, read).await?;
        let following = self.following.borrow().clone();
        let Some(following) = following else {
            role.send_replace(Role::Idle);
            return Ok(None);
        };
        let look = |reply: Reply<Model>| {
            // This process may have stopped to wait for it.
            Ask::Look(Box::new(move |model| drop(reply.send(Ok(model.clone())))))
        };
        let known = following.ask(look).await.ok();
        if known.is_none() {
            role.send_replace(Role::Idle);
        }
        Ok(known)
    }

    /// Waits for something that takes longer than a term lasts with a large database, and renews the term meanwhile. None when
    /// the service stops.
    async fn renewing<T>(&self, term: Term, mut work: Answer<'_, T>) -> Result<Option<T>, StoreError> {
        loop {
            tokio::select! {
                done = &mut work => return done.map(Some),
                () = self.shutdown.cancelled() => return Ok(None),
                () = tokio::time::sleep(self.settings.leader_lease / 3) => {
                    self.store.renew(term, self.settings.leader_lease).await?;
                }
            }
        }
    }
}
