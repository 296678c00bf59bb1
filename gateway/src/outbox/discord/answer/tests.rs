use super::*;
use reqwest::header::{HeaderName, HeaderValue};

fn heard(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Heard {
    let pair =
        |(name, value): &(&'static str, &'static str)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    Heard::read(status, &headers.iter().map(pair).collect(), body.as_bytes())
}

#[test]
fn a_bucket_is_read_when_all_of_it_is_told() {
    let mut told = vec![
        ("x-ratelimit-bucket", "abc"),
        ("x-ratelimit-limit", "5"),
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset-after", "1.250"),
    ];
    let bucket = Told { bucket: "abc".into(), limit: 5, remaining: 0, reset_after: Duration::from_millis(1_250) };
    assert_eq!(heard(200, &told, "").told, Some(bucket));
    told.remove(1);
    assert_eq!(heard(200, &told, "").told, None);
}

#[test]
fn what_was_hit_is_read_from_headers_and_body_whatever_of_them_is_there() {
    let (ms, s) = (Duration::from_millis, Duration::from_secs);
    let said = r#"{"message":"x","retry_after":0.731,"global":false}"#;
    let global = r#"{"message":"x","retry_after":2.5,"global":true}"#;
    for (headers, body, hit) in [
        (&[("x-ratelimit-scope", "user"), ("retry-after", "1")][..], said, (Scope::User, ms(731))),
        (&[("x-ratelimit-scope", "shared"), ("retry-after", "9")], "", (Scope::Shared, s(9))),
        (&[("x-ratelimit-scope", "global")], global, (Scope::Global, ms(2_500))),
        (&[], global, (Scope::Global, ms(2_500))),
        (&[], said, (Scope::User, ms(731))),
        (&[("retry-after", "77")], "error code: 1015", (Scope::Address, s(77))),
        (&[], "<html>", (Scope::Address, BAN)),
        (&[("retry-after", "1e30")], "<html>", (Scope::Address, BAN)),
    ] {
        assert_eq!(heard(429, headers, body).hit, Some(hit), "{headers:?} {body}");
    }
    assert_eq!(heard(503, &[("retry-after", "1")], "").hit, None);
}

#[test]
fn invalid_is_what_discord_counts() {
    for (status, headers, invalid) in [
        (401, &[][..], true),
        (403, &[], true),
        (404, &[], false),
        (429, &[("x-ratelimit-scope", "user")], true),
        (429, &[("x-ratelimit-scope", "global")], true),
        (429, &[("x-ratelimit-scope", "shared")], false),
        (500, &[], false),
    ] {
        assert_eq!(heard(status, headers, "").is_invalid(), invalid, "{status} {headers:?}");
    }
}
