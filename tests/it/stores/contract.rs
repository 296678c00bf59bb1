//! What Berth itself keeps in a store: notes that are written once, lists, removals. The same on every store, whether it knows
//! conditions or not, and whatever becomes of an answer.

use super::{Kind, on};
use berth_tests::{
    eventually,
    store::Store,
    store_proxy::{Does, To, Verb},
    wait::within,
};
use gateway::replica::{Begun, Lineage, ReplicaStore, Seal};
use shared::Epoch;
use std::time::Duration;
use tokio::task::JoinSet;

const LONG: Duration = Duration::from_secs(120);

fn lineage(generation: u32, pod: &str) -> Lineage {
    let incarnation = "0190163d-8694-739b-aea5-966c26f8ad91".parse().expect("valid");
    Lineage { generation, pod: pod.parse().expect("valid"), incarnation }
}

fn seal(epoch: u64) -> Seal {
    Seal { epoch: Epoch(epoch), by: "gateway-1".parse().expect("valid"), at_ms: 5 }
}

on! {
    [folder: Folder, moto: Moto, s3s_fs: S3sFs] what_is_written_once_stays_is_found_and_can_be_taken_away,
    [folder: Folder, moto: Moto, s3s_fs: S3sFs] of_many_who_seal_at_once_one_wins_and_all_hear_of_that_one,
    [moto: Moto, s3s_fs: S3sFs] a_store_that_refuses_conditions_is_written_to_all_the_same,
    [moto: Moto, s3s_fs: S3sFs] a_seal_whose_answer_was_lost_stands_and_stays,
    [moto: Moto, s3s_fs: S3sFs] a_store_that_is_slow_is_waited_for_and_one_that_is_gone_is_an_error_in_time,
}

async fn what_is_written_once_stays_is_found_and_can_be_taken_away(kind: Kind) {
    let store = Store::start(kind).await;
    let open = store.open();
    let all = [lineage(2, "gateway-0"), lineage(2, "gateway-1"), lineage(11, "gateway-1")];
    assert!(open.lineages().await.expect("an empty store").is_empty());
    for one in &all {
        open.begin(&Begun::of(one, Some(&all[0]), 3)).await.expect("begun");
        open.begin(&Begun::of(one, None, 4)).await.expect("again is fine");
        let begun = open.begun(one).await.expect("read").expect("there");
        assert_eq!((begun.previous.as_ref(), begun.at_ms), (Some(&all[0]), 3), "the first note stays");
    }
    assert_eq!(open.lineages().await.expect("listed"), all);
    assert_eq!(open.lineages_of(&all[1].pod).await.expect("listed"), all[1..]);
    assert_eq!(open.find(&all[2].pod, &all[2].incarnation).await.expect("looked for").as_ref(), Some(&all[1]));
    assert_eq!(open.sealed(&all[0]).await.expect("read"), None);
    assert_eq!(open.seal(&all[0], &seal(7)).await.expect("sealed"), seal(7));
    assert_eq!(open.seal(&all[0], &seal(9)).await.expect("sealing twice is fine"), seal(7), "the first seal stays");
    assert_eq!(open.list(&all[0]).await.expect("listed").files, 0, "notes are no copies");
    assert_eq!(open.remove(&all[0]).await.expect("removed").files, 2);
    assert_eq!(open.remove(&all[0]).await.expect("removed").files, 0, "there is nothing any more");
    assert_eq!(open.lineages().await.expect("listed"), all[1..]);
}

/// Seals a lineage from many sides at once and returns what each was told.
async fn sealed_at_once(open: &ReplicaStore, lineage: &Lineage) -> Vec<Seal> {
    let mut sealing = JoinSet::new();
    for epoch in 1..=12 {
        let (open, lineage) = (open.clone(), lineage.clone());
        sealing.spawn(async move { open.seal(&lineage, &seal(epoch)).await.expect("sealed") });
    }
    within("all have sealed", LONG, sealing.join_all()).await
}

