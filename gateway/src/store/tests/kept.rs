//! What the database remembers of the pod's ownership.

use super::*;
use shared::Revision;

fn named(name: &str) -> TargetId {
    name.parse().expect("valid")
}

fn state_of(store: &Store, target: &TargetId) -> (String, u64) {
    let find = "SELECT state, epoch FROM target WHERE name = ?1";
    store.conn.query_row(find, [target.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).expect("a row")
}

#[test]
fn what_a_pod_owned_is_remembered_with_the_revision_that_said_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let (a, b) = (named("slack:guild:A"), named("slack:guild:B"));
    let store = open(folder.path()).expect("made");
    store.begin().expect("begun");
    store.open_target(&a, Epoch(4), None).expect("opened").expect("new");
    store.open_target(&b, Epoch(2), None).expect("opened").expect("new");
    store.known_up_to(Revision(17), 3).expect("noted");
    store.commit().expect("committed");
    store.begin().expect("begun");
    store.put_aside(&b).expect("put aside");
    drop(store);
    let again = open(folder.path()).expect("opened again").remembered().expect("read");
    let owned = vec![(a, Epoch(4)), (b, Epoch(2))];
    assert_eq!(again, Remembered { owned, revision: Revision(17), generation: 3 }, "what was not committed is not so");
}

#[test]
fn rows_that_were_put_aside_or_given_away_are_served_again_only_when_they_are_given_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path()).expect("made");
    let a = named("slack:guild:A");
    for state in ["quarantined", "released"] {
        store.open_target(&a, Epoch(4), None).expect("opened").expect("fit");
        store.pragma(&format!("UPDATE target SET state = '{state}', epoch = 4"));
        assert_eq!(store.open_target(&a, Epoch(9), None).expect("asked"), None);
        assert_eq!(store.open_target(&a, Epoch(9), Some(Epoch(5))).expect("asked"), None, "another copy is meant");
        assert_eq!(state_of(&store, &a), (state.to_owned(), 4), "a refusal changes nothing");
        store.open_target(&a, Epoch(9), Some(Epoch(4))).expect("asked").expect("given back");
        assert_eq!(state_of(&store, &a), ("owned".to_owned(), 9));
        store.pragma("UPDATE target SET epoch = 4");
    }
    store.pragma("UPDATE target SET state = 'incoming'");
    assert_eq!(store.open_target(&a, Epoch(9), Some(Epoch(4))).expect("asked"), None, "an import is no target's rows");
    store.pragma("UPDATE target SET state = 'frozen'");
    store.open_target(&a, Epoch(9), None).expect("asked").expect("its own");
    assert_eq!(state_of(&store, &a).0, "frozen", "it stays frozen");
    store.put_aside(&a).expect("put aside");
    assert_eq!(state_of(&store, &a).0, "quarantined", "taken away while it was frozen: its rows are whole");
    store.pragma("UPDATE target SET state = 'released'");
    store.put_aside(&a).expect("put aside");
    assert_eq!(state_of(&store, &a).0, "released");
}

#[test]
fn a_new_life_of_the_folder_owns_nothing_and_keeps_everything() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path()).expect("made");
    let a = named("slack:guild:A");
    let local = store.open_target(&a, Epoch(4), None).expect("opened").expect("fit").local;
    write(&store, local, 1, &event("e1"), State::Done, NOW);
    let before = store.incarnation().expect("there");
    let fresh = store.begin_anew(NOW).expect("begun");
    assert_ne!(fresh, before);
    drop(store);
    let store = open(folder.path()).expect("opened again");
    assert_eq!(store.incarnation().expect("there"), fresh);
    assert!(store.remembered().expect("read").owned.is_empty());
    assert_eq!((state_of(&store, &a), store.aside().expect("counted")), (("quarantined".to_owned(), 4), 1));
    let past: String =
        store.conn.query_row("SELECT incarnation FROM berth_past_incarnation", [], |row| row.get(0)).expect("a row");
    assert_eq!(past, before.as_str());
    let reader = Reader::open(folder.path(), &store).expect("opened");
    let kept = reader.kept(Some("quarantined"), None, 10).expect("read");
    assert_eq!(kept, [KeptRow { target: a.clone(), epoch: Epoch(4), whole: true }]);
    assert!(reader.kept(None, Some(&a), 10).expect("read").is_empty());
    let seen = store.seen(local, event("e1").key()).expect("read");
    assert!(seen.is_some(), "its events are still known");
}
