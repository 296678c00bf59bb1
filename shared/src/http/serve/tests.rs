use super::*;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

struct Server {
    address: SocketAddr,
    shutdown: Shutdown,
    task: tokio::task::JoinHandle<io::Result<()>>,
    /// Told when a request to `/slow` has begun; it ends once `finish` is told.
    begun: Arc<Notify>,
    finish: Arc<Notify>,
}

async fn server(limits: ServeLimits) -> Server {
    let bound = bind(([127, 0, 0, 1], 0).into(), "--listen").await.expect("a free port");
    let (address, shutdown) = (bound.address, Shutdown::new());
    let (begun, finish) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, wait) = (Arc::clone(&begun), Arc::clone(&finish));
    let slow = || async move {
        tell.notify_one();
        wait.notified().await;
        "late but whole"
    };
    let router = Router::new().route("/", get(|| async { "hello" })).route("/slow", get(slow));
    let task = crate::shutdown::spawn(serve(bound, router, limits, shutdown.clone()));
    Server { address, shutdown, task, begun, finish }
}

/// Sends bytes and returns everything until the server closes.
async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connects");
    stream.write_all(bytes).await.expect("writes");
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut answer)).await;
    read.expect("the server closes the connection").ok();
    String::from_utf8_lossy(&answer).into_owned()
}

fn short() -> ServeLimits {
    ServeLimits { head_timeout: Duration::from_millis(300), ..ServeLimits::default() }
}

#[tokio::test]
async fn exactly_one_host_is_asked_for() {
    let Server { address, .. } = server(ServeLimits::default()).await;
    let ask = |hosts: &'static str| async move {
        raw(address, format!("GET / HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n").as_bytes()).await
    };
    assert!(ask("Host: a\r\n").await.starts_with("HTTP/1.1 200"));
    assert!(ask("").await.starts_with("HTTP/1.1 400"));
    assert!(ask("Host: a\r\nHost: b\r\n").await.starts_with("HTTP/1.1 400"));
    assert!(ask("Host: a\r\nhost: a\r\n").await.starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn half_a_head_is_closed_after_its_time() {
    let Server { address, .. } = server(short()).await;
    let begun = tokio::time::Instant::now();
    raw(address, b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ").await;
    raw(address, b"").await;
    assert!(begun.elapsed() >= Duration::from_millis(500), "closed before the head's time was over");
}

#[tokio::test]
async fn who_asks_and_never_reads_is_left_after_a_while() {
    let Server { address, .. } = server(ServeLimits { write_timeout: Duration::from_millis(300), ..short() }).await;
    let mut stream = TcpStream::connect(address).await.expect("connects");
    let asks = "GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1_000);
    let left = async { while stream.write_all(asks.as_bytes()).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(60), left).await.expect("the server closes the connection");
}

#[tokio::test]
async fn between_requests_a_connection_may_be_quiet_longer_than_a_head_may_take() {
    // Each so much longer than what comes before it that a machine that stands still for a while changes nothing.
    let (head_timeout, idle_timeout) = (Duration::from_secs(2), Duration::from_secs(9));
    let Server { address, .. } = server(ServeLimits { head_timeout, idle_timeout, ..short() }).await;
    let get = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut stream = TcpStream::connect(address).await.expect("connects");
    let mut some = [0_u8; 1_024];
    stream.write_all(get).await.expect("writes");
    assert!(stream.read(&mut some).await.expect("answered") > 0);
    // Nothing comes for longer than a head may take, and it is still there.
    let quiet = tokio::time::timeout(2 * head_timeout, stream.read(&mut some)).await;
    assert!(quiet.is_err(), "closed while idle: {quiet:?}");
    stream.write_all(get).await.expect("writes");
    assert!(stream.read(&mut some).await.expect("answered again") > 0);
    // Half of the next head has only the head's time.
    let begun = tokio::time::Instant::now();
    stream.write_all(&get[..10]).await.expect("writes");
    while stream.read(&mut some).await.is_ok_and(|n| n > 0) {}
    let took = begun.elapsed();
    assert!(took >= head_timeout && took < idle_timeout, "{took:?}");
    // And idle is not for ever.
    let begun = tokio::time::Instant::now();
    let mut idle = TcpStream::connect(address).await.expect("connects");
    idle.write_all(get).await.expect("writes");
    while idle.read(&mut some).await.is_ok_and(|n| n > 0) {}
    assert!(begun.elapsed() >= idle_timeout);
}

#[tokio::test]
async fn a_head_over_the_limit_gets_431() {
    let Server { address, .. } = server(ServeLimits::default()).await;
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Long: {}\r\n\r\n", "x".repeat(20_000));
    assert!(raw(address, long.as_bytes()).await.starts_with("HTTP/1.1 431"));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X-A: b\r\n".repeat(200));
    assert!(raw(address, many.as_bytes()).await.starts_with("HTTP/1.1 431"));
}

#[tokio::test]
async fn a_running_request_ends_when_the_service_stops() {
    let Server { address, shutdown, task, begun, finish } = server(ServeLimits::default()).await;
    let mut stream = TcpStream::connect(address).await.expect("connects");
    stream.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("writes");
    begun.notified().await;
    shutdown.cancel();
    finish.notify_one();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("reads");
    assert!(String::from_utf8_lossy(&answer).ends_with("late but whole"));
    task.await.expect("no panic").expect("stops in order");
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_taken_port_is_named_with_the_flag_that_changes_it() {
    let Server { address, .. } = server(ServeLimits::default()).await;
    let why = bind(address, "--http-port").await.expect_err("taken").to_string();
    assert!(why.contains(&address.port().to_string()) && why.contains("--http-port"), "{why}");
}
