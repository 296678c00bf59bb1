use super::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
const NOW: u64 = 20_000 * DAY_MS + 43_200_000;

fn pod(n: usize) -> PodId {
    format!("gateway-{n}").parse().expect("valid")
}

#[test]
fn each_pod_has_its_own_time_of_day_and_one_drill_in_a_period() {
    let mut times = Vec::new();
    for n in 0..24 {
        let first = next(&pod(n), DAY, Some(NOW), NOW).expect("there are to be some");
        assert!(first > NOW && first <= NOW + DAY_MS, "the next one, after one was made just now");
        let again = next(&pod(n), DAY, Some(first), first).expect("there are to be some");
        assert_eq!(again, first + DAY_MS, "a day later");
        assert_eq!(next(&pod(n), DAY, Some(first - DAY_MS), first + 5_000), Some(first), "due, until it was made");
        assert_eq!(
            next(&pod(n), DAY, Some(first - 3 * DAY_MS), first + 5_000),
            Some(first),
            "missed ones are not made up"
        );
        times.push(first % DAY_MS);
    }
    times.sort_unstable();
    let widest = times.windows(2).map(|pair| pair[1] - pair[0]).max().expect("many");
    assert!(widest < DAY_MS / 3, "spread over the day: {times:?}");
}

#[test]
fn a_lineage_that_was_never_tried_is_tried_at_once_and_none_when_they_are_off() {
    assert_eq!(next(&pod(1), Duration::ZERO, None, NOW), None);
    for n in 0..24 {
        let first = next(&pod(n), DAY, None, NOW).expect("there are to be some");
        assert!(first <= NOW, "now");
    }
}
