//! Planned moves, and what operators have said of pods, as both stores keep them.

use super::world::*;
use berth_tests::eventually;
use config_service::domain::{Batch, Change, Marks, Model, Write};
use config_service::store::{Keep, MoveFilter, Store, StoreError};
use shared::wire::control::AssignmentState;
use shared::wire::handoff::{Move, MoveState};
use shared::{Epoch, LeaseId, MoveId, Revision, Term};
use std::time::Duration;

fn begun(n: u64, epoch: Epoch) -> Write {
    let entry = Move {
        id: MoveId(0),
        target: target(n),
        from: name(0),
        to: name(1),
        state: MoveState::Copying,
        epoch,
        revision: Revision(0),
        reason: "manual".to_owned(),
        actor: "it's \"me\"".to_owned(),
        started_ms: 0,
        frozen_ms: None,
        ended_ms: None,
        pause_ms: None,
        rows: 0,
        bytes: 0,
        detail: None,
        plan: None,
    };
    Write::Move { entry, expected: None }
}

/// The write that takes a move on.
fn turned(entry: &Move, state: MoveState) -> Write {
    Write::Move { entry: Move { state, ..entry.clone() }, expected: Some(entry.state) }
}

/// The write that makes a move's destination the owner.
fn owned(entry: &Move) -> Write {
    Write::Assign {
        target: entry.target.clone(),
        parent: None,
        pod: entry.to.clone(),
        expected: Some((entry.from.clone(), entry.epoch)),
        reason: "manual",
        state: AssignmentState::Serving,
        data: None,
    }
}

/// Commits, and takes what has changed into the model; returns the moves in it.
async fn committed(store: &dyn Store, term: Term, model: &mut Model, writes: Vec<Write>) -> Vec<Move> {
    let changes = store.commit(term, batch(writes)).await.expect("committed").changes;
    changes.iter().cloned().for_each(|change| model.apply(change));
    let moves = changes.into_iter().filter_map(|change| match change {
        Change::Move(entry) => Some(entry),
        _ => None,
    });
    moves.collect()
}

/// Places targets on the first pod and begins to move each of them.
async fn moving(store: &dyn Store, term: Term, model: &mut Model, targets: std::ops::Range<u64>) -> Vec<Move> {
    committed(store, term, model, targets.clone().map(|n| first(n, 0)).collect()).await;
    let epoch = |n| model.assignment(&target(n)).expect("placed").epoch;
    let writes = targets.map(|n| begun(n, epoch(n))).collect();
    committed(store, term, model, writes).await
}

pub(super) async fn a_move_and_its_new_owner_are_committed_together_or_not_at_all(world: World) {
    let (store, term) = world.leading().await;
    let mut model = Model::new(store.load(term).await.expect("read"));
    let moves = moving(&*store, term, &mut model, 1..4).await;
    assert!(moves.iter().all(|entry| entry.id.0 == entry.revision.0 && entry.started_ms > 0), "{moves:?}");
    let frozen = committed(&*store, term, &mut model, vec![turned(&moves[0], MoveState::Frozen)]).await.remove(0);
    assert!(frozen.frozen_ms.is_some() && frozen.id == moves[0].id && frozen.revision > moves[0].revision);

    // A move in another state than expected takes the assignment with it, and an owner other than expected the move.
    let before = store.load(term).await.expect("read");
    let stale = vec![turned(&moves[0], MoveState::Committed), owned(&moves[0])];
    let wrong = vec![turned(&moves[1], MoveState::Committed), owned(&Move { epoch: Epoch(1), ..moves[1].clone() })];
    for writes in [stale, wrong] {
        assert!(matches!(store.commit(term, batch(writes)).await, Err(StoreError::Conflict(_))));
        assert_eq!(store.load(term).await.expect("read"), before);
    }

    let writes = vec![turned(&frozen, MoveState::Committed), owned(&frozen), turned(&moves[1], MoveState::Aborted)];
    let ended = committed(&*store, term, &mut model, writes).await;
    assert!(ended.iter().all(|entry| entry.ended_ms.is_some()));
    let owner = model.assignment(&target(1)).expect("placed");
    assert!(owner.pod == name(1) && owner.epoch > frozen.epoch);
    let read = world.store().await.load(term).await.expect("read");
    assert_eq!(read.moves, model.moves().cloned().collect::<Vec<_>>());
    assert_eq!(
        read.moves.iter().map(|entry| entry.state).collect::<Vec<_>>(),
        [MoveState::Committed, MoveState::Copying]
    );
}

