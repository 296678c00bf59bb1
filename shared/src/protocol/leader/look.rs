//! The leader's look at all pods: which config comes next, who is silent, whose fencing begins, is asked for again, or
//! allows a burial (OWNERSHIP.md, Leases 5, 7, 9, 10, 13 and 14).

use super::pod::{Fencing, Life, Pod};
use super::{Intent, Leader, Note, Output, Proof};
#[cfg(feature = "plant")]
use crate::plant::{self, Bug};
use crate::protocol::fence::Round;
use crate::{Mono, PodId};
use std::{collections::BTreeSet, time::Duration};

/// For how long the witnesses of a pod that was buried on somebody's word are told to promise it nothing.
const TELL: Duration = Duration::from_secs(60);

/// Why a silent pod is not failed over yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blocked {
    /// It is not being fenced.
    Fencing,
    /// QF witnesses have not answered yet. When most pods are really gone they never will: it takes a proof of death.
    Quorum,
    /// Its grants, a promise to it, or this leader's first D+M are not over yet.
    Time(Duration),
    /// Most pods are silent.
    Mass,
}

impl Leader {
    /// Returns why a pod is not failed over at `now`; none when it is, or when nothing is in the way of it any more.
    pub fn blocked(&self, name: &PodId, now: Mono) -> Option<Blocked> {
        let pod = self.pods.get(name).filter(|pod| pod.life == Life::Alive)?;
        if pod.fencing.is_none() {
            return Some(Blocked::Fencing);
        }
        if !pod.is_fenced(name, &self.members) {
            return Some(Blocked::Quorum);
        }
        let wait = pod.over_at(&self.terms).max(self.terms.over_at(self.since)).since(now);
        if !wait.is_zero() {
            return Some(Blocked::Time(wait));
        }
        self.silence.is_mass().then_some(Blocked::Mass)
    }

    pub(super) fn look(&mut self, now: Mono, outputs: &mut Vec<Output>) {
        let (mut live, mut silent) = (0, 0);
        for pod in self.pods.values().filter(|pod| !pod.is_buried()) {
            live += 1;
            silent += usize::from(pod.silent_at(&self.terms, &self.patience) <= now);
        }
        outputs.extend(self.silence.look(now, silent, live).map(|turn| Output::Note(Note::Silence(turn))));
        self.step(outputs);
        let mut next = now.after(self.terms.heartbeat);
        let mut pods = std::mem::take(&mut self.pods);
        for (name, pod) in &mut pods {
            let at = match pod.life {
                Life::Buried(at) => self.tell(now, name, pod, at, outputs),
                Life::Burying => None,
                Life::Alive => self.watch(now, name, pod, live, outputs),
            };
            next = at.map_or(next, |at| next.min(at));
        }
        self.pods = pods;
        self.look_at = next.max(now.after(Duration::from_nanos(1)));
    }

    /// The next witness config (OWNERSHIP.md, Leases 7). A name that some pod may still hold as that of a buried
    /// incarnation comes back only after a config without it: a promise of the one must not count for the other.
    fn step(&mut self, outputs: &mut Vec<Output>) {
        if self.stepping.is_some() {
            return;
        }
        let live = || self.pods.iter().filter(|(_, pod)| !pod.is_buried());
        let wanted: BTreeSet<PodId> = live().map(|(name, _)| name.clone()).collect();
        let lowest = live().map(|(_, pod)| pod.acknowledged).min().unwrap_or_default();
        if let Some(next) = self.members.next(wanted, lowest) {
            self.stepping = Some(next.clone());
            outputs.push(Output::Write(Intent::Members(next)));
        }
    }

    /// What is due for a pod that lives. Returns when to look again.
    fn watch(
        &mut self,
        now: Mono,
        name: &PodId,
        pod: &mut Pod,
        live: usize,
        outputs: &mut Vec<Output>,
    ) -> Option<Mono> {
        if let Some(cloned) = pod.cloned {
            self.part(now, name, pod, cloned, outputs);
        }
        if let Some(proof) = pod.proof {
            return self.proven(now, name, pod, proof, outputs);
        }
        if pod.fencing.is_none() {
            return self.suspect(now, name, pod, live, outputs);
        }
        let ask = self.ask(now, name, pod, outputs);
        if pod.cloned.is_some() || self.silence.is_mass() || !pod.is_fenced(name, &self.members) {
            return ask;
        }
        let since = self.terms.over_at(self.since);
        #[cfg(feature = "plant")]
        let since = if plant::on(Bug::NewLeaderDoesNotWait) { now } else { since };
        // After a mass silence its silence counts afresh, whatever was fenced before (OWNERSHIP.md, Leases 10).
        let afresh = pod.fence_at(&self.silence, &self.terms, &self.patience);
        let mut at = pod.over_at(&self.terms).max(since).max(afresh);
        if self.silence.is_paced() {
            at = at.max(self.pace.1.next(live));
        }
        if now < at {
            return Some(ask.map_or(at, |ask| ask.min(at)));
        }
        self.pace.1.note(now);
        bury(name, pod, None, outputs);
        None
    }

