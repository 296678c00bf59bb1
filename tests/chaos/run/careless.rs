//! The harness's own trial, its other half: a cluster that acknowledges what no replica has loses a disk. Decides how that is
//! brought about; that something is lost the judge has to find.

use super::{CONVERGE, Run};
use crate::{
    args,
    reckoning::reckon,
    world::{Plan, Who},
};
use anyhow::{Context, bail, ensure};
use rustix::process::Signal;
use shared::clock::{BootClock, Clock};
use std::path::Path;

/// What makes the gateways careless.
const CARELESS: (&str, &str) = ("BERTH_ACKNOWLEDGE", "standard=local");
/// The gateway whose disk is lost.
const VICTIM: usize = 0;
/// So many of its events are acknowledged while its Litestream stands still.
const EVENTS: u64 = 20;

/// Makes such a run in `folder`.
///
/// # Errors
/// When the judge finds nothing, or there was nothing to be found.
pub(crate) async fn is_found(options: &args::Run, plan: &Plan, folder: &Path) -> anyhow::Result<()> {
    let folder = folder.join("careless");
    std::fs::create_dir(&folder)?;
    let settings = vec![(CARELESS.0.to_owned(), CARELESS.1.to_owned())];
    let mut run = Run::begin(options, &Plan { gateway_settings: settings, ..plan.clone() }, &folder).await?;
    let owners = run.world.owners().await?;
    let name = run.world.node(Who::Gateway(VICTIM)).name().to_owned();
    let own: Vec<usize> = run.owned_by(&owners, &[&name]).collect();
    ensure!(!own.is_empty(), "{name} owns nothing");
    run.world.node(Who::Litestream(VICTIM)).signal(Signal::STOP);
    let acknowledged = |run: &Run| own.iter().map(|i| run.load.ledger.promised(*i)).sum::<u64>();
    let (before, deadline) = (acknowledged(&run), BootClock.now().after(CONVERGE));
    while acknowledged(&run) < before + EVENTS {
        if BootClock.now() > deadline {
            bail!("{name} does not acknowledge what is not uploaded, although it was told to");
        }
        run.rest(super::LOOK).await?;
    }
    run.world.lose_disk(VICTIM)?;
    for who in [Who::Gateway(VICTIM), Who::Litestream(VICTIM)] {
        run.world.bring_up(who)?;
    }
    run.well_again(BootClock.now()).await.context("after a disk was lost")?;
    let (verdict, _) = reckon(&mut run.world, &mut run.load, false).await?;
    ensure!(!verdict.lost.is_empty(), "the judge has not found what was acknowledged before it was uploaded, and lost");
    ensure!(!verdict.overlapping.is_empty(), "the judge has not found that places of a journal were given away twice");
    Ok(())
}
