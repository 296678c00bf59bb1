//! The replica: where a pod's database is copied to, by Litestream, and what Berth keeps beside the copies. One lineage per
//! incarnation (OWNERSHIP.md, Data 1): Litestream writes below [`Lineage::path`], Berth a note of its beginning and its seal.
//! Decides names, bounds and the order of single calls; knows nothing of when a lineage begins, is sealed or is restored.
//!
//! ```text
//! BASE / GENERATION / POD / INCARNATION / ltx/LEVEL/MIN-MAX.ltx      Litestream's alone, in a folder
//!                                       / LEVEL/MIN-MAX.ltx          the same in a bucket, where a level has four digits
//!                                       / berth/begun.json           once, before anything is served
//!                                       / berth/SEALED               once, by whoever restores for others
//! ```

mod args;
mod base;
mod config;
mod lineage;
mod litestream;
mod ltx;
mod restore;
mod store;
#[cfg(test)]
mod testing;

pub use args::{ReplicaArgs, Replication};
pub use base::Base;
pub(crate) use config::restore_config;
pub use config::{Service, service_config};
pub use lineage::{Begun, Lineage, Seal};
pub use litestream::{Litestream, LitestreamError, VERSION};
pub(crate) use restore::restore_unchecked;
pub use restore::{By, RestoreError, Restored, restore};
pub use store::{Listing, Removed, ReplicaStore};
pub(crate) use store::{Stock, last_txid};

use std::time::Duration;

/// Why the replica's store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ReplicaError {
    /// There is none.
    #[error(
        "no replica is set; set --replica (BERTH_REPLICA), for example s3://bucket/prefix or file:///var/lib/replicas"
    )]
    NotSet,
    /// The settings make no store.
    #[error("the replica {base} cannot be used: {detail}; check the settings that begin with BERTH_REPLICA")]
    Settings {
        /// Where, in words without secrets.
        base: String,
        /// What is wrong.
        detail: String,
    },
    /// The store did not answer in time.
    #[error("the replica's store did not answer within {0:?} (--replica-timeout)")]
    Slow(Duration),
    /// The store refused, or failed.
    #[error("the replica's store failed: {0}")]
    Store(#[from] object_store::Error),
    /// It is being removed.
    #[error("the lineage {0} is being removed, since its time is over: nothing is restored from what is left of it")]
    Removing(String),
    /// What Berth keeps there is not what it wrote.
    #[error("{path} in the replica's store is damaged: {detail}")]
    Damaged {
        /// The object.
        path: String,
        /// What is wrong.
        detail: String,
    },
}
