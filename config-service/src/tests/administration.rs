use super::harness::*;
use crate::http::doors;
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;

const ADMIN: Option<&str> = Some("admin");

async fn token(node: &Node, name: &str, role: &str) -> (String, String) {
    let body = json!({ "name": name, "role": role, "reason": "a story" });
    let made = node.call(ADMIN, Method::POST, "/v1/tokens", &body).await;
    assert_eq!(made.status, 200, "{}", made.json);
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    (text(&made.json["token"]["id"]), text(&made.json["secret"]))
}

async fn audit(node: &Node, query: &str) -> Vec<Value> {
    let list = node.call(ADMIN, Method::GET, &format!("/v1/events?{query}"), &Value::Null).await;
    list.json["events"].as_array().unwrap_or_else(|| panic!("a list: {}", list.json)).clone()
}

#[tokio::test]
async fn every_door_opens_for_the_roles_it_is_documented_for_and_for_nobody_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let (_, viewer) = token(&node, "watcher", "viewer").await;
    let (_, operator) = token(&node, "pager", "operator").await;
    let callers = [
        ("nobody", None, 0),
        ("service", Some("service"), 1),
        ("viewer", Some(viewer.as_str()), 1),
        ("operator", Some(operator.as_str()), 2),
        ("admin", ADMIN, 3),
    ];
    let mut seen = 0;
    for (method, path, access) in doors() {
        let door =
            path.replace("{target}", "discord:guild:1").replace("{pod}", "gateway-0").replace("{name}", "read-only");
        let door = door
            .replace("{id}", "7")
            .replace("{kind}", "events")
            .replace("{seq}", "1")
            .replace("{verb}", "retry")
            .replace("{copy}", "1")
            .replace("{shard}", "1");
        for (who, token, rank) in callers {
            let needed = match access {
                "open" => 0,
                "viewer" => 1,
                "operator" | "service or operator" => 2,
                "admin" => 3,
                _ => 9,
            };
            let passes = rank >= needed || (access.starts_with("service") && who == "service");
            let status = if path == "/v1/watch" {
                // It never ends for those who may look.
                match node.client(token).stream(&door, &[]).await {
                    Ok(_) => 200,
                    Err(why) => why.problem().map_or(0, |problem| problem.status),
                }
            } else {
                let body = if method == Method::GET { Value::Null } else { json!({}) };
                node.call(token, method.clone(), &door, &body).await.status
            };
            let refused = matches!(status, 401 | 403);
            assert_eq!(!refused, passes, "{method} {path}, for {access}: {who} gets {status}");
            assert_eq!(status == 401, refused && who == "nobody", "{method} {path}: {who} gets {status}");
            seen += 1;
        }
    }
    assert!(seen > 100, "{seen} doors tried");
    node.stop().await;
}

#[tokio::test]
async fn a_token_acts_under_its_name_until_it_is_revoked_or_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let (id, secret) = token(&node, "deploy", "admin").await;
    assert!(secret.starts_with("berth_") && secret.len() > 40);
    let again = json!({ "name": "deploy", "role": "viewer", "reason": "twice" });
    assert_eq!(node.call(ADMIN, Method::POST, "/v1/tokens", &again).await.code(), "token-exists");
    let short = json!({ "name": "short", "role": "viewer", "ttl_ms": 5_000.0, "reason": "soon over" });
    let short = node.call(Some(&secret), Method::POST, "/v1/tokens", &short).await;
    assert_eq!(short.json["token"]["created_by"], "deploy");
    let made = audit(&node, "kind=create-token&actor=deploy").await;
    assert_eq!((&made[0]["subject"], &made[0]["reason"]), (&json!("short"), &json!("soon over")));
    let text = std::fs::read(folder.path().join("config.db-wal")).unwrap_or_default();
    assert!(!text.windows(secret.len()).any(|part| part == secret.as_bytes()), "only its hash is kept");
    node.stop().await;

    let node = Node::start(&folder).await;
    let ask = async |token: &str| node.call(Some(token), Method::GET, "/v1/tokens", &Value::Null).await.status;
    assert_eq!(ask(&secret).await, 200, "it survives a restart");
    eventually("its use is noted", async || {
        let list = node.call(ADMIN, Method::GET, "/v1/tokens", &Value::Null).await;
        list.json["tokens"]
            .as_array()
            .expect("a list")
            .iter()
            .any(|one| one["name"] == "deploy" && one["used_ms"].is_u64())
    })
    .await;
    let short = short.json["secret"].as_str().expect("shown once").to_owned();
    assert_eq!(node.call(Some(&short), Method::GET, "/v1/pods", &Value::Null).await.status, 200);
    node.clock.advance(Duration::from_secs(6));
    assert_eq!(node.call(Some(&short), Method::GET, "/v1/pods", &Value::Null).await.status, 401, "it has ended");

    let path = format!("/v1/tokens/{id}?reason=lost");
    assert_eq!(node.call(ADMIN, Method::DELETE, &format!("{path}&dry_run=true"), &Value::Null).await.status, 200);
    assert_eq!(ask(&secret).await, 200, "a dry run changes nothing");
    let revoked = node.call(ADMIN, Method::DELETE, &path, &Value::Null).await;
    assert_eq!((revoked.status, &revoked.json["token"]["name"]), (200, &json!("deploy")));
    assert_eq!(ask(&secret).await, 401, "at once");
    assert_eq!(node.call(ADMIN, Method::DELETE, &path, &Value::Null).await.code(), "not-found");
    node.stop().await;
}

