//! Which lives' replicas are still needed, as far as the control plane knows: those that pods are in, and those whose data
//! targets wait for, or were restored from and are not known to be replicated since. Whatever is not known is needed. Pure;
//! knows no store of replicas, and nothing of ages.

use super::fleet::Fleet;
use crate::domain::{Held, Model, PodRecord};
use shared::Mono;
use shared::wire::control::{AssignmentState, Life};
use shared::wire::lineages::{LifeNeeded, LineageNeeds, Need, PodLives};
use shared::wire::replication::{Lag, Standing};
use std::collections::BTreeMap;

/// How long a target must have been its owner's, beyond what the owner's replica is behind, before that replica is taken to have
/// it: an import may follow the assignment.
const SETTLED_MS: u64 = 60 * 60 * 1_000;

/// Says what is needed now, which is `now_ms` by the wall clock.
pub(super) fn needs(model: &Model, fleet: &Fleet, now: Mono, now_ms: u64) -> LineageNeeds {
    LineageNeeds {
        now_ms,
        generation: model.epoch().generation(),
        settled: model.is_settled(),
        pods: model.pods().map(|record| lives(model, record)).collect(),
        lives: named(model, |record| fleet.lag(record, now), now_ms),
    }
}

/// Says whether a life's replica is needed now, by a pod or by a target.
pub(super) fn is_needed(needs: &LineageNeeds, life: &Life) -> bool {
    let of_pod = |pod: &PodLives| {
        pod.pod == life.pod && (pod.current == life.incarnation || pod.served.as_ref() == Some(&life.incarnation))
    };
    !needs.settled || needs.pods.iter().any(of_pod) || needs.lives.iter().any(|named| named.life == *life)
}

fn lives(model: &Model, record: &PodRecord) -> PodLives {
    let (pod, current) = (record.info.pod.clone(), record.info.incarnation.clone());
    let moves = model.moves().filter(|entry| entry.from == pod || entry.to == pod).count() as u64;
    PodLives {
        targets: model.targets_of(&pod) + moves,
        served: record.previous.clone().filter(|served| record.report && *served != current),
        buried: record.buried,
        replica: record.replica.clone(),
        current,
        pod,
    }
}

fn named(model: &Model, lag: impl Fn(&PodRecord) -> Option<Lag>, now_ms: u64) -> Vec<LifeNeeded> {
    let mut found: BTreeMap<Life, (Need, u64)> = BTreeMap::new();
    for held in model.all().iter() {
        let Some(data) = held.data() else { continue };
        let need = match held.state() {
            AssignmentState::Quarantined => Need::Waiting,
            AssignmentState::Serving if has_it_replicated(model, held, &lag, now_ms) => continue,
            AssignmentState::Serving => Need::NotReplicatedYet,
        };
        for life in [Some(data.life()), data.origin.clone()].into_iter().flatten() {
            let entry = found.entry(life).or_insert((need, 0));
            *entry = (entry.0.max(need), entry.1 + 1);
        }
    }
    found.into_iter().map(|(life, (need, targets))| LifeNeeded { life, need, targets }).collect()
}

/// Whether the owner's own replica has what it serves: it keeps up, and what it is behind is younger than the ownership.
fn has_it_replicated(model: &Model, held: Held<'_>, lag: impl Fn(&PodRecord) -> Option<Lag>, now_ms: u64) -> bool {
    let owner = model.pod(held.pod()).filter(|owner| !owner.buried && !owner.report);
    let lag = owner.and_then(lag).filter(|lag| lag.state == Standing::Replicating);
    lag.is_some_and(|lag| held.since_ms().saturating_add(lag.ms).saturating_add(SETTLED_MS) <= now_ms)
}

#[cfg(test)]
mod tests;
