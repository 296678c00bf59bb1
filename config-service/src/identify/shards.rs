//! Gives the shards of the bot a home among the gateways, as first contacts have it: targets `discord:shard:0-N` and on, once it
//! is known how many there are to be. Decides that number; where each goes is the planner's to say. Another number than the one
//! that is given out already is not taken up: that would be another set of connections beside the old one.

use super::Identify;
use crate::{control::ControlError, options::ShardCount};
use shared::{Kind, Platform, TargetId, shutdown::Shutdown, wire::discord::Shard};
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// How often it is looked whether a shard has no home.
const ROUND: Duration = Duration::from_secs(1);

/// Most shards placed in one transaction.
const BATCH: usize = 1_000;

/// Where the names of all shards begin.
const NAMES: &str = "discord:shard:";

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// It is not known yet how many there are.
    Wait,
    /// These have no home.
    Place(Vec<Shard>),
    /// So many are given out, and another number is wanted.
    Other { given: u32, wanted: u32 },
}

/// Returns what is to be done about the shards that are given out.
fn step(wish: ShardCount, recommended: Option<u32>, given: &[Shard]) -> Step {
    let standing = given.iter().map(|shard| shard.count).max();
    let count = match (wish, standing) {
        (ShardCount::Exactly(wanted), Some(given)) if wanted != given => return Step::Other { given, wanted },
        (ShardCount::Exactly(count), _) | (ShardCount::Auto, Some(count)) => count,
        (ShardCount::Auto, None) => match recommended {
            Some(count) => count,
            None => return Step::Wait,
        },
    };
    let missing = (0..count).filter_map(|id| Shard::new(id, count).ok()).filter(|shard| !given.contains(shard));
    Step::Place(missing.collect())
}

/// Returns the target that a shard is.
fn target(shard: Shard) -> Option<TargetId> {
    TargetId::from_parts(Platform::Discord, Kind::Shard, &[&shard.to_string()]).ok()
}

/// Gives shards a home while this process leads, until `shutdown`.
pub(super) async fn run(identify: Identify, wish: ShardCount, shutdown: Shutdown) {
    let placing = async {
        let (mut round, mut said) = (tokio::time::interval(ROUND), String::new());
        round.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            round.tick().await;
            if !identify.control.leads() {
                continue;
            }
            // Whoever does not lead any more has nothing to place.
            let why = once(&identify, wish).await.unwrap_or_default();
            if !why.is_empty() && why != said {
                tracing::warn!(why, "shards of the bot on Discord have no home yet");
            }
            said = why;
        }
    };
    let _: Option<()> = shutdown.run_until_cancelled(placing).await;
}

/// Places what has no home; returns why something still has none.
async fn once(identify: &Identify, wish: ShardCount) -> Result<String, ControlError> {
    let given = identify.control.read(|view| {
        let of_bot = view.model.starting_with(NAMES);
        of_bot.filter_map(|assignment| assignment.target.id().parse().ok()).collect::<Vec<Shard>>()
    });
    let given = given.await?;
    let recommended = match wish {
        ShardCount::Exactly(_) => None,
        ShardCount::Auto => identify.budget().await.ok().and_then(|status| status.budget).map(|budget| budget.shards),
    };
    let missing = match step(wish, recommended, &given) {
        Step::Wait => return Ok("Discord has not said yet how many there should be".to_owned()),
        Step::Other { given, wanted } => {
            return Ok(format!(
                "{given} are given out, and --discord-shards asks for {wanted}: that is not done while the others run; erase \
                 the targets {NAMES}0-{given} and on first, or set it back"
            ));
        }
        Step::Place(missing) => missing,
    };
    for part in missing.chunks(BATCH) {
        let wanted = part.iter().filter_map(|shard| target(*shard)).collect();
        let placed = identify.control.place_alone(wanted).await?;
        if let Some(refused) = placed.refused.first() {
            return Ok(format!("{} cannot be placed: {}", refused.target, refused.code));
        }
    }
    Ok(String::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shards(count: u32, ids: impl IntoIterator<Item = u32>) -> Vec<Shard> {
        ids.into_iter().map(|id| Shard::new(id, count).expect("a shard")).collect()
    }

    #[test]
    fn what_has_no_home_is_placed_and_the_number_that_is_given_out_stays() {
        let exactly = ShardCount::Exactly;
        assert_eq!(step(exactly(2), None, &[]), Step::Place(shards(2, 0..2)));
        assert_eq!(step(exactly(3), Some(9), &shards(3, [1])), Step::Place(shards(3, [0, 2])));
        assert_eq!(step(exactly(2), None, &shards(2, 0..2)), Step::Place(vec![]));
        assert_eq!(step(exactly(4), None, &shards(2, 0..2)), Step::Other { given: 2, wanted: 4 });
        assert_eq!(step(ShardCount::Auto, None, &[]), Step::Wait);
        assert_eq!(step(ShardCount::Auto, Some(2), &[]), Step::Place(shards(2, 0..2)));
        assert_eq!(step(ShardCount::Auto, Some(5), &shards(2, [0])), Step::Place(shards(2, [1])), "two run already");
    }

    #[test]
    fn a_number_of_shards_is_auto_or_one_that_can_be() {
        assert_eq!(("auto".parse(), "16".parse()), (Ok(ShardCount::Auto), Ok(ShardCount::Exactly(16))));
        for bad in ["0", "16385", "-1", "many", ""] {
            assert!(bad.parse::<ShardCount>().is_err(), "{bad}");
        }
    }
}
