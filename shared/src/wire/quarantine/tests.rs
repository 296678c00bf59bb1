use super::*;

const DAY: u64 = 24 * 60 * 60 * 1_000;
const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

fn copy(progress: Progress, skipped: &[(Skipped, u64)], since_ms: u64) -> Aside {
    Aside {
        copy: 1,
        target: "slack:guild:T1".parse().expect("valid"),
        epoch: Epoch(3),
        why: Why::FailedOver,
        since_ms,
        left_behind: false,
        rows: 1,
        bytes: 1,
        reconcile: Reconcile { progress, skipped: skipped.iter().copied().collect(), ..Reconcile::default() },
        dropping: false,
    }
}

#[test]
fn rows_that_are_aside_go_only_when_all_is_acknowledged_and_their_time_is_over() {
    let now = 100 * DAY;
    assert_eq!(copy(Progress::Done, &[], now - 7 * DAY).may_go(now, WEEK), Ok(()));
    assert_eq!(copy(Progress::Done, &[(Skipped::Timer, 4)], now - 7 * DAY).may_go(now, WEEK), Ok(()));
    assert_eq!(copy(Progress::Done, &[], now - 7 * DAY + 1).may_go(now, WEEK), Err(Keep::TooYoung));
    assert_eq!(copy(Progress::Done, &[], 0).may_go(now, WEEK), Err(Keep::TooYoung), "nobody knows since when");
    for progress in [Progress::Waiting, Progress::Sending, Progress::Apart] {
        assert_eq!(copy(progress, &[], DAY).may_go(now, WEEK), Err(Keep::NotReconciled), "{progress:?}");
    }
    for why in [Skipped::TooOld, Skipped::NoPayload] {
        assert_eq!(copy(Progress::Done, &[(why, 1)], DAY).may_go(now, WEEK), Err(Keep::NotReconciled), "{why:?}");
    }
}

#[test]
fn the_words_of_why_read_back() {
    for why in [Why::FailedOver, Why::Taken, Why::Released] {
        assert_eq!(Why::from_word(why.as_str()), Some(why));
        assert_eq!(serde_json::to_value(why).expect("JSON"), why.as_str());
    }
}
