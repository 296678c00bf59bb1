use super::*;
use proptest::prelude::*;
use shared::{Epoch, Revision, wire::control::Load};
use tokio::sync::oneshot;

fn want(n: u64) -> Wanted {
    Wanted::of(format!("discord:guild:{n}").parse().expect("valid"))
}

fn fleet(ready: bool) -> Vec<Candidate> {
    let pod = "gateway-0".parse().expect("valid");
    vec![Candidate {
        pod,
        capacity: 1.0,
        ready,
        open: true,
        targets: 0,
        fresh: 0,
        track: Default::default(),
        load: Load::default(),
    }]
}

/// One transaction: what fits is put together, committed and answered.
fn transact(queue: &mut Queue, model: &mut Model, room: usize, ready: bool) -> usize {
    let mut batch = Batch::default();
    queue.board(model, || fleet(ready), &Policy::default(), room, &mut batch);
    let (revision, epoch) =
        (model.revision().0 + batch.writes.len() as u64, model.epoch().0 + batch.writes.len() as u64);
    let changes = batch.stamp(Revision(revision), Epoch(epoch), 0);
    changes.iter().for_each(|change| model.apply(change.clone()));
    model.issued(Epoch(epoch));
    queue.settle(model, &queue.placed(&changes));
    batch.writes.len()
}

#[test]
fn a_request_nobody_waits_for_is_dropped() {
    let (mut queue, mut model) = (Queue::new(10), Model::default());
    let (reply, answer) = oneshot::channel();
    queue.push(&model, vec![want(1)], reply);
    assert_eq!(queue.waiting(), 1);
    drop(answer);
    assert_eq!((transact(&mut queue, &mut model, 10, true), queue.waiting()), (0, 0));
}

#[test]
fn a_refusal_counts_for_the_transaction_it_was_made_in_only() {
    let (mut queue, mut model) = (Queue::new(10), Model::default());
    let (reply, mut answer) = oneshot::channel();
    queue.push(&model, vec![want(1)], reply);
    transact(&mut queue, &mut model, 10, false);
    assert_eq!(answer.try_recv().expect("answered").expect("placed").refused[0].code, "no-ready-pod");
    let (reply, mut answer) = oneshot::channel();
    queue.push(&model, vec![want(1)], reply);
    transact(&mut queue, &mut model, 10, true);
    assert_eq!(answer.try_recv().expect("answered").expect("placed").assignments.len(), 1);
}

proptest! {
    #[test]
    fn every_request_is_answered_whole_within_the_rows_of_each_transaction(
        requests in prop::collection::vec(prop::collection::vec(0_u64..40, 0..12), 1..12),
        room in 2_usize..9,
    ) {
        let (mut queue, mut model) = (Queue::new(1_000), Model::default());
        let mut answers = Vec::new();
        for targets in &requests {
            let (reply, answer) = oneshot::channel();
            queue.push(&model, targets.iter().map(|n| want(*n)).collect(), reply);
            answers.push(answer);
        }
        while queue.waiting() > 0 {
            let rows = transact(&mut queue, &mut model, room, true);
            prop_assert!(rows > 0 && rows <= room, "{} rows", rows);
        }
        for (targets, answer) in requests.iter().zip(&mut answers) {
            let placed = answer.try_recv().expect("answered").expect("placed");
            let named: Vec<_> = placed.assignments.iter().map(|assignment| assignment.target.clone()).collect();
            prop_assert_eq!(named, targets.iter().map(|n| want(*n).target).collect::<Vec<_>>());
        }
    }
}
