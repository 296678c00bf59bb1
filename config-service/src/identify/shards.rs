//! Gives the shards of the bot a home among the gateways, as first contacts have it: targets `discord:shard:0-N` and on; and takes
//! down what their holders say of them. How many there are to be is `reshard`'s to say; where each goes is the planner's.

use super::{
    Identify,
    reshard::{self, Kept, Standing, Step, Wish},
};
use crate::{
    control::{ControlError, Errand},
    domain::{By, Edit, SettingRecord},
    options::ShardCount,
};
use shared::{
    Kind, Platform, PodId, TargetId,
    shutdown::Shutdown,
    wire::discord::{HeldShard, ReshardPhase, Shard, ShardPlan, ShardReport, ShardStatus, ShardTail, ShardsStatus},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, MissedTickBehavior};

/// How often it is looked whether a shard has no home, and whether a change of their number can go on.
const ROUND: Duration = Duration::from_secs(1);

/// Most shards placed in one transaction.
const BATCH: usize = 1_000;

/// How long what a holder said of a shard counts. They say it every second.
const FRESH: Duration = Duration::from_secs(5);

/// Where the names of all shards begin.
const NAMES: &str = "discord:shard:";

/// Under which name it is kept how many shards the bot has.
const KEPT: &str = "discord-shards";

/// What the holders of shards said last. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub(super) struct Heard(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    shards: BTreeMap<Shard, Said>,
    /// Why it does not go on.
    why: Option<String>,
}

#[derive(Debug)]
struct Said {
    at: Instant,
    pod: PodId,
    status: ShardStatus,
    tail: Option<ShardTail>,
}

impl Heard {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes down what a pod said. What another said of the same shard a moment ago is over.
    fn take(&self, report: ShardReport) {
        let ShardReport { pod, shards, mut tails } = report;
        let (at, mut state) = (Instant::now(), self.state());
        for status in shards {
            let Ok(shard) = status.shard.parse() else { continue };
            let tail = tails.iter().position(|tail| tail.shard == status.shard).map(|found| tails.swap_remove(found));
            state.shards.insert(shard, Said { at, pod: pod.clone(), status, tail });
        }
    }

    fn standing(&self) -> Standing {
        let mut state = self.state();
        state.shards.retain(|_, said| said.at.elapsed() < FRESH);
        state.shards.iter().map(|(shard, said)| (*shard, (said.status.clone(), said.tail.is_some()))).collect()
    }

    fn held(&self) -> Vec<HeldShard> {
        let held = |said: &Said| HeldShard { pod: said.pod.clone(), status: said.status.clone() };
        self.state().shards.values().filter(|said| said.at.elapsed() < FRESH).map(held).collect()
    }

    fn tails(&self) -> Vec<ShardTail> {
        self.state().shards.values().filter_map(|said| said.tail.clone()).collect()
    }
}

/// Returns the target that a shard is.
fn target(shard: Shard) -> Option<TargetId> {
    TargetId::from_parts(Platform::Discord, Kind::Shard, &[&shard.to_string()]).ok()
}

/// Gives shards a home while this process leads, until `shutdown`.
pub(super) async fn run(identify: Identify, wish: ShardCount, shutdown: Shutdown) {
    let placing = async {
        let (mut round, mut said) = (tokio::time::interval(ROUND), None);
        round.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            round.tick().await;
            if !identify.control.leads() {
                continue;
            }
            // Whoever does not lead any more has nothing to place.
            let why = once(&identify, wish).await.unwrap_or_default();
            if let Some(why) = why.as_ref().filter(|why| said.as_ref() != Some(*why)) {
                tracing::warn!(why, "the bot's shards on Discord are not all where they are to be");
            }
            identify.heard.state().why.clone_from(&why);
            said = why;
        }
    };
    let _: Option<()> = shutdown.run_until_cancelled(placing).await;
}

/// What is kept, and the shards that were given out.
async fn known(identify: &Identify) -> Result<(Option<Kept>, Vec<Shard>), ControlError> {
    let known = identify.control.read(|view| {
        let of_bot = view.model.starting_with(NAMES);
        let kept = view.model.setting(KEPT).and_then(|kept| serde_json::from_str(&kept.value).ok());
        (kept, of_bot.filter_map(|assignment| assignment.target.id().parse().ok()).collect())
    });
    known.await
}

