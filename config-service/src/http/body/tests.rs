use super::parse;

#[test]
fn an_integer_that_is_written_as_a_float_is_one_however_large_it_is() {
    for (text, number) in [("60.0", 60), ("-7.0", -7), ("2097622847583885.0", 2_097_622_847_583_885), ("0.0", 0)] {
        assert_eq!(parse::<i64>(text.as_bytes()).ok(), Some(number), "{text}");
    }
    for text in ["60.5", "0.001", "1e300", "\"60\""] {
        assert!(parse::<i64>(text.as_bytes()).is_err(), "{text}");
    }
}
