//! Between the desk and the protocol's leader (OWNERSHIP.md, Leases): tells it what happened, and carries out what it says. Also
//! what the protocol does not know: a database that is older than what pods have seen.

use super::super::{Command, ControlError, Reply, burial, burial::Burial, moves};
use super::{Desk, Ended};
use crate::domain::PodRecord;
use crate::store::StoreError;
use shared::protocol::leader::{Input, Note, Output, Proof, Why};
use shared::protocol::silence::Turn;
use shared::wire::control::{Grant, Heartbeat};
use shared::{Epoch, Mono, PodId, Revision};
use std::time::Duration;
use tokio::time::Instant;

/// How late the desk may be, and how long the database may take, before its word about silence does not count
/// (OWNERSHIP.md, Leases 14).
const LATE: Duration = Duration::from_millis(300);
const SLOW: Duration = Duration::from_secs(1);

/// How long it does not count afterwards.
const RECOVER: Duration = Duration::from_secs(2);

impl Desk {
    /// Tells the protocol what happened, and carries out what follows.
    pub(super) fn tell(&mut self, input: Input) {
        let now = self.clock.now();
        for output in self.fleet.handle(now, input) {
            match output {
                Output::Check => self.check = true,
                Output::Grant { pod, nonce, .. } => {
                    let left = self.beats.granted(&self.model, &mut self.fleet, &pod, nonce, now);
                    // It owned nothing, its database is closed, and it asks nobody for promises any more (OWNERSHIP.md,
                    // Leases 9): the others need not go on counting it among their witnesses.
                    if left && moves::is_drained(&self.model, &pod) {
                        tracing::info!(%pod, "a drained pod has said goodbye");
                        self.tell(Input::Proof { pod, of: Proof::Goodbye });
                    }
                }
                Output::Refuse { pod, nonce, why } => {
                    if why == Why::Ahead {
                        self.stop(ControlError::ConfigAhead(pod.clone()));
                    }
                    self.beats.refused(&pod, nonce, why);
                }
                Output::Write(intent) => self.intents.push(intent),
                Output::Fence { to, fence } => {
                    if let Some(witness) = self.model.pod(&to) {
                        self.fencer.ask(&witness.info.address, fence);
                    }
                }
                Output::Note(note) => tell_of(&note),
            }
        }
    }

    /// Takes a heartbeat on its way to the protocol.
    pub(super) fn heartbeat(&mut self, pod: PodId, heartbeat: Heartbeat, reply: Reply<Grant>) {
        if self.beats.push(&self.model, &self.fleet, &pod, &heartbeat, reply) {
            self.tell(Input::Beat { pod, heartbeat });
        }
    }

    /// Takes somebody's proof that a pod is dead.
    pub(super) fn proven(&mut self, mut burial: Burial) {
        let now = self.clock.now();
        match burial::may_bury(&burial.pod, &burial.proof, &self.model, &self.fleet, now) {
            Err(why) => burial.refuse(why),
            // A pod that was buried without a word may still be waited for, to say what it holds.
            Ok(record) if record.buried && !record.report => burial.done(self.model.revision()),
            Ok(record) => {
                let (pod, of, buried) = (record.info.pod.clone(), burial.proof.word(), record.buried);
                burial.targets = self.model.targets_of(&pod);
                if buried {
                    self.mutations.give_up(burial);
                } else {
                    self.intents.proven(burial);
                    self.tell(Input::Proof { pod, of });
                }
            }
        }
    }

    /// The term was in force after the check had begun, or nobody knows whether it was.
    pub(super) fn renewed(&mut self, began: Mono, done: Result<(), StoreError>) -> Result<(), Ended> {
        let ok = done.is_ok();
        match done {
            Ok(()) => {
                self.confirmed = self.clock.now();
                if std::mem::take(&mut self.away) {
                    tracing::info!("the store answers again");
                }
            }
            Err(why) => {
                self.metrics.store_error(&why);
                if matches!(why, StoreError::Fenced) {
                    return Err(Ended::Fenced);
                }
                if !std::mem::replace(&mut self.away, true) {
                    tracing::warn!(error = %why, "cannot renew the term; nothing is granted until the store answers");
                }
            }
        }
        // This database says that this leader leads still: it is not the one that the other leads by.
        if ok && let Some((_, why)) = self.deposed.take_if(|(since, _)| *since <= began) {
            self.stop(why);
        }
        self.tell(Input::Checked { began, ok });
        Ok(())
    }

    /// A pod has registered, is dead, or has reported; the model does not have it yet. Returns what the protocol is to hear.
    pub(super) fn turned(&mut self, record: &PodRecord) -> Option<Input> {
        let pod = &record.info.pod;
        if !record.report {
            self.census.forget(pod);
        }
        self.heirs.registered(record);
        let new = self.model.pod(pod).is_none_or(|before| before.lease_id != record.lease_id);
        let (pod, incarnation, lease_id) = (pod.clone(), record.info.incarnation.clone(), record.lease_id);
        new.then_some(Input::Registered { pod, incarnation, lease_id })
    }

