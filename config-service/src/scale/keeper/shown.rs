//! How things stand, as it is shown. Pure.

use super::super::facts::Facts;
use super::Reign;
use crate::planner::{
    autoscale::{Dimension, Rules, Use},
    scaling::Set,
};
use shared::PodId;
use shared::wire::admin::{AutoscalerStatus, DimensionUse, PodInput, WhyNot};

/// Returns how things stand. `name` is what starts and stops pods.
pub(super) fn status(
    name: Option<String>,
    set: &Result<Set, String>,
    facts: &Facts,
    reign: &Reign,
    rules: &Rules,
) -> AutoscalerStatus {
    let pods: Vec<_> = set.as_ref().map(|set| pods(set).collect()).unwrap_or_default();
    let decision = reign.decision.as_ref();
    let ratios = decision.map_or([None; 4], |decision| decision.ratios);
    let dimension = |(n, dimension): (usize, Dimension)| DimensionUse {
        name: dimension.as_str().to_owned(),
        goal: rules.goals[n],
        ratio: ratios[n],
    };
    let why_not = |decision: &crate::planner::autoscale::Decision| {
        let said =
            |hold: &crate::planner::autoscale::Hold| WhyNot { code: hold.code().to_owned(), detail: hold.sentence() };
        decision.why_not.iter().map(said).collect()
    };
    AutoscalerStatus {
        mode: facts.values.mode.clone(),
        home: name,
        replicas: set.as_ref().ok().map(|set| set.replicas),
        ready: pods.iter().filter(|pod| facts.unready(pod).is_none()).count() as u32,
        desired: decision.and_then(|decision| decision.desired),
        min: rules.min,
        max: rules.max,
        why: decision.map_or_else(|| "no look yet".to_owned(), |decision| decision.why.clone()),
        why_not: decision.map(why_not).unwrap_or_default(),
        dimensions: Dimension::ALL.into_iter().enumerate().map(dimension).collect(),
        pods: pods.into_iter().map(|pod| input(reign.rates.of(&pod).map_err(|why| why.sentence()), pod)).collect(),
        order: reign.ledger.order.clone(),
        decisions: reign.ledger.decisions(),
        statistics: reign.ledger.statistics(),
    }
}

/// The pods that are meant to run.
fn pods(set: &Set) -> impl Iterator<Item = PodId> {
    (set.start..set.start.saturating_add(set.replicas)).filter_map(|ordinal| set.pod(ordinal))
}

fn input(used: Result<Use, &'static str>, pod: PodId) -> PodInput {
    match used {
        Ok(Use { cpu, memory, events, sockets }) => {
            PodInput { pod, cpu, memory, events: Some(events), sockets: Some(sockets), missing: None }
        }
        Err(why) => {
            PodInput { pod, cpu: None, memory: None, events: None, sockets: None, missing: Some(why.to_owned()) }
        }
    }
}
