use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Names of three kinds; those of one are alike for longer than their short forms are.
fn name(n: u32) -> TargetId {
    let name = match n % 3 {
        0 => format!("discord:guild:{n:05}"),
        1 => format!("discord:channel:{n}"),
        _ => format!("webhook:key:a.shop.with-a-long-name.{n:05}"),
    };
    name.parse().expect("valid")
}

fn listed<'a>(rows: impl Iterator<Item = (Name<'a>, &'a u32)>) -> Vec<(String, u32)> {
    rows.map(|(name, value)| (name.to_string(), *value)).collect()
}

fn assert_sound(rows: &Paged<u32>) {
    assert!(rows.pages.iter().all(|page| page.is_sound()));
    assert_eq!(rows.pages.iter().map(|page| page.len()).sum::<usize>(), rows.len());
    let firsts: Vec<_> = rows.pages.iter().map(|page| short(page.first())).collect();
    assert_eq!(rows.firsts, firsts);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn it_is_what_a_sorted_map_is(
        first in 0_u32..2_000,
        changes in proptest::collection::vec((0_u32..3_000, any::<bool>()), 0..2_000),
        asked in proptest::collection::vec((0_u32..3_000, 0_usize..50), 20),
    ) {
        let (mut rows, mut map) = (Paged::default(), BTreeMap::new());
        for n in 0..first {
            prop_assert!(rows.insert(&name(n), n).is_none());
            map.insert(name(n).to_string(), n);
        }
        let (kept, before) = (rows.clone(), map.clone());
        for (n, comes) in changes {
            if comes {
                prop_assert_eq!(rows.insert(&name(n), n + 1), map.insert(name(n).to_string(), n + 1));
            } else {
                prop_assert_eq!(rows.remove(name(n).as_str()), map.remove(name(n).as_str()));
            }
            prop_assert_eq!(rows.len(), map.len());
        }
        assert_sound(&rows);
        prop_assert_eq!(listed(rows.iter()), map.clone().into_iter().collect::<Vec<_>>());
        prop_assert_eq!(listed(kept.iter()), before.into_iter().collect::<Vec<_>>(), "a copy stays as it was");
        for (n, cut) in asked {
            // Also what only begins as a name does.
            let whole = name(n).to_string();
            let name = &whole[..whole.len().saturating_sub(cut)];
            prop_assert_eq!(rows.get(name), map.get(name));
            let from: Vec<_> = map.range(name.to_owned()..).map(|(name, n)| (name.clone(), *n)).collect();
            let after: Vec<_> = from.iter().filter(|(found, _)| found != name).cloned().collect();
            prop_assert_eq!(listed(rows.from(name)), from);
            prop_assert_eq!(listed(rows.after(name)), after);
        }
    }

    #[test]
    fn what_is_read_again_counts_and_what_is_as_it_was_is_shared(
        first in 0_u32..2_000,
        changes in proptest::collection::vec((0_u32..2_000, any::<bool>()), 0..60),
        mixed in any::<bool>(),
    ) {
        let mut known = Paged::default();
        for n in 0..first {
            known.insert(&name(n), n);
        }
        let mut now = known.clone();
        for (n, comes) in &changes {
            if *comes {
                now.insert(&name(*n), n + 1);
            } else {
                now.remove(name(*n).as_str());
            }
        }
        let mut rows = listed(now.iter());
        if mixed {
            rows.reverse();
        }
        let mut reading = Again::new(known.clone());
        rows.iter().for_each(|(name, n)| reading.push(&name.parse().expect("valid"), *n));
        let read = reading.done();
        assert_sound(&read);
        prop_assert_eq!(listed(read.iter()), listed(now.iter()));
        let own = read.pages.iter().filter(|page| !known.pages.iter().any(|known| Arc::ptr_eq(known, page))).count();
        // A page that lost its first row is read as part of the one before it, and both are others then.
        prop_assert!(mixed || own <= 3 * changes.len(), "{} of {} pages are not shared", own, read.pages.len());
    }
}

#[test]
fn pages_that_are_filled_in_order_are_full_and_a_copy_shares_them() {
    let name = |n: u32| -> TargetId { format!("discord:guild:{n:05}").parse().expect("valid") };
    let mut rows = Paged::default();
    for n in 0..500 {
        rows.insert(&name(n), n);
    }
    assert_eq!(rows.pages.iter().map(|page| page.len()).collect::<Vec<_>>(), [128, 128, 128, 116]);
    let copy = rows.clone();
    rows.insert(&name(150), 7);
    let shared = rows.pages.iter().zip(&copy.pages).map(|(a, b)| Arc::ptr_eq(a, b)).collect::<Vec<_>>();
    assert_eq!(shared, [true, false, true, true], "only what was changed was copied");
}

fn guild(n: u32) -> TargetId {
    format!("discord:guild:{n}").parse().expect("valid")
}

#[test]
fn pages_that_are_left_with_few_rows_are_joined_and_empty_ones_go() {
    let mut rows = Paged::default();
    for n in 1_000..2_000 {
        rows.insert(&guild(n), n);
    }
    for n in (1_000..2_000).filter(|n| n % 50 != 0) {
        rows.remove(guild(n).as_str());
    }
    assert_eq!((rows.len(), rows.pages.len()), (20, 1));
    assert_sound(&rows);
    for n in (1_000..2_000).step_by(50) {
        assert_eq!(rows.remove(guild(n).as_str()), Some(n));
    }
    assert!(rows.pages.is_empty() && rows.firsts.is_empty());
    assert!(rows.insert(&guild(7), 7).is_none());
    assert_sound(&rows);
}

#[test]
fn what_is_read_again_under_other_names_is_other_and_only_rows_count() {
    let mut known = Paged::default();
    for n in 1_000..1_050 {
        known.insert(&guild(n), 0);
    }
    // What all names begin with became less, and is more again.
    known.insert(&guild(2_000), 0);
    known.remove(guild(2_000).as_str());
    let read = |names: &mut dyn Iterator<Item = u32>| {
        let mut reading = Again::new(known.clone());
        names.for_each(|n| reading.push(&guild(n), 0));
        reading.done()
    };
    assert!(read(&mut (1_000..1_050)).shares(&known));
    let others = read(&mut (1_000..1_049).chain([1_777]));
    assert!(others.get(guild(1_777).as_str()).is_some() && others.get(guild(1_049).as_str()).is_none());
}
