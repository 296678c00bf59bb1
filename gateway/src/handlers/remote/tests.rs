use super::*;

fn meant(status: u16, body: &str) -> Result<Said, HandlerError> {
    read(StatusCode::from_u16(status).expect("a status"), body.as_bytes(), &Description::default())
}

#[test]
fn a_status_says_whether_an_event_is_done_ignored_refused_or_tried_again() {
    for done in [200, 201, 204] {
        assert_eq!(meant(done, "{}"), Ok(Said::nothing()), "{done}");
    }
    assert_eq!(meant(204, "not even JSON"), Ok(Said::nothing()));
    assert_eq!(meant(409, "{}"), Err(HandlerError::Ignore));
    for never in [400, 404, 422, 429] {
        assert!(matches!(meant(never, "why\nnot"), Err(HandlerError::Permanent(why)) if why.ends_with(": why not")));
    }
    for again in [301, 307, 500, 503, 599] {
        assert!(matches!(meant(again, ""), Err(HandlerError::Retry(_))), "{again}");
    }
    assert!(matches!(meant(200, "[]"), Err(HandlerError::Retry(why)) if why.contains("malformed")));
}

#[test]
fn a_reason_is_one_short_line_of_what_the_handler_said() {
    let Err(HandlerError::Retry(why)) = meant(500, &format!("\u{1b}[31m{}", "x".repeat(5_000))) else {
        panic!("retried")
    };
    assert!(why.len() < REASON + 100 && !why.chars().any(char::is_control), "{why}");
}

#[test]
fn only_plain_http_urls_with_a_host_are_handlers() {
    let settings = |url: &str| RemoteSettings {
        url: url.to_owned(),
        token: None,
        patience: Duration::from_secs(1),
        probe: Duration::from_secs(1),
        max_answer: 1,
        max_head: 1,
        max_headers: 1,
        local_url: String::new(),
    };
    for good in ["http://127.0.0.1:8080", "http://bot/", "http://bot:1/path"] {
        assert!(Remote::new(settings(good)).is_ok(), "{good}");
    }
    for bad in ["https://bot", "bot:8080", "http://", "http://bot/?x=1", ""] {
        let why = Remote::new(settings(bad)).expect_err(bad).to_string();
        assert!(why.contains("BERTH_HANDLER"), "{why}");
    }
}
