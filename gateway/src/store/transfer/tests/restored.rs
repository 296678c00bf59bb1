//! Rows out of a restored database: they wait, and are the target's only when it is given to this pod with exactly that copy.

use super::*;
use crate::replica::Lineage;
use crate::store::{Reader, SqlLimits};
use shared::clock::ManualClock;
use shared::wire::control::Holding;

fn source() -> Source {
    let lineage = Lineage {
        generation: 1,
        pod: "gateway-9".parse().expect("valid"),
        incarnation: "0190163d-8694-739b-aea5-966c26f8ad09".parse().expect("valid"),
    };
    Source { lineage, commit_seq: 41, txid: Some(7) }
}

/// The database of a pod that is gone, as it comes out of its replica.
fn scratch(pod: Pod) -> (Scratch, TempDir) {
    let Pod { folder, .. } = pod;
    let limits = SqlLimits { rows: 100, bytes: 10_000, statement: 1_000, params: 10, read: Duration::from_secs(30) };
    let clock = Arc::new(ManualClock::new(1_700_000_000_000));
    (Scratch::open(folder.path(), clock, &tables(), limits).expect("opened"), folder)
}

/// Takes what a restored database holds of the target in; stops after so many parcels.
fn import(heir: &mut Pod, from: &Scratch, id: MoveId, most: usize) -> Holding {
    let held = from.held(&target()).expect("read").expect("it is there");
    let mut left = most;
    let mut sink = |parcel: Parcel| {
        if left == 0 {
            return Err(NotSent::Cut);
        }
        left -= 1;
        let (rows, end) = parcel.before_end();
        for (parcel, is_end) in rows.map(|rows| (rows, false)).into_iter().chain(end.map(|end| (end, true))) {
            heir.importer.begin(Outlives::Process).expect("begun");
            let taken = heir.importer.take(id, &parcel, Summed::Nothing, 5).expect("taken");
            assert_eq!(taken.whole.is_some(), is_end, "nothing is whole before its end, which may come later");
            if is_end {
                heir.importer.note_source(id, &source(), 5).expect("noted");
            }
            heir.importer.commit().expect("committed");
        }
        Ok(())
    };
    match from.send(&held, &mut sink) {
        Ok(()) | Err(NotSent::Cut) => held,
        Err(why) => panic!("{why}"),
    }
}

fn reader(pod: &Pod) -> Reader {
    Reader::open(pod.folder.path(), &pod.store).expect("opened")
}

#[test]
fn what_was_restored_waits_and_then_is_the_targets_with_a_note_of_where_it_is_from() {
    let dead = Pod::new();
    filled(&dead, &target(), 30);
    filled(&dead, &other(), 3);
    let before = dead.all_of(&target());
    let (from, _folder) = scratch(dead);
    let mut heir = Pod::new();
    let imports = heir.store.restored_imports(true).expect("read");
    assert!(imports.waiting.is_empty());
    let id = MoveId(imports.next);
    let held = import(&mut heir, &from, id, usize::MAX);
    assert_eq!((held.epoch, held.whole), (Epoch(7), true));
    assert_eq!(heir.store.moves_standing().expect("read"), Standing::default(), "no move's");
    let waiting = heir.store.restored_imports(true).expect("read").waiting;
    assert_eq!((waiting.len(), &waiting[0].target, waiting[0].life.pod.as_str()), (1, &target(), "gateway-9"));
    let kept = reader(&heir).kept(None, None, 10).expect("read");
    assert_eq!((kept.len(), kept[0].epoch, kept[0].whole), (1, Epoch(7), true), "it is told as what this pod holds");
    assert!(reader(&heir).provenance(&target()).expect("read").is_empty(), "nobody serves it");

    assert_eq!(heir.store.restored(&target()).expect("read"), Some((id, Epoch(7))));
    assert!(heir.store.switch(id, &target(), Epoch(9)).expect("written"));
    heir.store.restored_settled(id).expect("written");
    assert!(heir.store.restored_imports(true).expect("read").waiting.is_empty());
    let provenance = reader(&heir).provenance(&target()).expect("read");
    assert_eq!(provenance.len(), 1);
    assert_eq!((&provenance[0].source, provenance[0].epoch), (&source(), Epoch(7)));
    let rows: Vec<_> = heir.all_of(&target()).into_iter().filter(|row| !row.contains("berth_provenance")).collect();
    let same =
        |rows: Vec<String>| rows.into_iter().map(|row| row.replace("\"epoch\":9", "\"epoch\":7")).collect::<Vec<_>>();
    assert_eq!(same(rows), same(before));
}

