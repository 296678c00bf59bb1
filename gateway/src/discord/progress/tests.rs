use super::*;
use proptest::prelude::*;

#[test]
fn a_session_is_as_far_as_everything_before_is_committed() {
    let mut progress = Progress::default();
    progress.begin(1);
    let session = progress.session();
    assert!(progress.came(2) && progress.came(3) && progress.came(4));
    assert_eq!((progress.received(), progress.safe()), (4, 1));
    progress.committed(session, 3);
    assert_eq!(progress.safe(), 1, "2 is open");
    progress.committed(session, 2);
    assert_eq!(progress.safe(), 3);
    progress.passed(5);
    assert_eq!((progress.received(), progress.safe()), (5, 3));
    assert!(!progress.came(5), "it has come before");
    progress.committed(session, 4);
    assert_eq!(progress.safe(), 5);
}

#[test]
fn what_is_left_of_another_session_says_nothing_about_this_one() {
    let mut progress = Progress::default();
    progress.begin(1);
    let before = progress.session();
    assert!(progress.came(7));
    progress.begin(1);
    assert!(progress.came(7));
    progress.committed(before, 7);
    assert_eq!(progress.safe(), 6, "that was the other 7");
}

proptest! {
    #[test]
    fn nothing_that_is_open_is_ever_passed(order in Just((2..40_u64).collect::<Vec<_>>()).prop_shuffle()) {
        let mut progress = Progress::default();
        progress.begin(1);
        let session = progress.session();
        (2..40).for_each(|seq| assert!(progress.came(seq)));
        let mut open: std::collections::BTreeSet<u64> = (2..40).collect();
        for seq in order {
            progress.committed(session, seq);
            open.remove(&seq);
            prop_assert_eq!(progress.safe(), open.first().map_or(39, |first| first - 1));
        }
    }
}
