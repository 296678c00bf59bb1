use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Row(String, u32);

impl Named for Row {
    fn name(&self) -> &str {
        &self.0
    }
}

fn listed<'a>(rows: impl Iterator<Item = &'a Row>) -> Vec<(String, u32)> {
    rows.map(|row| (row.0.clone(), row.1)).collect()
}

fn is_sound(rows: &Paged<Row>) -> bool {
    let fits =
        |page: &Arc<Vec<Row>>| !page.is_empty() && page.len() <= PAGE && page.capacity() <= page.len() + 3 * STEP;
    // What was joined grew as vectors do.
    rows.pages.iter().all(|page| fits(page) || page.len() <= PAGE / 2)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn it_is_what_a_sorted_map_is(
        first in 0_u32..2_000,
        changes in proptest::collection::vec((0_u32..3_000, any::<bool>()), 0..2_000),
        asked in proptest::collection::vec(0_u32..3_000, 20),
    ) {
        let (mut rows, mut map) = (Paged::default(), BTreeMap::new());
        let name = |n: u32| format!("{n:05}");
        for n in 0..first {
            prop_assert!(rows.insert(Row(name(n), n)).is_none());
            map.insert(name(n), n);
        }
        let (kept, before) = (rows.clone(), map.clone());
        for (n, comes) in changes {
            if comes {
                prop_assert_eq!(rows.insert(Row(name(n), n + 1)).map(|row| row.1), map.insert(name(n), n + 1));
            } else {
                prop_assert_eq!(rows.remove(&name(n)).map(|row| row.1), map.remove(&name(n)));
            }
            prop_assert_eq!(rows.len(), map.len());
        }
        prop_assert!(is_sound(&rows));
        prop_assert_eq!(listed(rows.iter()), map.clone().into_iter().collect::<Vec<_>>());
        prop_assert_eq!(listed(kept.iter()), before.into_iter().collect::<Vec<_>>(), "a copy stays as it was");
        for n in asked {
            let name = name(n);
            prop_assert_eq!(rows.get(&name).map(|row| row.1), map.get(&name).copied());
            let from: Vec<_> = map.range(name.clone()..).map(|(name, n)| (name.clone(), *n)).collect();
            let after: Vec<_> = from.iter().filter(|(found, _)| *found != name).cloned().collect();
            prop_assert_eq!(listed(rows.from(&name)), from);
            prop_assert_eq!(listed(rows.after(&name)), after);
        }
    }
}

#[test]
fn pages_that_are_filled_in_order_are_full_and_a_copy_shares_them() {
    let mut rows = Paged::default();
    for n in 0..1_000 {
        rows.insert(Row(format!("{n:05}"), n));
    }
    assert_eq!(rows.pages.iter().map(|page| page.len()).collect::<Vec<_>>(), [256, 256, 256, 232]);
    let copy = rows.clone();
    rows.insert(Row("00300".to_owned(), 7));
    let shared = rows.pages.iter().zip(&copy.pages).map(|(a, b)| Arc::ptr_eq(a, b)).collect::<Vec<_>>();
    assert_eq!(shared, [true, false, true, true], "only what was changed was copied");
}
