//! What is measured in a run beside the invariants: how long events of known targets waited, how many targets changed hands,
//! how soon the control plane granted everybody again. Judges nothing.

use crate::agenda::Ns;
use crate::network::PODS;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a run measured.
#[derive(Debug, Default)]
pub(crate) struct Measures {
    waiting: BTreeMap<u64, Ns>,
    longest: Ns,
    /// Owners that were replaced since the control plane last went.
    pub(crate) replaced: u64,
    /// Since when the database is back, and who has been granted a lease since.
    back: Option<(Ns, BTreeSet<u8>)>,
    all_granted: Option<Ns>,
}

impl Measures {
    /// An event of a target that had an owner was sent for the first time.
    pub(crate) fn sent(&mut self, event: u64, at: Ns) {
        self.waiting.insert(event, at);
    }

    /// An event was acknowledged, whether its platform heard of it or not.
    pub(crate) fn acknowledged(&mut self, event: u64, at: Ns) {
        if let Some(sent) = self.waiting.remove(&event) {
            self.longest = self.longest.max(at - sent);
        }
    }

    /// The control plane is gone.
    pub(crate) fn control_plane_goes(&mut self) {
        (self.replaced, self.longest) = (0, 0);
        self.waiting.clear();
    }

    /// The database is back.
    pub(crate) fn database_is_back(&mut self, at: Ns) {
        (self.back, self.all_granted) = (Some((at, BTreeSet::new())), None);
    }

    /// The control plane granted a pod its lease.
    pub(crate) fn granted(&mut self, pod: u8, at: Ns) {
        let Some((back, pods)) = &mut self.back else { return };
        pods.insert(pod);
        if pods.len() == usize::from(PODS) {
            self.all_granted.get_or_insert(at - *back);
        }
    }

    /// Returns the longest that an event of a known target, sent since the control plane last went, waited for its
    /// acknowledgement.
    pub(crate) fn longest_wait(&self) -> Duration {
        Duration::from_nanos(self.longest)
    }

    /// Returns how long after the database's return every pod had been granted its lease again; none if that did not happen.
    pub(crate) fn all_granted_after(&self) -> Option<Duration> {
        self.all_granted.map(Duration::from_nanos)
    }
}
