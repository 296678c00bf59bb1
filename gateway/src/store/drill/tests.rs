use super::*;

fn held(name: &str, counters: [u64; 5], rows: u64) -> Held {
    let stamp = Stamp { name: name.into(), state: "owned".into(), counters };
    Held { stamp, counts: vec![Count { rows, bytes: rows * 10 }] }
}

fn sums(commit_seq: u64, targets: &[(i64, Held)]) -> Sums {
    Sums {
        incarnation: "one".into(),
        commit_seq,
        tables: vec!["kv".into()],
        targets: targets.iter().cloned().collect(),
    }
}

const QUIET: [u64; 5] = [1, 5, 0, 5, 2];

#[test]
fn a_copy_that_has_what_stood_still_is_good_whatever_else_went_on() {
    let before = sums(10, &[(1, held("a", QUIET, 3)), (2, held("b", [1, 7, 0, 7, 0], 9))]);
    let copy = sums(12, &[(1, held("a", QUIET, 3)), (2, held("b", [1, 8, 0, 8, 0], 4)), (3, held("c", QUIET, 1))]);
    let after = sums(15, &[(1, held("a", QUIET, 3)), (2, held("b", [1, 9, 0, 9, 0], 11)), (3, held("c", QUIET, 1))]);
    let good = Compared { targets: 1, moving: 1, rows: 3, differences: Vec::new(), found: 0 };
    assert_eq!(compare(&before, &copy, &after, 10), good);
}

#[test]
fn a_copy_that_lost_rows_or_counters_or_a_target_is_found() {
    let before = sums(10, &[(1, held("a", QUIET, 3)), (2, held("b", [1, 7, 0, 7, 0], 9))]);
    let after = sums(15, &[(1, held("a", QUIET, 3)), (2, held("b", [1, 9, 0, 9, 0], 11))]);
    let whole = [(1, held("a", QUIET, 3)), (2, held("b", [1, 8, 0, 8, 0], 10))];
    let words = |copy: &Sums| -> Vec<String> {
        let found = compare(&before, copy, &after, 10);
        assert_eq!(found.found, found.differences.len() as u64);
        found
            .differences
            .into_iter()
            .map(|it| format!("{} {}: {} / {}", it.target, it.what, it.here, it.copy))
            .collect()
    };
    assert!(words(&sums(12, &whole)).is_empty());
    let with = |place: usize, held: Held| {
        let mut targets = whole.clone();
        targets[place].1 = held;
        sums(12, &targets)
    };
    assert_eq!(words(&with(0, held("a", QUIET, 2))), ["a kv: 3 rows, 30 bytes / 2 rows, 20 bytes"]);
    assert_eq!(words(&with(0, held("a", [1, 4, 0, 5, 2], 3))), ["a target: [1, 5, 0, 5, 2] / [1, 4, 0, 5, 2]"]);
    assert_eq!(
        words(&with(1, held("b", [1, 6, 0, 8, 0], 9))),
        ["b counters: [1, 7, 0, 7, 0] to [1, 9, 0, 9, 0] / [1, 6, 0, 8, 0]"]
    );
    assert_eq!(words(&with(1, held("b", [1, 8, 0, 10, 0], 9))).len(), 1, "it cannot know what came later");
    assert_eq!(words(&sums(12, &whole[..1])), ["b target: there / missing"]);
    let more = [&whole[..], &[(9, held("z", QUIET, 1))]].concat();
    assert_eq!(words(&sums(12, &more)), ["z target: missing / there"]);
    assert_eq!(words(&sums(9, &whole)), [" commit_seq: 10 to 15 / 9"], "older than what was replicated");
    assert_eq!(words(&sums(16, &whole)), [" commit_seq: 10 to 15 / 16"]);
    assert_eq!(words(&Sums { incarnation: "two".into(), ..sums(12, &whole) }), [" incarnation: one / two"]);
    assert_eq!(words(&Sums { tables: vec!["kv".into(), "x".into()], ..sums(12, &whole) }), [" tables: kv / kv x"]);
}

#[test]
fn what_a_file_holds_is_added_up_by_target_and_table() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = crate::store::Store::open_for_tests(folder.path(), &crate::schema::Tables::default()).expect("made");
    let target = "slack:guild:A".parse().expect("valid");
    let local = store.open_target(&target, shared::Epoch(4), None).expect("opened").expect("fit").local;
    store.begin().expect("begun");
    store.kv_set(local, "k", "\"four\"", None).expect("set");
    store.commit().expect("committed");
    let clock: Arc<dyn Clock> = Arc::new(shared::clock::ManualClock::new(1));
    let file = folder.path().join(crate::store::FILE);
    let looked = || super::sums(&file, store.map(), &clock, Duration::from_secs(60));
    let found = looked().expect("read");
    let held = found.targets.values().next().expect("a target");
    assert_eq!((held.stamp.name.as_str(), held.stamp.counters[0]), ("slack:guild:A", 4));
    let kv = found.tables.iter().position(|name| name == "kv").expect("a table");
    assert_eq!(held.counts[kv].rows, 1);
    assert!(held.counts[kv].bytes >= 7 && found.commit_seq == 1, "{found:?}");
    let again = looked().expect("read");
    let same = compare(&found, &again, &again, 10);
    assert_eq!((same.targets, same.found), (1, 0));
}

#[test]
fn a_look_that_takes_too_long_is_cut() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = crate::store::Store::open_for_tests(folder.path(), &crate::schema::Tables::default()).expect("made");
    let target = "slack:guild:A".parse().expect("valid");
    let local = store.open_target(&target, shared::Epoch(4), None).expect("opened").expect("fit").local;
    store.begin().expect("begun");
    for n in 0..20_000 {
        store.kv_set(local, &format!("k{n}"), "1", None).expect("set");
    }
    store.commit().expect("committed");
    // Real time, of which there is none.
    let clock: Arc<dyn Clock> = Arc::new(shared::clock::BootClock);
    let cut = super::sums(&folder.path().join(crate::store::FILE), store.map(), &clock, Duration::ZERO);
    assert!(cut.as_ref().is_err_and(StoreError::is_interrupted), "{:?}", cut.map(|sums| sums.commit_seq));
}