    /// Time passes; `due` is when this was to be noticed.
    pub(super) fn pulse(&mut self, due: Instant) {
        if due.elapsed() > LATE {
            self.slow = Some(Instant::now());
            self.tell(Input::Degraded(true));
        } else if self.slow.is_some_and(|slow| slow.elapsed() > RECOVER) {
            self.slow = None;
            self.tell(Input::Degraded(false));
        }
        self.tell(Input::Tick);
    }

    /// The database has taken so long.
    pub(super) fn took(&mut self, time: Duration) {
        if time > SLOW {
            self.slow = Some(Instant::now());
            self.tell(Input::Degraded(true));
        }
    }

    /// Refuses what a leader does not do whose database is older than what a pod has seen: all that could issue again what
    /// was issued before (OWNERSHIP.md, Leases 11). Pods go on by what they promise each other.
    pub(super) fn turned_away(&mut self, command: Command) -> Option<Command> {
        self.is_deposed(&command);
        if let Some(why) = self.is_behind(&command) {
            self.stop(why);
        }
        let why = match (&self.behind, &self.deposed) {
            (Some(why), _) => why.clone(),
            (None, Some(_)) => ControlError::NotLeader { leader: None },
            (None, None) => return Some(command),
        };
        match command {
            Command::Register(_, reply) => drop(reply.send(Err(why))),
            Command::Heartbeat(_, _, reply) => drop(reply.send(Err(why))),
            Command::Place(_, reply) => drop(reply.send(Err(why))),
            Command::AcceptLoss(_, _, reply) => drop(reply.send(Err(why))),
            Command::AcceptLossOf(_, _, reply) => drop(reply.send(Err(why))),
            Command::Bury(burial) => burial.refuse(why),
            Command::Holdings(_, _, reply) => drop(reply.send(Err(why))),
            Command::Restored(_, _, reply) => drop(reply.send(Err(why))),
            Command::Recover(_, _, reply) => drop(reply.send(Err(why))),
            Command::Report(_, reply) => drop(reply.send(Err(why))),
            Command::Errand(_, reply) => drop(reply.send(Err(why))),
            Command::Wish(wish) => wish.refuse(why),
            Command::Plan(wish) => wish.refuse(why),
            other => return Some(other),
        }
        None
    }

    /// A pod that has heard of a higher term ends this leader's work at once (OWNERSHIP.md, Leases 11). What it was is known
    /// after the next check: another leads by the same database, or this database has never had that term.
    fn is_deposed(&mut self, command: &Command) {
        let (pod, seen) = match command {
            Command::Heartbeat(pod, heartbeat, _) => (pod, heartbeat.term),
            Command::Register(register, _) => (&register.pod, register.term),
            _ => return,
        };
        if seen > self.term && self.behind.is_none() && self.deposed.is_none() {
            let why = ControlError::TermAhead { pod: pod.clone(), seen, known: self.term };
            tracing::warn!(reason = %why, "somebody leads after this one: nothing is decided before the database was asked");
            self.generation_seen = self.generation_seen.max(generation_of(Revision(seen.0)));
            self.deposed = Some((self.clock.now(), why));
            self.tell(Input::Left);
            self.check = true;
        }
    }

    fn is_behind(&mut self, command: &Command) -> Option<ControlError> {
        let generation = self.model.epoch().generation();
        match command {
            Command::Heartbeat(pod, heartbeat, _) if heartbeat.revision > self.model.revision() => {
                let (seen, known) = (heartbeat.revision, self.model.revision());
                self.generation_seen = self.generation_seen.max(generation_of(seen));
                Some(ControlError::RevisionAhead { pod: pod.clone(), seen, known })
            }
            Command::Register(register, _) if register.highest_epoch.generation() > generation => {
                let (pod, seen) = (register.pod.clone(), register.highest_epoch);
                self.generation_seen = self.generation_seen.max(seen.generation());
                Some(ControlError::GenerationAhead { pod, seen, generation })
            }
            _ => None,
        }
    }

    fn stop(&mut self, why: ControlError) {
        if self.behind.is_none() {
            tracing::error!(
                reason = %why,
                "the database is older than what a pod has seen: nothing is granted nor placed; bring back the newest one, or \
                 begin a new generation with berth generation new"
            );
            self.behind = Some(why);
        }
    }
}

/// Returns the generation that a revision is of: each begins beyond all before it.
fn generation_of(revision: Revision) -> u32 {
    u32::try_from(revision.0 >> Epoch::COUNTER_BITS).unwrap_or(u32::MAX - 1) + 1
}

fn tell_of(note: &Note) {
    match note {
        Note::Silence(Turn::Mass) => tracing::warn!("most pods are silent: none is failed over until that is over"),
        Note::Silence(Turn::Over) => tracing::info!("most pods are heard again; failovers are paced"),
        Note::Silence(Turn::Calm) => tracing::info!("every pod is heard again"),
        Note::Fencing(pod) => tracing::warn!(%pod, "a pod is silent: its witnesses are asked to fence it"),
        Note::Stale(by) => tracing::debug!(%by, "a witness answered a round that is over"),
        Note::Stranger(by) => {
            tracing::warn!(%by, "a pod answers as a witness that has not registered: its answer does not count");
        }
        Note::Cloned(pod) => tracing::error!(%pod, "two processes go on as one pod: neither is granted anything"),
        Note::Single(pod) => tracing::info!(%pod, "only one process goes on as this pod"),
    }
}
