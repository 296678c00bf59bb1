//! What this pod may act for, now: its lease and its targets with their epochs. Whoever runs a handler or writes a
//! target's row takes a [`Guard`], which only this module makes, and has it checked again in the transaction, at the
//! acknowledgement and before every side effect (OWNERSHIP.md, Leases and Epochs). Knows no database and no network.

mod log;
mod state;

pub(crate) use log::{Act, OwnershipLog, What};
pub use state::{Acquired, Changes};

#[cfg(feature = "plant")]
use shared::plant::{self, Bug};
use shared::wire::control::{Life, Watch};
use shared::{Clock, Epoch, Mono, PodId, Revision, TargetId, Term, lease::Lease, lease::LeaseTerms, lease::Use};
use state::{Held, State};
use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock, PoisonError, RwLock},
    time::Duration,
};
use tokio::sync::watch;

/// The right to act for one target under one epoch. It can only be had from [`Ownership::guard`] and proves nothing by
/// itself later on: [`Ownership::check`] says whether it still holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    target: TargetId,
    epoch: Epoch,
}

impl Guard {
    /// Returns the target.
    pub fn target(&self) -> &TargetId {
        &self.target
    }

    /// Returns the fencing token.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }
}

/// Why the pod may not act.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The target is another pod's, or nobody's. `epoch` is the highest this pod knows of it.
    #[error("this pod does not own the target")]
    NotOwner {
        /// The epoch known here.
        epoch: Epoch,
    },
    /// The pod holds no lease that is valid long enough.
    #[error("{0}")]
    NotServing(&'static str),
    /// The target is this pod's, and its data is not here: nothing is begun empty (OWNERSHIP.md, Data).
    #[error(
        "the target's data is not here yet; bring back the pod that has it, or accept its loss with POST \
         /v1/pods/POD/accept-data-loss"
    )]
    Quarantined,
    /// The target is this pod's, and a move is taking it away: nothing new begins.
    #[error("the target is being moved to another pod")]
    Moving,
}

/// A message of the watch that was taken in and does not count yet.
#[must_use = "what was staged counts only once it is admitted"]
#[derive(Debug)]
pub struct Staged {
    changes: Changes,
    completes: Option<Revision>,
}

impl Staged {
    /// Returns what it changes.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Returns up to where the pod knows its assignments once this is admitted; none when it is only a part.
    pub fn completes(&self) -> Option<Revision> {
        self.completes
    }
}

/// The pod's ownership. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Ownership(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pod: PodId,
    clock: Arc<dyn Clock>,
    terms: LeaseTerms,
    state: RwLock<State>,
    log: OnceLock<OwnershipLog>,
    revision: watch::Sender<Revision>,
}

impl Ownership {
    /// Makes an ownership of nothing.
    pub fn new(pod: PodId, clock: Arc<dyn Clock>, terms: LeaseTerms) -> Self {
        let revision = watch::Sender::new(Revision(0));
        Self(Arc::new(Inner { pod, clock, terms, state: RwLock::default(), log: OnceLock::new(), revision }))
    }

    /// Writes down from now on who acts for what.
    pub(crate) fn write_log(&self, log: OwnershipLog) {
        // Only once: a pod has one log.
        let _ = self.0.log.set(log);
    }

    /// Returns the ownership log, when one is written.
    pub(crate) fn log(&self) -> Option<&OwnershipLog> {
        self.0.log.get()
    }

    /// Returns the pod's name.
    pub fn pod(&self) -> &PodId {
        &self.0.pod
    }