    /// A pod that is not being fenced: is it silent for too long?
    fn suspect(
        &mut self,
        now: Mono,
        name: &PodId,
        pod: &mut Pod,
        live: usize,
        outputs: &mut Vec<Output>,
    ) -> Option<Mono> {
        let silent = pod.silent_at(&self.terms, &self.patience);
        let mut at = pod.fence_at(&self.silence, &self.terms, &self.patience);
        if self.silence.is_paced() {
            at = at.max(self.pace.0.next(live));
        }
        if now < at {
            return Some(if now < silent { silent } else { at });
        }
        if !self.silence.is_mass() && !self.degraded {
            self.pace.0.note(now);
            self.fence(now, name, pod, outputs);
        }
        None
    }

    /// Begins a round for the pod's newest lease: from here on it is granted only under another one.
    fn fence(&self, now: Mono, name: &PodId, pod: &mut Pod, outputs: &mut Vec<Output>) {
        pod.rounds += 1;
        pod.fenced = pod.fenced.max(pod.lease_id);
        let round = Round::new(pod.lease_id, pod.rounds, self.term);
        pod.fencing = Some(Fencing { round, written: false, ask_at: now });
        let (lease_id, round) = (pod.lease_id, pod.rounds);
        outputs.push(Output::Note(Note::Fencing(name.clone())));
        outputs.push(Output::Write(Intent::Fencing { pod: name.clone(), lease_id, round }));
    }

    /// Asks the witnesses that have not answered, once per heartbeat, as soon as the round is committed.
    fn ask(&self, now: Mono, name: &PodId, pod: &mut Pod, outputs: &mut Vec<Output>) -> Option<Mono> {
        let fencing = pod.fencing.as_mut().filter(|fencing| fencing.written)?;
        if fencing.ask_at <= now {
            fencing.ask_at = now.after(self.terms.heartbeat);
            let questions = fencing.round.questions(name, self.members.may_hold(pod.acknowledged));
            outputs.extend(questions.into_iter().map(|(to, fence)| Output::Fence { to, fence }));
        }
        Some(fencing.ask_at)
    }

    /// Two processes go on as this pod: their lease is fenced, and nothing is granted before it is certainly over and one of
    /// them has fallen silent for as long.
    fn part(&self, now: Mono, name: &PodId, pod: &mut Pod, cloned: Mono, outputs: &mut Vec<Output>) {
        if pod.fencing.as_ref().is_none_or(|fencing| fencing.round.lease_id < pod.granted_lease) {
            self.fence(now, name, pod, outputs);
        }
        let quiet = self.terms.over_at(cloned).max(pod.over_at(&self.terms));
        if quiet <= now && pod.is_fenced(name, &self.members) {
            (pod.cloned, pod.fencing) = (None, None);
            pod.chains.forgive();
            outputs.push(Output::Note(Note::Single(name.clone())));
        }
    }

    /// A pod that is proven dead (OWNERSHIP.md, Leases 9). Where the proof is somebody's word, its grants are waited out and
    /// the witnesses told; no quorum of them is needed.
    fn proven(&self, now: Mono, name: &PodId, pod: &mut Pod, proof: Proof, outputs: &mut Vec<Output>) -> Option<Mono> {
        let mut at = self.terms.over_at(self.since);
        let mut ask = None;
        if !proof.is_certain() {
            if pod.fencing.is_none() {
                self.fence(now, name, pod, outputs);
            }
            ask = self.ask(now, name, pod, outputs);
            at = at.max(pod.over_at(&self.terms));
        }
        if now < at {
            return Some(ask.map_or(at, |ask| ask.min(at)));
        }
        bury(name, pod, Some(proof), outputs);
        None
    }

    /// A pod that was buried on somebody's word: its witnesses are told until QF of them know it.
    fn tell(&self, now: Mono, name: &PodId, pod: &mut Pod, buried: Mono, outputs: &mut Vec<Output>) -> Option<Mono> {
        if pod.fencing.is_some() && (buried.after(TELL) <= now || pod.is_fenced(name, &self.members)) {
            pod.fencing = None;
        }
        self.ask(now, name, pod, outputs)
    }
}

fn bury(name: &PodId, pod: &mut Pod, proof: Option<Proof>, outputs: &mut Vec<Output>) {
    pod.life = Life::Burying;
    let (lease_id, incarnation) = (pod.lease_id, pod.incarnation.clone());
    outputs.push(Output::Write(Intent::Bury { pod: name.clone(), lease_id, incarnation, proof }));
}
