//! What is written down of rows that are aside, and their end.

use super::*;
use crate::store::aside::measured;
use shared::wire::quarantine::Why;
use std::collections::BTreeMap;

fn named(name: &str) -> TargetId {
    name.parse().expect("valid")
}

/// A target with three events, owned under epoch 4.
fn filled(store: &Store, name: &str) -> LocalId {
    let local = store.open_target(&named(name), Epoch(4), None).expect("opened").expect("fit").local;
    for seq in 1..=3 {
        write(store, local, seq, &event(&format!("e{seq}")), State::Done, NOW);
    }
    local
}

fn read(folder: &Path, store: &Store) -> Vec<AsideRow> {
    Reader::open(folder, store).expect("opened").asides(None, 100).expect("read")
}

#[test]
fn rows_that_are_put_aside_say_since_when_and_why_until_they_are_given_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path()).expect("made");
    filled(&store, "slack:guild:A");
    filled(&store, "slack:guild:B");
    store.put_aside(&named("slack:guild:A")).expect("put aside");
    store.begin_anew(NOW).expect("begun");
    let rows = read(folder.path(), &store);
    let words: Vec<_> = rows.iter().map(|row| (row.target.as_str(), row.why, row.epoch, row.left_behind())).collect();
    let expected =
        [("slack:guild:A", Why::Taken, Epoch(4), false), ("slack:guild:B", Why::FailedOver, Epoch(4), false)];
    assert_eq!(words, expected, "the first reason stays");
    assert!(rows.iter().all(|row| row.since_ms >= NOW));
    let counted = measured(folder.path(), store.map(), rows).expect("counted");
    assert_eq!(counted[0].rows, 7, "the target's own row, three of the journal, three of the inbox");
    assert!(counted[0].bytes > 100);
    store.open_target(&named("slack:guild:A"), Epoch(9), Some(Epoch(4))).expect("asked").expect("given back");
    store.open_target(&named("slack:guild:B"), Epoch(9), Some(Epoch(0))).expect("asked").expect("begun anew");
    let rows = read(folder.path(), &store);
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].target.as_str(), rows[0].left_behind()), ("slack:guild:B", true));
    store.put_aside(&named("slack:guild:A")).expect("put aside");
    assert_eq!(read(folder.path(), &store)[0].why, Why::Taken, "what was written down before counts no more");
}

#[test]
fn what_a_move_released_is_not_aside_until_its_target_has_begun_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path()).expect("made");
    filled(&store, "slack:guild:A");
    store.pragma("UPDATE target SET state = 'released'");
    assert!(read(folder.path(), &store).is_empty());
    store.open_target(&named("slack:guild:A"), Epoch(9), Some(Epoch(0))).expect("asked").expect("begun anew");
    let rows = read(folder.path(), &store);
    assert_eq!((rows.len(), rows[0].why, rows[0].left_behind()), (1, Why::Released, true));
}

#[test]
fn what_was_served_under_this_very_epoch_does_not_begin_anew_but_waits_to_be_given_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path()).expect("made");
    filled(&store, "slack:guild:A");
    store.begin_anew(NOW).expect("begun");
    assert!(store.open_target(&named("slack:guild:A"), Epoch(4), Some(Epoch(0))).expect("asked").is_none());
    let rows = read(folder.path(), &store);
    assert!(rows.iter().all(|row| !row.left_behind()), "{rows:?}");
    store.open_target(&named("slack:guild:A"), Epoch(9), Some(Epoch(4))).expect("asked").expect("given back");
}

#[test]
fn rows_that_are_dropped_are_no_copy_from_the_first_moment_on_and_a_restart_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path()).expect("made");
    let local = filled(&store, "slack:guild:A");
    let other = filled(&store, "slack:guild:B");
    store.begin_anew(NOW).expect("begun");
    assert_eq!(store.drop_aside(99, "{}").expect("asked"), None);
    store.drop_aside(1, "{}").expect("recorded").expect("found");
    let mut rows = BTreeMap::new();
    assert!(!store.drop_some(local, 4, &mut rows).expect("some went"));
    let given_back = store.open_target(&named("slack:guild:A"), Epoch(9), Some(Epoch(4))).expect("asked");
    assert_ne!(given_back.map(|opened| opened.local), Some(local), "half a copy is none");
    drop(store);
    let store = open(folder.path()).expect("opened again");
    let kept = Reader::open(folder.path(), &store).expect("opened").kept(Some("quarantined"), None, 10).expect("read");
    assert_eq!(kept.len(), 1, "config-service is told of the other copy only: {kept:?}");
    assert_eq!(store.dropping().expect("read"), [local]);
    while !store.drop_some(local, 4, &mut rows).expect("went") {}
    assert_eq!(rows.values().sum::<u64>(), 7, "{rows:?}");
    assert!(store.dropping().expect("read").is_empty());
    let left = read(folder.path(), &store);
    assert_eq!((left.len(), left[0].local), (1, other), "another target's rows stay");
}
