//! The harness's own trial: spoils what a sound run has left behind, in the very databases and logs that are judged, so that
//! a judge who reads them wrongly is found out. Decides what is spoilt; what has to be found of it.

use crate::{load, verdict::Verdict, world::World};
use anyhow::{Context, ensure};
use berth_tests::pod_data;
use rusqlite::Connection;
use std::{io::Write, path::Path};

/// Spoils what the stopped gateways hold. Each has to own a target with a few events.
pub(crate) fn spoil(world: &World) -> anyhow::Result<()> {
    let database = pod_data::open(&world.data(0));
    let [lost, doubled, disordered] = three(&database)?;
    let gone = "SELECT key FROM journal WHERE target_id = ?1 ORDER BY seq LIMIT 1 OFFSET 2";
    let gone: Vec<u8> = database.query_row(gone, [lost], |row| row.get(0))?;
    for table in ["journal", "inbox"] {
        changed(&database, &format!("DELETE FROM {table} WHERE target_id = ?1 AND key = ?2"), (lost, gone.clone()))?;
    }
    let twice = "UPDATE kv SET value = value + 1 WHERE target_id = ?1 AND key = 'handled'";
    changed(&database, twice, [doubled])?;
    let swapped = "UPDATE journal SET seq = -seq WHERE target_id = ?1 AND seq =
        (SELECT seq FROM journal WHERE target_id = ?1 ORDER BY seq LIMIT 1 OFFSET 3)";
    changed(&database, swapped, [disordered])?;
    act_for_another(&world.ownership_log(0), &world.ownership_log(1), world.gateways[1].name())
}

/// Checks that the judge has found all of it.
pub(crate) fn found(verdict: &Verdict) -> anyhow::Result<()> {
    for (what, found) in [
        ("an event that is gone", &verdict.lost),
        ("an event that changed state twice", &verdict.doubled),
        ("events in another order", &verdict.disordered),
        ("a pod that acts for another's target", &verdict.overlapping),
    ] {
        ensure!(!found.is_empty(), "the judge has not found {what}");
    }
    Ok(())
}

/// Three targets that the pod owns and that have had some events.
fn three(database: &Connection) -> anyhow::Result<[i64; 3]> {
    let owned = if database.prepare("SELECT state FROM target").is_ok() { "state = 'owned'" } else { "true" };
    let prefix = load::target(0).trim_end_matches('0').to_owned();
    let sql = format!("SELECT id FROM target WHERE {owned} AND applied >= 8 AND name LIKE ?1 || '%' LIMIT 3");
    let mut statement = database.prepare(&sql)?;
    let found: Vec<i64> = statement.query_map([prefix], |row| row.get(0))?.collect::<Result<_, _>>()?;
    found.try_into().ok().context("too few targets with events on the first gateway: run longer")
}

fn changed(database: &Connection, sql: &str, with: impl rusqlite::Params) -> anyhow::Result<()> {
    let rows = database.execute(sql, with)?;
    ensure!(rows == 1, "{rows} rows instead of one: {sql}");
    Ok(())
}

/// Writes into one pod's log the last line of the other's, as if it had been this pod that acted.
fn act_for_another(log: &Path, other: &Path, name: &str) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(log).with_context(|| log.display().to_string())?;
    let own = text.lines().last().context("the first gateway's ownership log is empty")?;
    let mut file = std::fs::OpenOptions::new().append(true).open(other)?;
    let pod: serde_json::Value = serde_json::from_str(own)?;
    let pod = pod["pod"].as_str().context("a line of an ownership log names its pod")?;
    writeln!(file, "{}", own.replace(&format!("\"{pod}\""), &format!("\"{name}\"")))?;
    Ok(())
}
