//! What a story about a plain cluster ends with: what senders were promised, against what the pods say while they run and what lies
//! in their databases once they have stopped.

use crate::{Cluster, eventually, pod_data};
use serde_json::Value;
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// Ids of acknowledged events by target, in their order.
pub type Promised = BTreeMap<String, Vec<String>>;

/// Waits until every target is served with all that was promised of it applied once, and sources have cleaned up what has moved.
///
/// # Panics
/// When a target has applied more, or that is not so after `most`.
pub async fn served(cluster: &Cluster, promised: &Promised, most: Duration) {
    for (target, events) in promised {
        let state = eventually(&format!("{target} is served"), most, async || {
            let reply = cluster.admin(&format!("/v1/targets/{target}/state")).await.ok()?;
            // What is acknowledged is applied a moment later where its handler has to be called again.
            let state = Some(reply).filter(|reply| reply.status == 200)?.json();
            (state["applied"].as_u64()? >= events.len() as u64).then_some(state)
        })
        .await;
        assert_eq!(state["applied"], events.len(), "{target}: {state}");
    }
    eventually("sources have cleaned up what has moved", most, async || {
        let moves = cluster.admin("/v1/moves?limit=1000").await.ok()?.json();
        let over = |entry: &Value| matches!(entry["state"].as_str(), Some("cleaned" | "aborted"));
        moves["moves"].as_array()?.iter().all(over).then_some(())
    })
    .await;
}

/// Compares what was promised with the databases of the first `pods` gateways, which have stopped: with what each has of the
/// targets that it owns. A pod that was told to leave may stop before it has removed what it had released.
///
/// # Panics
/// When an event is lost, there twice, or out of order, or a target has two owners.
pub fn kept(folder: impl Fn(&str) -> PathBuf, pods: u32, promised: &Promised) {
    let mut accepted = Promised::new();
    let folders = (0..pods).map(|n| folder(&format!("gateway-{n}"))).filter(|folder| folder.exists());
    for folder in folders {
        for (target, events) in pod_data::journal(&folder) {
            assert!(accepted.insert(target.clone(), events).is_none(), "{target} is owned by two pods");
        }
    }
    for (target, events) in promised {
        assert_eq!(accepted.get(target), Some(events), "{target}: each acknowledged event once, in order");
    }
}
