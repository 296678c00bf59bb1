use super::*;

fn lineage(pod: &str, n: u32) -> Lineage {
    let incarnation = format!("00000000-0000-0000-0000-{n:012}").parse().expect("valid");
    Lineage { generation: 1, pod: pod.parse().expect("valid"), incarnation }
}

fn life(lineage: &Lineage) -> Life {
    Life { pod: lineage.pod.clone(), incarnation: lineage.incarnation.clone() }
}

const SOME: Heard = Heard::Listed { files: 2, bytes: 7 };
const NONE: Heard = Heard::Listed { files: 0, bytes: 0 };

fn begun(previous: Option<Lineage>) -> Heard {
    Heard::Begun { previous, empty: false }
}

#[test]
fn a_lineage_is_sealed_then_listed_then_restored() {
    let only = lineage("a", 2);
    let (mut search, first) = Search::begin(&life(&only), only.clone());
    assert_eq!(first, Step::Seal(only.clone()));
    assert_eq!(search.hear(Heard::Sealed), Step::List(only.clone()));
    assert_eq!(search.hear(SOME), Step::Restore(only, 7));
}

#[test]
fn a_life_that_has_uploaded_nothing_leads_to_the_one_before_which_is_sealed_too() {
    let (newest, before) = (lineage("a", 2), lineage("a", 1));
    let (mut search, _) = Search::begin(&life(&newest), newest.clone());
    search.hear(Heard::Sealed);
    assert_eq!(search.hear(NONE), Step::Begun(newest));
    assert_eq!(search.hear(begun(Some(before.clone()))), Step::Seal(before.clone()));
    assert_eq!(search.hear(Heard::Sealed), Step::List(before.clone()));
    assert_eq!(search.hear(SOME), Step::Restore(before, 7));
}

#[test]
fn what_never_ends_ends_and_another_pods_replica_is_nothing() {
    let first = lineage("a", 1);
    let (mut search, _) = Search::begin(&life(&first), first.clone());
    assert!(matches!(search.hear(begun(Some(lineage("b", 1)))), Step::Nothing(_)));
    let (mut search, _) = Search::begin(&life(&first), first.clone());
    let ends = (0..100).any(|n| matches!(search.hear(begun(Some(lineage("a", n)))), Step::Nothing(_)));
    assert!(ends);
}

#[test]
fn of_a_life_that_began_empty_and_has_uploaded_nothing_the_newest_copy_is_empty() {
    let (newest, before) = (lineage("a", 2), lineage("a", 1));
    let (mut search, _) = Search::begin(&life(&newest), newest.clone());
    search.hear(Heard::Sealed);
    assert_eq!(search.hear(NONE), Step::Begun(newest));
    let after_another = Heard::Begun { previous: Some(before.clone()), empty: true };
    assert_eq!(search.hear(after_another), Step::Seal(before.clone()), "the one before may have files");
    search.hear(Heard::Sealed);
    assert_eq!(search.hear(NONE), Step::Begun(before.clone()));
    assert_eq!(search.clone().hear(Heard::Begun { previous: None, empty: true }), Step::Empty);
    assert!(matches!(search.hear(begun(None)), Step::Nothing(_)), "it had a database that was never uploaded");
}