/// Goes on with a change of the number of shards, and places what has no home; returns what is waited for.
async fn once(identify: &Identify, setting: ShardCount) -> Result<Option<String>, ControlError> {
    let (kept, given) = known(identify).await?;
    let recommended = match setting {
        ShardCount::Exactly(_) => None,
        ShardCount::Auto => identify.budget().await.ok().and_then(|status| status.budget).map(|budget| budget.shards),
    };
    let wish = Wish { setting, recommended };
    let (kept, mut why) = match reshard::step(kept, wish, &given, &identify.heard.standing()) {
        Step::Stay(why) => (kept, why),
        Step::Write(next) => {
            write(identify, kept, next).await?;
            (Some(next), None)
        }
    };
    let wanted = kept.into_iter().flat_map(|kept| [Some(kept.shards), kept.coming]).flatten();
    let wanted = wanted.flat_map(|count| (0..count).filter_map(move |id| Shard::new(id, count).ok()));
    let missing: Vec<_> = wanted.filter(|shard| !given.contains(shard)).filter_map(target).collect();
    for part in missing.chunks(BATCH) {
        let placed = identify.control.place_alone(part.to_vec()).await?;
        if let Some(refused) = placed.refused.first() {
            why = Some(format!("{} cannot be placed: {}", refused.target, refused.code));
        }
    }
    Ok(why)
}

/// Writes down how many shards the bot has, and is to have; what an operator would want to know stands in the audit.
async fn write(identify: &Identify, before: Option<Kept>, now: Kept) -> Result<(), ControlError> {
    let Kept { shards, coming, phase } = now;
    let reason = match coming {
        Some(coming) => format!("{shards} shards become {coming}: {phase:?}").to_lowercase(),
        None => format!("the bot has {shards} shards"),
    };
    tracing::info!(shards, coming, ?phase, "the number of the bot's shards on Discord");
    let by = By { actor: "config-service".to_owned(), reason: reason.clone(), request_id: String::new(), key: None };
    let value = serde_json::to_string(&now).unwrap_or_default();
    let edit = Edit::Set(SettingRecord { name: KEPT.to_owned(), value, actor: by.actor.clone(), reason, at_ms: 0 });
    let errand = match before {
        None => Errand::note(edit, by),
        Some(_) => Errand::new("reshard-discord", format!("{shards} shards"), Some(edit), by, &()),
    };
    identify.control.errand(errand).await.map(drop)
}

impl Identify {
    /// Takes down how a pod's shards stand; returns which shards the bot has, and what else their holders need to know.
    pub(crate) async fn shards_stand(&self, report: ShardReport) -> Result<ShardPlan, ControlError> {
        let (kept, _) = known(self).await?;
        self.heard.take(report);
        let Some(Kept { shards, coming, phase }) = kept else { return Ok(ShardPlan::default()) };
        let closed = phase == ReshardPhase::Closing && reshard::all_closed(shards, &self.heard.standing());
        let tails = closed.then(|| self.heard.tails());
        Ok(ShardPlan { shards: Some(shards), coming, phase, tails })
    }

    /// Returns the shards of the bot, and how they stand.
    pub(crate) async fn shards(&self) -> Result<ShardsStatus, ControlError> {
        let (kept, _) = known(self).await?;
        let (shards, coming) = (kept.map(|kept| kept.shards), kept.and_then(|kept| kept.coming));
        let phase = kept.map(|kept| kept.phase).unwrap_or_default();
        let why = self.heard.state().why.clone();
        Ok(ShardsStatus { shards, coming, phase, why, held: self.heard.held() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_shards_is_auto_or_one_that_can_be() {
        assert_eq!(("auto".parse(), "16".parse()), (Ok(ShardCount::Auto), Ok(ShardCount::Exactly(16))));
        for bad in ["0", "16385", "-1", "many", ""] {
            assert!(bad.parse::<ShardCount>().is_err(), "{bad}");
        }
    }
}
