//! `berth handler test` against handlers with one fault each: it finds the fault, names it, and finds nothing else; and
//! against handlers that are as they should be.

use berth_tests::{
    handler_double::{Asked, HandlerDouble, Says, whole},
    role::free_port,
    supervised::run,
};
use serde_json::{Value, json};
use std::{process::Output, sync::Mutex, time::Duration};

/// What a handler says that is as it should be.
fn well(asked: &Asked) -> Says {
    match asked.route.as_str() {
        "GET /v1/describe" => {
            Says::Json(200, json!({"api": ["1"], "name": "double", "version": "1", "preload": ["seen"], "new": 1}))
        }
        "POST /v1/events" => {
            let seen = asked.body["state"]["kv"]["seen"].as_u64().unwrap_or(0) + 1;
            Says::Json(200, json!({"reply": {"text": "hello"}, "kv": {"set": {"seen": seen}}}))
        }
        _ => Says::Json(404, json!({})),
    }
}

/// Answers events with `said`.
fn events(said: Value) -> Fault {
    Box::new(move |asked| (asked.route == "POST /v1/events").then(|| Says::Json(200, said.clone())))
}

/// Describes itself so.
fn describes(said: Value) -> Fault {
    Box::new(move |asked| (asked.route == "GET /v1/describe").then(|| Says::Json(200, said.clone())))
}

/// Says `says` to events for which `when` is true of the event.
fn when(when: fn(&Value) -> bool, says: Says) -> Fault {
    Box::new(move |asked| (asked.route == "POST /v1/events" && when(&asked.body["event"])).then(|| says.clone()))
}

/// How many handlers are tested at the same time; most of a test is waiting.
const AT_ONCE: usize = 6;

/// What a handler says in place of what is right.
type Fault = Box<dyn Fn(&Asked) -> Option<Says> + Send + Sync>;

fn test(url: &str, more: &[&str]) -> Output {
    run(&[&["handler", "test", url], more].concat())
}

fn report(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    text.parse().unwrap_or_else(|why| panic!("{why}: {text}{}", String::from_utf8_lossy(&output.stderr)))
}

/// Returns the checks with this outcome: name and what was found.
fn with(report: &Value, outcome: &str) -> Vec<(String, String)> {
    let all = report["checks"].as_array().expect("checks").iter().filter(|check| check["outcome"] == outcome);
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    all.map(|check| (text(&check["check"]), text(&check["found"]))).collect()
}

#[test]
fn a_handler_that_is_as_it_should_be_passes_without_a_hint() {
    let handler = HandlerDouble::start(well);
    let output = test(&handler.url(), &["-o", "json"]);
    let report = report(&output);
    assert_eq!(with(&report, "failed"), [], "{report}");
    assert_eq!(with(&report, "hint"), [], "{report}");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(report["handler"], "double 1");
    let lines = test(&handler.url(), &[]);
    let text = String::from_utf8_lossy(&lines.stdout).into_owned();
    assert!(text.lines().any(|line| line.starts_with("ok    event discord_command ")), "{text}");
    assert!(text.trim_end().ends_with(" passed (0 with a hint), 0 failed"), "{text}");
}

