//! When the pod may get traffic: registered, lease held, database writable, writer at work, handler there, not stopping. Asked at every use, since a
//! lease ends by the clock alone.

use crate::{
    Engine,
    handlers::remote::{Health, Remote},
    ownership::Denied,
    ownership::Ownership,
};
use shared::http::{Latch, Probes};
use shared::lease::Use;
use shared::wire::control::MAX_NOT_READY;

/// The pod's readiness. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Readiness {
    ownership: Ownership,
    engine: Engine,
    lease: Latch,
    database: Latch,
    writer: Latch,
    handler: Option<(Remote, Latch)>,
    probes: Probes,
}

impl Readiness {
    /// Adds the pod's conditions to its probes.
    pub(crate) fn new(probes: &Probes, ownership: Ownership, engine: Engine, remote: Option<Remote>) -> Self {
        let lease = probes.latch("lease", "this pod holds no lease");
        let database = probes.latch("database", "not opened yet");
        let writer = probes.latch("writer", "not started yet");
        let handler = remote.map(|remote| (remote, probes.latch("handler", "not asked yet")));
        let readiness = Self { ownership, engine, lease, database, writer, handler, probes: probes.clone() };
        readiness.refresh();
        readiness
    }

    /// Says why the pod could not do its work although it held its lease; none when it could. What config-service sees by
    /// itself, registration and lease, is left out.
    pub(crate) fn complaint(&self) -> Option<String> {
        self.refresh();
        let handler = self.handler.as_ref().map(|(_, latch)| latch);
        let latches = [Some(&self.database), Some(&self.writer), handler].into_iter().flatten();
        let reasons: Vec<_> = latches.filter_map(Latch::reason).collect();
        (!reasons.is_empty()).then(|| reasons.join("; ").chars().take(MAX_NOT_READY).collect())
    }

    /// Looks at everything anew.
    pub(crate) fn refresh(&self) {
        match self.ownership.check_lease(Use::Accept) {
            Ok(()) => self.lease.open(),
            Err(Denied::NotServing(reason)) => self.lease.close(reason),
            Err(other) => self.lease.close(&other.to_string()),
        }
        match self.engine.stuck() {
            None => self.writer.open(),
            Some(at_it) => {
                let seconds = at_it.as_secs();
                self.writer.close(&format!(
                    "the writer has been at one thing for {seconds} s: a handler that does not return, or a disk that does not answer"
                ));
            }
        }
        if let Some((remote, latch)) = &self.handler {
            match remote.health() {
                Health::Up => latch.open(),
                Health::Down(why) | Health::Incompatible(why) => latch.close(&why),
            }
        }
        // Local sources are served on: the pod stays ready.
        self.probes.remark("replication", self.engine.replication().remark());
        if self.engine.writable() {
            self.database.open();
        } else {
            self.database
                .close("the last commit failed; free disk space, or check that the data folder can be written");
        }
    }
}
