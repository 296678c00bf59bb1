use super::*;
use crate::{
    control::plans::Shape,
    domain::Snapshot,
    planner::{Policy, scaling::Set},
};
use shared::Epoch;
use shared::wire::control::{Assignment, AssignmentState};

const LIFE: &str = "0190163d-8694-739b-aea5-966c26f8ad91";

/// `gateway-0` to `gateway-2` and one of another name, each with a target.
fn world() -> (Model, Fleet) {
    let names = ["gateway-0", "gateway-1", "gateway-2", "spare"];
    let record = |name: &str| {
        let mut record = PodRecord::sample(name, LIFE);
        record.info.incarnation = LIFE.parse().expect("valid");
        record
    };
    let owned = |(n, name): (usize, &str)| Assignment {
        target: format!("discord:guild:{n}").parse().expect("valid"),
        pod: name.parse().expect("valid"),
        epoch: Epoch(n as u64 + 1),
        revision: Revision(1),
        parent: None,
        reason: "first-contact".into(),
        since_ms: 1,
        state: AssignmentState::Serving,
        data: None,
    };
    let pods: Vec<_> = names.into_iter().map(record).collect();
    let assignments = names.into_iter().enumerate().map(owned).collect();
    let model = Model::new(Snapshot { pods, assignments, settled: 1, ..Snapshot::default() });
    let fleet = Fleet::taken_over(Term(1), LeaseTerms::default(), Patience::default(), &model, Mono::ZERO);
    (model, fleet)
}

fn open(fleet: &Fleet, model: &Model) -> Vec<String> {
    let open = fleet.candidates(model, Mono::ZERO).into_iter().filter(|candidate| candidate.open);
    open.map(|candidate| candidate.pod.to_string()).collect()
}

/// Which pods' targets have to leave because of their numbers, as a plan sees it.
fn leave(fleet: &Fleet, model: &Model) -> Vec<String> {
    let policy = Policy::default();
    let shape = Shape { model, fleet, policy: &policy, interval: Duration::ZERO, now: Mono::ZERO, now_ms: 1 };
    let snapshot = shape.draft().snapshot();
    let out = snapshot.pods().iter().filter(|view| !view.in_range);
    out.map(|view| view.pod.to_string()).collect()
}

fn range(start: u32, replicas: u32) -> Range {
    let set = Set { prefix: "gateway".to_owned(), start, replicas, there: Default::default(), rollout: None };
    set.range(None)
}

#[test]
fn a_number_out_of_range_is_given_nothing_and_what_it_has_leaves() {
    let (model, mut fleet) = world();
    assert_eq!(open(&fleet, &model).len(), 4, "nobody has said which are to run");
    assert_eq!(leave(&fleet, &model), [] as [&str; 0]);
    fleet.ranges(range(0, 2));
    assert_eq!(open(&fleet, &model), ["gateway-0", "gateway-1", "spare"]);
    assert_eq!(leave(&fleet, &model), ["gateway-2"]);
    // What was said last counts.
    fleet.ranges(range(1, 2));
    assert_eq!(open(&fleet, &model), ["gateway-1", "gateway-2", "spare"]);
    assert_eq!(leave(&fleet, &model), ["gateway-0"]);
}
