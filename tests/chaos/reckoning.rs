//! The end of a run: the load finishes, moves come to rest, the calls leave, the gateways stop in order, and what is left is judged. Decides the
//! order of these steps; the judgement is `verdict`'s.

use crate::{
    evidence::Evidence,
    load::{self, Load},
    node::Node,
    spoil::spoil,
    verdict::Verdict,
    world::World,
};
use shared::clock::{BootClock, Clock};
use std::{path::PathBuf, time::Duration};
use tokio::time::sleep;

/// How long senders may take for their last event.
const FINISH: Duration = Duration::from_secs(60);
/// How long outgoing calls may take to leave.
const LEAVE: Duration = Duration::from_secs(60);
/// Quiet for so long when all calls have arrived: a repetition may come still.
const QUIET: Duration = Duration::from_secs(2);
/// Quiet for so long when some are missing: nothing more comes.
const SILENT: Duration = Duration::from_secs(25);
const STOP: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(20);

/// Ends the load and the gateways; returns the verdict, and how many events were acknowledged.
/// With `spoilt`, what is left is spoilt before it is judged.
pub(crate) async fn reckon(world: &mut World, load: &mut Load, spoilt: bool) -> anyhow::Result<(Verdict, u64)> {
    load.finish(FINISH).await;
    if let Err(why) = world.at_rest().await {
        // What that means for targets is found in the databases.
        eprintln!("{why:#}");
    }
    let ledger = &load.ledger;
    let promised: Vec<u64> = (0..ledger.targets()).map(|i| ledger.promised(i)).collect();
    let mut evidence = Evidence { owners: world.owners().await?, ..Evidence::default() };
    calls_have_left(world, &promised).await;
    for n in 0..world.gateways.len() {
        if !world.gateways[n].stop(STOP).await {
            eprintln!("{} did not stop in order", world.gateways[n].name());
        }
    }
    if spoilt {
        spoil(world)?;
    }
    for (n, gateway) in world.gateways.iter().enumerate() {
        evidence.read_pod(gateway.name(), &world.data(n))?;
    }
    evidence.add_calls(&world.outside.calls());
    let mut verdict = Verdict::default();
    verdict.judge(&promised, &evidence);
    let paths: Vec<_> = (0..world.gateways.len()).map(|n| world.ownership_log(n)).collect();
    let clocks = world.gateways.iter().map(Node::clocks);
    let logs = paths.iter().map(PathBuf::as_path).zip(clocks);
    verdict.owned(crate::owned::judge(logs, !world.litestreams.is_empty())?);
    Ok((verdict, promised.iter().sum()))
}

/// Waits until all calls that were asked for have arrived outside, or no more come.
async fn calls_have_left(world: &World, promised: &[u64]) {
    let wanted = |count: &u64| (0..*count).filter(|n| load::effect(*n) != load::Effect::None).count();
    let wanted: usize = promised.iter().map(wanted).sum();
    let deadline = BootClock.now().after(LEAVE);
    let mut seen = (0, BootClock.now());
    while BootClock.now() < deadline {
        let arrived = world.outside.count();
        if arrived != seen.0 {
            seen = (arrived, BootClock.now());
        }
        if BootClock.now().since(seen.1) > if arrived >= wanted { QUIET } else { SILENT } {
            return;
        }
        sleep(LOOK).await;
    }
}