#[tokio::test]
async fn no_made_token_passes_for_one_of_the_settings() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    for name in ["admin", "service", "Admin"] {
        let body = json!({ "name": name, "role": "viewer", "reason": "a story" });
        let refused = node.call(ADMIN, Method::POST, "/v1/tokens", &body).await;
        assert_eq!((refused.status, refused.code()), (400, "bad-request"), "{name}");
    }
    token(&node, "admin-of-mara", "viewer").await;
    node.stop().await;
}

#[tokio::test]
async fn as_many_tokens_as_allowed_and_no_more() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start_with(&folder, &["--max-tokens=1"]).await;
    token(&node, "one", "viewer").await;
    let two = json!({ "name": "two", "role": "viewer", "reason": "a story" });
    for path in ["/v1/tokens", "/v1/tokens?dry_run=true"] {
        assert_eq!(node.call(ADMIN, Method::POST, path, &two).await.code(), "too-many-tokens", "{path}");
    }
    node.stop().await;
}

#[tokio::test]
async fn the_same_key_is_answered_again_and_nothing_is_done_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let body = json!({ "name": "once", "role": "viewer", "reason": "a story" });
    let key = [("Idempotency-Key", "key-1"), ("X-Request-Id", "story-1")];
    let first = node.call_with(ADMIN, Method::POST, "/v1/tokens", &key, &body).await;
    assert_eq!((first.status, first.headers["x-request-id"].to_str().ok()), (200, Some("story-1")));
    node.stop().await;

    let node = Node::start(&folder).await;
    let again = node.call_with(ADMIN, Method::POST, "/v1/tokens", &key, &body).await;
    assert_eq!((again.status, &again.json["token"]), (200, &first.json["token"]));
    assert_eq!(again.json["revision"], first.json["revision"]);
    assert!(again.json["secret"].is_null() && again.headers.contains_key("idempotency-replayed"));
    let entries = audit(&node, "kind=create-token").await;
    assert_eq!((entries.len(), &entries[0]["request_id"]), (1, &json!("story-1")));

    let other = json!({ "name": "other", "role": "viewer", "reason": "a story" });
    let mistaken = node.call_with(ADMIN, Method::POST, "/v1/tokens", &key, &other).await;
    assert_eq!((mistaken.status, mistaken.code()), (422, "idempotency-mismatch"));
    let (_, stranger) = token(&node, "stranger", "admin").await;
    let theirs = node.call_with(Some(&stranger), Method::POST, "/v1/tokens", &key, &other).await;
    assert_eq!(theirs.status, 200, "keys of two actors never meet");
    for bad in ["", "a b", &"x".repeat(256)] {
        let key = [("Idempotency-Key", bad)];
        assert_eq!(
            node.call_with(ADMIN, Method::POST, "/v1/tokens", &key, &other).await.code(),
            "bad-request",
            "{bad:?}"
        );
    }
    let many = (0..8).map(|_| {
        let (key, body) =
            ([("Idempotency-Key", "race")], json!({ "name": "race", "role": "viewer", "reason": "a story" }));
        let node = &node;
        async move { node.call_with(ADMIN, Method::POST, "/v1/tokens", &key, &body).await }
    });
    for answer in futures_util::future::join_all(many).await {
        assert!(answer.status == 200 || answer.code() == "idempotency-in-use", "{}", answer.json);
    }
    assert_eq!(audit(&node, "kind=create-token&subject=race").await.len(), 1);
    node.stop().await;
}

