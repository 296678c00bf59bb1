//! Tells config-service how the shards of this pod stand, and hears which ones the bot has (docs/adr/0033). Decides nothing; without an
//! answer the last one counts.

use super::{Shards, status::Plan};
use shared::{
    PodId,
    http::{Client, ClientError},
    shutdown::Shutdown,
    wire::discord::{ShardPlan, ShardReport},
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior},
};

/// How often it is told.
const EVERY: Duration = Duration::from_secs(1);

/// Goes on until `stop`. A pod without shards says nothing.
pub(super) async fn run(client: Client, pod: PodId, shards: Shards, plan: watch::Sender<Plan>, stop: Shutdown) {
    let telling = async {
        let (mut every, mut said) = (tokio::time::interval(EVERY), None);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            let held = shards.list().shards;
            if held.is_empty() {
                continue;
            }
            let (asked, report) =
                (Instant::now(), ShardReport { pod: pod.clone(), shards: held, tails: shards.tails() });
            match client.post::<ShardPlan>("/v1/discord/shards", &report).await {
                Ok(answer) => {
                    plan.send_replace(Plan { asked: Some(asked), said: Arc::new(answer) });
                    said = None;
                }
                Err(why) => {
                    let code = word(&why);
                    // The same trouble is told once.
                    if said.as_ref() != Some(&code) {
                        tracing::warn!(error = %why, "cannot tell config-service how the shards stand");
                    }
                    said = Some(code);
                }
            }
        }
    };
    let _: Option<()> = stop.run_until_cancelled(telling).await;
}

fn word(why: &ClientError) -> String {
    why.problem().map_or_else(|| "away".to_owned(), |problem| problem.code.to_string())
}
