//! The heartbeats that wait for the protocol's word (OWNERSHIP.md, Leases 2), and what they are answered with.

use super::{ControlError, Reply, fleet::Fleet};
use crate::{domain::Model, metrics::Metrics};
use shared::protocol::leader::Why;
use shared::wire::control::{Grant, Heartbeat};
use shared::{Mono, PodId, Term};
use std::time::Duration;

/// The heartbeats of one term.
#[derive(Debug)]
pub(super) struct Beats {
    term: Term,
    /// D.
    lease: Duration,
    metrics: Metrics,
    waiting: Vec<Beat>,
}

#[derive(Debug)]
struct Beat {
    pod: PodId,
    heartbeat: Heartbeat,
    reply: Reply<Grant>,
}

impl Beats {
    /// Makes an empty set. Grants last for `lease`.
    pub(super) fn new(term: Term, lease: Duration, metrics: Metrics) -> Self {
        Self { term, lease, metrics, waiting: Vec::new() }
    }

    /// Takes a heartbeat; returns false when it was refused at once.
    pub(super) fn push(
        &mut self,
        model: &Model,
        fleet: &Fleet,
        pod: &PodId,
        heartbeat: &Heartbeat,
        reply: Reply<Grant>,
    ) -> bool {
        match fleet.admits(model, pod, heartbeat) {
            Ok(()) => self.waiting.push(Beat { pod: pod.clone(), heartbeat: heartbeat.clone(), reply }),
            Err(why) => {
                self.refuse(pod, why, reply);
                return false;
            }
        }
        true
    }

    /// The protocol grants the heartbeat of this nonce. A pod that has to report first is heard, and told that instead.
    /// Returns whether it was the pod's goodbye.
    pub(super) fn granted(&mut self, model: &Model, fleet: &mut Fleet, pod: &PodId, nonce: u64, now: Mono) -> bool {
        let Some(Beat { heartbeat, reply, .. }) = self.take(pod, nonce) else { return false };
        let refused = match model.pod(pod) {
            Some(record) if record.report => Some(ControlError::ReportFirst(pod.clone())),
            Some(record) if record.loss_accepted => Some(ControlError::WrongIncarnation(pod.clone())),
            _ => None,
        };
        if let Some(why) = refused {
            self.refuse(pod, why, reply);
            return false;
        }
        fleet.grant(model, pod, &heartbeat, now);
        let leaving = heartbeat.leaving;
        self.metrics.heartbeat("granted");
        // The pod may have given up waiting; a grant that nobody hears is only a longer wait for the leader.
        let _ = reply.send(Ok(Grant {
            lease_id: heartbeat.lease_id,
            incarnation: heartbeat.incarnation,
            nonce: heartbeat.nonce,
            term: self.term,
            lease_ms: u64::try_from(self.lease.as_millis()).unwrap_or(u64::MAX),
            revision: model.revision(),
            witnesses: fleet.witnesses(model, pod),
        }));
        leaving
    }

    /// The protocol refuses the heartbeat of this nonce.
    pub(super) fn refused(&mut self, pod: &PodId, nonce: u64, why: Why) {
        if let Some(beat) = self.take(pod, nonce) {
            self.refuse(pod, reason(pod, why), beat.reply);
        }
    }

    fn take(&mut self, pod: &PodId, nonce: u64) -> Option<Beat> {
        let at = self.waiting.iter().position(|beat| beat.heartbeat.nonce == nonce && beat.pod == *pod)?;
        Some(self.waiting.swap_remove(at))
    }

    fn refuse(&self, pod: &PodId, why: ControlError, reply: Reply<Grant>) {
        self.metrics.heartbeat("refused");
        tracing::debug!(%pod, reason = %why, "refused a heartbeat");
        let _ = reply.send(Err(why));
    }
}

fn reason(pod: &PodId, why: Why) -> ControlError {
    let pod = pod.clone();
    match why {
        Why::Unknown => ControlError::UnknownPod(pod),
        Why::Buried => ControlError::Buried(pod),
        Why::WrongIncarnation => ControlError::WrongIncarnation(pod),
        Why::Superseded | Why::Fenced => ControlError::LeaseSuperseded(pod),
        Why::Cloned => ControlError::Cloned(pod),
        Why::Suspended => ControlError::Suspended(pod),
        Why::Ahead => ControlError::ConfigAhead(pod),
        Why::Unchecked => ControlError::Store,
        Why::NotLeader => ControlError::NotLeader { leader: None },
    }
}
