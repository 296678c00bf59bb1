//! Web traffic of a guild, `/g/{target}/…`: through router and pod to the bot's own application and back, streamed, under
//! ownership, never repeated when that could do something twice.

mod hostile;

use berth_tests::{
    Cluster, Setup, eventually,
    raw::{exchange, status},
    senders::telegram,
    web_double::WebDouble,
    within,
};
use http::Method;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const SECOND: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(120);
const TARGET: &str = "telegram:channel:-5";

/// A cluster of one gateway whose bot has a web application, and which owns [`TARGET`].
async fn cluster(setup: Setup) -> (Cluster, WebDouble) {
    cluster_of(1, setup).await
}

/// The same of several gateways, one of which owns [`TARGET`].
async fn cluster_of(gateways: usize, setup: Setup) -> (Cluster, WebDouble) {
    let application = WebDouble::start().await;
    let cluster = Setup { gateways, ..setup }.with("BERTH_WEB", &application.url()).start().await;
    let hello = telegram::message(-5, 1, "hello").to_string();
    cluster.post_until_taken(&telegram::signed(&cluster.keys, hello.as_bytes()), PATIENCE).await;
    (cluster, application)
}

fn url(cluster: &Cluster, rest: &str) -> String {
    cluster.routers[0].url(&format!("/g/{TARGET}/{rest}"))
}

fn head(method: &str, rest: &str, headers: &str) -> String {
    format!("{method} /g/{TARGET}/{rest} HTTP/1.1\r\nHost: bot.example\r\n{headers}\r\n")
}

async fn connect(cluster: &Cluster, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", cluster.routers[0].port())).await.expect("connects");
    stream.write_all(text.as_bytes()).await.expect("writes");
    stream
}

/// Reads until `text` has come; returns all that came.
async fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut all = Vec::new();
    within(&format!("{text:?} arrives"), PATIENCE, async {
        let mut some = [0_u8; 4_096];
        while !String::from_utf8_lossy(&all).contains(text) {
            let n = stream.read(&mut some).await.expect("reads");
            assert!(n > 0, "ended before {text:?}: {}", String::from_utf8_lossy(&all));
            all.extend_from_slice(&some[..n]);
        }
    })
    .await;
    String::from_utf8_lossy(&all).into_owned()
}

/// Reads until the connection ends, however it does.
async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    within("the connection ends", PATIENCE, async {
        let mut some = [0_u8; 4_096];
        while let Ok(n @ 1..) = stream.read(&mut some).await {
            all.extend_from_slice(&some[..n]);
        }
    })
    .await;
    String::from_utf8_lossy(&all).into_owned()
}

/// Waits until router and owner know that no request is under way.
async fn nothing_under_way(cluster: &Cluster) {
    eventually("nothing is under way", PATIENCE, async || {
        let under_way = cluster.routers[0].metric("berth_web_connections", &[]).await
            + cluster.gateways[0].metric("berth_web_connections", &[]).await;
        (under_way == 0.0).then_some(())
    })
    .await;
}

