//! What a handler keeps in memory for a target goes with the target: asked for when the pod lets go of it or stops in order,
//! given back before its first event. Decides what is too large; what it says is the handler's.

use super::{mailbox::SlotNo, writer::Writer};
use crate::store::{LocalId, StoreError};
use shared::{TargetId, lease::Use};
use std::panic::{AssertUnwindSafe, catch_unwind};

impl Writer {
    /// Keeps what the handler has in memory for targets that the pod is about to let go of. Without a lease nothing is
    /// written: somebody else may serve them by now.
    pub(super) fn keep_volatile(&self, targets: &[(TargetId, SlotNo)]) {
        let kept = self.exported(targets);
        if kept.is_empty() || self.ownership.check_lease(Use::Act).is_err() {
            return;
        }
        if let Err(why) = self.write_volatile(&kept) {
            self.store.rollback();
            tracing::error!(error = %why, "the handler's memory could not be kept");
        }
    }

    /// Returns what the handler has in memory for targets, where it is not too large.
    pub(super) fn exported(&self, targets: &[(TargetId, SlotNo)]) -> Vec<(LocalId, Vec<u8>)> {
        let mut kept = Vec::new();
        for (target, no) in targets {
            match catch_unwind(AssertUnwindSafe(|| self.bot.export_volatile(target))) {
                Ok(Some(state)) if state.len() <= self.settings.volatile_max => {
                    kept.push((self.boxes.slot(*no).local, state));
                }
                Ok(Some(state)) => {
                    tracing::warn!(%target, bytes = state.len(), most = self.settings.volatile_max,
                        "the handler's memory is larger than --volatile-max and is not kept");
                }
                Ok(None) => {}
                Err(_) => tracing::error!(%target, "the handler panicked in export_volatile"),
            }
        }
        kept
    }

    fn write_volatile(&self, kept: &[(LocalId, Vec<u8>)]) -> Result<(), StoreError> {
        self.store.begin()?;
        kept.iter().try_for_each(|(local, state)| self.store.volatile_put(*local, state))?;
        self.store.commit()
    }

    /// Gives back what was kept for a target.
    pub(super) fn give_back_volatile(&self, target: &TargetId, state: &[u8]) {
        if catch_unwind(AssertUnwindSafe(|| self.bot.import_volatile(target, state))).is_err() {
            tracing::error!(%target, "the handler panicked in import_volatile");
        }
    }
}
