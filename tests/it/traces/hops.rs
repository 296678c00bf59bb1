//! Requests that are no events: a guild's web traffic and the services' own calls. Each hop joins the one before it, and
//! what a path holds stays where it is.

use super::*;
use berth_tests::web_double::WebDouble;
use http::Method;

fn told(theirs: &str) -> Vec<(String, String)> {
    vec![("traceparent".to_owned(), theirs.to_owned())]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_is_one_trace_through_both_hops_to_the_application_and_its_path_is_nobodys_business() {
    let (collector, application) = (CollectorDouble::start(Mood::Takes).await, WebDouble::start().await);
    let cluster = traced(&collector).with("BERTH_WEB", &application.url()).start().await;
    assert_eq!(tell(&cluster, "1", json!({}), &[]).await, 200);
    let url = cluster.routers[0].url("/g/discord:guild:77/path-secret/echo?q=query-secret");
    let reply = cluster.client.call(Method::GET, &url, &told(THEIRS), "").await.expect("an answer");
    assert_eq!(reply.status, 200, "{}", reply.text());

    let page = "GET /g/{target}/{*rest}";
    let of = |service: &'static str, name: &'static str, kind| {
        move |span: &Seen| span.service() == service && span.name == name && span.kind == kind
    };
    let arrived = span(&collector, "the router's span", of("berth-http-service", page, SpanKind::Server)).await;
    let passed = span(&collector, "the router's call", of("berth-http-service", "GET", SpanKind::Client)).await;
    let taken = span(&collector, "the owner's span", of("berth-gateway", page, SpanKind::Server)).await;
    let asked = span(&collector, "the owner's call", of("berth-gateway", "GET", SpanKind::Client)).await;
    assert_eq!((arrived.parent.as_str(), arrived.links.len()), ("", 1), "a stranger's trace is named, not joined");
    assert_ne!(arrived.trace, THEIRS[3..35]);
    for (child, parent) in [(&passed, &arrived), (&taken, &passed), (&asked, &taken)] {
        assert_eq!((&child.trace, &child.parent), (&arrived.trace, &parent.id), "{child:?}");
    }
    for server in [&arrived, &taken] {
        assert_eq!((server.get("http.route"), server.get("url.path")), ("/g/{target}/{*rest}", ""));
        assert_eq!((server.get("berth.target"), server.get("http.response.status_code")), ("discord:guild:77", "200"));
    }
    for (call, to) in [(&passed, cluster.gateways[0].url("")), (&asked, application.url())] {
        let at = format!("http://{}:{}", call.get("server.address"), call.get("server.port"));
        assert_eq!(at, to.trim_end_matches('/'));
        assert_eq!((call.get("http.request.method"), call.get("http.response.status_code")), ("GET", "200"));
    }
    let echo = reply.json();
    let parents: Vec<_> =
        echo["headers"].as_array().expect("headers").iter().filter(|pair| pair[0] == "traceparent").collect();
    assert_eq!(parents, [&json!(["traceparent", format!("00-{}-{}-01", asked.trace, asked.id)])]);
    for secret in ["path-secret", "query-secret"] {
        assert!(!collector.contains(secret), "{secret} is nobody's business");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_is_not_traced_hands_the_application_its_callers_trace() {
    let application = WebDouble::start().await;
    let setup = Setup { gateways: 1, bot: Program::StoryBot, ..Setup::default() };
    let cluster = setup.with("BERTH_WEB", &application.url()).start().await;
    assert_eq!(tell(&cluster, "1", json!({}), &[]).await, 200);
    let url = cluster.routers[0].url("/g/discord:guild:77/echo");
    let reply = cluster.client.call(Method::GET, &url, &told(THEIRS), "").await.expect("an answer");
    let echo = reply.json();
    assert!(echo["headers"].as_array().expect("headers").contains(&json!(["traceparent", THEIRS])), "{echo}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_operator_asks_of_a_target_is_one_trace_as_far_as_its_owner() {
    let collector = CollectorDouble::start(Mood::Takes).await;
    let cluster = traced(&collector).start().await;
    assert_eq!(tell(&cluster, "1", json!({}), &[]).await, 200);
    let url = cluster.config.url("/v1/targets/discord:guild:77/state");
    let mut headers = told(THEIRS);
    headers.push(("authorization".to_owned(), format!("Bearer {}", berth_tests::cluster::ADMIN_TOKEN)));
    let reply = cluster.client.call(Method::GET, &url, &headers, "").await.expect("an answer");
    assert_eq!(reply.status, 200, "{}", reply.text());
    let asked = span(&collector, "config-service's span", |span| span.name == "GET /v1/targets/{target}/state").await;
    let name = "GET /v1/local/targets/{target}/state";
    let owner = span(&collector, "the owner's span", |span| span.name == name).await;
    assert_eq!(
        (asked.kind, asked.trace.as_str(), asked.parent.as_str()),
        (SpanKind::Server, &THEIRS[3..35], &THEIRS[36..52])
    );
    assert_eq!((owner.kind, &owner.trace, owner.service()), (SpanKind::Server, &asked.trace, "berth-gateway"));
    assert_eq!(owner.get("url.path"), "/v1/local/targets/discord:guild:77/state");
}
