use super::*;
use crate::router::testing::*;
use crate::wire::Hello;
use crate::wire::link::{Frame, HEAD, Window, request_len};
use std::time::Duration;
use tokio::time::timeout;

/// How long a link may be silent: longer than a busy machine stands still.
const LONG: Duration = Duration::from_secs(30);
/// The same where that is what a test waits for.
const SILENCE: Duration = Duration::from_secs(3);

async fn opened(window: Window, timeout: Duration) -> (Links, FakePod, PodEnd) {
    let (fake, (links, _)) = (FakePod::bind().await, links(timeout));
    links.follow(&[pod_info("gateway-0", &fake.address, 1)]);
    let end = fake.accept(window).await;
    ready(&links).await;
    (links, fake, end)
}

async fn ready(links: &Links) {
    timeout(SOON, links.ready(&pod("gateway-0"))).await.expect("soon");
}

async fn reserve(links: &Links, request: &Request) -> Result<<Links as Upstream>::Share, NoShare> {
    timeout(SOON, links.reserve(&pod("gateway-0"), request_len(request))).await.expect("soon")
}

async fn call(links: &Links, request: Request) -> Result<Outcome, Lost> {
    let share = reserve(links, &request).await.expect("a share");
    timeout(SOON, links.call(share, request)).await.expect("soon")
}