#[tokio::test]
async fn settings_say_who_set_them_and_count_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    node.ready("gateway-0", 0).await;
    let (_, operator) = token(&node, "pager", "operator").await;
    let put = async |name: &str, value: Value| {
        let body = json!({ "value": value, "reason": "because" });
        node.call(Some(&operator), Method::PUT, &format!("/v1/settings/{name}"), &body).await
    };
    assert_eq!(put("audit-retention", json!("40days")).await.code(), "forbidden", "what it removes is gone for good");
    assert_eq!(put("placement-paused", json!("yes")).await.code(), "bad-value");
    assert_eq!(put("no-such", json!(true)).await.code(), "not-found");

    assert_eq!(put("placement-paused", json!(true)).await.status, 200);
    let refused = node.place(&["discord:guild:1"]).await.expect("an answer").refused;
    assert_eq!(refused[0].code, "placement-paused");
    let clear =
        node.call(Some(&operator), Method::DELETE, "/v1/settings/placement-paused?reason=done", &Value::Null).await;
    assert_eq!(clear.json["value"], false);
    let said = audit(&node, "subject=placement-paused").await;
    let said: Vec<_> = said.iter().map(|entry| entry["reason"].as_str().expect("a reason")).collect();
    assert_eq!(said, ["from true to false: done", "from false to true: because"]);
    assert_eq!(node.place(&["discord:guild:1"]).await.expect("an answer").assignments.len(), 1);

    assert_eq!(put("read-only", json!(true)).await.status, 200);
    let body = json!({ "name": "late", "role": "viewer", "reason": "a story" });
    let refused = node.call(ADMIN, Method::POST, "/v1/tokens", &body).await;
    assert_eq!(refused.code(), "read-only");
    assert!(refused.json["detail"].as_str().is_some_and(|text| text.contains("pager") && text.contains("because")));
    let shown = node.call(ADMIN, Method::GET, "/v1/settings/read-only", &Value::Null).await.json;
    assert_eq!((&shown["value"], &shown["set_by"], &shown["default"]), (&json!(true), &json!("pager"), &json!(false)));
    assert_eq!(node.place(&["discord:guild:2"]).await.expect("an answer").assignments.len(), 1, "pods go on");
    assert_eq!(put("read-only", json!(false)).await.status, 200);
    assert_eq!(node.call(ADMIN, Method::POST, "/v1/tokens", &body).await.status, 200);
    node.stop().await;
}

#[tokio::test]
async fn whatever_goes_wrong_is_a_problem_that_names_the_request() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let as_text = [("content-type", "text/plain")];
    let body = json!({ "name": "x", "role": "viewer", "reason": "a story" });
    let wrong = node.call_with(ADMIN, Method::POST, "/v1/tokens", &as_text, &body).await;
    assert_eq!((wrong.status, wrong.code()), (415, "unsupported-media-type"));
    let wrong = node.call(ADMIN, Method::PATCH, "/v1/tokens", &body).await;
    assert_eq!((wrong.status, wrong.headers["allow"].to_str().ok()), (405, Some("GET,HEAD,POST")));
    for (path, status) in [("/nowhere", 404), ("/v1/events?cursor=%25", 422), ("/v1/events?colour=red", 400)] {
        let wrong = node.call(ADMIN, Method::GET, path, &Value::Null).await;
        assert_eq!(wrong.status, status, "{path}");
        assert_eq!(wrong.headers["content-type"], "application/problem+json");
        assert_eq!(wrong.json["instance"], path.split('?').next().expect("a path"));
        assert_eq!(wrong.json["request_id"], wrong.headers["x-request-id"].to_str().expect("ascii"));
        assert_eq!(wrong.json["type"], format!("urn:berth:problem:{}", wrong.code()));
    }
    let unwise = json!({ "name": "x", "role": "viewer", "reason": " " });
    assert_eq!(node.call(ADMIN, Method::POST, "/v1/tokens", &unwise).await.code(), "bad-request");
    node.stop().await;
}
