//! Brings what the cluster moves by itself to an end: a target on its way is in two databases, and neither says it is served.

use super::World;
use anyhow::bail;
use http::Method;
use serde_json::{Value, json};
use shared::wire::handoff::MoveState;
use std::time::Duration;

/// How long that may take.
const REST: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);

impl World {
    /// Has the leader begin no moves any more, and waits until none is under way.
    pub(crate) async fn at_rest(&mut self) -> anyhow::Result<()> {
        let pause = json!({"value": true, "reason": "chaos"});
        let deadline = tokio::time::Instant::now() + REST;
        let mut paused = false;
        loop {
            if !paused {
                let said = self.admin(&Method::PUT, "/v1/settings/rebalance-paused", Some(&pause)).await;
                paused = said.is_ok_and(|reply| reply.status == 200);
            }
            match self.under_way().await {
                Ok(left) if paused && left.is_empty() => return Ok(()),
                Ok(left) if tokio::time::Instant::now() > deadline => {
                    bail!("moves do not come to rest: {}", Value::from(left))
                }
                Err(why) if tokio::time::Instant::now() > deadline => bail!("moves do not come to rest: {why:#}"),
                _ => {}
            }
            self.supervise()?;
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Returns the plans that are carried out, and the moves that are not over; of many moves only some.
    async fn under_way(&self) -> anyhow::Result<Vec<Value>> {
        let read = async |path: &str, list: &str| -> anyhow::Result<Vec<Value>> {
            let mut found = self.admin(&Method::GET, path, None).await?.json();
            match found[list].take() {
                Value::Array(all) => Ok(all),
                _ => bail!("{path}: {found}"),
            }
        };
        let mut left = read("/v1/rebalance", "running").await?;
        for state in [MoveState::Copying, MoveState::Frozen, MoveState::Imported, MoveState::Committed] {
            left.extend(read(&format!("/v1/moves?state={}", state.as_str()), "moves").await?);
        }
        Ok(left)
    }
}
