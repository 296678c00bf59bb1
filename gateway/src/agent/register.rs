//! How a pod makes itself known: one registration, and what its database holds when it is asked for that. Decides nothing
//! about leases.

use super::card::Card;
use crate::{Engine, EngineError, ownership::Ownership};
use shared::http::{Client, ClientError};
use shared::protocol::holder::{Failure, Input};
use shared::wire::{
    Hello,
    control::{Holding, Holdings, Register, Registered},
};
use shared::{LeaseId, Problem};
use std::collections::BTreeMap;

/// What config-service says when this life of the data folder was failed over.
const BURIED: &str = "incarnation-buried";
/// Targets told at once.
const PART: usize = 5_000;
/// Lives of the folder told, the last ones.
const LIVES: usize = 100;

/// Returns whether a registration was refused since this life of the data folder is over for good.
pub(super) fn is_buried(input: &Input) -> bool {
    matches!(input, Input::NotRegistered(Failure::Refused(problem)) if problem.code == BURIED)
}

/// Registers.
pub(super) async fn register(client: Client, card: Card, ownership: Ownership, engine: Engine) -> Input {
    match try_register(&client, card, &ownership, &engine).await {
        Ok(registered) => Input::Registered(registered),
        Err(failure) => Input::NotRegistered(failure),
    }
}

async fn try_register(
    client: &Client,
    card: Card,
    ownership: &Ownership,
    engine: &Engine,
) -> Result<Registered, Failure> {
    // Without it config-service might issue an epoch again that this database has already seen.
    let highest_epoch = engine.highest_epoch().await.map_err(unreadable)?;
    let request = Register {
        hello: Hello::CURRENT,
        previous: engine.past_incarnations(1).await.map_err(unreadable)?.pop(),
        pod: ownership.pod().clone(),
        incarnation: engine.incarnation(),
        address: card.address,
        zone: card.zone,
        capacity: card.capacity,
        schema: engine.schema(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        highest_epoch,
        term: ownership.term(),
        bot: Some(engine.bot()),
        replica: card.replica,
        track: card.track,
    };
    let registered: Registered = client.post("/v1/pods/register", &request).await.map_err(failure)?;
    ownership.begin_generation(registered.generation);
    if registered.report {
        report(client, ownership, engine, registered.lease_id).await?;
    }
    Ok(registered)
}

/// Says what the database holds, in parts (OWNERSHIP.md, Leases 11 and Data 5).
async fn report(client: &Client, ownership: &Ownership, engine: &Engine, lease_id: LeaseId) -> Result<(), Failure> {
    let path = format!("/v1/pods/{}/holdings", ownership.pod());
    let (mut after, mut told) = (None, 0);
    let lives = engine.past_incarnations(LIVES).await.map_err(unreadable)?;
    loop {
        let kept = engine.kept(false, after, PART).await.map_err(unreadable)?;
        after = kept.last().map(|row| row.target.clone());
        let more = kept.len() == PART;
        told += kept.len();
        let targets = kept.into_iter().map(|row| Holding { target: row.target, epoch: row.epoch, whole: row.whole });
        let (incarnation, lives) = (engine.incarnation(), lives.clone());
        let part = Holdings { incarnation, lease_id, lives, targets: targets.collect(), more };
        let _: BTreeMap<String, u64> = client.post(&path, &part).await.map_err(failure)?;
        if !more {
            tracing::info!(targets = told, "told config-service what the database holds");
            return Ok(());
        }
    }
}

fn unreadable(why: EngineError) -> Failure {
    tracing::error!(error = %why, "cannot read the pod's database");
    Failure::Refused(Problem::internal())
}

/// Says what a failed call to config-service means.
pub(super) fn failure(why: ClientError) -> Failure {
    match why {
        ClientError::Problem(problem) => Failure::Refused(problem),
        other => Failure::Unreachable(other.to_string()),
    }
}
