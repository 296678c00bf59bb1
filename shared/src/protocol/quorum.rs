//! How many witnesses it takes (OWNERSHIP.md, Leases 3). Any set that extends a lease and any set that fences it have a
//! witness in common. Knows nothing else of either.

/// Returns QE: how many of `witnesses` must promise for a lease to be extended. None, when there are none: one pod alone
/// serves for ever (OWNERSHIP.md, Leases 15).
pub const fn extends(witnesses: usize) -> usize {
    witnesses.div_ceil(2)
}

/// Returns QF: how many of `witnesses` must have fenced a lease for its pod to be failed over. More than there are, when
/// there are none.
pub const fn fences(witnesses: usize) -> usize {
    witnesses / 2 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_extends_and_whoever_fences_have_a_witness_in_common() {
        for m in 0..10_000 {
            assert_eq!(extends(m) + fences(m), m + 1, "{m} witnesses");
        }
        assert_eq!((extends(0), fences(0)), (0, 1), "a pod alone needs nobody and is fenced by nobody");
        assert_eq!((extends(1), fences(1)), (1, 1));
        assert_eq!((extends(4), fences(4)), (2, 3));
    }
}
