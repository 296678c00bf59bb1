use super::*;

const BODY: &str = r#"{"url":"wss://gateway.discord.gg","shards":9,"session_start_limit":
    {"total":1000,"remaining":999,"reset_after":14400000,"max_concurrency":16,"new":1}}"#;

fn client(base: &str, token: &str) -> anyhow::Result<Discord> {
    Discord::new(base, Secret::new(token), Duration::from_secs(1))
}

#[test]
fn an_answer_is_read_and_what_is_none_is_asked_for_again() {
    let told = judge(StatusCode::OK, None, BODY.as_bytes()).expect("read");
    let reset_after = Duration::from_secs(14_400);
    assert_eq!(told, Told { shards: 9, total: 1_000, remaining: 999, reset_after, max_concurrency: 16 });
    for body in ["", "{}", &BODY.replace("16", "0"), &BODY.replace("999", "-1"), &BODY.replace("999", "\"999\"")] {
        assert!(
            matches!(judge(StatusCode::OK, None, body.as_bytes()), Err(Refused::Again { after: None, .. })),
            "{body}"
        );
    }
    assert_eq!(judge(StatusCode::UNAUTHORIZED, None, b""), Err(Refused::Token));
    for status in [500, 502, 403, 301] {
        let refused = judge(StatusCode::from_u16(status).expect("one"), None, BODY.as_bytes());
        assert!(matches!(refused, Err(Refused::Again { .. })), "{status}");
    }
}

#[test]
fn how_long_discord_wants_to_be_left_alone_is_obeyed() {
    let after = |header, body: &[u8]| match judge(StatusCode::TOO_MANY_REQUESTS, header, body) {
        Err(Refused::Again { after, .. }) => after,
        other => panic!("{other:?}"),
    };
    assert_eq!(after(Some(3.0), b""), Some(Duration::from_secs(3)));
    assert_eq!(after(Some(3.0), br#"{"retry_after":64.5,"global":true}"#), Some(Duration::from_millis(64_500)));
    assert_eq!((after(None, b"x"), after(Some(-1.0), b"")), (None, None));
}

#[test]
fn the_bot_is_known_by_its_token_and_the_token_by_nobody() {
    let bot = |token: &str| client("https://discord.com/api/v10/", token).expect("a client").bot();
    assert_eq!(bot("ODEzODQ3ODg3NjU3MTIzODQ.xyz.abc"), "81384788765712384");
    for other in ["", "bot", "....", "eHl6.a.b"] {
        assert_eq!(bot(other), "bot", "{other}");
    }
    let client = client("https://discord.com/api/v10/", "s3cret").expect("a client");
    assert!(!format!("{client:?}").contains("s3cret"));
    assert_eq!(client.url, "https://discord.com/api/v10/gateway/bot");
}

#[test]
fn an_address_that_is_none_is_refused() {
    for base in ["", "discord.com", "ftp://discord.com", "https://"] {
        assert!(client(base, "x").is_err(), "{base}");
    }
}
