//! A pod as a witness of the others (OWNERSHIP.md, Leases 3 and 4): decides what it promises to whom, and when it may say
//! that a lease is fenced. Knows no network, no disk and no clock.
//!
//! ```text
//!  Extend ─ not fenced ─▶ promised until receipt + E(1+ρ) + M          Fence ─▶ mark ─▶ on disk ─▶ Fenced{remaining promise}
//!         └ fenced ─────▶ refused                                             (never lowered)
//! ```

use crate::lease::LeaseTerms;
#[cfg(feature = "plant")]
use crate::plant::{self, Bug};
use crate::wire::peers::{Extend, Extended, Fence, Fenced, Mark};
use crate::{LeaseId, Mono, PodId};
use std::{collections::BTreeMap, time::Duration};

/// For how many heartbeats after its own grant a witness offers to relay instead of promising.
const RELAYS: u32 = 2;

/// How many questions of the leader may wait for the disk; more are not answered.
const MAX_WAITING: usize = 1_024;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A pod asks for a promise. Always answered at once.
    Extend(Extend),
    /// The leader fences a lease. Answered once the mark is on disk; not at all while the marks may have been lost.
    Fence(Fence),
    /// This mark is on disk. The answer to [`Output::Keep`], and to [`Output::KeepAll`] once for each mark.
    Kept(Mark),
    /// What the current leader knows of marks, from `Registered.fenced`.
    MarksRead(Vec<Mark>),
    /// This pod itself was granted its lease.
    Granted,
    /// Whether this pod is too slow for its word to count (OWNERSHIP.md, Leases 14).
    Degraded(bool),
}

/// What to do, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Answer a question.
    Answer {
        /// To whom.
        to: PodId,
        /// What.
        answer: Extended,
    },
    /// Add this mark to the file and fsync it, then say [`Input::Kept`]. A mark on disk is never lowered.
    Keep(Mark),
    /// Write the file anew with all these marks, and that it is whole, fsync it, then say [`Input::Kept`] for each. A file
    /// that was never written so is none: it is read as lost.
    KeepAll(Vec<Mark>),
    /// Tell the leader that the lease is fenced here.
    Fenced {
        /// The answer; the shell adds the lives of the pod's folder.
        to_leader: Fenced,
    },
}

/// The state machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Witness {
    me: PodId,
    terms: LeaseTerms,
    started: Mono,
    /// Whether it knows every mark it ever made.
    ready: bool,
    degraded: bool,
    granted: Option<Mono>,
    /// The highest fenced lease of each pod: promises are refused from the moment the leader asks.
    fenced: BTreeMap<PodId, LeaseId>,
    /// The same, as far as it is on disk: the leader is told from then on.
    kept: BTreeMap<PodId, LeaseId>,
    /// Until when a promise binds, by pod.
    promised: BTreeMap<PodId, Mono>,
    /// What the leader asked, while the disk is at work.
    waiting: Vec<Fence>,
}

impl Witness {
    /// Makes the witness `me`, whose process started at `started`, with the marks on its disk. None: it may have lost them,
    /// and promises nothing before it has read them back; the pod must register for that.
    pub fn new(me: PodId, terms: LeaseTerms, started: Mono, marks: Option<Vec<Mark>>) -> Self {
        let ready = marks.is_some();
        let mut fenced = BTreeMap::new();
        for mark in marks.into_iter().flatten() {
            raise(&mut fenced, &mark.pod, mark.lease_id);
        }
        let (kept, promised) = (fenced.clone(), BTreeMap::new());
        let (degraded, granted, waiting) = (false, None, Vec::new());
        #[cfg(feature = "plant")]
        let ready = ready || plant::on(Bug::MarksForgotten);
        Self { me, terms, started, ready, degraded, granted, fenced, kept, promised, waiting }
    }