async fn of_many_who_seal_at_once_one_wins_and_all_hear_of_that_one(kind: Kind) {
    let store = Store::start(kind).await;
    let (open, lineage) = (store.open(), lineage(1, "gateway-0"));
    let told = sealed_at_once(&open, &lineage).await;
    let stands = open.sealed(&lineage).await.expect("read").expect("sealed");
    assert!(told.iter().all(|seal| *seal == stands), "{told:?}, and {stands:?} stands");
}

async fn a_store_that_refuses_conditions_is_written_to_all_the_same(kind: Kind) {
    let store = Store::start(kind).await;
    store.proxy().now(To::Conditional, Does::Answers(501));
    let (open, lineage) = (store.open(), lineage(1, "gateway-0"));
    open.begin(&Begun::of(&lineage, None, 3)).await.expect("begun");
    assert_eq!(open.seal(&lineage, &seal(7)).await.expect("sealed"), seal(7));
    assert_eq!(open.seal(&lineage, &seal(9)).await.expect("sealing twice is fine"), seal(7), "the first seal stays");
    // At the same instant either may stand; what counts is that one does.
    let other = Lineage { generation: 2, ..lineage };
    let told = sealed_at_once(&open, &other).await;
    let stands = open.sealed(&other).await.expect("read").expect("sealed");
    assert!(told.contains(&stands), "{told:?}, and {stands:?} stands");
}

async fn a_seal_whose_answer_was_lost_stands_and_stays(kind: Kind) {
    let store = Store::start(kind).await;
    let (open, lineage) = (store.open(), lineage(1, "gateway-0"));
    store.proxy().now(To::Only(Verb::Put), Does::CutAfter);
    // Whether it hears of an error depends on who is asked again; that it stands does not.
    let _ = open.seal(&lineage, &seal(7)).await;
    store.proxy().well();
    assert_eq!(open.seal(&lineage, &seal(9)).await.expect("sealed"), seal(7));
    assert_eq!(open.sealed(&lineage).await.expect("read"), Some(seal(7)));
}

async fn a_store_that_is_slow_is_waited_for_and_one_that_is_gone_is_an_error_in_time(kind: Kind) {
    let mut store = Store::start(kind).await;
    let (open, first, second) = (store.open(), lineage(1, "gateway-0"), lineage(1, "gateway-1"));
    store.proxy().now(To::All, Does::Slow(Duration::from_millis(400)));
    open.begin(&Begun::of(&first, None, 3)).await.expect("begun");
    assert_eq!(open.lineages().await.expect("listed"), std::slice::from_ref(&first));
    let hasty = ReplicaStore::open(&store.args(&["--replica-timeout", "300ms"])).expect("a store");
    assert!(hasty.begun(&first).await.is_err(), "it takes longer than it may");
    for trouble in [Does::Answers(500), Does::Gone, Does::Hangs] {
        store.proxy().now(To::All, trouble);
        let asked = within("it gives up", LONG, hasty.sealed(&first)).await;
        assert!(asked.is_err(), "{trouble:?}: a store that does not answer says nothing about a seal: {asked:?}");
        assert!(within("it gives up", LONG, hasty.begin(&Begun::of(&second, None, 3))).await.is_err(), "{trouble:?}");
    }
    // Errors that pass are not even seen.
    store.proxy().now(To::All, Does::Answers(503));
    let before = store.proxy().count(Verb::Get);
    let trying = {
        let (open, first) = (open.clone(), first.clone());
        shared::shutdown::spawn(async move { open.begun(&first).await })
    };
    eventually("it is asked again", LONG, async || (store.proxy().count(Verb::Get) > before + 1).then_some(())).await;
    store.proxy().well();
    assert!(trying.await.expect("no panic").expect("answered").is_some());
    if kind == Kind::S3sFs {
        store.kill().await;
        assert!(hasty.begun(&first).await.is_err());
        store.start_again().await;
        assert!(open.begun(&first).await.expect("answered").is_some(), "what is on disk survives a kill");
    }
}
