//! Heartbeats on their way to a grant: they wait for the next renewal of the term to begin, ride on it, and are granted
//! when it has succeeded, since only then was the term certainly in force after they had arrived (OWNERSHIP.md, Leases 2).

use super::{ControlError, Reply, fleet::Fleet};
use crate::{domain::Model, metrics::Metrics, store::StoreError};
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
    riding: Vec<Beat>,
    /// Whether the store did not answer the last renewal.
    away: bool,
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
        Self { term, lease, metrics, waiting: Vec::new(), riding: Vec::new(), away: false }
    }

    /// Takes a heartbeat, or refuses it at once.
    pub(super) fn push(&mut self, model: &Model, fleet: &Fleet, pod: PodId, heartbeat: Heartbeat, reply: Reply<Grant>) {
        match fleet.admits(model, &pod, &heartbeat) {
            Ok(()) => self.waiting.push(Beat { pod, heartbeat, reply }),
            Err(why) => self.refuse(&pod, why, reply),
        }
    }

    /// Returns whether any waits for a renewal to begin.
    pub(super) fn wait(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// A renewal begins: what has arrived until now rides on it.
    pub(super) fn board(&mut self) {
        self.riding.append(&mut self.waiting);
    }

    /// The renewal has succeeded: grants, at `now`.
    pub(super) fn renewed(&mut self, model: &Model, fleet: &mut Fleet, now: Mono) {
        if std::mem::take(&mut self.away) {
            tracing::info!("the store answers again");
        }
        for Beat { pod, heartbeat, reply } in std::mem::take(&mut self.riding) {
            // It may have registered anew while it waited.
            if let Err(why) = fleet.admits(model, &pod, &heartbeat) {
                self.refuse(&pod, why, reply);
                continue;
            }
            fleet.grant(&pod, &heartbeat, now);
            self.metrics.heartbeat("granted");
            // The pod may have given up waiting; a grant that nobody hears is only a longer wait for the leader.
            let _ = reply.send(Ok(Grant {
                lease_id: heartbeat.lease_id,
                incarnation: heartbeat.incarnation,
                nonce: heartbeat.nonce,
                term: self.term,
                lease_ms: u64::try_from(self.lease.as_millis()).unwrap_or(u64::MAX),
                revision: model.revision(),
                witnesses: fleet.witnesses(model, &pod),
            }));
        }
    }

    /// The renewal has failed: nobody is granted anything.
    pub(super) fn failed(&mut self, why: &StoreError) {
        if !std::mem::replace(&mut self.away, true) {
            tracing::warn!(error = %why, "cannot renew the term; nothing is granted until the store answers");
        }
        for beat in std::mem::take(&mut self.riding) {
            self.refuse(&beat.pod, ControlError::Store, beat.reply);
        }
    }

    fn refuse(&self, pod: &PodId, why: ControlError, reply: Reply<Grant>) {
        self.metrics.heartbeat("refused");
        tracing::debug!(%pod, reason = %why, "refused a heartbeat");
        let _ = reply.send(Err(why));
    }
}
