use super::harness::*;
use crate::app;
use serde_json::{Value, json};
use shared::shutdown::Shutdown;

#[tokio::test]
async fn every_door_asks_for_the_right_token() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let (nobody, service, admin) = (node.client(None), node.service(), node.admin());
    for path in ["/v1/pods", "/v1/targets", "/health", "/guild-assignments"] {
        assert_eq!(code(nobody.get::<Value>(path).await), "unauthorized", "{path}");
        assert_eq!(
            (code(service.get::<Value>(path).await), code(admin.get::<Value>(path).await)),
            ("ok".into(), "ok".into())
        );
    }
    assert_eq!(code(nobody.stream("/v1/watch", &[]).await), "unauthorized");
    for path in ["/v1/pods/register", "/v1/pods/gateway-0/heartbeat", "/v1/targets/place"] {
        assert_eq!(code(nobody.post::<Value>(path, &json!({})).await), "unauthorized", "{path}");
        assert_eq!(code(admin.post::<Value>(path, &json!({})).await), "forbidden", "{path}");
        assert_eq!(code(service.post::<Value>(path, &json!({})).await), "bad-request", "{path}");
    }
    node.stop().await;
    let node = Node::start_with(&folder, &["--open-reads"]).await;
    let nobody = node.client(None);
    assert_eq!(code(nobody.get::<Value>("/v1/pods").await), "ok");
    assert_eq!(code(nobody.post::<Value>("/v1/targets/place", &json!({"targets": []})).await), "unauthorized");
    node.stop().await;
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_a_problem() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start_with(&folder, &["--max-body-bytes=2000"]).await;
    let (service, admin) = (node.service(), node.admin());
    for (path, expected) in [
        ("/nothing", "not-found"),
        ("/v1/targets/nonsense", "bad-request"),
        ("/v1/targets/%FF", "bad-request"),
        ("/v1/targets/discord:guild:404", "not-found"),
        ("/v1/targets/discord%3Aguild%3A404/state", "not-found"),
        ("/v1/targets?limit=0", "bad-request"),
        ("/v1/targets?limit=many", "bad-request"),
        ("/v1/targets?colour=blue", "bad-request"),
        ("/v1/pods/GATEWAY", "bad-request"),
        ("/v1/pods/gateway-404", "not-found"),
        ("/v1/targets/place", "method-not-allowed"),
        ("/v1/pods/gateway-0/heartbeat", "method-not-allowed"),
    ] {
        assert_eq!(code(admin.get::<Value>(path).await), expected, "{path}");
    }
    let large = json!({"targets": [{"target": "x".repeat(3_000)}]});
    assert_eq!(code(service.post::<Value>("/v1/targets/place", &large).await), "body-too-large");
    let mut bad = serde_json::to_value(register("gateway-0", 0)).expect("json");
    for (field, value, expected) in [
        ("capacity", json!(-1.0), "invalid"),
        ("address", json!("a b"), "invalid"),
        ("version", json!("x\ny"), "invalid"),
        ("pod", json!("A"), "bad-request"),
    ] {
        let good = std::mem::replace(&mut bad[field], value);
        assert_eq!(code(service.post::<Value>("/v1/pods/register", &bad).await), expected, "{field}");
        bad[field] = good;
    }
    bad["hello"] = json!({"min": 9, "max": 9});
    assert_eq!(code(service.post::<Value>("/v1/pods/register", &bad).await), "version-mismatch");
    node.stop().await;
}

#[tokio::test]
async fn an_owner_that_does_not_answer_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    node.ready("gateway-0", 0).await;
    node.place(&["discord:guild:1"]).await.expect("placed");
    let state = node.admin().get::<Value>("/v1/targets/discord%3Aguild%3A1/state").await;
    assert_eq!(code(state), "owner-unreachable");
    let guilds: Value = node.admin().get("/guild-assignments").await.expect("guilds");
    assert_eq!(guilds, json!({"1": "gateway-0"}));
    node.stop().await;
}

#[tokio::test]
async fn without_tokens_it_does_not_start_and_says_what_to_set() {
    let folder = tempfile::tempdir().expect("a folder");
    for (missing, name) in [("--service-tokens=", "BERTH_SERVICE_TOKENS"), ("--admin-tokens=", "BERTH_ADMIN_TOKENS")] {
        let mut options = options(&[]);
        match name {
            "BERTH_SERVICE_TOKENS" => options.service_tokens = None,
            _ => options.admin_tokens = None,
        }
        options.store = format!("sqlite:{}", folder.path().join("config.db").display());
        let refused = crate::run(options, Shutdown::new()).await;
        let text = refused.expect_err(missing).to_string();
        assert!(text.starts_with(name) && text.lines().count() == 1, "{text}");
        assert_eq!(std::fs::read_dir(folder.path()).expect("there").count(), 0, "nothing is left behind");
    }
    let mut options = options(&[]);
    options.store = "mysql://x".into();
    assert!(app::open(&options).expect_err("refused").to_string().contains("sqlite:PATH"));
}

#[tokio::test]
async fn the_metrics_have_their_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    node.ready("gateway-0", 0).await;
    node.place(&["discord:guild:1"]).await.expect("placed");
    let metrics = async || {
        use http_body_util::BodyExt;
        let body = node.client(None).stream("/metrics", &[]).await.expect("open");
        String::from_utf8(body.collect().await.expect("whole").to_bytes().to_vec()).expect("text")
    };
    eventually("the gauges are up to date", async || {
        metrics().await.contains("berth_targets{platform=\"discord\",state=\"serving\"} 1")
    })
    .await;
    let text = metrics().await;
    for line in [
        "berth_pod_targets{pod=\"gateway-0\"} 1",
        "berth_leader 1",
        "berth_revision 3",
        "berth_lease_remaining_seconds{pod=\"gateway-0\"} 7.0",
        "berth_heartbeats_total{result=\"granted\"} 1",
        "berth_registrations_total{result=\"ok\"} 1",
        "berth_place_batch_targets_count 1",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
    node.stop().await;
}
