//! The seal of a dead pod's lineage (OWNERSHIP.md, Data 3 and 4): the old owner uploads an event, then reads that the lineage
//! is not sealed, then acknowledges; the new owner seals, then lists, then restores. Whatever the clocks do, what was
//! acknowledged was restored. The store is linearizable: each step on it is one action. The old owner knows nothing of the
//! failover and goes on for as long as it likes. The rule alone is modelled here.

use stateright::{Model, Property};

/// Events of the old owner.
const EVENTS: usize = 3;

/// The rule, and what of it can be taken away.
#[derive(Debug, Clone, Copy)]
pub struct Seal {
    /// The old owner reads the seal after the upload, not before.
    pub upload_then_check: bool,
    /// The new owner seals before it lists.
    pub seal_then_list: bool,
    /// The answer to a duplicate waits for the gate of its event.
    pub duplicates_wait: bool,
}

impl Seal {
    /// All of it.
    pub const ALL: Self = Self { upload_then_check: true, seal_then_list: true, duplicates_wait: true };
}

/// How far an event is at the old owner.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Event {
    committed: bool,
    uploaded: bool,
    checked: bool,
    acknowledged: bool,
}

/// The world.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct State {
    events: [Event; EVENTS],
    sealed: bool,
    /// What the new owner has restored.
    restored: Option<[bool; EVENTS]>,
}

/// What happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The old owner commits an event in its own database.
    Commit(usize),
    /// Its upload arrives in the store.
    Upload(usize),
    /// It reads that the lineage is not sealed.
    Check(usize),
    /// It acknowledges.
    Acknowledge(usize),
    /// The event comes again.
    Duplicate(usize),
    /// The new owner seals the lineage.
    Seal,
    /// The new owner lists what is there, and restores it.
    Restore,
}

impl Model for Seal {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::default()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (index, event) in state.events.iter().enumerate() {
            let may_check = !state.sealed && event.committed && (event.uploaded || !self.upload_then_check);
            let may_upload = event.committed && (event.checked || self.upload_then_check);
            if !event.committed {
                actions.push(Action::Commit(index));
            }
            if may_upload && !event.uploaded {
                actions.push(Action::Upload(index));
            }
            if may_check && !event.checked {
                actions.push(Action::Check(index));
            }
            if event.uploaded && event.checked && !event.acknowledged {
                actions.push(Action::Acknowledge(index));
            }
            if event.committed && !event.acknowledged && !self.duplicates_wait {
                actions.push(Action::Duplicate(index));
            }
        }
        if !state.sealed {
            actions.push(Action::Seal);
        }
        if (state.sealed || !self.seal_then_list) && state.restored.is_none() {
            actions.push(Action::Restore);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Commit(index) => state.events[index].committed = true,
            Action::Upload(index) => state.events[index].uploaded = true,
            Action::Check(index) => state.events[index].checked = true,
            Action::Acknowledge(index) | Action::Duplicate(index) => state.events[index].acknowledged = true,
            Action::Seal => state.sealed = true,
            Action::Restore => state.restored = Some(state.events.map(|event| event.uploaded)),
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("I2: what was acknowledged was restored", |_, state: &State| {
                let lost = |restored: &[bool; EVENTS]| {
                    state.events.iter().zip(restored).any(|(event, restored)| event.acknowledged && !restored)
                };
                !state.restored.as_ref().is_some_and(lost)
            }),
            Property::sometimes("all is acknowledged and restored", |_, state: &State| {
                state.restored == Some([true; EVENTS]) && state.events.iter().all(|event| event.acknowledged)
            }),
        ]
    }
}

/// Which part of the rule is missing.
pub fn without() -> [(&'static str, Seal); 3] {
    [
        ("upload, then check", Seal { upload_then_check: false, ..Seal::ALL }),
        ("seal, then list", Seal { seal_then_list: false, ..Seal::ALL }),
        ("duplicates wait for the gate", Seal { duplicates_wait: false, ..Seal::ALL }),
    ]
}
