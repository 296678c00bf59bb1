use super::*;
use proptest::prelude::*;

fn names(plan: &[LtxFile]) -> Vec<(u8, u64, u64)> {
    plan.iter().map(|file| (file.level, file.first, file.last)).collect()
}

fn files(of: &[(u8, u64, u64)]) -> Vec<LtxFile> {
    of.iter().map(|(level, first, last)| LtxFile::of(*level, *first, *last, 200)).collect()
}

fn planned(of: &[(u8, u64, u64)]) -> Vec<(u8, u64, u64)> {
    names(&plan(files(of)).expect("a plan"))
}

#[test]
fn the_newest_copy_comes_first_and_then_what_goes_furthest() {
    let all = [(9, 1, 10), (9, 1, 40), (2, 31, 55), (1, 41, 50), (1, 51, 60), (0, 59, 59), (0, 60, 60), (0, 61, 61)];
    assert_eq!(planned(&all), [(9, 1, 40), (2, 31, 55), (1, 51, 60), (0, 61, 61)]);
    assert_eq!(planned(&[(0, 2, 2), (0, 1, 1)]), [(0, 1, 1), (0, 2, 2)], "before there is a copy");
    assert_eq!(planned(&[(1, 1, 3), (2, 1, 3), (0, 3, 3)]), [(2, 1, 3)], "of the same, the higher level");
    assert_eq!(planned(&[(9, 1, 8), (0, 5, 5), (0, 8, 8)]), [(9, 1, 8)], "nothing that the copy has");
}

#[test]
fn nothing_is_no_plan_and_neither_is_anything_with_a_hole() {
    assert!(matches!(plan(Vec::new()), Err(LtxError::Empty)));
    for (of, hole) in [
        (&[(0, 2, 2)][..], 1),
        (&[(9, 2, 5)], 1),
        (&[(9, 1, 5), (0, 7, 7)], 6),
        (&[(9, 1, 5), (0, 6, 6), (1, 8, 9)], 7),
    ] {
        let found = plan(files(of)).expect_err("a hole");
        assert!(matches!(found, LtxError::Hole(at) if at == hole), "{of:?}: {found}");
    }
}

/// The same by looking through all files at every step.
fn by_hand(files: &[LtxFile]) -> Option<Vec<(u8, u64, u64)>> {
    let copy = files.iter().filter(|file| file.level == SNAPSHOTS).max_by_key(|file| (file.first, file.last));
    let changes: Vec<_> = files.iter().filter(|file| file.level < SNAPSHOTS).collect();
    let mut plan: Vec<_> = copy.into_iter().cloned().collect();
    loop {
        let reached = plan.last().map_or(0, |file| file.last);
        let next = changes.iter().filter(|file| file.first <= reached + 1 && file.last > reached);
        match next.max_by_key(|file| further(file)) {
            Some(file) => plan.push((*file).clone()),
            None => {
                let hole = changes.iter().any(|file| file.first > reached + 1);
                let begins = plan.first().is_some_and(|file| file.first == 1);
                return (begins && !hole).then(|| names(&plan));
            }
        }
    }
}

proptest! {
    #[test]
    fn it_is_what_looking_through_all_files_at_every_step_finds(
        of in prop::collection::vec((0_u8..=9, 1_u64..30, 0_u64..8), 0..25),
    ) {
        let of: Vec<_> = of.into_iter().map(|(level, first, more)| {
            let first = if level == SNAPSHOTS { 1 } else { first };
            LtxFile::of(level, first, first + more, 200)
        }).collect();
        let wanted = by_hand(&of);
        prop_assert_eq!(plan(of).ok().map(|plan| names(&plan)), wanted);
    }
}