    /// Returns the clock everything here is measured by.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
    }

    /// Returns the protocol's constants.
    pub fn terms(&self) -> &LeaseTerms {
        &self.0.terms
    }

    /// Returns the right to act for `target`, for new work.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn guard(&self, target: &TargetId) -> Result<Guard, Denied> {
        let state = self.read();
        self.lease_allows(&state, Use::Accept)?;
        match state.owned.get(target) {
            #[cfg(feature = "plant")]
            Some(epoch) if plant::on(Bug::FrozenAccepts) => Ok(Guard { target: target.clone(), epoch: *epoch }),
            Some(_) if state.moving.contains(target) => Err(Denied::Moving),
            Some(epoch) => Ok(Guard { target: target.clone(), epoch: *epoch }),
            None if state.withheld.contains_key(target) => Err(Denied::Quarantined),
            None => Err(Denied::NotOwner { epoch: state.known(target).unwrap_or_default() }),
        }
    }

    /// Lets nothing new begin for a target that is frozen. What runs may end: its guard holds for what it does.
    pub fn freeze(&self, target: &TargetId) {
        self.write().moving.insert(target.clone());
    }

    /// Lets new work begin again.
    pub fn thaw(&self, target: &TargetId) {
        self.write().moving.remove(target);
    }

    /// Returns the right to end what was begun for a target that is being frozen.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn finishing(&self, target: &TargetId) -> Result<Guard, Denied> {
        let state = self.read();
        self.lease_allows(&state, Use::Act)?;
        match state.owned.get(target) {
            Some(epoch) => Ok(Guard { target: target.clone(), epoch: *epoch }),
            None => Err(Denied::NotOwner { epoch: state.known(target).unwrap_or_default() }),
        }
    }

    /// Says whether a guard still holds for `what`. Called at every use.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn check(&self, guard: &Guard, what: Use) -> Result<(), Denied> {
        let state = self.read();
        #[cfg(feature = "plant")]
        if plant::on(Bug::LeaseNotChecked) && state.owned.get(&guard.target) == Some(&guard.epoch) {
            return Ok(());
        }
        self.lease_allows(&state, what)?;
        #[cfg(feature = "plant")]
        if plant::on(Bug::EpochNotChecked) {
            return Ok(());
        }
        match state.owned.get(&guard.target) {
            Some(epoch) if *epoch == guard.epoch => Ok(()),
            Some(epoch) => Err(Denied::NotOwner { epoch: *epoch }),
            None => Err(Denied::NotOwner { epoch: state.known(&guard.target).unwrap_or(guard.epoch) }),
        }
    }

    /// Says whether the lease allows `what`, for any target.
    ///
    /// # Errors
    /// [`Denied::NotServing`].
    pub fn check_lease(&self, what: Use) -> Result<(), Denied> {
        self.lease_allows(&self.read(), what)
    }

    fn lease_allows(&self, state: &State, what: Use) -> Result<(), Denied> {
        let held = state.lease.ok_or(Denied::NotServing("this pod holds no lease"))?;
        if state.revision < held.not_before {
            return Err(Denied::NotServing("this pod has not heard of its assignments yet"));
        }
        if held.lease.allows(what, self.0.clock.now(), &self.0.terms) {
            Ok(())
        } else {
            Err(Denied::NotServing("this pod's lease is over or about to be"))
        }
    }

    /// Takes a lease into use, or renews it. A new lease id counts only from `not_before` on; without one what the pod has
    /// kept counts at once: the same life of it goes on (OWNERSHIP.md, Leases 12). A renewal keeps what the lease began
    /// with, and never shortens it.
    pub fn hold(&self, lease: Lease, not_before: Option<Revision>) {
        let not_before = not_before.unwrap_or_default();
        let mut state = self.write();
        match &mut state.lease {
            Some(held) if held.lease.id == lease.id => {
                held.lease.valid_until = held.lease.valid_until.max(lease.valid_until);
            }
            other => *other = Some(Held { lease, not_before }),
        }
    }

    /// Gives the lease up: from now on nothing is allowed.
    pub fn drop_lease(&self) {
        self.write().lease = None;
    }

    /// Returns the lease and how much validity is left.
    pub fn lease(&self) -> Option<(Lease, Duration)> {
        let now: Mono = self.0.clock.now();
        self.read().lease.map(|held| (held.lease, held.lease.remaining(now)))
    }

    /// Takes in a message of this pod's assignment stream. What the pod lost, or owns under a new epoch, is withdrawn at
    /// once; what it gained may be served only after [`Ownership::admit`], so that the owner of the rows can get ready in
    /// between (what was accepted earlier comes first).
    ///
    /// ```text
    /// stage: guards of lost targets die ── released, acquired are told to the engine ── admit: guards are given, the
    ///                                                                              revision counts, waiters are woken
    /// ```
    pub fn stage(&self, message: Watch) -> Staged {
        let mut state = self.write();
        let completes = message.completes();
        #[cfg(feature = "plant")]
        let before = state.owned.clone();
        let changes = match message {
            Watch::Snapshot { first, more, assignments, .. } => state.snapshot(&self.0.pod, first, more, assignments),
            Watch::Delta { assignments, .. } => state.delta(&self.0.pod, assignments),
            Watch::Bookmark { .. } => Changes::default(),
            Watch::Resync { .. } => {
                state.start_over();
                Changes::default()
            }
        };
        #[cfg(feature = "plant")]
        if plant::on(Bug::LostTargetServed) {
            state.owned.extend(before);
        }
        Staged { changes, completes }
    }

    /// Makes what was staged count: acquired targets are served, the revision is known. Those in `unfit` are not served:
    /// the database holds rows of theirs that are not the newest, and never begins a second set.
    pub fn admit(&self, staged: Staged, unfit: &[TargetId]) {
        let unfit: BTreeSet<_> = unfit.iter().collect();
        let mut state = self.write();
        for Acquired { target, epoch, .. } in staged.changes.acquired {
            state.elsewhere.remove(&target);
            if unfit.contains(&target) {
                state.withheld.insert(target, epoch);
            } else {
                state.withheld.remove(&target);
                state.owned.insert(target, epoch);
            }
        }
        if let Some(revision) = staged.completes {
            state.revision = state.revision.max(revision);
            self.0.revision.send_replace(state.revision);
        }
    }

    /// Stages and admits a message in one step, for when nobody has to get ready in between.
    pub fn apply(&self, message: Watch) -> Changes {
        let staged = self.stage(message);
        let changes = staged.changes.clone();
        self.admit(staged, &[]);
        changes
    }

    /// Takes up what the pod's database says it owned, as of `revision` of a cluster generation. It counts under a lease
    /// that was kept too, or once the assignment stream has confirmed it.
    pub fn take_up(&self, owned: Vec<(TargetId, Epoch)>, revision: Revision, generation: u32) {
        let mut state = self.write();
        state.owned = owned.into_iter().collect();
        (state.revision, state.generation) = (revision, generation);
        self.0.revision.send_replace(revision);
    }

    /// Serves nothing of what the pod owned any more: this life of it is over, and another begins. The targets are its own
    /// still as far as it has heard; they are denied until another pod gets them or they are given back.
    pub fn give_all_up(&self) {
        let mut state = self.write();
        state.lease = None;
        state.start_over();
        let owned = std::mem::take(&mut state.owned);
        state.withheld.extend(owned);
        state.restoring.clear();
    }

    /// Notes the cluster's generation. The log of a new one begins anew: a position in the old one says nothing about it
    /// (OWNERSHIP.md, Leases 11).
    pub fn begin_generation(&self, generation: u32) {
        let mut state = self.write();
        if generation > state.generation {
            state.generation = generation;
            state.revision = Revision(0);
            state.start_over();
            self.0.revision.send_replace(Revision(0));
        }
    }

    /// Returns the cluster generation the revision is of.
    pub fn generation(&self) -> u32 {
        self.read().generation
    }

    /// Notes that somebody leads, or has led, in this term.
    pub fn heard_of_term(&self, term: Term) {
        let mut state = self.write();
        state.term = state.term.max(term);
    }

    /// Returns the highest term that this pod has heard of: a leader of a lower one stops when it is told (OWNERSHIP.md,
    /// Leases 11).
    pub fn term(&self) -> Term {
        self.read().term
    }

    /// Waits until the pod has heard of `target` under `epoch` or a later one, at most for `most`: a router may be ahead of
    /// this pod's own stream. The revision would not do: a router learns of a first contact before its table is complete.
    pub async fn heard_of(&self, target: &TargetId, epoch: Epoch, most: Duration) -> bool {
        let heard = || self.read().known(target).is_some_and(|known| known >= epoch);
        if heard() {
            return true;
        }
        // Subscribed before the second look, so that nothing admitted in between is missed.
        let mut seen = self.0.revision.subscribe();
        let waiting = async {
            while !heard() {
                if seen.changed().await.is_err() {
                    return false;
                }
            }
            true
        };
        tokio::time::timeout(most, waiting).await.unwrap_or(false)
    }

    /// Returns who owns `target` as far as this pod knows, for honest `not-owner` answers.
    pub fn owner(&self, target: &TargetId) -> Option<PodId> {
        let state = self.read();
        match state.owned.contains_key(target) {
            true => Some(self.0.pod.clone()),
            false => state.elsewhere.get(target).map(|(pod, _)| pod.clone()),
        }
    }

    /// Returns up to which revision the pod knows its assignments.
    pub fn revision(&self) -> Revision {
        self.read().revision
    }

    /// Returns how it changes up to which revision the pod knows its assignments.
    pub(crate) fn revisions(&self) -> watch::Receiver<Revision> {
        self.0.revision.subscribe()
    }

    /// Returns the targets of this pod's whose data it is to restore, with their epochs, and whose replica has it.
    pub(crate) fn to_restore(&self) -> Vec<(TargetId, Epoch, Life)> {
        let state = self.read();
        let mut all: Vec<_> =
            state.restoring.iter().map(|(target, (epoch, life))| (target.clone(), *epoch, life.clone())).collect();
        all.sort();
        all
    }

    /// Returns the epoch under which the pod owns `target`, lease or not.
    pub fn epoch(&self, target: &TargetId) -> Option<Epoch> {
        self.read().owned.get(target).copied()
    }

    /// Returns all targets the pod owns, ordered.
    pub fn targets(&self) -> Vec<(TargetId, Epoch)> {
        let mut all: Vec<_> = self.read().owned.iter().map(|(target, epoch)| (target.clone(), *epoch)).collect();
        all.sort();
        all
    }

    /// Returns those of the targets the pod owns that are `wanted`.
    pub(crate) fn owned_by(&self, wanted: impl Fn(&TargetId) -> bool) -> BTreeSet<TargetId> {
        self.read().owned.keys().filter(|target| wanted(target)).cloned().collect()
    }

    /// Returns how many targets the pod owns.
    pub fn count(&self) -> usize {
        self.read().owned.len()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.0.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, State> {
        self.0.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
