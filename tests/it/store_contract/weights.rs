//! What targets weigh, as both stores keep it from one leader to the next.

use super::world::*;
use config_service::domain::Weight;
use config_service::store::{Store, StoreError};
use shared::{TargetId, Term};

on_both![
    what_targets_weigh_is_read_back_as_it_was_written_last,
    what_weighs_nothing_is_not_kept,
    of_a_target_that_is_named_twice_the_last_word_counts,
    only_who_leads_writes_what_targets_weigh,
    many_are_written_at_once_beside_those_that_are_kept,
];

fn weighs(n: u64, events: f32, bytes: f32, sockets: f32) -> (TargetId, Weight) {
    (target(n), Weight { events, bytes, sockets })
}

async fn kept(store: &dyn Store) -> Vec<(TargetId, Weight)> {
    store.weights().await.expect("read")
}

async fn weigh(store: &dyn Store, term: Term, weights: &[(TargetId, Weight)]) {
    store.weigh(term, weights.to_vec()).await.expect("written");
}

async fn what_targets_weigh_is_read_back_as_it_was_written_last(world: World) {
    let (store, term) = world.leading().await;
    assert_eq!(kept(&*store).await, []);
    let before = store.load(term).await.expect("read").revision;
    // Numbers that only a float of this size has; nobody has to own the target.
    let (odd, large) = (weighs(3, 0.1, f32::MIN_POSITIVE, 1e-7), weighs(1, f32::MAX, 16_777_217.0, 3.0));
    weigh(&*store, term, &[odd.clone(), large.clone()]).await;
    assert_eq!(kept(&*store).await, [large, odd.clone()], "by name, and not rounded");
    let (changed, new) = (weighs(1, 0.0, 0.0, 2.5), weighs(2, 7.0, 0.0, 0.0));
    weigh(&*store, term, &[new.clone(), changed.clone()]).await;
    let all = [changed, new, odd];
    assert_eq!(kept(&*store).await, all);
    assert_eq!(store.load(term).await.expect("read").revision, before, "no revision comes of it");

    let after = world.store().await;
    let term = take_over(&*after).await;
    assert_eq!(kept(&*after).await, all, "whoever leads next knows it");
    weigh(&*after, term, &[]).await;
    assert_eq!(kept(&*after).await, all);
}

async fn what_weighs_nothing_is_not_kept(world: World) {
    let (store, term) = world.leading().await;
    weigh(&*store, term, &[weighs(1, 1.0, 2.0, 3.0), weighs(2, 4.0, 5.0, 6.0)]).await;
    weigh(&*store, term, &[weighs(2, 0.0, 0.0, 0.0), weighs(9, 0.0, 0.0, 0.0), weighs(3, 0.0, 1.0, 0.0)]).await;
    assert_eq!(kept(&*store).await, [weighs(1, 1.0, 2.0, 3.0), weighs(3, 0.0, 1.0, 0.0)]);
}

async fn of_a_target_that_is_named_twice_the_last_word_counts(world: World) {
    let (store, term) = world.leading().await;
    let twice =
        [weighs(1, 1.0, 1.0, 1.0), weighs(2, 2.0, 2.0, 2.0), weighs(1, 3.0, 3.0, 3.0), weighs(3, 4.0, 4.0, 4.0)];
    weigh(&*store, term, &twice).await;
    assert_eq!(kept(&*store).await, [weighs(1, 3.0, 3.0, 3.0), weighs(2, 2.0, 2.0, 2.0), weighs(3, 4.0, 4.0, 4.0)]);
    // Also where one of the two removes it.
    let gone = [weighs(1, 5.0, 5.0, 5.0), weighs(1, 0.0, 0.0, 0.0), weighs(2, 0.0, 0.0, 0.0), weighs(2, 6.0, 6.0, 6.0)];
    weigh(&*store, term, &gone).await;
    assert_eq!(kept(&*store).await, [weighs(2, 6.0, 6.0, 6.0), weighs(3, 4.0, 4.0, 4.0)]);
}

async fn only_who_leads_writes_what_targets_weigh(world: World) {
    let (first, old) = world.leading().await;
    weigh(&*first, old, &[weighs(1, 1.0, 2.0, 3.0)]).await;
    let second = world.store().await;
    take_over(&*second).await;
    let late = first.weigh(old, vec![weighs(1, 9.0, 9.0, 9.0), weighs(2, 9.0, 9.0, 9.0)]).await;
    assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    assert_eq!(kept(&*second).await, [weighs(1, 1.0, 2.0, 3.0)]);
}

async fn many_are_written_at_once_beside_those_that_are_kept(world: World) {
    const MANY: u64 = 3_000;
    let (store, term) = world.leading().await;
    let all = |events: f32| (0..MANY).map(|n| weighs(n, events, n as f32, 0.0)).collect::<Vec<_>>();
    weigh(&*store, term, &all(1.0)[..10]).await;
    weigh(&*store, term, &all(2.0)).await;
    let mut expected = all(2.0);
    expected.sort_by(|(a, _), (b, _)| a.cmp(b));
    assert_eq!(kept(&*store).await, expected);
    let nothing: Vec<_> = (1..MANY).map(|n| weighs(n, 0.0, 0.0, 0.0)).collect();
    weigh(&*store, term, &nothing).await;
    assert_eq!(kept(&*store).await, [weighs(0, 2.0, 0.0, 0.0)]);
}
