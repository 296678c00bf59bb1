use super::harness::*;
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;

async fn get(node: &Node, path: &str) -> Value {
    node.call(Some("admin"), Method::GET, path, &Value::Null).await.json
}

#[tokio::test]
async fn a_target_remembers_its_owners_and_explains_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let explained = get(&node, "/v1/targets/discord:guild:1/explain").await;
    assert_eq!(explained["summary"], "discord:guild:1 has no home yet, and no pod is ready to take it");
    node.ready("gateway-0", 0).await;
    node.ready("gateway-1", 1).await;
    let explained = get(&node, "/v1/targets/discord:guild:1/explain").await;
    let foretold = explained["candidates"][0]["pod"].clone();
    assert!(explained["candidates"][0]["chosen"] == true && explained["assignment"].is_null());
    let placed = node.place(&["discord:guild:1"]).await.expect("placed").assignments.remove(0);
    assert_eq!(foretold, placed.pod.as_str(), "placement does what was foretold");

    node.clock.advance(Duration::from_secs(7));
    for n in 0..3 {
        let path = format!("/v1/pods/{}/accept-data-loss", placed.pod);
        let body = json!({ "reason": format!("disk {n} died") });
        let tried = node.call(Some("admin"), Method::POST, &format!("{path}?dry_run=true"), &body).await;
        assert_eq!((&tried.json["targets"], &tried.json["dry_run"]), (&json!(1), &json!(true)));
        assert_eq!(node.call(Some("admin"), Method::POST, &path, &body).await.status, 200);
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = get(&node, &format!("/v1/targets/discord:guild:1/history?limit=3{cursor}")).await;
        seen.extend(page["ownerships"].as_array().expect("a page").clone());
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let reasons: Vec<_> = seen.iter().map(|one| one["reason"].as_str().expect("a reason")).collect();
    assert_eq!(reasons, ["data-loss-accepted", "data-loss-accepted", "data-loss-accepted", "first-contact"]);
    assert!(seen[0]["until_ms"].is_null() && seen[1..].iter().all(|one| one["until_ms"].is_u64()));
    assert!(seen.is_sorted_by(|a, b| a["epoch"].as_u64() > b["epoch"].as_u64()));
    let explained = get(&node, "/v1/targets/discord:guild:1/explain").await;
    assert!(explained["summary"].as_str().is_some_and(|text| text.contains("data was lost")), "{explained}");
    assert_eq!(get(&node, "/v1/targets/discord:guild:9/history").await["code"], "not-found");
    for list in ["targets", "dead-letters"] {
        assert_eq!(get(&node, &format!("/v1/{list}?pod=nope")).await["code"], "unknown-pod", "{list}");
        assert!(get(&node, &format!("/v1/{list}?pod=gateway-0")).await["code"].is_null(), "{list}");
    }

    let page = get(&node, "/v1/events?kind=accept-data-loss&limit=2").await;
    let rest =
        get(&node, &format!("/v1/events?kind=accept-data-loss&cursor={}", page["next"].as_str().expect("more"))).await;
    let reasons = |page: &Value| {
        let events = page["events"].as_array().expect("a page").iter();
        events.map(|event| event["reason"].as_str().expect("a reason").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        (reasons(&page).join(","), reasons(&rest).join(",")),
        ("disk 2 died,disk 1 died".into(), "disk 0 died".into())
    );
    assert!(rest["next"].is_null() && page["events"][0]["actor"] == "admin");
    node.stop().await;
}

#[tokio::test]
async fn the_paths_of_the_proposal_answer_as_they_did() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let registered = node.call(Some("service"), Method::POST, "/pod/register", &json!(register("gateway-0", 0))).await;
    let lease = serde_json::from_value(registered.json["lease_id"].clone()).expect("a lease");
    let pod = Pod { pod: "gateway-0".parse().expect("valid"), incarnation: incarnation(0), lease };
    let beat = node.call(Some("service"), Method::POST, "/pod/gateway-0/heartbeat", &json!(pod.heartbeat())).await;
    assert_eq!(beat.status, 200, "{}", beat.json);
    node.place(&["discord:guild:1", "telegram:channel:-5"]).await.expect("placed");

    let guild = get(&node, "/guild/1/assignment").await;
    assert_eq!((&guild["pod"], &guild["guild_id"]), (&json!("gateway-0"), &json!("1")));
    assert_eq!(get(&node, "/guild/telegram:channel:-5/assignment").await["target"], "telegram:channel:-5");
    assert_eq!(get(&node, "/guild/404/assignment").await["code"], "not-found");
    let body = json!({ "reason": "closer" });
    let moved = node.call(Some("admin"), Method::POST, "/guild/1/reassign", &body).await;
    assert_eq!((moved.status, moved.code()), (409, "no-destination"), "there is one pod: {}", moved.json);
    let pods = get(&node, "/pods/health").await;
    assert_eq!((&pods["healthy"], &pods["pods"]["gateway-0"]["targets"]), (&json!(1), &json!(2)));
    let metrics = get(&node, "/api/admin/metrics").await;
    assert_eq!((&metrics["guilds"], &metrics["targets"], &metrics["ready_pods"]), (&json!(1), &json!(2), &json!(1)));
    let instances = get(&node, "/api/admin/health/instances").await["instances"].clone();
    assert_eq!((&instances[0]["state"], &instances[1]["state"]), (&json!("leader"), &json!("ready")));
    let assignments = get(&node, "/guild-assignments").await;
    assert_eq!(assignments, json!({ "1": "gateway-0" }));
    node.stop().await;
}
