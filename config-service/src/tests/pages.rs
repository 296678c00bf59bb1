use super::harness::*;
use crate::http::PASS_LASTS;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Sends a request as a browser would, and returns what came back as text.
pub(super) async fn send(node: &Node, head: &str, headers: &[(&str, &str)], body: &str) -> String {
    let mut request = format!("{head} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", node.address);
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        let length = body.len();
        request.push_str(&format!("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n"));
    }
    request.push_str(&format!("\r\n{body}"));
    let mut stream = TcpStream::connect(node.address).await.expect("listens");
    stream.write_all(request.as_bytes()).await.expect("takes it");
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("in time").expect("text");
    answer
}

pub(super) async fn get(node: &Node, path: &str) -> String {
    send(node, &format!("GET {path}"), &[], "").await
}

pub(super) async fn sign_in(node: &Node, token: &str) -> String {
    let origin = format!("http://{}", node.address);
    send(node, "POST /sign-in", &[("Origin", &origin)], &format!("token={token}&next=%2Ftargets")).await
}

pub(super) fn header<'a>(answer: &'a str, name: &str) -> &'a str {
    let head = answer.split("\r\n\r\n").next().expect("a head");
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(own, _)| *own == name).map(|(_, value)| value).unwrap_or_default()
}

pub(super) fn status(answer: &str) -> &str {
    &answer[9..12]
}

#[tokio::test]
async fn a_stranger_is_asked_for_a_token_and_taken_back_to_where_it_wanted_to_go() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    for path in ["/", "/?q=a%26b", "/targets", "/targets/discord:guild:1", "/pods/gateway-0"] {
        let answer = get(&node, path).await;
        assert_eq!(status(&answer), "303", "{path}: {answer}");
        assert!(header(&answer, "location").starts_with("/sign-in?next=/"), "{answer}");
        assert!(!answer.contains("ready"), "{answer}");
    }
    let form = get(&node, header(&get(&node, "/?q=a%26b").await, "location")).await;
    assert!(form.contains(r#"name="next" value="/?q=a%26b""#), "{form}");
    let answer = sign_in(&node, "admin").await;
    assert_eq!((status(&answer), header(&answer, "location")), ("303", "/targets"), "{answer}");
    let cookie = header(&answer, "set-cookie");
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict") && !cookie.contains("admin"), "{cookie}");
    let page = send(&node, "GET /", &[("Cookie", cookie.split(';').next().expect("a pair"))], "").await;
    assert!(status(&page) == "200" && page.contains("Sign out"), "{page}");
    node.stop().await;
}

#[tokio::test]
async fn a_pass_opens_the_pages_for_twelve_hours_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let answer = sign_in(&node, "service").await;
    let pass = header(&answer, "set-cookie").split(';').next().expect("a pair").to_owned();
    let value = pass.strip_prefix("berth_page=").expect("the cookie").to_owned();
    let with = async |pass: &str| status(&send(&node, "GET /", &[("Cookie", pass)], "").await).to_owned();
    assert_eq!(with(&format!("other=1; {pass}")).await, "200");
    assert_eq!(status(&send(&node, "GET /v1/pods", &[("Cookie", &pass)], "").await), "401");
    let bearer = format!("Bearer {value}");
    assert_eq!(status(&send(&node, "GET /v1/pods", &[("Authorization", &bearer)], "").await), "401");
    // Neither a longer life nor another proof can be made up.
    let (ends, proof) = value.split_once('.').expect("two parts");
    let later = ends.parse::<u64>().expect("seconds") + 60;
    for forged in [format!("{later}.{proof}"), format!("{ends}.{}", "0".repeat(64)), ends.to_owned(), ".".to_owned()] {
        assert_eq!(with(&format!("berth_page={forged}")).await, "303", "{forged}");
    }
    node.clock.advance(PASS_LASTS - Duration::from_secs(1));
    assert_eq!(with(&pass).await, "200");
    node.clock.advance(Duration::from_secs(1));
    assert_eq!(with(&pass).await, "303");
    node.stop().await;
}

