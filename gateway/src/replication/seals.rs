//! Reads the seal of this pod's own lineage from the store. Decides nothing.

use super::Seals;
use crate::replica::{Lineage, ReplicaStore};
use futures_util::future::BoxFuture;
use shared::{Incarnation, PodId};
use tokio::sync::OnceCell;

/// The seal of one life of a pod's data folder.
#[derive(Debug)]
pub(crate) struct SealOf {
    store: ReplicaStore,
    pod: PodId,
    incarnation: Incarnation,
    /// Looked up once: an incarnation has one lineage.
    lineage: OnceCell<Lineage>,
}

impl SealOf {
    /// Makes it. Nothing is asked yet.
    pub(crate) fn new(store: ReplicaStore, pod: PodId, incarnation: Incarnation) -> Self {
        Self { store, pod, incarnation, lineage: OnceCell::new() }
    }

    async fn find(&self) -> Result<&Lineage, String> {
        let find = || async {
            let found = self.store.find(&self.pod, &self.incarnation).await.map_err(|why| why.to_string())?;
            found.ok_or_else(|| "the lineage of this pod was not begun; run `berth gateway prepare`".to_owned())
        };
        self.lineage.get_or_try_init(find).await
    }
}

impl Seals for SealOf {
    fn is_sealed(&self) -> BoxFuture<'_, Result<bool, String>> {
        Box::pin(async {
            let lineage = self.find().await?;
            Ok(self.store.sealed(lineage).await.map_err(|why| why.to_string())?.is_some())
        })
    }

    fn lineage(&self) -> Option<String> {
        self.lineage.get().map(Lineage::path)
    }
}
