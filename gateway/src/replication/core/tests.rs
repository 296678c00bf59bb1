use super::*;
use Output::{ReadSeal, Replicated, Stands, Sync};

const MS: Duration = Duration::from_millis(1);
const RULES: Rules = Rules {
    burst: 20,
    per_second: 2.0,
    unasked: Duration::from_secs(5),
    patience: Duration::from_secs(10),
    degrade: false,
};

fn at(ms: u32) -> Mono {
    Mono::ZERO.after(ms * MS)
}

fn fail<T>() -> Result<T, String> {
    Err("no".to_owned())
}

fn committed(seq: u64, asked: u64) -> Input {
    Input::Committed { seq, asked }
}

/// A core whose first upload has been confirmed.
fn proven(rules: Rules) -> Core {
    let mut core = Core::new(at(0), rules, 1);
    assert_eq!(core.handle(at(0), Input::Tick), [Sync]);
    assert_eq!(core.handle(at(5), Input::Synced(Ok(()))), [ReadSeal]);
    assert_eq!(core.handle(at(6), Input::Seal(Ok(false))), [Replicated(1), Stands(Standing::Replicating)]);
    core
}

#[test]
fn nothing_counts_before_the_upload_and_the_look_at_the_seal_after_it() {
    let mut core = proven(RULES);
    assert_eq!(core.handle(at(100), committed(2, 2)), [Sync]);
    assert_eq!(core.handle(at(101), Input::Seal(Ok(false))), [], "a look before the upload proves nothing");
    assert_eq!(core.handle(at(130), Input::Synced(Ok(()))), [ReadSeal], "uploaded is not enough");
    assert_eq!(core.handle(at(140), Input::Seal(Ok(false))), [Replicated(2)]);
}

#[test]
fn one_upload_covers_what_was_committed_before_it_began_and_nothing_later() {
    let mut core = proven(RULES);
    assert_eq!(core.handle(at(100), committed(4, 4)), [Sync]);
    assert_eq!(core.handle(at(110), committed(7, 7)), [], "one is under way");
    assert_eq!(core.handle(at(120), Input::Synced(Ok(()))), [ReadSeal]);
    assert_eq!(core.handle(at(121), Input::Seal(Ok(false))), [Replicated(4), Sync], "the next one begins at once");
    core.handle(at(130), Input::Synced(Ok(())));
    assert_eq!(core.handle(at(131), Input::Seal(Ok(false))), [Replicated(7)]);
    assert_eq!(core.wake_at(at(131)), None, "nothing is left to do");
}

#[test]
fn a_seal_ends_it_whatever_was_uploaded() {
    let mut core = proven(RULES);
    core.handle(at(100), committed(2, 2));
    core.handle(at(120), Input::Synced(Ok(())));
    assert_eq!(core.handle(at(121), Input::Seal(Ok(true))), [Stands(Standing::Sealed)]);
    assert_eq!(core.handle(at(122), committed(9, 9)), []);
    assert_eq!(core.handle(at(90_000), Input::Flush), []);
    assert_eq!(core.wake_at(at(90_000)), None);
}

#[test]
fn what_nobody_waits_for_is_uploaded_after_a_while() {
    let mut core = proven(RULES);
    assert_eq!(core.handle(at(1_000), committed(2, 0)), []);
    assert_eq!(core.wake_at(at(1_000)), Some(at(6_000)));
    assert_eq!(core.oldest(), Some(at(1_000)));
    assert_eq!(core.handle(at(6_000), Input::Tick), [Sync]);
    assert_eq!(core.handle(at(6_010), committed(3, 3)), []);
    assert_eq!(core.oldest(), Some(at(1_000)), "uploads that are under way prove nothing yet");
    core.handle(at(6_020), Input::Synced(Ok(())));
    core.handle(at(6_020), Input::Seal(Ok(false)));
    assert_eq!(core.oldest(), Some(at(6_010)));
}

#[test]
fn a_failure_is_tried_again_with_growing_waits_and_publishes_nothing() {
    let mut core = proven(RULES);
    assert_eq!(core.handle(at(100), committed(2, 2)), [Sync]);
    assert_eq!(core.handle(at(200), Input::Synced(fail())), [Stands(Standing::Behind)]);
    assert_eq!(core.wake_at(at(200)), Some(at(450)));
    assert_eq!(core.handle(at(450), Input::Tick), [Sync]);
    assert_eq!(core.handle(at(460), Input::Synced(Ok(()))), [ReadSeal]);
    assert_eq!(core.handle(at(470), Input::Seal(fail())), [], "without the look nothing is proven");
    assert_eq!(core.wake_at(at(470)), Some(at(970)));
    assert_eq!(core.oldest(), Some(at(100)));
    assert_eq!(core.handle(at(970), Input::Tick), [Sync]);
    core.handle(at(980), Input::Synced(Ok(())));
    assert_eq!(core.handle(at(981), Input::Seal(Ok(false))), [Replicated(2), Stands(Standing::Replicating)]);
}

