use super::headers::clean;
use super::*;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Uri, Version, header};
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

const SECOND: Duration = Duration::from_secs(1);

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut all = HeaderMap::new();
    for (name, value) in pairs {
        all.append(*name, HeaderValue::from_static(value));
    }
    all
}

fn read(url: &str) -> Result<(String, String), PathError> {
    let uri: Uri = url.parse().expect("a URL");
    let path = WebPath::read(&uri, &headers(&[("host", "bot.example")]))?;
    Ok((path.target.to_string(), path.onward.to_string()))
}

#[test]
fn a_target_may_be_written_with_escapes_and_goes_on_in_its_plain_form() {
    let told = |url| read(url).expect("passed on");
    let page = ("discord:guild:1".to_owned(), "/g/discord:guild:1/page?a=%2F&b".to_owned());
    assert_eq!(told("/g/discord:guild:1/page?a=%2F&b"), page);
    assert_eq!(told("/g/discord%3Aguild%3a1/page?a=%2F&b"), page);
    assert_eq!(told("http://BOT.example/g/discord:guild:1/page?a=%2F&b"), page);
    // The rest is the application's, byte for byte.
    assert_eq!(told("/g/slack:guild:T1//a%2Fb/%20;x=1/").1, "/g/slack:guild:T1//a%2Fb/%20;x=1/");
    assert_eq!(told("/g/slack:guild:T1").1, "/g/slack:guild:T1");
    assert_eq!(told("/g/slack:guild:T1/a...b/.hidden/..x").1, "/g/slack:guild:T1/a...b/.hidden/..x");
}

#[test]
fn a_path_that_somebody_could_read_as_another_one_goes_nowhere() {
    for dots in ["..", ".", "%2e%2E", ".%2e", "x%2f..%2fy", "x%5c..%5cy", "..%2f", "x/../y", "x/.."] {
        assert_eq!(read(&format!("/g/slack:guild:T1/{dots}")), Err(PathError::Dots), "{dots}");
    }
    for escape in ["%00", "%0a", "%7f", "%zz", "%2", "%"] {
        assert_eq!(read(&format!("/g/slack:guild:T1/{escape}")), Err(PathError::Escape), "{escape}");
    }
    for target in [
        "",
        "/",
        "//x",
        "/slack:guild:T1",
        "slack:guild",
        "slack:guild:T1%2Fx",
        "..",
        "nobody:guild:1",
        "slack:guild:%ff",
    ] {
        assert!(matches!(read(&format!("/g/{target}")), Err(PathError::Target(_))), "{target}");
    }
    assert_eq!(read("http://other.example/g/slack:guild:T1/"), Err(PathError::Host));
}

#[test]
fn what_belongs_to_one_connection_or_to_berth_is_taken_off() {
    let mut all = headers(&[
        ("host", "bot.example"),
        ("content-length", "3"),
        ("connection", "keep-alive, X-Hop"),
        ("connection", "content-length, Host"),
        ("x-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("te", "trailers, deflate"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("proxy-authorization", "Basic x"),
        ("proxy-connection", "close"),
        ("expect", "100-continue"),
        ("berth-epoch", "9"),
        ("berth-service-token", "guess"),
        ("authorization", "Bearer mine"),
        ("cookie", "a=b"),
        ("cookie", "c=d"),
    ]);
    clean(&mut all);
    let mut left: Vec<_> = all.keys().map(ToString::to_string).collect();
    left.sort();
    assert_eq!(left, ["authorization", "content-length", "cookie", "host", "te"]);
    assert_eq!((all[header::TE].as_bytes(), all.get_all("cookie").iter().count()), (&b"trailers"[..], 2));
}

#[test]
fn only_what_is_no_http_may_be_tunnelled() {
    let asked = |version, method, upgrade: &'static str, connection: &'static str| {
        upgrade_asked(&method, version, &headers(&[("upgrade", upgrade), ("connection", connection)]))
    };
    assert!(asked(Version::HTTP_11, Method::GET, "websocket", "keep-alive, Upgrade").is_some());
    assert!(asked(Version::HTTP_11, Method::GET, "chat/2, irc", "upgrade").is_some());
    for upgrade in ["h2c", "H2C", "HTTP/2.0", "websocket, h2c", "TLS/1.3", ""] {
        assert_eq!(asked(Version::HTTP_11, Method::GET, upgrade, "upgrade"), None, "{upgrade}");
    }
    assert_eq!(asked(Version::HTTP_11, Method::GET, "websocket", "close"), None);
    assert_eq!(asked(Version::HTTP_10, Method::GET, "websocket", "upgrade"), None);
    assert_eq!(asked(Version::HTTP_11, Method::POST, "websocket", "upgrade"), None);
}

/// A body that gives its pieces and then nothing more for ever.
struct Pieces(VecDeque<&'static str>);

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.0.pop_front() {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(piece.as_bytes()))))),
            None => Poll::Pending,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

