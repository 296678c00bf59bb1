//! The replica of a pod, put together: Litestream on its socket, the store for the seal. Decides whether there is one.

use crate::{
    Engine, Options,
    drill::{self, DrillMeters, Drills},
    replica::ReplicaStore,
    replication::{ControlSocket, Replication, SealOf},
};
use anyhow::Context;
use shared::{shutdown::Shutdown, telemetry::Metrics};
use std::{sync::Arc, time::Duration};

/// The control socket's name in the data folder.
const SOCKET: &str = "litestream.sock";

/// Returns the pod's replication: off when the settings say so, or name no replica.
pub(super) fn replication(options: &Options) -> Replication {
    let on = options.replica.is_on() && options.replica.base().is_ok();
    if on { Replication::new(&options.replication) } else { Replication::off() }
}

/// Has the replica followed, until `stop`.
pub(super) fn follow(options: &Options, engine: &Engine, stop: Shutdown) -> anyhow::Result<()> {
    if !engine.replication().is_on() {
        return Ok(());
    }
    let store = ReplicaStore::open(&options.replica).context("cannot open the replica's store")?;
    let seals = SealOf::new(store, options.pod.clone(), engine.incarnation());
    let socket = options.replica.litestream_socket.clone().unwrap_or_else(|| options.data.join(SOCKET));
    let database = options.data.join(crate::store::FILE);
    let replica = ControlSocket::new(socket, database, options.replication.replication_timeout, seals);
    let (engine, rules) = (engine.clone(), options.replication.rules());
    shared::shutdown::spawn(async move { engine.replicate(Arc::new(replica), rules, stop).await });
    Ok(())
}

/// Begins restore drills, until `stop`; none without a replica.
pub(super) fn drills(
    options: &Options,
    engine: &Engine,
    metrics: &Metrics,
    stop: Shutdown,
) -> anyhow::Result<Option<Drills>> {
    if !engine.replication().is_on() {
        return Ok(None);
    }
    let drills = Drills::new(drill::Parts {
        engine: engine.clone(),
        pod: options.pod.clone(),
        folder: options.data.clone(),
        replica: options.replica.clone(),
        store: ReplicaStore::open(&options.replica).context("cannot open the replica's store")?,
        replication: engine.replication().clone(),
        bounds: drill::Bounds { every: options.drill_every, wait: options.drill_wait },
        meters: DrillMeters::register(metrics),
    });
    shared::shutdown::spawn(drills.clone().run(stop));
    Ok(Some(drills))
}

/// Waits until the last commit is in the replica, and says so when it is not.
pub(super) async fn flushed(replication: &Replication, flush: impl Future<Output = bool>, most: Duration) {
    if replication.is_on() && !flush.await {
        tracing::warn!(?most, "the last commits were not confirmed in the replica before the end of the stop timeout");
    }
}
