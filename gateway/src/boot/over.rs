//! A lineage that is over while its gateway runs: it was sealed, or its life was failed over. Another one must not begin in the same
//! process, for Litestream goes on writing to the old path: the gateway stops in order and says, with an exit status of its own,
//! that `prepare` has to run. Decides nothing about when.

use super::note;
use shared::shutdown::Shutdown;
use std::{path::PathBuf, sync::Arc};

/// The exit status: try again, through `prepare`.
pub const EX_TEMPFAIL: u8 = 75;

/// The gateway has stopped in order, and is to be started again through `prepare`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}: run `berth gateway prepare` and start the gateway again")]
pub struct MustPrepare(pub &'static str);

/// Returns the exit status for an error that a gateway has ended with.
pub fn exit_code(why: &anyhow::Error) -> u8 {
    if why.downcast_ref::<MustPrepare>().is_some() { EX_TEMPFAIL } else { 1 }
}

/// Ends the lineage that a gateway writes. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub(crate) struct Over(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    is_on: bool,
    ended: Shutdown,
}

impl Over {
    /// Makes the handle. Where nothing is replicated nothing is ever over.
    pub(crate) fn new(folder: PathBuf, is_on: bool) -> Self {
        Self(Arc::new(Inner { folder, is_on, ended: Shutdown::new() }))
    }

    /// Says that the lineage is over: written down for the next `prepare`, and the gateway stops. Returns false where nothing is
    /// replicated: then another life may begin in this process.
    pub(crate) fn end(&self, why: &'static str) -> bool {
        if !self.0.is_on {
            return false;
        }
        if !self.0.ended.is_cancelled() {
            tracing::warn!(reason = why, "the lineage of this pod's database is over, stopping to be prepared anew");
            if let Err(why) = note::end(&self.0.folder) {
                // `prepare` then finds out by itself: it asks config-service and the store.
                tracing::warn!(error = %why, "cannot write down that the lineage is over");
            }
            self.0.ended.cancel();
        }
        true
    }

    /// Completes when the lineage is over.
    pub(crate) async fn ended(&self) {
        self.0.ended.cancelled().await;
    }
}