    /// Returns whether it knows all its marks.
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// Returns what is fenced, by pod.
    pub fn marks(&self) -> impl Iterator<Item = Mark> + '_ {
        self.fenced.iter().map(|(pod, lease_id)| Mark { pod: pod.clone(), lease_id: *lease_id })
    }

    /// Returns the next moment at which time alone changes anything: never, all of its work is to answer.
    pub fn wake_at(&self) -> Option<Mono> {
        None
    }

    /// Takes in what happened at `now` and returns what to do, in order. A question must not have arrived after `now`.
    pub fn handle(&mut self, now: Mono, input: Input) -> Vec<Output> {
        match input {
            Input::Extend(question) => vec![self.extend(now, question)],
            Input::Fence(fence) => self.fence(now, fence),
            Input::Kept(mark) => {
                raise(&mut self.kept, &mark.pod, mark.lease_id);
                self.tell(now)
            }
            Input::MarksRead(marks) => self.marks_read(marks),
            Input::Granted => {
                self.granted = Some(now);
                Vec::new()
            }
            Input::Degraded(degraded) => {
                self.degraded = degraded;
                Vec::new()
            }
        }
    }

    fn extend(&mut self, now: Mono, question: Extend) -> Output {
        let Extend { pod: to, lease_id, nonce, extension_ms, .. } = question;
        let most = self.terms.extension;
        let fenced = self.fenced.get(&to).copied().filter(|fenced| *fenced >= lease_id);
        #[cfg(feature = "plant")]
        let fenced = fenced.filter(|_| !plant::on(Bug::FencedIsPromised));
        let answer = if !self.ready {
            Extended::NotReady { nonce }
        } else if let Some(lease_id) = fenced {
            Extended::Fenced { nonce, lease_id }
        } else if Duration::from_millis(extension_ms) > most {
            // What it remembers of a promise would be over while the pod still lives by it (OWNERSHIP.md, Leases 4).
            let detail = format!(
                "{to} extends its lease by {extension_ms} ms, {} remembers promises for {} ms: give all gateways one extension",
                self.me,
                most.as_millis()
            );
            Extended::TooLong { nonce, detail }
        } else if self.relays(now) {
            Extended::Relay { nonce }
        } else {
            self.promised.retain(|_, until| *until > now);
            let until = self.promised.entry(to.clone()).or_default();
            *until = self.terms.promised_until(now).max(*until);
            #[cfg(feature = "plant")]
            if plant::on(Bug::PromiseNotRemembered) {
                self.promised.clear();
            }
            Extended::Promised { nonce }
        };
        Output::Answer { to, answer }
    }

    /// Whether config-service answers this pod, so that the other one needs no promise. Policy; safety does not need it.
    fn relays(&self, now: Mono) -> bool {
        !self.degraded && self.granted.is_some_and(|granted| now.since(granted) < self.terms.heartbeat * RELAYS)
    }

    fn fence(&mut self, now: Mono, fence: Fence) -> Vec<Output> {
        if !self.ready {
            return Vec::new();
        }
        raise(&mut self.fenced, &fence.pod, fence.lease_id);
        let mark = Mark { pod: fence.pod.clone(), lease_id: fence.lease_id };
        if self.waiting.len() < MAX_WAITING && !self.waiting.contains(&fence) {
            self.waiting.push(fence);
        }
        let told = self.tell(now);
        if self.is_kept(&mark.pod, mark.lease_id) { told } else { vec![Output::Keep(mark)] }
    }

    /// Answers whatever the disk has caught up with.
    fn tell(&mut self, now: Mono) -> Vec<Output> {
        let (kept, waiting) =
            std::mem::take(&mut self.waiting).into_iter().partition(|fence| self.is_kept(&fence.pod, fence.lease_id));
        self.waiting = waiting;
        let answer = |fence: Fence| Output::Fenced {
            to_leader: Fenced {
                by: self.me.clone(),
                remaining_ms: millis_up(self.remaining(now, &fence.pod)),
                pod: fence.pod,
                lease_id: fence.lease_id,
                term: fence.term,
                round: fence.round,
                lives: Vec::new(),
            },
        };
        Vec::into_iter(kept).map(answer).collect()
    }

    fn is_kept(&self, pod: &PodId, lease_id: LeaseId) -> bool {
        self.kept.get(pod).is_some_and(|kept| *kept >= lease_id)
    }

    /// How long a promise to the pod may still bind: its own, or one that the process before this one may have made.
    fn remaining(&self, now: Mono, pod: &PodId) -> Duration {
        let own = self.promised.get(pod).copied().unwrap_or_default();
        #[cfg(feature = "plant")]
        if plant::on(Bug::RestartForgetsPromises) {
            return own.since(now);
        }
        self.terms.promised_until(self.started).max(own).since(now)
    }

    fn marks_read(&mut self, marks: Vec<Mark>) -> Vec<Output> {
        for mark in marks {
            raise(&mut self.fenced, &mark.pod, mark.lease_id);
        }
        let kept_all = self.fenced.iter().all(|(pod, lease_id)| self.is_kept(pod, *lease_id));
        if std::mem::replace(&mut self.ready, true) && kept_all {
            return Vec::new();
        }
        vec![Output::KeepAll(self.marks().collect())]
    }
}

fn raise(marks: &mut BTreeMap<PodId, LeaseId>, pod: &PodId, lease_id: LeaseId) {
    let mark = marks.entry(pod.clone()).or_default();
    *mark = lease_id.max(*mark);
}

/// Whole milliseconds, never less than `time`.
fn millis_up(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
