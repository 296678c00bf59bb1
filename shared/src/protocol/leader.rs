//! The leader (OWNERSHIP.md, Leases 2, 5 to 7, 9, 10, 13 and 14): whom it grants a lease, whom it fences, and whom it buries.
//! Knows no database, no network and no targets: what has to be written it asks for, and goes on when it is told that it
//! stands there. Its shell keeps the term; a commit whose outcome is unknown ends this leader, and a new one begins from
//! what is in the database.
//!
//! ```text
//!  Beat ─▶ Check ─▶ Checked ─▶ Grant                    silent 3 s ─▶ Write(Fencing) ─▶ Fence to all witnesses ─▶ Fenced …
//!  QF of this round in every config, grants and promises over, leader old enough ─▶ Write(Bury) ─▶ the shell moves targets
//!  pods came, went, acknowledged ─▶ Write(Members)
//! ```

mod chains;
mod checks;
mod look;
mod pod;
mod words;

use super::members::Members;
use super::silence::{Pace, Silence};
use crate::lease::LeaseTerms;
#[cfg(feature = "plant")]
use crate::plant::{self, Bug};
use crate::wire::control::{Chain, Heartbeat};
use crate::wire::peers::{Fenced, Mark};
use crate::{Incarnation, LeaseId, Mono, PodId, Term};
use chains::Verdict;
use checks::{Checks, Waiting};
use pod::{Life, Pod};
use std::{collections::BTreeMap, time::Duration};

pub use look::Blocked;
pub use words::{Input, Intent, Known, Note, Output, Patience, Proof, Why};

/// The state machine. Its owner calls [`Leader::handle`] with everything that happens and not later than
/// [`Leader::wake_at`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Leader {
    term: Term,
    terms: LeaseTerms,
    patience: Patience,
    /// When its takeover had been committed.
    since: Mono,
    pods: BTreeMap<PodId, Pod>,
    members: Members,
    /// The config being written.
    stepping: Option<Members>,
    checks: Checks,
    silence: Silence,
    /// The paces of fencing and of burying.
    pace: (Pace, Pace),
    degraded: bool,
    left: bool,
    /// When it has to look at all pods.
    look_at: Mono,
}

impl Leader {
    /// Makes the leader of `term`, whose takeover was committed before `now`, with what the database says.
    pub fn new(
        term: Term,
        terms: LeaseTerms,
        now: Mono,
        pods: impl IntoIterator<Item = Known>,
        members: Members,
    ) -> Self {
        let pods = pods.into_iter().map(|known| (known.pod.clone(), Pod::known(&known, now))).collect();
        Self {
            term,
            terms,
            patience: Patience::default(),
            since: now,
            pods,
            members,
            stepping: None,
            checks: Checks::default(),
            silence: Silence::new(now),
            pace: Default::default(),
            degraded: false,
            left: false,
            look_at: now,
        }
    }