#[test]
fn each_fault_is_found_and_named() {
    let big = "x".repeat((1 << 20) + 1);
    let cut = [whole(200, "{\"reply\": null, "), Vec::new()].concat();
    let short = b"HTTP/1.1 200 x\r\ncontent-length: 500\r\n\r\n{}".to_vec();
    let moved = b"HTTP/1.1 307 x\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n".to_vec();
    // Name, fault, a check that must fail, and what it must find.
    let faults: Vec<(&str, Fault, &str, &str)> = vec![
        (
            "wrong version",
            describes(json!({"api": ["2", "3"]})),
            "describe",
            "speaks the versions [2, 3], Berth speaks 1",
        ),
        ("no version", describes(json!({"name": "x"})), "describe", "api is missing, wanted a list"),
        ("versions as a number", describes(json!({"api": 1})), "describe", "api is the number 1, wanted a list"),
        (
            "no describe",
            Box::new(|asked| (asked.route != "POST /v1/events").then(|| Says::Json(404, json!({"no": 1})))),
            "describe",
            "404",
        ),
        (
            "describe is no JSON",
            Box::new(|asked| (asked.route == "GET /v1/describe").then(|| Says::Text(200, "<html>".into()))),
            "describe",
            "no JSON",
        ),
        (
            "describe hangs",
            Box::new(|asked| (asked.route == "GET /v1/describe").then_some(Says::Nothing)),
            "describe",
            "no answer within 2.0s",
        ),
        (
            "unknown field",
            events(json!({"replys": {"text": "x"}})),
            "event discord_command",
            "replys is a field Berth does not know, wanted one of reply, kv",
        ),
        (
            "reply is a text",
            events(json!({"reply": "hello"})),
            "event slack_command",
            "reply is the text \"hello\", wanted an object",
        ),
        (
            "keys in a list",
            events(json!({"kv": {"set": [1]}})),
            "event telegram_update",
            "kv.set is a list, wanted an object",
        ),
        (
            "a long key",
            events(json!({"kv": {"set": {"k".repeat(600): 1}}})),
            "event github_event",
            "a key of kv.set is 600 bytes long",
        ),
        (
            "a timer without a time",
            events(json!({"timers": [{"id": "a"}]})),
            "event slack_event",
            "timers[0] is with none of them",
        ),
        (
            "seconds with a fraction",
            events(json!({"timers": [{"id": "a", "at": 1.5}]})),
            "event slack_event",
            "timers[0].at is the number 1.5",
        ),
        (
            "a relative URL",
            events(json!({"outbox": [{"id": "1", "method": "POST", "url": "x"}]})),
            "event slack_event",
            "outbox[0].url",
        ),
        ("a list as the answer", events(json!([])), "event slack_event", "the answer is a list, wanted an object"),
        (
            "an answer that is too large",
            Box::new(move |asked| {
                (asked.route == "POST /v1/events").then(|| Says::Json(200, json!({"reply": {"text": big}})))
            }),
            "event slack_event",
            "the answer has 104",
        ),
        (
            "no JSON",
            Box::new(|asked| (asked.route == "POST /v1/events").then(|| Says::Text(200, "OK".into()))),
            "event slack_event",
            "a body that is no JSON",
        ),
        (
            "no path for events",
            Box::new(|asked| (asked.route == "POST /v1/events").then(|| Says::Json(404, json!({})))),
            "event slack_event",
            "404",
        ),
        (
            "says more than it sends",
            when(|event| event["kind"] == "slack_event", Says::Bytes(short)),
            "event slack_event",
            "the connection broke",
        ),
        (
            "dies in its answer",
            when(|event| event["kind"] == "slack_event", Says::Bytes(cut[..30].to_vec())),
            "event slack_event",
            "the connection broke",
        ),
        ("redirects", when(|event| event["kind"] == "slack_event", Says::Bytes(moved)), "event slack_event", "307"),
        (
            "breaks at timers",
            when(|event| event["kind"] == "timer", Says::Json(500, json!({"error": "no command"}))),
            "a timer it never set",
            "500 Internal Server Error: {\"error\":\"no command\"}",
        ),
        (
            "breaks without a command",
            when(|event| event["command"].is_null(), Says::Json(500, json!({}))),
            "event discord_component",
            "500",
        ),
        (
            "breaks at bodies that are no JSON",
            when(
                |event| event["body"].as_str().is_some_and(|body| serde_json::from_str::<Value>(body).is_err()),
                Says::Json(500, json!({})),
            ),
            "a body that is no JSON",
            "500",
        ),
        (
            "breaks at bodies that are no text",
            when(|event| event["body"].is_null(), Says::Json(500, json!({}))),
            "a body that is no UTF-8",
            "500",
        ),
        (
            "minds fields it does not know",
            when(|event| event.get("from_the_future").is_some(), Says::Json(400, json!({}))),
            "fields of a newer Berth",
            "400",
        ),
        (
            "hangs for one kind",
            when(|event| event["kind"] == "discord_modal", Says::Nothing),
            "event discord_modal",
            "no answer within 2.0s",
        ),
        (
            "is too slow for one kind",
            when(|event| event["kind"] == "slack_view", Says::After(Duration::from_secs(4), json!({}))),
            "event slack_view",
            "no answer within 2.0s",
        ),
    ];
    let (faults, found) = (Mutex::new(faults), Mutex::<Vec<String>>::default());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            let (faults, found) = (&faults, &found);
            scope.spawn(move || {
                while let Some((name, fault, check, finding)) = faults.lock().expect("no panic").pop() {
                    let handler = HandlerDouble::start(move |asked| fault(asked).unwrap_or_else(|| well(asked)));
                    let output = test(&handler.url(), &["-o", "json", "--timeout", "2s"]);
                    let report = report(&output);
                    let failed = with(&report, "failed");
                    let named = failed.iter().any(|(name, text)| name == check && text.contains(finding));
                    if output.status.code() != Some(1) || !named {
                        found
                            .lock()
                            .expect("no panic")
                            .push(format!("{name}: wanted {check}: {finding}\n  {failed:?}"));
                    }
                }
            });
        }
    });
    let missed = found.into_inner().expect("no panic");
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn a_fault_in_one_kind_of_event_is_no_fault_in_the_others() {
    let handler = HandlerDouble::start(|asked| match &asked.body["event"]["kind"] {
        kind if *kind == "github_event" => Says::Json(500, json!({})),
        _ => well(asked),
    });
    let report = report(&test(&handler.url(), &["-o", "json"]));
    let failed = with(&report, "failed");
    assert_eq!(failed.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["event github_event"], "{report}");
}

