//! Plans, and what holds targets where they are, as both stores keep them.

use super::world::*;
use berth_tests::eventually;
use config_service::domain::{Change, Hold, Model, Write};
use config_service::store::{Keep, Log, PlanFilter, Store, StoreError};
use shared::wire::admin::{
    Pin, PlanBasis, PlanCost, PlanHead, PlanKind, PlanProgress, PlanState, PlanSubject, PlannedMove,
};
use shared::wire::control::Track;
use shared::{PlanId, Revision, Term};
use std::{sync::Arc, time::Duration};

fn head(pod: u64) -> PlanHead {
    PlanHead {
        id: PlanId(0),
        kind: PlanKind::Drain,
        subject: PlanSubject { pod: Some(name(pod)), ..PlanSubject::default() },
        state: PlanState::Proposed,
        made_from: Revision(7),
        revision: Revision(0),
        basis: PlanBasis { pods: [(name(1), 7)].into(), policy: 9 },
        drains: vec![name(pod)],
        actor: "it's \"me\"".to_owned(),
        reason: "a story, ünd".to_owned(),
        made_ms: 0,
        applied_ms: None,
        ended_ms: None,
        cost: PlanCost { moved: 1.25, skew_before: 1.5, ..PlanCost::default() },
        warnings: vec!["the last pod".to_owned()],
        progress: PlanProgress::default(),
        verdict: None,
        detail: None,
    }
}

fn moves(n: u64) -> Arc<[PlannedMove]> {
    let one = |n| PlannedMove {
        target: target(n),
        from: name(0),
        to: name(1),
        reason: "drain".to_owned(),
        rank: "drain".to_owned(),
        bytes: 7,
        seen: 3,
        family: None,
    };
    (0..n).map(one).collect()
}

/// Makes a plan of so many moves.
async fn made(store: &dyn Store, term: Term, pod: u64, n: u64) -> PlanHead {
    let write = Write::Plan { head: Box::new(head(pod)), moves: Some(moves(n)), expected: None };
    committed(store, term, write).await
}

async fn committed(store: &dyn Store, term: Term, write: Write) -> PlanHead {
    let changes = store.commit(term, batch(vec![write])).await.expect("committed").changes;
    let [Change::Plan { head }] = &changes[..] else { panic!("{changes:?}") };
    // Followers and watchers have it from the log.
    let logged = store.changes(Revision(head.revision.0 - 1), 9).await.expect("read");
    assert!(matches!(&logged, Log::Changes(read) if *read == changes), "{logged:?}");
    PlanHead::clone(head)
}

/// The write that takes a plan on.
fn turned(head: &PlanHead, state: PlanState) -> Write {
    let later = Box::new(PlanHead { state, ..head.clone() });
    Write::Plan { head: later, moves: None, expected: Some(head.state) }
}

