//! Reads the seal of this pod's own lineage from the store. Decides nothing.

use super::Seals;
use crate::replica::{Lineage, ReplicaStore};
use futures_util::future::BoxFuture;

/// The seal of the lineage that the pod's database writes.
#[derive(Debug)]
pub(crate) struct SealOf {
    store: ReplicaStore,
    lineage: Lineage,
}

impl SealOf {
    /// Makes it. Nothing is asked yet.
    pub(crate) fn new(store: ReplicaStore, lineage: Lineage) -> Self {
        Self { store, lineage }
    }
}

impl Seals for SealOf {
    fn is_sealed(&self) -> BoxFuture<'_, Result<bool, String>> {
        Box::pin(async { Ok(self.store.sealed(&self.lineage).await.map_err(|why| why.to_string())?.is_some()) })
    }

    fn lineage(&self) -> Option<String> {
        Some(self.lineage.path())
    }
}
