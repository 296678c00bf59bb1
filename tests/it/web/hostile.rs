//! What somebody could send to make two servers read one request differently, and what an application may answer wrongly.

use super::*;

/// A request that must go nowhere: what it is, its bytes, the status.
type Bad = (&'static str, String, &'static [u16]);

fn misread() -> Vec<Bad> {
    let length =
        |text: &str| format!("POST /g/{TARGET}/echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{text}\r\n\r\nhello");
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    vec![
        ("two lengths", length("Content-Length: 5\r\nContent-Length: 6"), &[400]),
        ("a length in words", length("Content-Length: five"), &[400]),
        ("a length with a sign", length("Content-Length: +5"), &[400]),
        ("chunks that are not last", length("Transfer-Encoding: chunked, identity"), &[400]),
        ("chunks by another name", length("Transfer-Encoding: xchunked"), &[400]),
        ("a length before its name ends", length("Content-Length : 5"), &[400]),
        ("a folded header", length("X-A: b\r\n c: d"), &[400]),
        ("two hosts", get(&format!("/g/{TARGET}/echo")).replace("Host: a", "Host: a\r\nHost: b"), &[400]),
        ("another host in the request line", get(&format!("http://b/g/{TARGET}/echo")), &[400]),
        ("dots", get(&format!("/g/{TARGET}/../../v1/events")), &[400]),
        ("escaped dots", get(&format!("/g/{TARGET}/%2e%2e/%2E%2E/v1/events")), &[400]),
        ("dots behind an escaped slash", get(&format!("/g/{TARGET}/..%2f..%2fv1/events")), &[400]),
        ("a NUL", get(&format!("/g/{TARGET}/a%00b")), &[400]),
        ("no target", get("/g//echo"), &[400, 404]),
        ("half a target", get("/g/telegram:channel/echo"), &[400]),
        ("another path", get(&format!("//g/{TARGET}/echo")), &[404]),
        (
            "a proxy's method",
            format!("CONNECT /g/{TARGET}/echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
            &[400, 404, 405],
        ),
        (
            "an echo of headers",
            format!("TRACE /g/{TARGET}/echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
            &[405],
        ),
        ("many headers", head("GET", "echo", &"X-A: b\r\n".repeat(95)), &[431]),
        ("long headers", head("GET", "echo", &format!("X-A: {}\r\n", "b".repeat(15_600))), &[431]),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_two_servers_could_read_differently_reaches_no_application() {
    let (cluster, application) = cluster(Setup::default()).await;
    let port = cluster.routers[0].port();
    for (what, bytes, statuses) in misread() {
        let bytes = if bytes.contains("Connection: close") {
            bytes
        } else {
            bytes.replacen("Host", "Connection: close\r\nHost", 1)
        };
        let answer = exchange(port, bytes.as_bytes(), PATIENCE).await;
        assert!(statuses.contains(&status(&answer)), "{what}: {answer}");
        assert_eq!(application.calls(), Vec::<String>::new(), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_hidden_in_another_ones_body_is_never_read_as_a_request() {
    let (cluster, application) = cluster(Setup::default()).await;
    let port = cluster.routers[0].port();
    let hidden = format!("GET /g/{TARGET}/hidden HTTP/1.1\r\nHost: a\r\n\r\n");
    // A length beside chunks, in either order: chunks count, and nothing after them is read.
    for frame in
        ["Content-Length: {}\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: {}"]
    {
        let frame = frame.replace("{}", &(hidden.len() + 5).to_string());
        let bytes = format!("{}0\r\n\r\n{hidden}", head("POST", "outer", &format!("{frame}\r\n")));
        let answer = exchange(port, bytes.as_bytes(), PATIENCE).await;
        assert_eq!(status(&answer), 200, "{answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    }
    // Chunks that lie about their length.
    for chunk in [
        "5\r\nhello6\r\n",
        "zz\r\nhello\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
    ] {
        let bytes = format!("{}{chunk}", head("POST", "digest", "Transfer-Encoding: chunked\r\n"));
        let answer = exchange(port, bytes.as_bytes(), PATIENCE).await;
        assert!(matches!(status(&answer), 400 | 502), "{chunk:?}: {answer}");
    }
    assert_eq!(application.count("hidden"), 0, "{:?}", application.calls());
    assert_eq!(application.count("outer"), 2);
    // Nor does the other protocol pass that would carry requests of its own.
    let h2c = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n";
    let mut stream = connect(&cluster, &head("GET", "socket", h2c)).await;
    let answer = read_until(&mut stream, "\r\n\r\n").await;
    assert_eq!(status(&answer), 426, "asked without an upgrade: {answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_pieces_continues_and_trailers_come_through_as_they_are() {
    let (cluster, _application) = cluster(Setup::default()).await;
    let port = cluster.routers[0].port();
    let ask = async |text: String| exchange(port, text.as_bytes(), PATIENCE).await;
    let answer = ask(head("HEAD", "echo", "Connection: close\r\n")).await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "a head has no body: {answer}");
    let chunked = "Transfer-Encoding: chunked\r\nConnection: close\r\n";
    let answer = ask(format!("{}5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", head("POST", "digest", chunked))).await;
    assert!(answer.contains("11 b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"), "{answer}");
    let answer = ask(head("GET", "trailers", "TE: trailers\r\nConnection: close, TE\r\n")).await;
    assert!(answer.to_lowercase().contains("x-sum: 42"), "{answer}");
    let answer = ask(format!("GET /g/{TARGET}/echo HTTP/1.0\r\n\r\n")).await;
    assert!(answer.contains(TARGET), "{answer}");
    let mut stream = connect(&cluster, &head("PUT", "digest", "Content-Length: 5\r\nExpect: 100-continue\r\n")).await;
    read_until(&mut stream, "HTTP/1.1 100").await;
    stream.write_all(b"hello").await.expect("writes");
    read_until(&mut stream, "5 2cf24dba").await;
    // Who is refused is not asked to send first.
    let wait = "Content-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n";
    let answer = ask(head("PUT", "digest", wait).replace(TARGET, "telegram:channel:-404")).await;
    assert_eq!(status(&answer), 404, "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_application_answers_wrongly_is_neither_believed_nor_completed() {
    let (cluster, _application) = cluster(Setup::default()).await;
    // A broken answer stays broken: it is not made whole on the way.
    let broken = cluster.client.get(&url(&cluster, "die")).await;
    assert!(broken.is_err(), "{broken:?}");
    let said = "berth-refused=not-owner;berth-epoch=1;connection=x-hop;x-hop=1;x-own=2;set-cookie=a=b;set-cookie=c=d";
    let asked = vec![("x-answer".to_owned(), said.to_owned())];
    let reply = cluster.client.call(Method::GET, &url(&cluster, "headers"), &asked, "").await.expect("an answer");
    assert_eq!((reply.status, reply.header("x-own")), (200, Some("2")));
    assert_eq!(reply.headers.get_all("set-cookie").iter().count(), 2);
    for gone in ["berth-refused", "berth-epoch", "x-hop"] {
        assert_eq!(reply.header(gone), None, "{gone}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_long_too_slow_or_too_much_is_refused() {
    let bounds = Setup::default()
        .with("BERTH_WEB_MAX_BODY", "1000")
        .with("BERTH_WEB_IDLE", "5s")
        .with("BERTH_WEB_CONNECTIONS", "2")
        .with("BERTH_WEB_TARGET_CONNECTIONS", "2");
    let (cluster, application) = cluster(bounds).await;
    let port = cluster.routers[0].port();
    let long = format!("{}{}", head("POST", "digest", "Content-Length: 1001\r\n"), "x".repeat(1_001));
    let answer = exchange(port, long.as_bytes(), PATIENCE).await;
    assert_eq!(status(&answer), 413, "{answer}");
    assert_eq!(application.count("/digest"), 0);
    let grows = format!(
        "{}3e8\r\n{}\r\n1\r\nx\r\n0\r\n\r\n",
        head("POST", "digest", "Transfer-Encoding: chunked\r\n"),
        "x".repeat(1_000)
    );
    let answer = exchange(port, grows.as_bytes(), PATIENCE).await;
    assert_eq!(status(&answer), 413, "{answer}");
    let slow = format!("{}x", head("POST", "digest", "Content-Length: 2\r\n"));
    let answer = exchange(port, slow.as_bytes(), PATIENCE).await;
    assert!(matches!(status(&answer), 408 | 504), "{answer}");
    let reply = cluster.client.get(&url(&cluster, "hang")).await.expect("an answer");
    assert_eq!((reply.status, reply.json()["code"].as_str()), (504, Some("outcome-unknown")), "{}", reply.text());
    eventually("the application is left", PATIENCE, async || (application.open() == 0).then_some(())).await;
    nothing_under_way(&cluster).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut events = connect(&cluster, &head("GET", "events", "")).await;
        read_until(&mut events, "data: 0").await;
        held.push(events);
    }
    let reply = cluster.client.get(&url(&cluster, "echo")).await.expect("an answer");
    assert_eq!((reply.status, reply.json()["code"].as_str()), (503, Some("too-many")), "{}", reply.text());
    for events in &mut held {
        read_to_end(events).await;
    }
    eventually("what nobody uses is cut", PATIENCE, async || (application.open() == 0).then_some(())).await;
}
