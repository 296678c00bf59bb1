use super::*;
use http::StatusCode;

fn unreachable(sent: bool) -> ClientError {
    ClientError::Unreachable { url: "http://config-service".into(), detail: "no answer in time".into(), sent }
}

fn problem(status: StatusCode, code: &'static str) -> ClientError {
    ClientError::Problem(Problem::new(status, code, "a story"))
}

#[test]
fn a_pod_that_is_not_told_whether_it_leaves_asks_again_while_there_is_time() {
    let leaderless = || problem(StatusCode::SERVICE_UNAVAILABLE, "not-leader");
    for stalled in [unreachable(true), leaderless()] {
        assert_eq!(unheard(&stalled, false, true), Unheard::Again, "{stalled}");
        assert_eq!(unheard(&stalled, false, false), Unheard::Stop, "{stalled}");
    }
    let refused = unreachable(false);
    assert_eq!(unheard(&refused, false, true), Unheard::Stop, "nobody is there who could take its targets");
}

#[test]
fn a_pod_that_leaves_waits_for_its_targets_whoever_is_away() {
    for away in [unreachable(true), unreachable(false), problem(StatusCode::SERVICE_UNAVAILABLE, "not-leader")] {
        assert_eq!(unheard(&away, true, false), Unheard::Again, "{away}");
    }
    let unknown = problem(StatusCode::NOT_FOUND, "unknown-pod");
    for leaves in [false, true] {
        assert_eq!(unheard(&unknown, leaves, true), Unheard::Stop, "another question would change nothing");
    }
}
