//! A pod that has a lease id: its heartbeats under way, until when the lease is valid, and the witness config it may use.
//! Decides what is due for that one lease; not when another one is asked for.

use super::{Output, Remembered, promises::Promises};
use crate::lease::{Lease, LeaseTerms};
#[cfg(feature = "plant")]
use crate::plant::{self, Bug};
use crate::wire::control::{Peer, Registered, Witnesses};
use crate::{LeaseId, Mono, PodId, Revision};
use std::time::Duration;

/// The smallest step of a clock.
const NANO: Duration = Duration::from_nanos(1);

/// A heartbeat under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Beat {
    pub(super) nonce: u64,
    /// The pod's clock before it was sent: the validity of its grant counts from here.
    pub(super) sent: Mono,
    pub(super) leaving: bool,
}

/// A pod under one lease id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Tenant {
    pub(super) lease_id: LeaseId,
    heartbeat: Duration,
    pub(super) give_up: Duration,
    beat_at: Mono,
    /// The one that goes to config-service itself.
    beat: Option<Beat>,
    /// The one that a witness passes on.
    relayed: Option<Beat>,
    /// The witness that passes heartbeats on, and when the next one goes that way.
    via: Option<(PodId, Mono)>,
    /// Until when it is known to be valid.
    valid_until: Mono,
    /// Whether its end is still to be told.
    running: bool,
    /// The newest witness config on disk under this lease. Without one the lease is not held and nobody is asked.
    witnesses: Option<Witnesses>,
    /// A config that is not on disk yet.
    newer: Option<Witnesses>,
    /// The grant that waits for the lease to be on disk.
    granted: Option<Revision>,
    pub(super) promises: Promises,
    said_goodbye: bool,
}

impl Tenant {
    /// A lease that was just registered for.
    pub(super) fn registered(answer: &Registered, now: Mono) -> Self {
        Self {
            lease_id: answer.lease_id,
            heartbeat: Duration::from_millis(answer.heartbeat_ms.max(1)),
            give_up: Duration::from_millis(answer.lease_ms) / 4,
            beat_at: now,
            beat: None,
            relayed: None,
            via: None,
            valid_until: Mono::ZERO,
            running: false,
            witnesses: None,
            newer: None,
            granted: None,
            promises: Promises::default(),
            said_goodbye: false,
        }
    }

    /// The lease of the process before this one (OWNERSHIP.md, Leases 12): worth nothing until it is granted or promised anew.
    pub(super) fn remembered(remembered: Remembered, terms: &LeaseTerms) -> Self {
        Self {
            lease_id: remembered.lease_id,
            heartbeat: terms.heartbeat,
            give_up: terms.duration / 4,
            beat_at: Mono::ZERO,
            beat: None,
            relayed: None,
            via: None,
            valid_until: Mono::ZERO,
            running: false,
            witnesses: Some(remembered.witnesses),
            newer: None,
            granted: None,
            promises: Promises::default(),
            said_goodbye: false,
        }
    }

    pub(super) fn witnesses(&self) -> Option<&Witnesses> {
        self.witnesses.as_ref()
    }

    pub(super) fn wake_at(&self, terms: &LeaseTerms, leaving: bool) -> Option<Mono> {
        let beat = self.beat.is_none().then_some(self.beat_at);
        let relay = self.via.as_ref().filter(|_| self.may_relay() && !leaving).map(|(_, at)| *at);
        let end = self.running.then(|| self.stops_at(terms));
        let ask = self.asks_at(terms).filter(|_| !leaving);
        beat.into_iter().chain(relay).chain(end).chain(ask).min()
    }

    /// From here on the pod takes no new work, unless it gets more.
    fn stops_at(&self, terms: &LeaseTerms) -> Mono {
        self.valid_until.before(terms.accept_floor).after(NANO)
    }

    /// From here on the witnesses are asked; never, before the lease is on disk, or when the terms say so.
    pub(super) fn asks_at(&self, terms: &LeaseTerms) -> Option<Mono> {
        let asks = self.witnesses.is_some() && !self.said_goodbye && !terms.extend_below.is_zero();
        asks.then(|| self.valid_until.before(terms.extend_below).after(NANO).max(self.promises.ask_at))
    }

    /// Takes the heartbeats under way for sent at `now`.
    #[cfg(feature = "plant")]
    pub(super) fn sent_just_now(&mut self, now: Mono) {
        self.beat.iter_mut().chain(&mut self.relayed).for_each(|beat| beat.sent = now);
    }

    /// Holds a remembered lease as if it had been granted just now.
    #[cfg(feature = "plant")]
    pub(super) fn presume(&mut self, now: Mono, terms: &LeaseTerms) -> Option<Output> {
        let presumed = self.witnesses.is_some() && self.valid_until == Mono::ZERO;
        self.valid_until = if presumed { terms.valid_until(now) } else { self.valid_until };
        presumed.then(|| self.hold(None))
    }

    /// Returns true once when the lease has run out.
    pub(super) fn runs_out(&mut self, now: Mono, terms: &LeaseTerms) -> bool {
        let over = self.running && self.stops_at(terms) <= now;
        self.running &= !over;
        over
    }

