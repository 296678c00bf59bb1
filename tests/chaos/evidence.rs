//! What is left when all has stopped: the pods' databases and ownership logs, the calls that arrived outside. Reads it with
//! plain SQL, beside Berth, and judges nothing.

use anyhow::Context;
use berth_tests::{double::Call, pod_data};
use rusqlite::{Connection, OptionalExtension};
use std::{collections::BTreeMap, path::Path};

/// A target as it lies in one pod's database.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Holding {
    /// The pod.
    pub(crate) pod: String,
    /// What the pod says it is: `owned`, `quarantined`, …
    pub(crate) state: String,
    /// The events of its journal in the order of acceptance, timers left out.
    pub(crate) journal: Vec<String>,
    /// Those of them that are no `done`.
    pub(crate) undone: Vec<String>,
    /// How often the bot has changed the target's state.
    pub(crate) handled: u64,
    /// Ids of calls the pod says nobody knows the outcome of.
    pub(crate) uncertain: Vec<String>,
}

/// A call that arrived outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arrived {
    /// The event that asked for it.
    pub(crate) event: String,
    /// Its key, by which a platform knows a repetition.
    pub(crate) key: Option<String>,
}

/// All of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Evidence {
    /// Who owns each target, as the control plane says.
    pub(crate) owners: BTreeMap<String, String>,
    /// Where each target lies.
    pub(crate) holdings: BTreeMap<String, Vec<Holding>>,
    /// The calls, in the order of their arrival.
    pub(crate) calls: Vec<Arrived>,
}

impl Evidence {
    /// Adds what lies in a stopped pod's data folder.
    pub(crate) fn read_pod(&mut self, pod: &str, folder: &Path) -> anyhow::Result<()> {
        if !folder.join("berth.db").is_file() {
            // It was lost, and is not back: whoever ought to serve what it had is found without it.
            return Ok(());
        }
        let database = pod_data::open(folder);
        let has_state = database.prepare("SELECT state FROM target").is_ok();
        let state = if has_state { "state" } else { "'owned'" };
        let mut targets = database.prepare(&format!("SELECT id, name, {state} FROM target"))?;
        let rows = targets.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        for row in rows {
            let (id, name, state): (i64, String, String) = row?;
            let holding = read_target(&database, pod, id, state).with_context(|| format!("{name} on {pod}"))?;
            self.holdings.entry(name).or_default().push(holding);
        }
        Ok(())
    }

    /// Adds what arrived outside.
    pub(crate) fn add_calls(&mut self, calls: &[Call]) {
        let key = |call: &Call| {
            call.headers.iter().find(|(name, _)| name == "idempotency-key").map(|(_, value)| value.clone())
        };
        self.calls.extend(calls.iter().map(|call| Arrived { event: call.body.clone(), key: key(call) }));
    }
}

fn read_target(database: &Connection, pod: &str, id: i64, state: String) -> anyhow::Result<Holding> {
    let mut holding = Holding { pod: pod.to_owned(), state, ..Holding::default() };
    let sql = "SELECT event_id, state FROM journal WHERE target_id = ? AND source <> 'timer' ORDER BY seq";
    let mut journal = database.prepare_cached(sql)?;
    for row in journal.query_map([id], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))? {
        let (event, state): (String, _) = row?;
        if state != "done" {
            holding.undone.push(event.clone());
        }
        holding.journal.push(event);
    }
    let handled = "SELECT value FROM kv WHERE target_id = ? AND key = 'handled'";
    let handled: Option<String> = database.query_row(handled, [id], |row| row.get(0)).optional()?;
    holding.handled = handled.map_or(Ok(0), |value| value.parse())?;
    let mut uncertain = database.prepare_cached("SELECT id FROM outbox WHERE target_id = ? AND state = 'uncertain'")?;
    for row in uncertain.query_map([id], |row| row.get(0))? {
        holding.uncertain.push(row?);
    }
    Ok(holding)
}