#[tokio::test]
async fn a_link_asks_for_its_upgrade_with_the_service_token() {
    let (fake, (links, _stop)) = (FakePod::bind().await, links(LONG));
    links.follow(&[pod_info("gateway-0", &fake.address, 1)]);
    let (head, mut stream) = fake.knock().await;
    let head = head.to_lowercase();
    assert!(head.starts_with("get /v1/link http/1.1\r\n"), "{head}");
    for line in [
        &format!("host: {}", fake.address),
        "upgrade: berth-link",
        "connection: upgrade",
        "authorization: bearer token",
    ] {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{line} in {head}");
    }
    use tokio::io::AsyncWriteExt;
    stream.write_all(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n").await.expect("written");
    assert!(matches!(links.try_reserve(&pod("gateway-0"), 1), Err(NoShare::Down)));
    fake.accept(WIDE).await;
    ready(&links).await;
    assert_eq!(links.count(), (1, 0));
}

#[tokio::test]
async fn only_a_pod_that_does_not_take_the_token_is_said_not_to() {
    use tokio::io::AsyncWriteExt;
    for (answer, of_tokens) in [("401 Unauthorized", true), ("503 Service Unavailable", false)] {
        let (fake, token) = (FakePod::bind().await, crate::settings::Secret::new("token"));
        let (opened, _stream) = tokio::join!(open::open(&fake.address, &token, "router"), async {
            let (_, mut stream) = fake.knock().await;
            let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.expect("written");
            stream
        });
        let why = opened.expect_err("refused").to_string();
        assert_eq!(why.contains("BERTH_SERVICE_TOKENS"), of_tokens, "{why}");
    }
}

#[tokio::test]
async fn answers_find_their_questions_in_any_order() {
    let (links, _fake, mut end) = opened(WIDE, LONG).await;
    let (first, second, ()) = tokio::join!(call(&links, request("a", 10)), call(&links, request("b", 10)), async {
        let (one, a) = end.request().await;
        let (two, b) = end.request().await;
        assert!(two > one, "streams increase");
        end.reply(two, committed(&b.event.id)).await;
        end.reply(one, committed(&a.event.id)).await;
    });
    assert_eq!((first, second), (Ok(committed("a")), Ok(committed("b"))));
}

#[tokio::test]
async fn a_router_that_has_used_its_requests_waits_for_one_back() {
    let (links, _fake, mut end) = opened(Window { requests: 1, bytes: 1 << 20 }, LONG).await;
    let share = reserve(&links, &request("a", 10)).await.expect("a share");
    assert!(matches!(links.try_reserve(&pod("gateway-0"), 10), Err(NoShare::Full)));
    let (first, second, ()) =
        tokio::join!(links.call(share, request("a", 10)), call(&links, request("b", 10)), async {
            let (one, _) = end.request().await;
            end.send(&Frame::Ping).await;
            assert_eq!(end.next().await, Some(Frame::Pong), "the second request has not been sent");
            end.reply(one, committed("a")).await;
            let (two, _) = end.request().await;
            end.reply(two, committed("b")).await;
        });
    assert_eq!((first, second), (Ok(committed("a")), Ok(committed("b"))));
}

#[tokio::test]
async fn the_window_counts_payload_bytes() {
    let size = request_len(&request("a", 1_000));
    let (links, _fake, mut end) = opened(Window { requests: 10, bytes: size as u32 * 2 }, LONG).await;
    let shares = [reserve(&links, &request("a", 1_000)).await, reserve(&links, &request("b", 1_000)).await];
    assert!(matches!(links.try_reserve(&pod("gateway-0"), 1), Err(NoShare::Full)));
    drop(shares);
    // Larger than the whole window: alone, it may go.
    let big = request("big", 3_000);
    let share = reserve(&links, &big).await.expect("a share");
    assert!(matches!(links.try_reserve(&pod("gateway-0"), 1), Err(NoShare::Full)));
    let (outcome, ()) = tokio::join!(links.call(share, big.clone()), async {
        let (stream, got) = end.request().await;
        assert_eq!(got, big);
        end.reply(stream, committed("big")).await;
    });
    assert_eq!(outcome, Ok(committed("big")));
    assert!(matches!(links.try_reserve(&pod("gateway-0"), (1 << 20) + 1), Err(NoShare::TooLarge)));
}

#[tokio::test]
async fn a_link_that_dies_gives_its_questions_back_and_comes_up_again() {
    let (links, fake, mut end) = opened(WIDE, LONG).await;
    let (outcome, ()) = tokio::join!(call(&links, request("a", 10)), async {
        end.request().await;
        drop(end);
    });
    assert_eq!(outcome, Err(Lost { sent: true }));
    let mut end = fake.accept(WIDE).await;
    ready(&links).await;
    let (outcome, ()) = tokio::join!(call(&links, request("a", 10)), async {
        let (stream, again) = end.request().await;
        assert_eq!((stream, again.event.id.as_str()), (1, "a"), "streams begin anew on each link");
        end.reply(stream, committed("a")).await;
    });
    assert_eq!(outcome, Ok(committed("a")));
}

#[tokio::test]
async fn a_silent_link_counts_as_dead_and_a_quiet_one_does_not() {
    let (links, fake, mut end) = opened(WIDE, SILENCE).await;
    // Three times the limit, with nothing said but pongs.
    let said = timeout(3 * SILENCE, end.next()).await;
    assert!(said.is_err(), "the link was given up, or something was asked: {said:?}");
    let mut asked = 0;
    let given_up = async {
        while let Some(frame) = end.frame().await {
            assert_eq!(frame, Frame::Ping);
            asked += 1;
        }
    };
    timeout(SOON, given_up).await.expect("the link is given up");
    assert!(asked >= 2, "it asked before it gave up");
    fake.accept(WIDE).await;
    ready(&links).await;
}

#[tokio::test]
async fn goaway_lets_running_requests_end_and_sends_new_ones_to_the_next_link() {
    let (links, fake, mut end) = opened(WIDE, LONG).await;
    let (running, next, ()) = tokio::join!(
        call(&links, request("a", 10)),
        async {
            // Comes while the link drains: waits for the next one.
            loop {
                match links.try_reserve(&pod("gateway-0"), 10) {
                    Err(NoShare::Down) => break,
                    _ => tokio::task::yield_now().await,
                }
            }
            ready(&links).await;
            call(&links, request("b", 10)).await
        },
        async {
            let (one, _) = end.request().await;
            end.send(&Frame::Goaway).await;
            while links.count() != (0, 1) {
                tokio::task::yield_now().await;
            }
            end.reply(one, committed("a")).await;
            assert_eq!(end.next().await, None, "drained, the router closes");
            let mut end = fake.accept(WIDE).await;
            let (two, b) = end.request().await;
            end.reply(two, committed(&b.event.id)).await;
        }
    );
    assert_eq!((running, next), (Ok(committed("a")), Ok(committed("b"))));
}

#[tokio::test]
async fn a_caller_that_gives_up_cancels_and_its_share_comes_back_with_the_reply() {
    let (links, _fake, mut end) = opened(Window { requests: 1, bytes: 1 << 20 }, LONG).await;
    let share = reserve(&links, &request("a", 10)).await.expect("a share");
    let mut asking = Box::pin(links.call(share, request("a", 10)));
    let stream = tokio::select! {
        _ = &mut asking => panic!("nobody has answered"),
        (stream, _) = end.request() => stream,
    };
    drop(asking);
    assert_eq!(end.next().await, Some(Frame::Cancel { stream }));
    assert!(matches!(links.try_reserve(&pod("gateway-0"), 10), Err(NoShare::Full)), "the pod still counts it");
    end.reply(stream, Outcome::Late).await;
    drop(reserve(&links, &request("b", 10)).await.expect("the share is back"));
}

#[tokio::test]
async fn a_cancelled_request_that_is_never_answered_costs_its_share_only_until_its_deadline() {
    let (links, _fake, mut end) = opened(Window { requests: 1, bytes: 1 << 20 }, SILENCE).await;
    let late = Request { deadline_ms: 50, ..request("a", 10) };
    let share = reserve(&links, &late).await.expect("a share");
    assert!(timeout(Duration::from_millis(50), links.call(share, late)).await.is_err());
    let next = request("b", 10);
    let got = tokio::select! {
        got = reserve(&links, &next) => got,
        () = async { while end.next().await.is_some() {} } => panic!("the link was given up"),
    };
    drop(got.expect("the share is back"));
}

#[tokio::test]
async fn a_pod_that_breaks_the_rules_is_left() {
    let window = Window { requests: 0, bytes: 0 };
    let mut long = vec![0_u8; HEAD];
    long[..4].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut hello = bytes::BytesMut::new();
    crate::wire::link::encode(&Frame::Hello { hello: Hello::CURRENT, name: String::new(), window }, &mut hello);
    for bad in [&[0_u8; HEAD][..], &long, &hello, b"HTTP/1.1 200 OK\r\n"] {
        let (links, fake, mut end) = opened(WIDE, LONG).await;
        end.raw(bad).await;
        assert_eq!(end.next().await, None, "{bad:?}");
        fake.accept(WIDE).await;
        ready(&links).await;
    }
}

#[tokio::test]
async fn a_pod_of_another_version_is_tried_again_and_never_used() {
    let (fake, (links, _stop)) = (FakePod::bind().await, links(LONG));
    links.follow(&[pod_info("gateway-0", &fake.address, 1)]);
    for _ in 0..2 {
        let (_, mut stream) = fake.knock().await;
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut out =
            bytes::BytesMut::from(&b"HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: berth-link\r\n\r\n"[..]);
        let hello = Frame::Hello { hello: Hello { min: 7, max: 9 }, name: "pod".to_owned(), window: WIDE };
        crate::wire::link::encode(&hello, &mut out);
        stream.write_all(&out).await.expect("written");
        let mut rest = Vec::new();
        let _ = timeout(SOON, stream.read_to_end(&mut rest)).await.expect("the router hangs up");
        assert_eq!(links.count(), (0, 1));
    }
}

#[tokio::test]
async fn links_follow_the_pods_of_the_table() {
    let (links, _old, mut end) = opened(WIDE, LONG).await;
    let (home, other) = (FakePod::bind().await, FakePod::bind().await);
    let mut pods = vec![pod_info("gateway-0", &home.address, 2), pod_info("gateway-1", &other.address, 1)];
    let (outcome, _ends) = tokio::join!(
        async {
            let share = reserve(&links, &request("a", 10)).await.expect("a share");
            links.follow(&pods);
            timeout(SOON, links.call(share, request("a", 10))).await.expect("soon")
        },
        async { (home.accept(WIDE).await, other.accept(WIDE).await) }
    );
    assert!(outcome.is_err(), "what ran on the old address is given back");
    while end.next().await.is_some() {}
    while links.count() != (2, 0) {
        tokio::task::yield_now().await;
    }
    pods.remove(0);
    links.follow(&pods);
    assert_eq!(links.count().0 + links.count().1, 1);
    assert!(matches!(links.try_reserve(&pod("gateway-0"), 1), Err(NoShare::Down)));
}