#[test]
fn what_works_and_is_not_meant_is_a_hint() {
    let counter = Mutex::new(0);
    let handler = HandlerDouble::start(move |asked| match asked.route.as_str() {
        "POST /v1/events" => {
            let mut seen = counter.lock().expect("no panic");
            *seen += 1;
            Says::Json(200, json!({"reply": {"text": format!("event {seen}")}, "timers": [{"id": "a", "at": 5}]}))
        }
        "GET /v1/describe" => Says::Json(200, json!({"api": ["1"]})),
        _ => Says::Json(200, json!({})),
    });
    let output = test(&handler.url(), &["-o", "json", "--token", "t"]);
    assert_eq!(output.status.code(), Some(0), "hints are no failures");
    let hints = with(&report(&output), "hint");
    for (check, found) in [
        ("describe", "no name"),
        ("event slack_event", "timers[0].at lies in the past"),
        ("one event twice", "another answer for the same event"),
        ("many targets at once", "different answers"),
        ("a path that is not there", "200"),
        ("without its token", "answered"),
    ] {
        assert!(hints.iter().any(|(name, text)| name == check && text.contains(found)), "{check}: {found}: {hints:?}");
    }
}

#[test]
fn reads_with_a_wrong_token_are_found() {
    let handler = HandlerDouble::start(|asked| {
        let local = &asked.body["local"];
        if let (Some(url), Some(target)) = (local["url"].as_str(), asked.body["event"]["target"].as_str()) {
            let address = url.trim_start_matches("http://").to_owned();
            let request = format!(
                "GET /v1/local/targets/{target}/kv?prefix=a HTTP/1.1\r\nhost: x\r\nauthorization: Bearer mine\r\nconnection: close\r\n\r\n"
            );
            let mut stream = std::net::TcpStream::connect(address).expect("the local listener");
            std::io::Write::write_all(&mut stream, request.as_bytes()).expect("written");
            let mut answer = String::new();
            std::io::Read::read_to_string(&mut stream, &mut answer).expect("an answer");
            assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
        }
        well(asked)
    });
    let output = test(&handler.url(), &["-o", "json"]);
    let failed = with(&report(&output), "failed");
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert!(failed[0].1.contains("with a token of no call that runs"), "{failed:?}");
}

#[test]
fn a_handler_that_serves_one_connection_at_a_time_is_found() {
    let handler = HandlerDouble::start_one_at_a_time(well);
    let output = test(&handler.url(), &["-o", "json", "--timeout", "2s"]);
    let failed = with(&report(&output), "failed");
    assert!(
        failed.iter().any(|(name, text)| name == "many targets at once" && text.contains("no answer")),
        "{failed:?}"
    );
}

#[test]
fn who_listens_nowhere_or_is_no_url_is_told_so() {
    let output = test(&format!("http://127.0.0.1:{}", free_port()), &[]);
    assert_eq!(output.status.code(), Some(6), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("start the handler first"), "{output:?}");
    for url in ["ftp://127.0.0.1", "no url"] {
        assert_eq!(test(url, &[]).status.code(), Some(2), "{url}");
    }
}
