//! What a handler may do with its target.

use shared::{Epoch, TargetId};
use std::marker::PhantomData;

/// The target a handler is called for.
#[derive(Debug)]
pub struct Target<'a> {
    id: &'a TargetId,
    epoch: Epoch,
    now_ms: u64,
    writer: PhantomData<&'a mut ()>,
}

impl Target<'_> {
    /// Returns the target's name.
    pub fn id(&self) -> &TargetId {
        self.id
    }

    /// Returns the fencing token of this ownership.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Returns wall time in milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }
}