    /// Takes other bounds than the defaults.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// Returns the witness config in force.
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// Returns every lease that is, or ever was, being fenced, as far as it is committed: for `Registered.fenced`.
    pub fn marks(&self) -> impl Iterator<Item = Mark> + '_ {
        let marked = self.pods.iter().filter(|(_, pod)| pod.marked > LeaseId(0));
        marked.map(|(name, pod)| Mark { pod: name.clone(), lease_id: pod.marked })
    }

    /// Returns for how long a lease that a leader granted to the pod may still be valid, promises aside.
    pub fn may_act_for(&self, pod: &PodId, now: Mono) -> Duration {
        let granted = self.pods.get(pod).and_then(|pod| pod.granted);
        granted.map_or(Duration::ZERO, |granted| self.terms.over_at(granted).since(now))
    }

    /// Says whether a pod may register as this incarnation now.
    ///
    /// # Errors
    /// [`Why::Buried`]: it has to begin a new one. [`Why::Superseded`]: the incarnation before it is not buried yet.
    /// [`Why::Suspended`]: a pod may still take the one before it for its witness; in a moment.
    pub fn admits(&self, pod: &PodId, incarnation: &Incarnation) -> Result<(), Why> {
        let Some(known) = self.pods.get(pod) else { return Ok(()) };
        let others = self.pods.iter().any(|(name, other)| name != pod && !other.is_buried());
        match (known.is_buried(), known.incarnation == *incarnation) {
            (true, true) => Err(Why::Buried),
            (false, false) => Err(Why::Superseded),
            (true, false) if others && self.members.names(pod) => Err(Why::Suspended),
            _ => Ok(()),
        }
    }

    /// Returns when something is due next; none while only an input can change anything.
    pub fn wake_at(&self) -> Option<Mono> {
        let check = if self.members.now.is_empty() { None } else { self.checks.due_at() };
        (!self.left).then(|| check.map_or(self.look_at, |check| check.min(self.look_at)))
    }

    /// Takes in what happened at `now` and returns what to do, in order.
    pub fn handle(&mut self, now: Mono, input: Input) -> Vec<Output> {
        let mut outputs = Vec::new();
        match input {
            Input::Beat { pod, heartbeat } => self.beat(now, pod, heartbeat, &mut outputs),
            Input::Checked { began, ok } => self.checked(now, began, ok, &mut outputs),
            Input::Registered { pod, incarnation, lease_id } => self.registered(now, pod, incarnation, lease_id),
            Input::Fenced(fenced) => self.fenced(now, &fenced, &mut outputs),
            Input::Proof { pod, of } => self.proof(now, &pod, of),
            Input::Written(intent) => self.written(now, intent),
            Input::NotWritten(intent) => self.not_written(now, &intent),
            Input::Degraded(degraded) => {
                if std::mem::replace(&mut self.degraded, degraded) {
                    self.silence.restart(now);
                }
                self.look_at = now;
            }
            Input::Left => self.leave(&mut outputs),
            Input::Tick => {}
        }
        if !self.left {
            if self.look_at <= now {
                self.look(now, &mut outputs);
            }
            if !self.members.now.is_empty() && self.checks.begin(now, self.patience.check) {
                outputs.push(Output::Check);
            }
        }
        outputs
    }

    fn beat(&mut self, now: Mono, pod: PodId, heartbeat: Heartbeat, outputs: &mut Vec<Output>) {
        if heartbeat.term > self.term {
            // OWNERSHIP.md, Leases 11: somebody leads after this one, whatever this one's own database says.
            self.leave(outputs);
        }
        let chain = heartbeat.chain;
        let waiting = Waiting::new(pod, heartbeat, now);
        match self.hear(now, &waiting, chain, outputs) {
            #[cfg(feature = "plant")]
            Ok(()) if plant::on(Bug::GrantWithoutTermCheck) && !self.members.now.is_empty() => {
                let (nonce, witnesses) = (waiting.nonce, self.members.version);
                if let Some(known) = self.pods.get_mut(&waiting.pod) {
                    known.grant(now, &waiting);
                }
                outputs.push(Output::Grant { pod: waiting.pod, nonce, witnesses });
            }
            Ok(()) => self.checks.push(waiting),
            Err(why) => outputs.push(refuse(waiting, why)),
        }
    }

    fn hear(&mut self, now: Mono, heartbeat: &Waiting, chain: Chain, outputs: &mut Vec<Output>) -> Result<(), Why> {
        let name = &heartbeat.pod;
        if self.left {
            return Err(Why::NotLeader);
        }
        let pod = self.pods.get_mut(name).ok_or(Why::Unknown)?;
        let judged = pod.judge(heartbeat, &self.members);
        if matches!(judged, Err(Why::WrongIncarnation | Why::Buried)) {
            return judged;
        }
        match pod.chains.heard(chain, heartbeat.nonce) {
            Verdict::Newest => {}
            Verdict::Replaced => return Err(Why::Superseded),
            Verdict::Cloned => {
                if pod.cloned.replace(now).is_none() {
                    outputs.push(Output::Note(Note::Cloned(name.clone())));
                }
                self.look_at = now;
                return Err(Why::Cloned);
            }
        }
        if matches!(judged, Ok(()) | Err(Why::Suspended)) {
            if pod.silent_at(&self.terms, &self.patience) <= now {
                self.look_at = now;
            }
            (pod.heard, pod.leaving) = (now, heartbeat.leaving);
        }
        judged
    }

    fn checked(&mut self, now: Mono, began: Mono, ok: bool, outputs: &mut Vec<Output>) {
        if !ok {
            let failed = self.checks.failed(began);
            outputs.extend(failed.into_iter().map(|waiting| refuse(waiting, Why::Unchecked)));
            return;
        }
        if self.members.now.is_empty() {
            return;
        }
        for waiting in self.checks.succeeded(began) {
            // It may have registered anew, or been fenced, while it waited.
            let judged = match self.pods.get(&waiting.pod) {
                Some(pod) => pod.judge(&waiting, &self.members),
                None => Err(Why::Unknown),
            };
            match (judged, self.pods.get_mut(&waiting.pod)) {
                (Ok(()), Some(pod)) => {
                    if waiting.witnesses > pod.acknowledged {
                        self.look_at = now;
                    }
                    pod.grant(now, &waiting);
                    let (nonce, witnesses) = (waiting.nonce, self.members.version);
                    outputs.push(Output::Grant { pod: waiting.pod, nonce, witnesses });
                }
                (judged, _) => outputs.push(refuse(waiting, judged.err().unwrap_or(Why::Unknown))),
            }
        }
    }

    fn registered(&mut self, now: Mono, name: PodId, incarnation: Incarnation, lease_id: LeaseId) {
        match self.pods.get_mut(&name) {
            Some(pod) => pod.registered(now, incarnation, lease_id, &self.members),
            None => drop(self.pods.insert(name, Pod::new(lease_id, incarnation, now, self.members.version))),
        }
        self.look_at = now;
    }

    /// An answer under the name of a witness counts only if it comes from the folder that was registered under it: what
    /// another one remembers of promises is not what this one gave.
    fn fenced(&mut self, now: Mono, answer: &Fenced, outputs: &mut Vec<Output>) {
        if !self.pods.get(&answer.by).is_some_and(|by| answer.lives.contains(&by.incarnation)) {
            return outputs.push(Output::Note(Note::Stranger(answer.by.clone())));
        }
        let fencing = self.pods.get_mut(&answer.pod).and_then(|pod| pod.fencing.as_mut());
        if fencing.is_some_and(|fencing| fencing.round.answered(now, answer)) {
            self.look_at = now;
        } else {
            outputs.push(Output::Note(Note::Stale(answer.by.clone())));
        }
    }

    fn proof(&mut self, now: Mono, name: &PodId, of: Proof) {
        if let Some(pod) = self.pods.get_mut(name).filter(|pod| !pod.is_buried()) {
            pod.proof = Some(of);
            self.look_at = now;
        }
    }

    fn written(&mut self, now: Mono, intent: Intent) {
        match intent {
            Intent::Fencing { pod: name, lease_id, round } => {
                let Some(pod) = self.pods.get_mut(&name) else { return };
                pod.marked = pod.marked.max(lease_id);
                pod.fenced = pod.fenced.max(lease_id);
                if let Some(fencing) = pod.fencing.as_mut().filter(|fencing| fencing.round.round == round) {
                    (fencing.written, fencing.ask_at) = (true, now);
                }
            }
            Intent::Bury { pod: name, incarnation, proof, .. } => {
                let Some(pod) = self.pods.get_mut(&name).filter(|pod| pod.incarnation == incarnation) else { return };
                pod.life = Life::Buried(now);
                if proof.is_none_or(Proof::is_certain) {
                    pod.fencing = None;
                }
            }
            Intent::Members(members) => {
                self.members = members;
                self.stepping = None;
            }
        }
        self.look_at = now;
    }

    fn not_written(&mut self, now: Mono, intent: &Intent) {
        match intent {
            Intent::Fencing { pod: name, round, .. } => {
                let Some(pod) = self.pods.get_mut(name) else { return };
                if pod.fencing.take_if(|fencing| fencing.round.round == *round).is_some() {
                    // Nobody was asked: the lease may go on.
                    pod.fenced = pod.marked;
                }
            }
            Intent::Bury { pod: name, .. } => {
                if let Some(pod) = self.pods.get_mut(name).filter(|pod| pod.life == Life::Burying) {
                    pod.life = Life::Alive;
                }
            }
            Intent::Members(_) => self.stepping = None,
        }
        // Not at once: what refused it may last.
        self.look_at = self.look_at.min(now.after(self.patience.check));
    }

    fn leave(&mut self, outputs: &mut Vec<Output>) {
        self.left = true;
        outputs.extend(self.checks.drain().into_iter().map(|waiting| refuse(waiting, Why::NotLeader)));
    }
}

fn refuse(waiting: Waiting, why: Why) -> Output {
    Output::Refuse { pod: waiting.pod, nonce: waiting.nonce, why }
}

#[cfg(test)]
mod tests;