fn header<'a>(echo: &'a Value, name: &str) -> Vec<&'a str> {
    let all = echo["headers"].as_array().expect("headers").iter();
    all.filter(|pair| pair[0] == name).filter_map(|pair| pair[1].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_is_served_by_the_bots_own_application_and_it_knows_for_whom() {
    let (cluster, _application) = cluster(Setup::default()).await;
    let sent = [
        ("authorization", "Bearer the application's"),
        ("cookie", "a=b"),
        ("berth-epoch", "1"),
        ("berth-target", "discord:guild:666"),
        ("x-forwarded-for", "6.6.6.6"),
        ("connection", "keep-alive, x-hop"),
        ("x-hop", "1"),
    ];
    let sent = sent.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let encoded = TARGET.replace(':', "%3A");
    let asked = cluster.routers[0].url(&format!("/g/{encoded}/some//page/echo?x=%2F"));
    let reply = cluster.client.call(Method::PUT, &asked, &sent, "body").await.expect("an answer");
    assert_eq!(reply.status, 200, "{}", reply.text());
    let echo = reply.json();
    assert_eq!((echo["method"].as_str(), echo["length"].as_u64()), (Some("PUT"), Some(4)));
    assert_eq!(echo["path"], format!("/g/{TARGET}/some//page/echo?x=%2F"));
    assert_eq!(header(&echo, "berth-target"), [TARGET]);
    assert_eq!(header(&echo, "authorization"), ["Bearer the application's"]);
    assert_eq!(header(&echo, "cookie"), ["a=b"]);
    assert_eq!(header(&echo, "x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(header(&echo, "x-forwarded-proto"), ["http"]);
    assert_eq!(header(&echo, "x-forwarded-host"), header(&echo, "host"));
    assert!(header(&echo, "berth-epoch")[0].parse::<u64>().is_ok_and(|epoch| epoch > 1), "{echo}");
    for gone in ["x-hop", "connection", "berth-service-token"] {
        assert!(header(&echo, gone).is_empty(), "{gone}: {echo}");
    }
    nothing_under_way(&cluster).await;
    for role in [&cluster.routers[0], &cluster.gateways[0]] {
        eventually("the request is counted", PATIENCE, async || {
            (role.metric("berth_web_requests_total", &[("verdict", "answered")]).await > 0.0).then_some(())
        })
        .await;
        assert_eq!(role.metric("berth_web_requests_total", &[("verdict", "answered")]).await, 1.0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_says_that_it_serves_pages_needs_no_other_address() {
    let handler = WebDouble::start().await;
    let cluster = Setup { gateways: 1, ..Setup::default() }.with("BERTH_HANDLER", &handler.url()).start().await;
    let hello = telegram::message(-5, 1, "hello").to_string();
    cluster.post_until_taken(&telegram::signed(&cluster.keys, hello.as_bytes()), PATIENCE).await;
    let reply = cluster.client.get(&url(&cluster, "echo")).await.expect("an answer");
    assert_eq!((reply.status, header(&reply.json(), "berth-target")), (200, vec![TARGET]), "{}", reply.text());
    // Its other paths stay out of reach.
    let answer = exchange(
        cluster.routers[0].port(),
        head("POST", "%2e%2e/%2e%2e/v1/events", "Content-Length: 0\r\nConnection: close\r\n").as_bytes(),
        PATIENCE,
    )
    .await;
    assert_eq!((status(&answer), handler.count("/v1/events")), (400, 1), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn web_traffic_gives_no_target_a_home_and_says_what_is_missing() {
    let (mut cluster, application) = cluster(Setup::default()).await;
    let stranger = cluster.routers[0].url("/g/discord:guild:404/echo");
    let reply = cluster.client.get(&stranger).await.expect("an answer");
    assert_eq!((reply.status, reply.json()["code"].as_str()), (404, Some("unknown-target")), "{}", reply.text());
    assert_eq!(cluster.targets().await.len(), 1, "no target was made");
    assert!(application.calls().is_empty());
    // The pod's own door takes nothing without the services' token.
    let direct = cluster.gateways[0].url(&format!("/g/{TARGET}/echo"));
    for headers in [vec![], vec![("berth-service-token".to_owned(), "guess".to_owned())]] {
        assert_eq!(cluster.client.call(Method::GET, &direct, &headers, "").await.expect("an answer").status, 401);
    }
    let token = ("berth-service-token".to_owned(), berth_tests::cluster::SERVICE_TOKEN.to_owned());
    let old = vec![token, ("berth-epoch".to_owned(), "1".to_owned())];
    let reply = cluster.client.call(Method::GET, &direct, &old, "").await.expect("an answer");
    assert_eq!((reply.status, reply.header("berth-refused")), (421, Some("not-owner")), "{}", reply.text());
    assert_eq!(reply.header("berth-owner"), Some("gateway-0"));
    assert!(application.calls().is_empty());
    // A bot without pages, and an application that is down, are told apart.
    application.end().await;
    let reply = cluster.client.get(&url(&cluster, "echo")).await.expect("an answer");
    assert_eq!((reply.status, reply.json()["code"].as_str()), (503, Some("application-down")), "{}", reply.text());
    cluster.gateways[0].stop().await;
    cluster.gateways[0].unset("BERTH_WEB");
    cluster.gateways[0].start_again();
    cluster.gateways[0].ready().await;
    // The router is told that the pod is back.
    let reply = eventually("the owner answers", PATIENCE, async || {
        cluster.client.get(&url(&cluster, "echo")).await.ok().filter(|reply| reply.status != 503)
    })
    .await;
    assert_eq!((reply.status, reply.json()["code"].as_str()), (404, Some("no-application")), "{}", reply.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn much_is_streamed_both_ways_in_little_memory() {
    const SIZE: usize = 64 << 20;
    let (mut cluster, _application) = cluster(Setup::default()).await;
    let peaks = |cluster: &mut Cluster| {
        [&mut cluster.routers[0], &mut cluster.gateways[0]].map(|role| role.process().memory_peak())
    };
    let before = peaks(&mut cluster);
    let mut stream =
        connect(&cluster, &head("POST", "digest", &format!("Content-Length: {SIZE}\r\nConnection: close\r\n"))).await;
    let (piece, mut digest) = (vec![7_u8; 64 << 10], Sha256::new());
    for _ in 0..SIZE / piece.len() {
        stream.write_all(&piece).await.expect("writes");
        digest.update(&piece);
    }
    let answer = read_to_end(&mut stream).await;
    assert!(answer.contains(&format!("{SIZE} {}", hex::encode(digest.finalize()))), "{answer}");
    let reply = cluster.client.get(&url(&cluster, &format!("bytes?{SIZE}"))).await.expect("an answer");
    assert_eq!((reply.status, reply.body.len()), (200, SIZE));
    // A reader who does not read is not read for.
    let lazy = connect(&cluster, &head("GET", &format!("bytes?{}", 1 << 30), "")).await;
    eventually("the lazy reader's answer is under way", PATIENCE, async || {
        (cluster.routers[0].metric("berth_web_connections", &[]).await == 1.0).then_some(())
    })
    .await;
    drop(lazy);
    let after = peaks(&mut cluster);
    assert!(
        before.iter().zip(&after).all(|(before, after)| after - before < SIZE as u64 / 2),
        "the most that http-service and gateway ever had: {before:?} bytes, and then {after:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_arrives_when_it_is_sent_and_whoever_leaves_is_noticed() {
    let (cluster, application) = cluster(Setup::default()).await;
    let mut stream = connect(&cluster, &head("GET", "events", "Accept: text/event-stream\r\n")).await;
    let first = read_until(&mut stream, "data: 0").await;
    assert!(first.contains("text/event-stream"), "{first}");
    for n in 1..4 {
        application.push();
        read_until(&mut stream, &format!("data: {n}")).await;
    }
    assert_eq!(application.open(), 1);
    drop(stream);
    eventually("the application is told that nobody listens", PATIENCE, async || {
        application.push();
        (application.open() == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_is_joined_end_to_end_and_ends_with_the_ownership() {
    let (mut cluster, application) = cluster_of(2, Setup::default()).await;
    cluster.leases_are_kept(2).await;
    let owner = cluster.owner(TARGET).await;
    let witness = if owner == "gateway-0" { "gateway-1" } else { "gateway-0" };
    let ask = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: abc\r\n";
    let mut socket = connect(&cluster, &head("GET", "socket", ask)).await;
    let answer = read_until(&mut socket, "\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    assert!(answer.to_lowercase().contains("upgrade: websocket"), "{answer}");
    assert!(answer.to_lowercase().contains("sec-websocket-accept: abc"), "{answer}");
    for text in ["hello", "and again"] {
        socket.write_all(text.as_bytes()).await.expect("writes");
        read_until(&mut socket, text).await;
    }
    let mut other = connect(&cluster, &head("GET", "socket", ask)).await;
    read_until(&mut other, "\r\n\r\n").await;
    assert_eq!(application.open(), 2);
    other.shutdown().await.expect("says that it is done");
    read_to_end(&mut other).await;
    eventually("the other side hears of it", PATIENCE, async || (application.open() == 1).then_some(())).await;
    // The lease can neither be renewed nor extended any more: the pod stops to act for the target, and what is open is cut.
    cluster.config.pause();
    cluster.gateway(witness).pause();
    read_to_end(&mut socket).await;
    eventually("the application is left", PATIENCE, async || (application.open() == 0).then_some(())).await;
    assert!(cluster.gateway(&owner).process().ended().is_none(), "the pod itself lives");
    let reply = cluster.client.call(Method::POST, &url(&cluster, "echo"), &[], "x").await.expect("an answer");
    assert_eq!((reply.status, reply.json()["code"].as_str()), (503, Some("not-serving")), "{}", reply.text());
    assert_eq!(application.count("/echo"), 0);
    cluster.config.resume();
    cluster.gateway(witness).resume();
    eventually("traffic flows again", PATIENCE, async || {
        let reply = cluster.client.get(&url(&cluster, "echo")).await.ok()?;
        (reply.status == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_do_something_twice_is_never_sent_again() {
    let (mut cluster, application) = cluster(Setup::default()).await;
    let (posted, empty, got) = (url(&cluster, "post/hang"), url(&cluster, "empty/hang"), url(&cluster, "get/hang"));
    let (client, kill) = (cluster.client.clone(), async {
        eventually("all have reached the application", PATIENCE, async || {
            ["post/hang", "empty/hang", "get/hang"].iter().all(|end| application.count(end) == 1).then_some(())
        })
        .await;
        cluster.gateways[0].kill().await;
        cluster.gateways[0].start_again();
    });
    let post = client.call(Method::POST, &posted, &[], "once");
    let empty = client.call(Method::POST, &empty, &[], "");
    let get = async {
        // Asked again once, and then it hangs as the application has it: nobody waits for that.
        let _ = tokio::time::timeout(15 * SECOND, client.get(&got)).await;
    };
    let (post, empty, (), ()) = tokio::join!(post, empty, get, kill);
    for post in [post, empty] {
        let post = post.expect("an answer");
        assert_eq!((post.status, post.json()["code"].as_str()), (502, Some("outcome-unknown")), "{}", post.text());
    }
    assert_eq!((application.count("post/hang"), application.count("empty/hang")), (1, 1), "{:?}", application.calls());
    assert!(application.count("get/hang") <= 2, "{:?}", application.calls());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_not_left_waits_for_an_owner_that_comes_back() {
    let (mut cluster, application) = cluster(Setup::default().with("BERTH_PARK_WEB", "25s")).await;
    cluster.gateways[0].kill().await;
    let (client, target) = (cluster.client.clone(), url(&cluster, "digest"));
    let body = vec![1_u8; 200_000];
    let posted = async { client.call(Method::POST, &target, &[], body).await.expect("an answer") };
    let back = async {
        eventually("the request waits", PATIENCE, async || {
            (cluster.routers[0].metric("berth_parked_requests", &[]).await == 1.0).then_some(())
        })
        .await;
        cluster.gateways[0].start_again();
    };
    let (reply, ()) = tokio::join!(posted, back);
    // Between the listener and the lease the pod refuses: then nothing was done, and nothing is sent again either.
    match reply.status {
        200 => assert!(reply.text().starts_with("200000 "), "{}", reply.text()),
        503 => assert_eq!(application.count("/digest"), 0, "{}", reply.text()),
        other => panic!("{other}: {}", reply.text()),
    }
    cluster.gateways[0].ready().await;
    let reply = cluster.client.get(&url(&cluster, "echo")).await.expect("an answer");
    assert_eq!(reply.status, 200, "what is harmless waits for the lease too: {}", reply.text());
    eventually("nothing is parked", PATIENCE, async || {
        (cluster.routers[0].metric("berth_parked_requests", &[]).await == 0.0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_stops_lets_pages_end_and_cuts_what_never_ends() {
    let (mut cluster, application) = cluster(Setup::default()).await;
    let ask = "Connection: Upgrade\r\nUpgrade: chat\r\n";
    let mut socket = connect(&cluster, &head("GET", "socket", ask)).await;
    read_until(&mut socket, "\r\n\r\n").await;
    let mut events = connect(&cluster, &head("GET", "events", "")).await;
    read_until(&mut events, "data: 0").await;
    // Nobody waits for a browser, which may stay for as long as it likes.
    let status = cluster.gateways[0].stop().await;
    assert!(status.success(), "{status}");
    read_to_end(&mut socket).await;
    read_to_end(&mut events).await;
    eventually("the application is left", PATIENCE, async || (application.open() == 0).then_some(())).await;
    let status = cluster.routers[0].stop().await;
    assert!(status.success(), "{status}");
}
