//! How unevenly targets lie on the pods, as one number. Pure; decides nothing about moving them.

/// The skew of an even fleet, and of one without targets.
pub const EVEN: f64 = 1.0;

/// Returns the targets of the fullest pod over the mean. `pods` holds targets and capacity of each: a pod of twice the
/// capacity is as full with twice the targets. A pod of capacity 0 is meant to have none, and does not count.
pub fn skew(pods: &[(u64, f64)]) -> f64 {
    let counted = || pods.iter().filter(|(_, capacity)| *capacity > 0.0);
    let (targets, capacity) =
        counted().fold((0.0, 0.0), |(all, room), (targets, capacity)| (all + *targets as f64, room + capacity));
    if targets == 0.0 {
        return EVEN;
    }
    let fullest = counted().map(|(targets, capacity)| *targets as f64 / capacity).fold(0.0, f64::max);
    fullest * capacity / targets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_even_fleet_and_an_empty_one_have_no_skew() {
        for pods in [&[][..], &[(0, 1.0), (0, 1.0)], &[(7, 1.0), (7, 1.0)], &[(3, 0.5), (12, 2.0)], &[(9, 0.0)]] {
            assert_eq!(skew(pods), EVEN, "{pods:?}");
        }
    }

    #[test]
    fn the_fullest_pod_is_measured_by_its_capacity() {
        assert_eq!(skew(&[(30, 1.0), (10, 1.0)]), 1.5);
        assert_eq!(skew(&[(20, 2.0), (20, 1.0), (5, 0.0)]), 1.5);
        assert_eq!(skew(&[(10, 1.0), (0, 1.0)]), 2.0);
    }
}
