use super::*;

fn given(body: &str, id: &str) -> (bool, String) {
    let mut given = body.to_owned();
    let safe = give(&mut given, &"discord:guild:1".parse().expect("a target"), id);
    (safe, given)
}

#[test]
fn a_message_gets_the_same_nonce_each_time_and_another_than_others() {
    let (safe, first) = given(r#"{"content":"hi"}"#, "a");
    assert!(safe);
    assert_eq!(given(r#"{"content":"hi"}"#, "a").1, first);
    let read: Value = serde_json::from_str(&first).expect("JSON");
    let nonce = read["nonce"].as_str().expect("a nonce");
    assert_eq!((nonce.len(), &read["enforce_nonce"], &read["content"]), (24, &json!(true), &json!("hi")));
    assert_ne!(given(r#"{"content":"hi"}"#, "b").1, first);
}

#[test]
fn whoever_decided_about_the_nonce_keeps_it_and_what_is_no_object_stays_as_it_is() {
    for (body, safe) in [
        (r#"{"nonce":7,"enforce_nonce":true}"#, true),
        (r#"{"nonce":7}"#, false),
        (r#"{"enforce_nonce":false}"#, false),
        (r#"{"nonce":null,"enforce_nonce":true}"#, false),
        ("--boundary", false),
        ("[1]", false),
        ("", false),
    ] {
        assert_eq!(given(body, "a"), (safe, body.to_owned()));
    }
}

#[test]
fn a_nonce_holds_for_the_first_attempt_and_for_two_minutes() {
    assert!(holds(1, 0, 600_000));
    assert!(holds(9, 0, 119_999));
    assert!(!holds(2, 0, 120_000));
}