    pub(super) fn is_done(&self) -> bool {
        self.said_goodbye && self.beat.is_none()
    }

    pub(super) fn beat_is_due(&self, now: Mono, leaving: bool) -> bool {
        self.beat.is_none() && (leaving || self.beat_at <= now)
    }

    pub(super) fn may_relay(&self) -> bool {
        self.relayed.is_none() && !self.said_goodbye
    }

    /// Returns the witness that the next heartbeat goes through, when one is due that way.
    pub(super) fn relay_is_due(&self, now: Mono) -> Option<PodId> {
        let (via, at) = self.via.as_ref()?;
        (self.may_relay() && *at <= now).then(|| via.clone())
    }

    pub(super) fn beat(&mut self, now: Mono, nonce: u64, leaving: bool) {
        self.beat = Some(Beat { nonce, sent: now, leaving });
        self.beat_at = now.after(self.heartbeat);
        self.said_goodbye = leaving;
    }

    /// Goes on through that witness, once per heartbeat, until it fails or config-service answers the pod itself.
    pub(super) fn relay(&mut self, now: Mono, nonce: u64, via: PodId) {
        self.relayed = Some(Beat { nonce, sent: now, leaving: false });
        self.via = Some((via, now.after(self.heartbeat)));
    }

    /// Takes the heartbeat that a grant with this nonce answers.
    ///
    /// # Errors
    /// Why it answers none. The heartbeats under way are over then: some call of theirs was answered wrongly, and their true
    /// grants, should they still come, are worth nothing.
    pub(super) fn take_beat(&mut self, nonce: u64) -> Result<Beat, &'static str> {
        let is_it = |beat: &mut Beat| beat.nonce == nonce;
        #[cfg(feature = "plant")]
        let is_it = |beat: &mut Beat| is_it(beat) || plant::on(Bug::NonceNotChecked);
        if let Some(beat) = self.beat.take_if(is_it) {
            self.via = None;
            return Ok(beat);
        }
        if let Some(beat) = self.relayed.take_if(is_it) {
            return Ok(beat);
        }
        let under_way = self.beat.take().is_some() | self.relayed.take().is_some();
        Err(if under_way { "the grant answers another heartbeat" } else { "no heartbeat was under way" })
    }

    /// Notes that the heartbeat with this nonce failed. Returns whether it was under way to config-service itself: a
    /// witness' word on the lease does not count.
    pub(super) fn fail_beat(&mut self, nonce: u64) -> bool {
        let is_it = |beat: &mut Beat| beat.nonce == nonce;
        if self.relayed.take_if(is_it).is_some() {
            self.via = None;
        }
        self.beat.take_if(is_it).is_some()
    }

    /// Notes a grant. A lease that is not on disk yet is held only once it is.
    pub(super) fn granted(&mut self, valid_until: Mono, revision: Revision) -> Option<Output> {
        self.valid_until = self.valid_until.max(valid_until);
        if self.witnesses.is_none() {
            // The first grant's revision: what the pod remembers may be older than that.
            self.granted.get_or_insert(revision);
            return None;
        }
        Some(self.hold(Some(revision)))
    }

    /// Notes the witness config of a grant. One version names the same pods always, but an address may be new.
    pub(super) fn told_of(&mut self, witnesses: Witnesses) {
        let known = self.witnesses.as_ref().map_or(0, |known| known.version);
        let news = self.witnesses.as_ref() != Some(&witnesses) && self.newer.as_ref() != Some(&witnesses);
        if news && (self.witnesses.is_none() || witnesses.version >= known) {
            self.newer = Some(witnesses);
        }
    }

    /// Returns the config that is still to be kept.
    pub(super) fn unkept(&self) -> Option<&Witnesses> {
        self.newer.as_ref()
    }

    /// Notes that the lease is on disk with this config.
    pub(super) fn kept(&mut self, witnesses: Witnesses) -> Option<Output> {
        self.newer.take_if(|newer| *newer == witnesses);
        self.witnesses = Some(witnesses);
        self.granted.take().map(|revision| self.hold(Some(revision)))
    }

    /// Begins a round of questions.
    pub(super) fn round(&mut self, now: Mono) -> Vec<Peer> {
        let Some(witnesses) = &self.witnesses else { return Vec::new() };
        self.promises.round(now, witnesses, self.heartbeat)
    }

    /// Extends the lease by what is promised (OWNERSHIP.md, Leases 3).
    pub(super) fn extend(&mut self, now: Mono, terms: &LeaseTerms) -> Option<Output> {
        let since = self.promises.since(now, self.witnesses.as_ref()?)?;
        let until = terms.extended_until(since);
        (until > self.valid_until.max(now)).then(|| {
            self.valid_until = until;
            self.hold(None)
        })
    }

    fn hold(&mut self, not_before: Option<Revision>) -> Output {
        self.running = true;
        Output::Hold { lease: Lease { id: self.lease_id, valid_until: self.valid_until }, not_before }
    }
}
