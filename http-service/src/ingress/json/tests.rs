use super::*;
use proptest::prelude::*;

#[derive(Deserialize)]
struct Sent<'a> {
    #[serde(borrow)]
    guild_id: Option<Id<'a>>,
    #[serde(borrow)]
    user: Option<Obj<Ref<'a>>>,
}

fn guild(text: &str) -> Result<Option<String>, Reason> {
    object::<Sent<'_>>(text).map(|sent| id(&sent.guild_id).map(str::to_owned))
}

#[test]
fn ids_keep_every_digit_and_empty_ones_count_as_none() {
    for (text, expected) in [
        (r#"{"guild_id":"18446744073709551615"}"#, Some("18446744073709551615")),
        (r#"{"guild_id":18446744073709551615}"#, Some("18446744073709551615")),
        (r#"{"guild_id":9007199254740993}"#, Some("9007199254740993")),
        (r#"{"guild_id":-1001234567890}"#, Some("-1001234567890")),
        (r#"{"guild_id":"a\"b"}"#, Some("a\"b")),
        (r#"{"guild\u005fid":"1"}"#, Some("1")),
        (r#"{"guild_id":""}"#, None),
        (r#"{"guild_id":null}"#, None),
        ("{}", None),
    ] {
        assert_eq!(guild(text), Ok(expected.map(str::to_owned)), "{text}");
    }
}

#[test]
fn what_two_readers_could_read_differently_is_refused() {
    for text in [
        r#"{"guild_id":"1","guild_id":"2"}"#,
        r#"{"guild_id":"1","guild\u005fid":"1"}"#,
        r#"{"user":{"id":"1","id":"2"}}"#,
        r#"{"guild_id":1.5}"#,
        r#"{"guild_id":1e3}"#,
        r#"{"guild_id":99999999999999999999}"#,
        r#"{"guild_id":true}"#,
        r#"{"guild_id":["1"]}"#,
        r#"{"user":["1"]}"#,
        r#"["1"]"#,
        r#"{"guild_id":"1"}x"#,
    ] {
        assert_eq!(guild(text), Err(Reason::MalformedBody), "{text}");
    }
    let twice_elsewhere = object::<Sent<'_>>(r#"{"x":1,"x":2,"user":{"id":"7","y":{"id":"8"}}}"#).expect("well formed");
    assert_eq!(ref_id(&twice_elsewhere.user), Some("7"));
}

fn at(text: &str, path: &[&str]) -> Result<Option<String>, Reason> {
    at_pointer(text, &path.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>())
}

#[test]
fn a_pointer_finds_scalars_as_written() {
    let text = r#"{"a":{"b/c":[{"d":"x\u00fc"},12345678901234567890123,true,null,{}]},"e":"\u0065"}"#;
    for (path, expected) in [
        (vec!["a", "b/c", "0", "d"], Some("xü")),
        (vec!["a", "b/c", "1"], Some("12345678901234567890123")),
        (vec!["a", "b/c", "2"], Some("true")),
        (vec!["a", "b/c", "3"], None),
        (vec!["a", "b/c", "4"], None),
        (vec!["a", "b/c", "5"], None),
        (vec!["a", "b/c"], None),
        (vec!["a", "nope", "d"], None),
        (vec!["e", "f"], None),
        (vec!["e"], Some("e")),
    ] {
        assert_eq!(at(text, &path), Ok(expected.map(str::to_owned)), "{path:?}");
    }
    assert_eq!(at("7", &["a"]), Ok(None));
    assert_eq!(at(r#"{"a":1,"a":2}"#, &["a"]), Err(Reason::MalformedBody));
    assert_eq!(at(r#"{"a":{"b":1},"a":{}}"#, &["a", "b"]), Err(Reason::MalformedBody));
    assert_eq!(at(r#"{"a":1}]"#, &["a"]), Err(Reason::MalformedBody));
}

proptest! {
    #[test]
    fn the_depth_check_agrees_with_counting(openings in 0_usize..400, noise in "[a-z\"\\\\{}\\[\\]]{0,40}") {
        let quoted = serde_json::to_string(&noise).expect("a string");
        let text = format!("{}{quoted}{}", "[".repeat(openings), "]".repeat(openings));
        prop_assert_eq!(super::text(text.as_bytes()).is_ok(), openings <= MAX_DEPTH);
    }
}
