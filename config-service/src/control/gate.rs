//! Whether this process may get traffic: while it leads, or follows closely. Pure but for the latch it opens and closes.

use shared::http::Latch;
use std::sync::{Arc, Mutex, PoisonError};

/// The one condition of readiness. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub(super) struct Gate(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    latch: Latch,
    leads: bool,
    follows: bool,
    /// Why it does not lead.
    why: String,
}

impl Gate {
    /// Makes a gate that is closed.
    pub(super) fn new(latch: Latch) -> Self {
        let why = latch.reason().unwrap_or_default();
        Self(Arc::new(Mutex::new(State { latch, leads: false, follows: false, why })))
    }

    /// This process leads.
    pub(super) fn leads(&self) {
        self.change(|state| state.leads = true);
    }

    /// This process does not lead, and why.
    pub(super) fn stands_by(&self, why: &str) {
        self.change(|state| {
            state.leads = false;
            why.clone_into(&mut state.why);
        });
    }

    /// Says whether this process knows what the leader has committed until a moment ago.
    pub(super) fn follows(&self, follows: bool) {
        self.change(|state| state.follows = follows);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        if state.leads || state.follows { state.latch.open() } else { state.latch.close(&state.why) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::http::Probes;

    #[test]
    fn a_replica_is_ready_while_it_leads_or_follows() {
        let probes = Probes::new();
        let gate = Gate::new(probes.latch("leader", "nobody leads yet"));
        let said = || probes.closed().get("leader").cloned();
        assert_eq!(said().as_deref(), Some("nobody leads yet"));
        gate.follows(true);
        gate.stands_by("10.0.0.1:3001 leads");
        assert_eq!(said(), None);
        gate.leads();
        gate.follows(false);
        assert_eq!(said(), None);
        gate.stands_by("the store cannot be reached");
        assert_eq!(said().as_deref(), Some("the store cannot be reached"));
    }
}
