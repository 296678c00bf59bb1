//! Whose turn it is while the number of shards changes (docs/adr/0033): whether this shard is one that the bot has, one that comes up
//! beside those, or one that has been replaced. Decides what its events are good for; knows nothing of how they come.

use super::{Kept, LOOK, Line, Order, Stop};
use crate::discord::connector::Connection;
use shared::wire::discord::{ReshardPhase, ShardPlan, ShardRole, ShardState, ShardTail};
use std::sync::Arc;
use tokio::time::Instant;

impl Line {
    /// Returns what was planned, as far as that was asked after this pod took the shard: before, it may have been another's.
    fn plan(&self) -> Option<Arc<ShardPlan>> {
        let plan = self.parts.plan.borrow();
        plan.asked.filter(|asked| *asked >= self.begun).map(|_| Arc::clone(&plan.said))
    }

    /// Returns what the shard is for.
    pub(super) fn role(&self) -> ShardRole {
        let holds = || self.forgets_nothing() && self.is_coming();
        if self.kept.tail.is_some() {
            ShardRole::Closed
        } else if self.kept.beside {
            if holds() { ShardRole::Holding } else { ShardRole::Beside }
        } else if self.session.is_some() || self.kept.session.is_some() || self.is_one() {
            ShardRole::Live
        } else {
            ShardRole::Unused
        }
    }

    fn is_one(&self) -> bool {
        self.plan().is_some_and(|plan| plan.shards == Some(self.parts.shard.count))
    }

    fn is_coming(&self) -> bool {
        self.plan().is_some_and(|plan| plan.coming == Some(self.parts.shard.count))
    }

    /// Returns whether it is neither of those that the bot has nor of those that it is to have.
    fn is_none(&self) -> bool {
        let count = Some(self.parts.shard.count);
        self.plan().is_some_and(|plan| plan.shards.is_some() && plan.shards != count && plan.coming != count)
    }

    /// Returns whether nothing that comes is old enough to be forgotten.
    pub(super) fn forgets_nothing(&self) -> bool {
        self.plan().is_some_and(|plan| plan.coming.is_some() && plan.phase != ReshardPhase::Beside)
    }

    /// Returns whether all that it remembered is committed since its turn came.
    pub(super) fn has_taken_over(&self) -> bool {
        self.kept.beside && self.taking_over.is_some_and(|last| self.progress.safe() >= last)
    }

    /// Waits until the shard is to have a connection. A session that was delivered from needs nobody's word to go on. Returns what
    /// came before that.
    pub(super) async fn until_used(&mut self) -> Option<Stop> {
        let mut look = tokio::time::interval(LOOK);
        loop {
            if self.is_none() && self.kept != Kept::default() {
                self.forget_all().await;
            }
            if self.kept.tail.is_some() {
                self.parts.tail.send_replace(self.kept.tail.clone());
            } else if self.kept.beside || self.kept.session.is_some() || self.is_one() {
                return None;
            } else if self.is_coming() {
                self.kept.beside = true;
                return None;
            }
            let why = match self.role() {
                ShardRole::Closed => "it has been replaced by other shards",
                _ if self.plan().is_none() => "config-service has not said yet whether the bot has this shard",
                _ => "the bot has another number of shards",
            };
            self.shows(ShardState::Held, Some(why.to_owned()));
            tokio::select! {
                _ = look.tick() => if !self.parts.home.may() {
                    return Some(Stop::Lost);
                },
                order = self.parts.orders.recv() => if let Some(stop) = Stop::by(order) {
                    return Some(stop);
                },
            }
        }
    }

    /// Does what the plan has for this shard now. Returns why it stops listening, if it does.
    pub(super) fn takes_turn(&mut self, is_ready: bool) -> Option<Stop> {
        let now = Instant::now();
        if self.is_none() {
            return Some(Stop::Unused);
        }
        let plan = self.plan()?;
        if self.kept.beside && self.taking_over.is_none() {
            if !self.forgets_nothing() {
                let session = self.progress.session();
                for seq in self.ring.forget(now, self.parts.bounds.events / 2) {
                    self.progress.committed(session, seq);
                }
            }
            let tails = match &plan.tails {
                Some(tails) if self.is_coming() && plan.phase == ReshardPhase::Closing => Some(tails.as_slice()),
                // Those before it are gone already.
                _ if self.is_one() => Some([].as_slice()),
                _ => None,
            };
            if let Some(tails) = tails.filter(|_| is_ready) {
                self.take_over(tails);
            }
        } else if self.is_one() {
            match (plan.coming.is_some(), self.brought.records()) {
                (true, false) => self.brought.begin(now),
                (false, true) => self.brought.end(),
                _ => {}
            }
            if plan.coming.is_some() && plan.phase == ReshardPhase::Closing && is_ready && self.brought.covers(now) {
                return Some(Stop::Replaced);
            }
        }
        self.shows_role(now);
        None
    }

    /// Its turn has come: what the old shards have not brought is delivered, and what comes from now on.
    fn take_over(&mut self, tails: &[ShardTail]) {
        let (session, remembered) = (self.progress.session(), self.ring.len());
        self.taking_over = Some(self.progress.received());
        let mut new = 0;
        for (one, is_new) in self.ring.take(tails) {
            if is_new {
                new += 1;
                self.bring(one.seq, one.event);
            } else {
                self.progress.committed(session, one.seq);
            }
        }
        tracing::info!(shard = %self.parts.shard, remembered, new, "the shard goes on behind those that it replaces");
    }

    /// Lets the shards that replace this one go on behind it: all that came is committed, it is kept what that was, and the
    /// connection is closed. Then waits until the bot has other shards.
    pub(super) async fn make_room(mut self, connection: Box<dyn Connection>) {
        let mut look = tokio::time::interval(LOOK);
        loop {
            if self.lanes.len() == 0 {
                self.kept.tail = Some(self.brought.told(self.parts.shard));
                if self.keep().await {
                    break;
                }
                self.kept.tail = None;
            }
            tokio::select! {
                _ = look.tick() => if !self.parts.home.may() {
                    return;
                },
                order = self.parts.orders.recv() => match order {
                    Some(Order::Hold(done)) => return self.hold(Some(connection), done).await,
                    Some(Order::GoOn) => {}
                    None => return,
                },
                (place, delivered) = self.lanes.next(&*self.parts.deliver) => self.delivered(place, delivered),
            }
        }
        tracing::info!(shard = %self.parts.shard, seq = self.progress.safe(), "the shard is closed; others go on behind it");
        drop(connection);
        if let Some(Stop::Held(done)) = self.until_used().await {
            self.hold(None, done).await;
        }
    }

    /// The bot has no such shard any more: nothing is kept of it.
    pub(super) async fn leave(mut self) {
        tracing::info!(shard = %self.parts.shard, "the bot has other shards; this one is not used");
        self.lanes.forget_waiting();
        self.forget_all().await;
        if let Some(Stop::Held(done)) = self.until_used().await {
            self.hold(None, done).await;
        }
    }

    async fn forget_all(&mut self) {
        self.session = None;
        self.parts.tail.send_replace(None);
        if self.parts.home.keep(Kept::default()).await {
            self.kept = Kept::default();
        }
    }

    /// Tells of a role, and of how much is remembered, when that has changed.
    fn shows_role(&mut self, now: Instant) {
        let shown = self.parts.status.borrow();
        let is_shown = shown.role == self.role() && shown.covered == self.brought.covers(now);
        let (state, why) = (shown.state, shown.why.clone());
        drop(shown);
        if !is_shown {
            self.shows(state, why);
        }
    }
}