fn pieces(all: &[&'static str]) -> Body {
    Body::new(Pieces(all.iter().copied().collect()))
}

fn watched(body: Body, most: u64, cut: crate::shutdown::Shutdown, flow: &Flow) -> Watched {
    Watched::new(body, flow.clone(), SECOND, most, cut, ())
}

#[tokio::test(start_paused = true)]
async fn a_body_is_broken_off_when_it_grows_too_long_stands_still_or_is_cut() {
    let (cut, flow) = (crate::shutdown::Shutdown::new(), Flow::new());
    let mut long = watched(pieces(&["abc", "def"]), 5, cut.clone(), &flow);
    assert!(long.frame().await.is_some_and(|frame| frame.is_ok()));
    assert!(long.frame().await.is_some_and(|frame| frame.is_err()));
    assert_eq!(long.broken().get(), Some(&Broken::TooLarge));

    let mut still = watched(pieces(&["abc"]), 5, cut.clone(), &flow);
    assert!(still.frame().await.is_some_and(|frame| frame.is_ok()));
    assert!(still.frame().await.is_some_and(|frame| frame.is_err()));
    assert_eq!(still.broken().get(), Some(&Broken::Idle));

    let mut ended = watched(pieces(&["abc"]), 5, cut.clone(), &flow);
    assert!(ended.frame().await.is_some_and(|frame| frame.is_ok()));
    cut.cancel();
    assert!(ended.frame().await.is_some_and(|frame| frame.is_err()));
    assert_eq!(ended.broken().get(), Some(&Broken::Cut));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_waits_is_not_idle_while_the_other_direction_moves() {
    let (cut, flow) = (crate::shutdown::Shutdown::new(), Flow::new());
    let mut waiting = watched(pieces(&[]), 5, cut, &flow);
    let begun = tokio::time::Instant::now();
    let other = async {
        for _ in 0..10 {
            tokio::time::sleep(SECOND / 2).await;
            flow.moved();
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        frame = waiting.frame() => assert!(frame.is_some_and(|frame| frame.is_err())),
        () = other => {}
    }
    assert!(begun.elapsed() >= 5 * SECOND, "{:?}", begun.elapsed());
}

/// A body that brings so many bytes at once, and then one each time so much time has passed, for ever.
struct Drip {
    first: usize,
    every: Duration,
    next: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl HttpBody for Drip {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        let first = std::mem::take(&mut this.first);
        if first > 0 {
            return Poll::Ready(Some(Ok(Frame::data(vec![b'a'; first].into()))));
        }
        let every = this.every;
        let next = this.next.get_or_insert_with(|| Box::pin(tokio::time::sleep(every)));
        if next.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        this.next = None;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"a")))))
    }
}

/// Reads a dripping body for so long, and returns whether it was broken off before, and why.
async fn drip(first: usize, every: Duration, rate: u32, time: Duration) -> Option<Broken> {
    let drip = Body::new(Drip { first, every, next: None });
    let stop = crate::shutdown::Shutdown::new();
    let mut body = Watched::new(drip, Flow::new(), 10 * SECOND, u64::MAX, stop, ()).paced(rate);
    let broken = body.broken();
    let reading = async { while let Some(Ok(_)) = body.frame().await {} };
    let _ = tokio::time::timeout(time, reading).await;
    broken.get().copied()
}

#[tokio::test(start_paused = true)]
async fn a_body_that_drips_holds_nothing_for_ever_however_fast_it_began() {
    let soon = 25 * SECOND;
    assert_eq!(drip(1, 9 * SECOND, 2, soon).await, Some(Broken::Slow));
    assert_eq!(drip(1_000_000, 9 * SECOND, 2, soon).await, Some(Broken::Slow), "a fast start pays for nothing");
    assert_eq!(drip(1, 9 * SECOND, 0, 100 * soon).await, None, "not asked for");
    assert_eq!(drip(1, SECOND / 4, 2, 100 * soon).await, None, "fast enough");
}

#[tokio::test(start_paused = true)]
async fn a_body_is_not_slow_while_its_reader_takes_nothing() {
    let drip = Body::new(Drip { first: 1, every: SECOND, next: None });
    let stop = crate::shutdown::Shutdown::new();
    let mut body = Watched::new(drip, Flow::new(), 10 * SECOND, u64::MAX, stop, ()).paced(1);
    for _ in 0..100 {
        assert!(body.frame().await.is_some_and(|frame| frame.is_ok()));
        tokio::time::sleep(60 * SECOND).await;
    }
}

#[tokio::test]
async fn a_lent_body_can_be_lent_again_until_somebody_takes_of_it() {
    let lent = super::body::Lent::new(Body::from("abc"));
    drop(lent.lend());
    assert!(!lent.begun());
    let whole = lent.lend().collect().await.expect("whole").to_bytes();
    assert_eq!((whole.as_ref(), lent.begun()), (&b"abc"[..], true));
    assert!(lent.lend().collect().await.is_err(), "taken twice");
}

/// A body whose pieces are told one by one.
struct Told(tokio::sync::mpsc::Receiver<Bytes>);

impl HttpBody for Told {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

#[tokio::test]
async fn a_refused_request_is_read_on_unless_its_sender_waits_to_be_told() {
    for (expects, taken) in [(false, true), (true, false)] {
        let (sender, body) = tokio::sync::mpsc::channel(1);
        let mut request = http::Request::post("/g/slack:guild:T1/").body(Body::new(Told(body))).expect("a request");
        if expects {
            request.headers_mut().insert(header::EXPECT, HeaderValue::from_static("100-continue"));
        }
        let bounds = FlowBounds { max_body: 1 << 20, idle: 600 * SECOND, min_rate: 0 };
        Exchange::begin(request, bounds, crate::shutdown::Shutdown::new()).refuse();
        let mut sent = true;
        for _ in 0..3 {
            sent &= sender.send(Bytes::from_static(b"piece")).await.is_ok();
        }
        assert_eq!(sent, taken, "expects {expects}");
    }
}
