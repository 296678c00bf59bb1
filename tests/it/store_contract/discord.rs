//! A bot's IDENTIFY budget, its sessions and the slices of its requests, as both stores keep them.

use super::world::*;
use config_service::domain::{BudgetChange, BudgetKept, BudgetRecord, ShardRecord, SliceRecord};
use config_service::store::{Store, StoreError};
use shared::wire::discord::{Session, Shard};
use std::sync::Arc;

on_both![
    a_budget_is_read_back_as_it_was_last_changed,
    each_bot_has_a_budget_of_its_own,
    nothing_is_spent_in_a_term_that_is_over,
    the_session_that_was_kept_last_is_found_until_it_is_dropped,
    slices_are_read_back_as_they_were_last_kept_and_not_kept_in_a_term_that_is_over,
];

fn shard(id: u32, count: u32) -> Shard {
    Shard::new(id, count).expect("there is one")
}

fn record(id: u32, streak: u32) -> ShardRecord {
    let recovered = streak.is_multiple_of(2).then(|| "0f1e".to_owned());
    ShardRecord { shard: shard(id, 16), streak, last_ms: 1_700_000_000_000 + u64::from(streak), recovered }
}

fn budget(remaining: u32) -> BudgetRecord {
    let permits = u64::from(1_000 - remaining);
    let (resets_ms, told_ms) = (1_700_000_000_123, 1_700_000_000_000);
    BudgetRecord { shards: 16, total: 1_000, remaining, max_concurrency: 2, resets_ms, told_ms, permits }
}

fn spent(remaining: u32, shards: Vec<ShardRecord>, calm: Vec<Shard>) -> BudgetChange {
    BudgetChange { budget: budget(remaining), shards, calm }
}

fn session(id: u32, count: u32, sequence: u64) -> Session {
    let (session_id, resume_url) = (format!("s-{count}-\"ä\""), "wss://gateway.discord.gg".to_owned());
    Session { shard_id: id, shard_count: count, session_id, resume_url, sequence }
}

async fn a_budget_is_read_back_as_it_was_last_changed(world: World) {
    let (store, term) = world.leading().await;
    let read = async || store.budget("7".into()).await.expect("read");
    assert_eq!(read().await, None);
    let change = spent(999, vec![record(3, 1), record(1, 4)], Vec::new());
    store.spend(term, "7".into(), change).await.expect("written");
    let kept = |remaining, shards| Some(BudgetKept { budget: budget(remaining), shards });
    assert_eq!(read().await, kept(999, vec![record(1, 4), record(3, 1)]));
    let before = store.load(term).await.expect("read").revision;
    let change = spent(998, vec![record(3, 2)], vec![shard(1, 16), shard(9, 16)]);
    store.spend(term, "7".into(), change).await.expect("written");
    assert_eq!(read().await, kept(998, vec![record(3, 2)]));
    store.spend(term, "7".into(), spent(990, Vec::new(), Vec::new())).await.expect("written");
    assert_eq!(read().await, kept(990, vec![record(3, 2)]));
    assert_eq!(store.load(term).await.expect("read").revision, before, "nothing for watchers");
}

async fn each_bot_has_a_budget_of_its_own(world: World) {
    let (store, term) = world.leading().await;
    store.spend(term, "7".into(), spent(900, vec![record(1, 1)], Vec::new())).await.expect("written");
    store.spend(term, "8".into(), spent(800, vec![record(1, 2)], vec![shard(2, 16)])).await.expect("written");
    let read = async |bot: &str| store.budget(bot.into()).await.expect("read").expect("kept");
    assert_eq!((read("7").await.budget.remaining, read("7").await.shards), (900, vec![record(1, 1)]));
    assert_eq!((read("8").await.budget.remaining, read("8").await.shards), (800, vec![record(1, 2)]));
}

async fn nothing_is_spent_in_a_term_that_is_over(world: World) {
    let (old, before) = world.leading().await;
    old.spend(before, "7".into(), spent(900, Vec::new(), Vec::new())).await.expect("written");
    let new = world.store().await;
    let after = take_over(&*new).await;
    let late = old.spend(before, "7".into(), spent(899, vec![record(1, 1)], Vec::new())).await;
    assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    let late = old.keep_sessions(before, vec![session(1, 2, 3)]).await;
    assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    let late = old.drop_sessions(before, 1, None).await;
    assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    let kept = new.budget("7".into()).await.expect("read").expect("kept");
    assert_eq!((kept.budget.remaining, kept.shards.len()), (900, 0));
    assert!(new.sessions(1, None).await.expect("read").is_empty());
    new.spend(after, "7".into(), spent(899, Vec::new(), Vec::new())).await.expect("still in force");
}

async fn the_session_that_was_kept_last_is_found_until_it_is_dropped(world: World) {
    let (store, term) = world.leading().await;
    let read = async |count| store.sessions(3, count).await.expect("read");
    let keep = async |store: &Arc<dyn Store>, all| store.keep_sessions(term, all).await.expect("kept");
    assert!(read(None).await.is_empty());
    keep(&store, vec![session(3, 16, 7), session(4, 16, 8)]).await;
    keep(&store, vec![session(3, 16, 9)]).await;
    assert_eq!(read(Some(16)).await, [session(3, 16, 9)]);
    assert!(read(Some(32)).await.is_empty());
    // Of two numbers of shards, as while a bot gets more of them.
    keep(&store, vec![session(3, 32, 1)]).await;
    assert_eq!(read(None).await, [session(3, 32, 1), session(3, 16, 9)]);
    assert_eq!(store.drop_sessions(term, 3, Some(16)).await.expect("dropped"), 1);
    assert_eq!(read(None).await, [session(3, 32, 1)]);
    assert_eq!(store.drop_sessions(term, 3, None).await.expect("dropped"), 1);
    assert_eq!((read(None).await.len(), store.sessions(4, None).await.expect("read").len()), (0, 1));
    assert_eq!(store.drop_sessions(term, 3, None).await.expect("dropped"), 0);
}

async fn slices_are_read_back_as_they_were_last_kept_and_not_kept_in_a_term_that_is_over(world: World) {
    let (old, before) = world.leading().await;
    let slice = |pod: u32, slots| SliceRecord {
        pod: format!("gateway-{pod}").parse().expect("a name"),
        incarnation: "00000000-0000-4000-8000-000000000001".parse().expect("a life"),
        version: 3,
        slots,
        floor: 12,
    };
    assert!(old.slices().await.expect("read").is_empty());
    old.keep_slices(before, "8".into(), vec![slice(0, 20)]).await.expect("kept");
    old.keep_slices(before, "7".into(), vec![slice(0, 20), slice(1, 29)]).await.expect("kept");
    old.keep_slices(before, "8".into(), vec![slice(1, 21)]).await.expect("kept");
    let both = [("7".to_owned(), vec![slice(0, 20), slice(1, 29)]), ("8".to_owned(), vec![slice(1, 21)])];
    assert_eq!(old.slices().await.expect("read"), both);
    let new = world.store().await;
    let after = take_over(&*new).await;
    let late = old.keep_slices(before, "8".into(), vec![slice(1, 49)]).await;
    assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    assert_eq!(new.slices().await.expect("read"), both);
    new.keep_slices(after, "8".into(), Vec::new()).await.expect("kept");
    assert_eq!(new.slices().await.expect("read"), both[..1]);
}