#[tokio::test]
async fn no_other_site_can_sign_somebody_in_and_a_wrong_token_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let body = "token=admin&next=%2F";
    for headers in [
        vec![],
        vec![("Origin", "http://evil.example")],
        vec![("Origin", "null")],
        vec![("Sec-Fetch-Site", "cross-site"), ("Origin", "http://evil.example")],
        vec![("Sec-Fetch-Site", "same-site")],
    ] {
        let answer = send(&node, "POST /sign-in", &headers, body).await;
        assert_eq!((status(&answer), header(&answer, "set-cookie")), ("403", ""), "{headers:?}");
    }
    let answer = send(&node, "POST /sign-in", &[("Sec-Fetch-Site", "same-origin")], body).await;
    assert_eq!(status(&answer), "303", "the browser itself vouches for the form");
    for token in ["wrong", "", "admi", &"x".repeat(20_000)] {
        let answer = sign_in(&node, token).await;
        assert_eq!((status(&answer), header(&answer, "set-cookie")), ("403", ""), "{answer}");
        assert!(answer.contains(r#"role="alert""#));
    }
    for away in ["//evil.example/", "https://evil.example/", "/\\evil.example", "javascript:alert(1)"] {
        let origin = format!("http://{}", node.address);
        let body = format!("token=admin&next={away}");
        let answer = send(&node, "POST /sign-in", &[("Origin", &origin)], &body).await;
        assert_eq!(header(&answer, "location"), "/", "{away}");
    }
    node.stop().await;
}

#[tokio::test]
async fn the_page_says_where_a_target_is_since_when_and_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start_with(&folder, &["--open-reads"]).await;
    assert!(get(&node, "/").await.contains("No pod has registered yet."));
    node.ready("gateway-0", 0).await;
    node.place(&["discord:guild:123", "discord:guild:1234", "telegram:channel:123"]).await.expect("placed");
    let page = get(&node, "/").await;
    assert!(page.contains("The one pod is ready and serves 3 targets."), "{page}");
    for asked in ["discord:guild:123", "123", "%20123+"] {
        let page = get(&node, &format!("/?q={asked}")).await;
        assert!(page.contains("is at <a href=\"/pods/gateway-0\">gateway-0</a> since <time"), "{asked}: {page}");
        assert!(page.contains("its first event came then"), "{page}");
    }
    let both = get(&node, "/?q=123").await;
    assert!(both.contains("discord:guild:1234") && both.contains("telegram:channel:123"), "{both}");
    assert!(get(&node, "/?q=gate").await.contains("Pods: <a href=\"/pods/gateway-0\">"));
    assert!(get(&node, "/?q=999").await.contains("No target and no pod"));
    assert!(get(&node, &format!("/?q={}", "9".repeat(2_000))).await.contains("No name is that long."));
    assert_eq!(status(&get(&node, "/?q=%FF%00").await), "200");
    let target = get(&node, "/targets/discord:guild:123").await;
    assert!(
        target.contains("owns the target and does not answer"),
        "the owner of this story has no listener: {target}"
    );
    for path in ["/targets/discord:guild:9", "/targets/nonsense", "/pods/gateway-9", "/pods/NO"] {
        assert_eq!(status(&get(&node, path).await), "404", "{path}");
    }
    assert!(get(&node, "/pods/gateway-0").await.contains("discord:guild:1234"));
    node.stop().await;
}

#[tokio::test]
async fn a_long_list_is_shown_in_pages_that_do_not_overlap() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start_with(&folder, &["--open-reads"]).await;
    node.ready("gateway-0", 0).await;
    let names: Vec<_> = (0..250).map(|n| format!("discord:guild:{n:03}")).collect();
    node.place(&names.iter().map(String::as_str).collect::<Vec<_>>()).await.expect("placed");
    for list in ["/targets", "/pods/gateway-0"] {
        let (mut path, mut seen) = (list.to_owned(), Vec::new());
        loop {
            let page = get(&node, &path).await;
            seen.extend(page.split("href=\"/targets/").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()));
            let pages = page.split("<nav class=\"pages\"").nth(1).and_then(|nav| nav.split("</nav>").next());
            let pages = pages.unwrap_or_default();
            assert!(seen.len() <= names.len(), "pages overlap: {path}");
            let Some(next) = pages.split(&format!("{list}?after=")).nth(1) else { break };
            path = format!("{list}?after={}", next.split('"').next().expect("quoted"));
        }
        assert_eq!(seen, names, "{list}");
    }
    node.stop().await;
}

