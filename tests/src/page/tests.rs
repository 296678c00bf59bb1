use super::replaced;

#[test]
fn only_what_is_between_the_marks_is_replaced() {
    let page = "a\n<!-- x -->\nold\n<!-- end -->\nb\n<!-- y -->\n<!-- end -->\n";
    let new = "a\n<!-- x -->\nnew\n<!-- end -->\nb\n<!-- y -->\n<!-- end -->\n";
    assert_eq!(replaced(page, "x", "new\n").as_deref(), Some(new));
    assert_eq!(replaced(page, "z", "new\n"), None);
}
