use super::*;
use crate::domain::{Batch, Write};
use shared::wire::control::AssignmentState;

fn pod(name: &str) -> PodRecord {
    PodRecord::sample(name, "0190163d-8694-739b-aea5-966c26f8ad91")
}

fn assign(target: &str, to: &str, expected: Option<(&str, u64)>) -> Write {
    Write::Assign {
        target: target.parse().expect("valid"),
        parent: None,
        pod: to.parse().expect("valid"),
        expected: expected.map(|(pod, epoch)| (pod.parse().expect("valid"), Epoch(epoch))),
        reason: "test",
        state: AssignmentState::Serving,
        data: None,
    }
}

#[test]
fn every_write_has_its_own_revision_and_every_ownership_its_own_epoch() {
    let batch = Batch {
        writes: vec![
            assign("slack:guild:A", "gateway-0", None),
            Write::Pod { record: pod("gateway-1"), expected: None, floor: Epoch(0) },
            assign("slack:guild:B", "gateway-1", None),
        ],
        ..Batch::default()
    };
    let changes = batch.stamp(Revision(13), Epoch(102), 7);
    assert_eq!(changes.iter().map(|change| change.revision().0).collect::<Vec<_>>(), [11, 12, 13]);
    let epochs = changes.iter().filter_map(|change| match change {
        Change::Assignment { assignment, .. } => Some(assignment.epoch.0),
        _ => None,
    });
    assert_eq!(epochs.collect::<Vec<_>>(), [101, 102]);
}

#[test]
fn counts_follow_a_target_to_its_new_owner() {
    let mut model = Model::default();
    let first = Batch { writes: vec![assign("slack:guild:A", "gateway-0", None)], ..Batch::default() };
    let second =
        Batch { writes: vec![assign("slack:guild:A", "gateway-1", Some(("gateway-0", 1)))], ..Batch::default() };
    for change in first.stamp(Revision(1), Epoch(1), 0).into_iter().chain(second.stamp(Revision(2), Epoch(2), 0)) {
        model.apply(change);
    }
    let count = |name: &str| model.targets_of(&name.parse().expect("valid"));
    assert_eq!((count("gateway-0"), count("gateway-1"), model.len()), (0, 1, 1));
    assert_eq!(model.targets_by_platform().map(|(_, count)| count).sum::<u64>(), 1);
}