#[tokio::test]
async fn nothing_can_run_in_a_page_whatever_its_names_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start_with(&folder, &["--open-reads"]).await;
    let mut hostile = register("gateway-0", 0);
    hostile.zone = Some("<script>alert(1)</script>".into());
    hostile.version = "\"onmouseover=\"alert(1)'><img/src=x>".into();
    let _: serde_json::Value = node.service().post("/v1/pods/register", &hostile).await.expect("registers");
    for path in
        ["/", "/?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E", "/pods/gateway-0", "/pods/%3Cscript%3E", "/targets/a%22b"]
    {
        let page = get(&node, path).await;
        assert!(!page.contains("<script") && !page.contains("<img"), "{path}: {page}");
        assert!(!page.contains("\"onmouseover"), "{path}: {page}");
        let policy = header(&page, "content-security-policy");
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(header(&page, "x-content-type-options"), "nosniff");
    }
    node.stop().await;
}

#[tokio::test]
async fn a_pod_that_is_away_is_the_first_thing_on_the_page() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start_with(&folder, &["--open-reads"]).await;
    let (here, _away) = (node.ready("gateway-0", 0).await, node.ready("gateway-1", 1).await);
    node.place(&["discord:guild:1", "discord:guild:2"]).await.expect("placed");
    node.clock.advance(Duration::from_secs(60));
    here.beat(&node).await.expect("granted");
    let page = get(&node, "/").await;
    assert!(page.contains("1 of 2 pods are ready; 1 of 2 targets waits for the others."), "{page}");
    assert!(page.contains("<title>Degraded · Berth</title>"), "{page}");
    let (problem, table) = (page.find("is away, its lease is over"), page.find("<table"));
    assert!(problem.expect("the problem") < table.expect("the table"), "{page}");
    node.stop().await;
}

#[tokio::test]
async fn a_pod_that_cannot_do_its_work_is_a_problem_although_its_lease_is_renewed() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start_with(&folder, &["--open-reads"]).await;
    let pod = node.ready("gateway-0", 0).await;
    node.place(&["discord:guild:1"]).await.expect("placed");
    let mut unwell = pod.heartbeat();
    unwell.not_ready = Some("the handler is <gone>\u{202e}".to_owned());
    pod.send(&node, &unwell).await.expect("granted");
    let page = get(&node, "/").await;
    assert!(page.contains("<title>Down · Berth</title>"), "{page}");
    assert!(page.contains("No pod is ready: 1 target without service."), "{page}");
    assert!(page.contains("is not ready: the handler is &lt;gone&gt;\u{fffd}; 1 target waits for it."), "{page}");
    let page = get(&node, "/pods/gateway-0").await;
    assert!(page.contains(">not ready</span>") && page.contains("the handler is &lt;gone&gt;\u{fffd}"), "{page}");
    node.stop().await;
}

#[tokio::test]
async fn a_token_of_the_database_opens_the_pages_until_it_is_revoked() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let wanted = serde_json::json!({"name": "anna", "role": "viewer", "reason": "on call \u{202e}<script>"});
    let made = node.admin().post::<serde_json::Value>("/v1/tokens", &wanted).await.expect("made");
    let secret = made["secret"].as_str().expect("shown once");
    let answer = sign_in(&node, secret).await;
    assert_eq!(status(&answer), "303", "{answer}");
    let pass = header(&answer, "set-cookie").split(';').next().expect("a pair").to_owned();
    let with = async || send(&node, "GET /", &[("Cookie", &pass)], "").await;
    let page = with().await;
    assert_eq!(status(&page), "200");
    assert!(page.contains("on call \u{fffd}&lt;script&gt;"), "the audit is shown as text: {page}");
    let revoke = format!("DELETE /v1/tokens/{}?reason=gone", made["token"]["id"].as_str().expect("an id"));
    let revoked = send(&node, &revoke, &[("Authorization", "Bearer admin")], "").await;
    assert_eq!(status(&revoked), "200", "{revoked}");
    assert_eq!(status(&with().await), "303", "the pass ends with its token");
    assert_eq!(status(&sign_in(&node, secret).await), "403");
    node.stop().await;
}