pub(super) async fn moves_are_read_newest_first_and_by_what_is_asked(world: World) {
    let (store, term) = world.leading().await;
    let mut model = Model::new(store.load(term).await.expect("read"));
    let moves = moving(&*store, term, &mut model, 1..5).await;
    committed(&*store, term, &mut model, vec![turned(&moves[2], MoveState::Aborted)]).await;
    let ids = async |wanted: MoveFilter, limit: usize| {
        let read = store.moves(wanted, limit).await.expect("read");
        read.iter()
            .map(|entry| moves.iter().position(|one| one.id == entry.id).expect("one of them"))
            .collect::<Vec<_>>()
    };
    let all = MoveFilter::default;
    assert_eq!(ids(all(), 9).await, [3, 2, 1, 0]);
    assert_eq!(ids(all(), 2).await, [3, 2]);
    assert_eq!(ids(MoveFilter { before: Some(moves[2].id), ..all() }, 9).await, [1, 0]);
    assert_eq!(ids(MoveFilter { state: Some(MoveState::Aborted), ..all() }, 9).await, [2]);
    assert_eq!(ids(MoveFilter { target: Some(target(2)), ..all() }, 9).await, [1]);
    assert_eq!(ids(MoveFilter { pod: Some(name(1)), ..all() }, 9).await, [3, 2, 1, 0]);
    assert!(ids(MoveFilter { pod: Some(name(2)), ..all() }, 9).await.is_empty());
    let some = Some(vec![moves[3].id, moves[0].id, MoveId(1_000_000)]);
    assert_eq!(ids(MoveFilter { ids: some, state: Some(MoveState::Copying), ..all() }, 9).await, [3, 0]);
    assert!(ids(MoveFilter { ids: Some(vec![]), ..all() }, 9).await.is_empty());
    // Numbers beyond what a database counts to are asked for as well.
    assert!(ids(MoveFilter { ids: Some(vec![MoveId(u64::MAX)]), ..all() }, 9).await.is_empty());
    assert_eq!(ids(MoveFilter { before: Some(MoveId(u64::MAX)), ..all() }, 9).await, [3, 2, 1, 0]);
}

pub(super) async fn a_move_that_is_not_over_is_never_forgotten(world: World) {
    let (store, term) = world.leading().await;
    let mut model = Model::new(store.load(term).await.expect("read"));
    let moves = moving(&*store, term, &mut model, 1..4).await;
    let writes = vec![turned(&moves[0], MoveState::Committed), owned(&moves[0]), turned(&moves[1], MoveState::Aborted)];
    committed(&*store, term, &mut model, writes).await;
    let day = Duration::from_secs(86_400);
    let keep = Keep { audit: day, history: day, answers: day, moves: day };
    assert_eq!(store.forget(term, keep).await.expect("done"), 0, "nothing is a day old");
    eventually("the database's clock has moved on", PATIENCE, async || {
        let rows = store.forget(term, Keep { moves: Duration::ZERO, ..keep }).await.expect("done");
        (rows == 1).then_some(())
    })
    .await;
    let left = store.moves(MoveFilter::default(), 9).await.expect("read");
    assert_eq!(left.iter().map(|entry| entry.id).collect::<Vec<_>>(), [moves[2].id, moves[0].id]);
}

pub(super) async fn what_operators_say_of_a_pod_outlives_its_registrations(world: World) {
    let (store, term) = world.leading().await;
    let mut model = Model::new(store.load(term).await.expect("read"));
    let marks = Marks { cordoned: true, draining: false };
    committed(&*store, term, &mut model, vec![Write::Mark { pod: name(1), marks }]).await;
    let again = Write::Pod { record: record(1, 2), expected: Some(LeaseId(1)), floor: Epoch(0) };
    committed(&*store, term, &mut model, vec![again]).await;
    let read = world.store().await.load(term).await.expect("read");
    assert_eq!(read.pods, model.pods().cloned().collect::<Vec<_>>());
    assert_eq!(model.pod(&name(1)).map(|record| (record.marks, record.lease_id)), Some((marks, LeaseId(2))));
    let unknown = Batch { writes: vec![Write::Mark { pod: name(77), marks }], ..Batch::default() };
    assert!(matches!(store.commit(term, unknown).await, Err(StoreError::Conflict(_))));
}
