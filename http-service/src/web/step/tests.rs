use super::*;
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

fn waits(step: &Step) -> bool {
    matches!(step, Step::Wait(_))
}

fn code(step: Step) -> String {
    match step {
        Step::Refuse(problem) => problem.code,
        Step::Wait(most) => panic!("waits for {most:?}"),
    }
}

#[test]
fn what_never_left_may_wait_for_its_owner_whatever_it_is() {
    let unreached = Unanswered::Unreached("refused".to_owned());
    for came in [Came::NotLoaded, Came::Homeless, Came::Unanswered(&unreached)] {
        assert!(waits(&Attempts::default().next(came, false, SECOND)), "{came:?}");
        assert!(!waits(&Attempts::default().next(came, true, Duration::ZERO)), "{came:?}");
    }
}

#[test]
fn what_is_not_the_same_twice_is_never_sent_again_once_it_left() {
    let lost = Unanswered::Lost("reset".to_owned());
    for came in [Came::NotOwner, Came::NotServing, Came::Unanswered(&lost), Came::Unanswered(&Unanswered::Silent)] {
        assert!(!waits(&Attempts::default().next(came, false, SECOND)), "{came:?}");
    }
    assert_eq!(code(Attempts::default().next(Came::Unanswered(&lost), false, SECOND)), "outcome-unknown");
}

#[test]
fn a_lost_answer_to_what_is_harmless_is_asked_for_once_again() {
    let lost = Unanswered::Lost("reset".to_owned());
    let mut attempts = Attempts::default();
    assert!(waits(&attempts.next(Came::Unanswered(&lost), true, SECOND)));
    assert_eq!(code(attempts.next(Came::Unanswered(&lost), true, SECOND)), "outcome-unknown");
    // Whatever comes after it, nobody can say that nothing was done.
    assert_eq!(code(attempts.next(Came::NotOwner, true, SECOND)), "outcome-unknown");
    let unreached = Unanswered::Unreached("refused".to_owned());
    assert_eq!(code(attempts.next(Came::Unanswered(&unreached), true, Duration::ZERO)), "outcome-unknown");
    assert_eq!(code(Attempts::default().next(Came::Unanswered(&unreached), true, Duration::ZERO)), "owner-away");
}

#[test]
fn an_unknown_target_is_said_so_at_once() {
    assert_eq!(code(Attempts::default().next(Came::Unknown, true, SECOND)), "unknown-target");
}

proptest! {
    #[test]
    fn no_wait_is_longer_than_what_is_left(left in 0_u64..5_000, repeatable: bool, which in 0_usize..6) {
        let (unreached, lost) = (Unanswered::Unreached(String::new()), Unanswered::Lost(String::new()));
        let all = [
            Came::NotLoaded, Came::Homeless, Came::NotOwner, Came::NotServing,
            Came::Unanswered(&unreached), Came::Unanswered(&lost),
        ];
        let left = Duration::from_millis(left);
        if let Step::Wait(most) = Attempts::default().next(all[which], repeatable, left) {
            prop_assert!(most <= left);
        }
    }
}