#[test]
fn an_import_that_a_crash_has_cut_off_goes_and_its_number_is_not_used_again() {
    let dead = Pod::new();
    filled(&dead, &target(), 400);
    let (from, _folder) = scratch(dead);
    let mut heir = Pod::new();
    let first = MoveId(heir.store.restored_imports(true).expect("read").next);
    import(&mut heir, &from, first, 1);
    assert_eq!(heir.store.restored(&target()).expect("read"), None, "half of it is nothing");
    let again = heir.store.restored_imports(true).expect("read");
    assert!(again.waiting.is_empty() && again.next > first.0);
    heir.importer.forget(first);
    let (gone, _) = heir.importer.next_leaving().expect("read").expect("it is on its way out");
    heir.importer.begin(Outlives::Power).expect("begun");
    heir.importer.clear(gone, 10_000).expect("cleared");
    heir.importer.import_gone(gone).expect("written");
    heir.importer.commit().expect("committed");
    import(&mut heir, &from, MoveId(again.next), usize::MAX);
    assert_eq!(heir.store.restored(&target()).expect("read"), Some((MoveId(again.next), Epoch(7))));
}

#[test]
fn a_copy_that_waits_in_a_dead_heirs_own_replica_counts_as_what_it_had() {
    let dead = Pod::new();
    filled(&dead, &target(), 10);
    let (from, _folder) = scratch(dead);
    let mut heir = Pod::new();
    // An older copy of its own lies there, put aside.
    heir.open(&target());
    heir.store.put_aside(&target()).expect("written");
    let id = MoveId(heir.store.restored_imports(true).expect("read").next);
    import(&mut heir, &from, id, usize::MAX);
    let (next, _folder) = scratch(heir);
    let held = next.held(&target()).expect("read").expect("it is there");
    assert_eq!((held.epoch, held.whole), (Epoch(7), true));
    let mut second = Pod::new();
    let id = MoveId(second.store.restored_imports(true).expect("read").next);
    import(&mut second, &next, id, usize::MAX);
    assert!(second.store.restored(&target()).expect("read").is_some());
}

#[test]
fn a_copy_that_waits_in_a_dead_heirs_own_replica_does_not_count_where_the_target_came_another_way_since() {
    let dead = Pod::new();
    filled(&dead, &target(), 10);
    let (from, _folder) = scratch(dead);
    let mut heir = Pod::new();
    let id = MoveId(heir.store.restored_imports(true).expect("read").next);
    import(&mut heir, &from, id, usize::MAX);
    // Nobody has told it yet that another pod was first: a move brings the target before that.
    heir.store.open_target(&target(), Epoch(11), None).expect("opened").expect("fit");
    let (next, _folder) = scratch(heir);
    let held = next.held(&target()).expect("read").expect("it is there");
    assert_eq!((held.epoch, held.whole), (Epoch(11), true));
}

#[test]
fn a_target_that_is_given_back_with_rows_that_are_not_here_never_begins_empty() {
    let pod = Pod::new();
    assert_eq!(pod.store.open_target(&target(), Epoch(9), Some(Epoch(7))).expect("read"), None);
    assert!(
        pod.store.open_target(&target(), Epoch(9), Some(Epoch(0))).expect("read").is_some(),
        "it is to begin empty"
    );
}

#[test]
fn released_rows_that_are_needed_again_are_the_targets_and_no_move_takes_them_away() {
    let pod = Pod::new();
    filled(&pod, &target(), 5);
    let local = pod.open(&target());
    let before = pod.all_of(&target());
    pod.store.freeze(MoveId(3), local, &target(), Epoch(7), 1).expect("written");
    pod.store.let_go(MoveId(3)).expect("written");
    pod.store.take_release_back(&target(), Some(Epoch(7))).expect("written");
    assert!(pod.store.open_target(&target(), Epoch(9), Some(Epoch(7))).expect("read").is_some());
    assert_eq!(pod.store.drop_begin(MoveId(3)).expect("read"), None, "not even when its end is told late");
    assert_eq!(pod.all_of(&target()).len(), before.len());
}

#[test]
fn what_is_restored_is_flushed_once_and_not_with_each_group() {
    let mut heir = Pod::new();
    let mut level = |outlives| {
        heir.importer.begin(outlives).expect("begun");
        heir.importer.commit().expect("committed");
        heir.importer.conn.pragma_query_value(None, "synchronous", |row| row.get::<_, i64>(0)).expect("a level")
    };
    let levels = [Outlives::Power, Outlives::Process, Outlives::Process, Outlives::Power].map(&mut level);
    // SQLite's numbers of FULL and NORMAL.
    assert_eq!(levels, [2, 1, 1, 2]);
}
