//! The way to the limits of calls to Discord, for whoever asks config-service for this pod's part of them.

use super::Engine;
use crate::outbox::{Discord, Outbox};
use std::sync::PoisonError;

impl Engine {
    /// Returns the limits of calls to Discord; none once the outbox is stopped.
    pub(crate) fn discord(&self) -> Option<Discord> {
        self.0.outbox.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(Outbox::discord)
    }
}
