use super::*;
use proptest::prelude::*;

fn set(names: &str) -> BTreeSet<PodId> {
    names.split_whitespace().map(|name| name.parse().expect("valid")).collect()
}

#[test]
fn a_step_waits_until_every_live_pod_has_the_last_one_on_disk() {
    let first = Members::default().next(set("a"), 0).expect("the first step");
    assert_eq!(first, Members { version: 1, now: set("a"), before: set("") });
    assert_eq!(first.next(set("a b"), 0), None, "a has not acknowledged version 1");
    let second = first.next(set("a b"), 1).expect("the second step");
    assert_eq!(second, Members { version: 2, now: set("a b"), before: set("a") });
    assert_eq!(second.next(set("a b"), 1), None);
    assert_eq!(second.next(set("a b c"), 1), None);
    assert_eq!(second.next(set("a b"), 2), Some(Members { version: 2, now: set("a b"), before: set("") }));
    assert_eq!(second.next(set("a b c"), 2), Some(Members { version: 3, now: set("a b c"), before: set("a b") }));
    assert_eq!(second.next(set(""), 2), None, "the last pod stays");
}

#[test]
fn a_pod_is_fenced_by_every_set_it_may_hold() {
    let members = Members { version: 5, now: set("a b c"), before: set("a b") };
    assert_eq!(members.may_hold(4).collect::<Vec<_>>(), [&set("a b"), &set("a b c")]);
    assert_eq!(members.may_hold(0).count(), 2);
    assert_eq!(members.may_hold(5).collect::<Vec<_>>(), [&set("a b c")]);
    assert_eq!(Members::default().may_hold(0).count(), 0, "nothing was granted yet");
}

proptest! {
    /// However pods come and go and whichever of them are slow to acknowledge: what a pod holds is always one of the sets
    /// that would have to fence it.
    #[test]
    fn what_a_pod_holds_is_always_among_the_sets_that_fence_it(
        steps in prop::collection::vec((prop::collection::btree_set(0_usize..5, 1..5), prop::collection::vec(any::<bool>(), 5)), 1..40),
    ) {
        let name = |number: usize| -> PodId { format!("gateway-{number}").parse().expect("valid") };
        let (mut members, mut held) = (Members::default(), vec![(0, BTreeSet::new()); 5]);
        for (wanted, acknowledges) in steps {
            let lowest = held.iter().map(|(version, _)| *version).min().expect("five");
            if let Some(next) = members.next(wanted.into_iter().map(name).collect(), lowest) {
                prop_assert!(next.version <= members.version + 1);
                members = next;
            }
            for (held, _) in held.iter_mut().zip(acknowledges).filter(|(_, acknowledges)| *acknowledges) {
                *held = (members.version, members.now.clone());
            }
            for (version, set) in held.iter().filter(|(version, _)| *version > 0) {
                // The leader may know less of the pod than the pod has on disk.
                for known in 0..=*version {
                    prop_assert!(members.may_hold(known).any(|may| may == set));
                }
            }
        }
    }
}