#[test]
fn who_is_not_there_to_upload_is_looked_for_steadily_and_costs_no_turn() {
    let mut core = proven(Rules { patience: Duration::from_secs(60), ..RULES });
    assert_eq!(core.handle(at(100), committed(2, 2)), [Sync]);
    assert_eq!(core.handle(at(200), Input::Synced(fail())), [Stands(Standing::Behind)]);
    assert_eq!(core.handle(at(450), Input::Tick), [Sync]);
    let mut now = 450;
    // As often as that the bucket would be empty, and the pause five seconds long.
    for _ in 0..39 {
        core.handle(at(now), Input::Absent("nobody listens".to_owned()));
        assert_eq!(core.wake_at(at(now)), Some(at(now + 250)));
        now += 250;
        assert_eq!(core.handle(at(now), Input::Tick), [Sync]);
    }
    core.handle(at(now), Input::Synced(Ok(())));
    assert_eq!(core.handle(at(now), Input::Seal(Ok(false))), [Replicated(2), Stands(Standing::Replicating)]);
    assert_eq!(core.handle(at(now + 1), committed(3, 3)), [Sync], "the next one does not pay for those");
}

#[test]
fn patience_ends_also_with_an_upload_that_hangs_and_comes_back_with_a_success() {
    for degrade in [false, true] {
        let mut core = proven(Rules { degrade, ..RULES });
        let given_up = if degrade { Standing::Degraded } else { Standing::Closed };
        assert_eq!(core.handle(at(100), committed(2, 2)), [Sync]);
        assert_eq!(core.wake_at(at(100)), Some(at(10_100)));
        assert_eq!(core.handle(at(10_100), Input::Tick), [Stands(given_up)]);
        assert_eq!(core.takes(), None);
        assert_eq!(core.handle(at(15_000), Input::Synced(fail())), []);
        let again = core.wake_at(at(15_000)).expect("it goes on");
        assert_eq!(core.handle(again, Input::Tick), [Sync]);
        core.handle(at(20_000), Input::Synced(Ok(())));
        assert_eq!(core.handle(at(20_001), Input::Seal(Ok(false))), [Replicated(2), Stands(Standing::Replicating)]);
    }
}

#[test]
fn a_pod_that_has_uploaded_nothing_since_its_start_says_so() {
    let mut core = Core::new(at(0), RULES, 7);
    assert_eq!(core.stands(), Standing::Starting);
    assert_eq!(core.handle(at(0), Input::Tick), [Sync], "also what was committed before may not be there");
    assert_eq!(core.handle(at(10), Input::Synced(fail())), []);
    assert_eq!(core.stands(), Standing::Starting);
    let again = core.wake_at(at(10)).expect("it goes on");
    core.handle(again, Input::Tick);
    core.handle(at(300), Input::Synced(Ok(())));
    assert_eq!(core.handle(at(301), Input::Seal(Ok(false))), [Replicated(7), Stands(Standing::Replicating)]);
}

#[test]
fn a_busy_pod_waits_for_its_turn_and_a_flush_does_not() {
    let mut core = proven(Rules { burst: 1, ..RULES });
    assert_eq!(core.handle(at(10), committed(2, 2)), [], "the only token is used");
    assert_eq!(core.wake_at(at(10)), Some(at(500)));
    assert_eq!(core.handle(at(20), Input::Flush), [Sync]);
    core.handle(at(30), Input::Synced(Ok(())));
    assert_eq!(core.handle(at(31), Input::Seal(Ok(false))), [Replicated(2)]);
}

#[test]
fn a_flush_is_uploaded_after_the_one_that_is_under_way() {
    let mut core = proven(RULES);
    core.handle(at(100), committed(2, 2));
    assert_eq!(core.handle(at(101), committed(3, 0)), []);
    assert_eq!(core.handle(at(101), Input::Flush), [], "one at a time");
    core.handle(at(110), Input::Synced(Ok(())));
    assert_eq!(core.handle(at(111), Input::Seal(Ok(false))), [Replicated(2), Sync]);
}

#[test]
fn what_it_takes_is_the_slowest_of_the_last_round_trips_and_the_pause() {
    let mut core = proven(RULES);
    assert_eq!(core.takes(), Some(6 * MS));
    core.handle(at(1_000), committed(2, 2));
    core.handle(at(1_300), Input::Synced(Ok(())));
    core.handle(at(1_400), Input::Seal(Ok(false)));
    assert_eq!(core.takes(), Some(400 * MS));
    for n in 3..40 {
        core.handle(at(1_400 + u32::try_from(n).expect("small") * 1_000), committed(n, n));
        let now = core.begun.after(Duration::from_millis(1_410 + n * 1_000));
        core.handle(now, Input::Synced(Ok(())));
        core.handle(now, Input::Seal(Ok(false)));
    }
    assert_eq!(core.takes(), Some(10 * MS), "old round trips are forgotten");
}