pub(super) async fn a_plan_goes_on_from_the_state_that_was_expected_only(world: World) {
    let (store, term) = world.leading().await;
    let plan = made(&*store, term, 0, 3).await;
    assert!(plan.id.0 == plan.revision.0 && plan.made_ms > 0 && plan.applied_ms.is_none(), "{plan:?}");
    let read = world.store().await.plan(plan.id).await.expect("read").expect("there");
    assert_eq!((&read.head, &read.moves[..]), (&plan, &moves(3)[..]));
    assert!(store.load(term).await.expect("read").plans.is_empty(), "nothing of it is under way");

    let applied = committed(&*store, term, turned(&plan, PlanState::Applying)).await;
    assert!(applied.applied_ms.is_some() && applied.id == plan.id && applied.revision > plan.revision);
    let again = store.commit(term, batch(vec![turned(&plan, PlanState::Discarded)])).await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "{again:?}");
    let running = world.store().await.load(term).await.expect("read").plans;
    assert_eq!(running.iter().map(|plan| (&plan.head, plan.moves.len())).collect::<Vec<_>>(), [(&applied, 3)]);

    let progress = PlanProgress { moved: 2, left: 1, ..PlanProgress::default() };
    let further = committed(&*store, term, turned(&PlanHead { progress, ..applied }, PlanState::Applying)).await;
    assert_eq!(further.progress, progress);
    let done = committed(&*store, term, turned(&further, PlanState::Done)).await;
    assert!(done.ended_ms.is_some() && done.applied_ms == further.applied_ms);
    assert!(store.load(term).await.expect("read").plans.is_empty());

    let second = made(&*store, term, 1, 0).await;
    let heads = async |wanted| store.plans(wanted, 9).await.expect("read");
    let all = PlanFilter::default();
    assert_eq!(heads(all).await, [second.clone(), done.clone()], "newest first");
    assert_eq!(heads(PlanFilter { before: Some(second.id), ..all }).await, std::slice::from_ref(&done));
    assert_eq!(heads(PlanFilter { state: Some(PlanState::Done), ..all }).await, [done]);
    assert_eq!(store.plans(all, 1).await.expect("read"), [second]);
    assert_eq!(store.plan(PlanId(u64::MAX)).await.expect("read"), None);
}

pub(super) async fn a_plan_that_runs_is_never_forgotten_and_one_that_was_never_applied_is(world: World) {
    let (store, term) = world.leading().await;
    let plans = [made(&*store, term, 0, 1).await, made(&*store, term, 1, 1).await, made(&*store, term, 2, 1).await];
    committed(&*store, term, turned(&plans[0], PlanState::Applying)).await;
    committed(&*store, term, turned(&plans[1], PlanState::Discarded)).await;
    let day = Duration::from_secs(86_400);
    let keep = Keep { audit: day, history: day, answers: day, moves: day };
    assert_eq!(store.forget(term, keep).await.expect("done"), 0, "nothing is a day old");
    let mut gone = 0;
    eventually("the database's clock has moved on", PATIENCE, async || {
        gone += store.forget(term, Keep { moves: Duration::ZERO, ..keep }).await.expect("done");
        (gone == 2).then_some(())
    })
    .await;
    let left = store.plans(PlanFilter::default(), 9).await.expect("read");
    assert_eq!(left.iter().map(|plan| plan.id).collect::<Vec<_>>(), [plans[0].id]);
}

pub(super) async fn what_holds_a_target_is_read_back_until_nothing_does(world: World) {
    let (store, term) = world.leading().await;
    let mut model = Model::new(store.load(term).await.expect("read"));
    let pin = Pin { pod: name(1), until_ms: Some(7), actor: "me".to_owned(), reason: "it's hot".to_owned() };
    let pinned = Hold { pin: Some(pin), streak: 2, track: None };
    let named = Hold { streak: 1, track: Some(Track::Canary), ..Hold::default() };
    for (n, hold) in [(1, pinned.clone()), (2, named), (1, Hold { streak: 3, ..pinned })] {
        let write = Write::Hold { target: target(n), hold };
        let changes = store.commit(term, batch(vec![write])).await.expect("committed").changes;
        changes.into_iter().for_each(|change| model.apply(change));
    }
    let read = async || world.store().await.load(term).await.expect("read").holds;
    let known = |model: &Model| {
        let held = |n: u64| Some((target(n), model.hold(&target(n))?.clone()));
        (0..4).filter_map(held).collect::<Vec<_>>()
    };
    assert_eq!((read().await, model.hold(&target(1)).map(|hold| hold.streak)), (known(&model), Some(3)));
    let write = Write::Hold { target: target(1), hold: Hold::default() };
    let changes = store.commit(term, batch(vec![write])).await.expect("committed").changes;
    changes.into_iter().for_each(|change| model.apply(change));
    assert_eq!(read().await, known(&model));
    assert_eq!(known(&model).iter().map(|(target, _)| target.clone()).collect::<Vec<_>>(), [target(2)]);
}
