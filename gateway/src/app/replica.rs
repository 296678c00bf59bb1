//! The replica of a pod, put together: Litestream on its socket, the store for the seal. Decides whether there is one.

use crate::{
    Engine, Options,
    boot::{self, Opened},
    drill::{self, DrillMeters, Drills},
    replica::{Lineage, ReplicaStore},
    replication::{ControlSocket, Replication, SealOf},
    retention::{self, Retention},
};
use anyhow::Context;
use shared::{http::Client, shutdown::Shutdown, telemetry::Metrics};
use std::{sync::Arc, time::Duration};

/// Returns the pod's replication: off when its folder was prepared for none.
pub(super) fn replication(options: &Options, opened: Option<&Opened>) -> Replication {
    opened.map_or_else(Replication::off, |_| Replication::new(&options.replication))
}

/// A replica that is there: what the pod's database writes, and the store of all.
#[derive(Debug)]
pub(super) struct Copies {
    lineage: Lineage,
    store: ReplicaStore,
}

impl Copies {
    /// Opens the store, when the folder was prepared for a replica.
    pub(super) fn open(options: &Options, opened: Option<&Opened>) -> anyhow::Result<Option<Self>> {
        let Some(Opened { lineage }) = opened.cloned() else { return Ok(None) };
        let store = ReplicaStore::open(&options.replica).context("cannot open the replica's store")?;
        Ok(Some(Self { lineage, store }))
    }

    /// Has the replica followed, until `stop`.
    pub(super) fn follow(&self, options: &Options, engine: &Engine, stop: Shutdown) -> anyhow::Result<()> {
        let seals = SealOf::new(self.store.clone(), self.lineage.clone());
        let socket = boot::socket(options, &options.data)?;
        let database = options.data.join(crate::store::FILE);
        let replica = ControlSocket::new(socket, database, options.replication.replication_timeout, seals);
        let (engine, rules) = (engine.clone(), options.replication.rules());
        shared::shutdown::spawn(async move { engine.replicate(Arc::new(replica), rules, stop).await });
        Ok(())
    }

    /// Begins restore drills, until `stop`.
    pub(super) fn drills(&self, options: &Options, engine: &Engine, metrics: &Metrics, stop: Shutdown) -> Drills {
        let drills = Drills::new(drill::Parts {
            engine: engine.clone(),
            pod: options.pod.clone(),
            folder: options.data.clone(),
            replica: options.replica.clone(),
            store: self.store.clone(),
            replication: engine.replication().clone(),
            bounds: drill::Bounds { every: options.drill_every, wait: options.drill_wait, look: options.drill_look },
            meters: DrillMeters::register(metrics),
        });
        shared::shutdown::spawn(drills.clone().run(stop));
        drills
    }

    /// Begins to take lineages away whose time is over, until `stop`.
    pub(super) fn retention(&self, options: &Options, engine: &Engine, client: Client, stop: Shutdown) -> Retention {
        let retention = Retention::new(retention::Parts {
            engine: engine.clone(),
            pod: options.pod.clone(),
            client,
            store: self.store.clone(),
            every: options.lineage_gc_every,
            kept: options.lineage_retention,
        });
        shared::shutdown::spawn(retention.clone().run(stop));
        retention
    }
}

/// Waits until the last commit is in the replica, and says so when it is not.
pub(super) async fn flushed(replication: &Replication, flush: impl Future<Output = bool>, most: Duration) {
    if replication.is_on() && !flush.await {
        tracing::warn!(?most, "the last commits were not confirmed in the replica before the end of the stop timeout");
    }
}
