use super::*;

#[test]
fn a_number_beyond_those_of_all_rows_stays_beyond_them() {
    assert_eq!([0, 7, i64::MAX as u64].map(bound), [0, 7, i64::MAX]);
    // As a signed number of the same bits each of these would be before every row.
    assert_eq!([1 << 63, u64::MAX - 1, u64::MAX].map(bound), [i64::MAX; 3]);
    assert!(signed(u64::MAX).is_err(), "what is written is refused instead");
}
