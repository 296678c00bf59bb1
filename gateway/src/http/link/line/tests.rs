use super::*;
use proptest::prelude::*;
use shared::event::{Answer, Event, EventKind};
use shared::{Epoch, Revision};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::{TcpListener, TcpStream};
use tokio::{sync::oneshot, task::JoinHandle};

const PATIENCE: Duration = Duration::from_secs(60);

/// Answers when the test says so.
#[derive(Debug, Clone, Default)]
struct Held {
    waiting: Arc<Mutex<HashMap<String, oneshot::Sender<Outcome>>>>,
    arrived: Arc<tokio::sync::Notify>,
}

impl Held {
    /// Answers the request for the event `id`, once it has arrived. Returns whether anybody still works on it.
    async fn answer(&self, id: &str, outcome: Outcome) -> bool {
        self.wait(id).await;
        let sender = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(id).expect("just seen");
        sender.send(outcome).is_ok()
    }

    async fn wait(&self, id: &str) {
        let seen = async {
            loop {
                let arrived = self.arrived.notified();
                if self.waiting.lock().unwrap_or_else(PoisonError::into_inner).contains_key(id) {
                    return;
                }
                arrived.await;
            }
        };
        tokio::time::timeout(PATIENCE, seen).await.expect("the request arrives");
    }
}

impl Answerer for Held {
    fn answer(&self, request: Request) -> impl Future<Output = Outcome> + Send + 'static {
        let (sender, outcome) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(request.event.id, sender);
        self.arrived.notify_one();
        async { outcome.await.unwrap_or(Outcome::Late) }
    }
}

/// A router's end, written by hand.
struct Router {
    socket: TcpStream,
    buffer: BytesMut,
    stop: Shutdown,
    requests: TaskTracker,
    line: JoinHandle<(End, Option<String>)>,
}

const BOUNDS: Bounds =
    Bounds { window: Window { requests: 2, bytes: 10_000 }, max_frame: 20_000, silence: Duration::from_secs(60) };

impl Router {
    async fn connect(bounds: Bounds, door: Held) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let socket = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("connected");
        let (other, _) = listener.accept().await.expect("accepted");
        let (stop, requests) = (Shutdown::new(), TaskTracker::new());
        let line = Line::new(other, "gateway-0".to_owned(), bounds, door, requests.clone());
        let line = shared::shutdown::spawn(line.run(stop.clone()));
        Self { socket, buffer: BytesMut::new(), stop, requests, line }
    }

    /// Connects and greets.
    async fn greeted(bounds: Bounds, door: Held) -> Self {
        let mut router = Self::connect(bounds, door).await;
        let hello = router.next().await.expect("a hello");
        assert_eq!(hello, Frame::Hello { hello: Hello::CURRENT, name: "gateway-0".into(), window: bounds.window });
        router.send(&[hello_frame(Hello::CURRENT)]).await;
        router
    }

    async fn send(&mut self, frames: &[Frame]) {
        let mut out = BytesMut::new();
        frames.iter().for_each(|frame| encode(frame, &mut out));
        self.raw(&out).await;
    }

    async fn raw(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.expect("sent");
    }

    /// The next frame; none when the link is closed.
    async fn next(&mut self) -> Option<Frame> {
        let read = async {
            loop {
                if let Some(frame) = decode(&mut self.buffer, 1 << 20).expect("well formed") {
                    return Some(frame);
                }
                // A connection that was cut with bytes unread is reset: closed as well.
                if !matches!(self.socket.read_buf(&mut self.buffer).await, Ok(1..)) {
                    return None;
                }
            }
        };
        tokio::time::timeout(PATIENCE, read).await.expect("an answer in time")
    }

    /// How the gateway's end came to its end, after whatever it still said.
    async fn end(mut self) -> End {
        while self.next().await.is_some() {}
        tokio::time::timeout(PATIENCE, self.line).await.expect("ends in time").expect("no panic").0
    }
}

fn hello_frame(hello: Hello) -> Frame {
    Frame::Hello { hello, name: "http-0".into(), window: Window { requests: 0, bytes: 0 } }
}

fn request(stream: u32, body: usize) -> Frame {
    let target: shared::TargetId = "slack:guild:T1".parse().expect("valid");
    let event = Event {
        platform: target.platform(),
        target,
        parent: None,
        kind: EventKind::SlackEvent,
        source: "slack".into(),
        id: format!("e{stream}"),
        received_at: 0,
        headers: vec![],
        body: vec![b'x'; body].into(),
    };
    let request = Request { event, epoch: Epoch(1), revision: Revision(1), deadline_ms: 60_000, trace: None };
    Frame::Request { stream, request: Box::new(request) }
}

fn committed(body: &'static str) -> Outcome {
    let answer = Answer { status: 200, headers: vec![], body: body.into() };
    Outcome::Committed { answer, duplicate: false }
}

fn reply(stream: u32, outcome: Outcome) -> Option<Frame> {
    Some(Frame::Reply { stream, outcome: Box::new(outcome) })
}

#[tokio::test]
async fn replies_come_back_in_the_order_in_which_they_are_ready() {
    let door = Held::default();
    let mut router = Router::greeted(BOUNDS, door.clone()).await;
    router.send(&[request(1, 10), Frame::Ping, request(2, 10)]).await;
    assert_eq!(router.next().await, Some(Frame::Pong));
    assert!(door.answer("e2", committed("two")).await);
    assert_eq!(router.next().await, reply(2, committed("two")));
    assert!(door.answer("e1", Outcome::Busy { retry_after_ms: 5 }).await);
    assert_eq!(router.next().await, reply(1, Outcome::Busy { retry_after_ms: 5 }));
}

#[tokio::test]
async fn a_peer_of_another_version_learns_ours_and_is_cut_off() {
    let mut router = Router::connect(BOUNDS, Held::default()).await;
    router.send(&[hello_frame(Hello { min: 2, max: 3 })]).await;
    assert!(matches!(router.next().await, Some(Frame::Hello { hello: Hello::CURRENT, .. })));
    assert!(matches!(router.end().await, End::Cut(Cut::Version(2, 3))));
}

#[tokio::test]
async fn a_peer_that_exceeds_the_window_is_cut_off_and_what_runs_goes_on() {
    let door = Held::default();
    let mut router = Router::greeted(BOUNDS, door.clone()).await;
    let requests = router.requests.clone();
    router.send(&[request(1, 10), request(2, 10), request(3, 10)]).await;
    assert!(matches!(router.end().await, End::Cut(Cut::Window)));
    assert!(door.answer("e1", committed("")).await && door.answer("e2", committed("")).await);
    requests.close();
    tokio::time::timeout(PATIENCE, requests.wait()).await.expect("all end");
}

#[tokio::test]
async fn a_cancel_gives_the_share_back_and_the_event_goes_on() {
    let door = Held::default();
    let mut router = Router::greeted(BOUNDS, door.clone()).await;
    router.send(&[request(1, 10), request(2, 10), Frame::Cancel { stream: 1 }, request(3, 10)]).await;
    assert_eq!(router.next().await, reply(1, Outcome::Late));
    assert!(door.answer("e1", committed("one")).await, "the event is still worked on");
    assert!(door.answer("e3", committed("three")).await);
    assert_eq!(router.next().await, reply(3, committed("three")));
}

#[tokio::test]
async fn a_stopping_pod_says_goaway_answers_what_runs_and_closes() {
    let door = Held::default();
    let mut router = Router::greeted(BOUNDS, door.clone()).await;
    router.send(&[request(1, 10)]).await;
    door.wait("e1").await;
    router.stop.cancel();
    assert_eq!(router.next().await, Some(Frame::Goaway));
    router.send(&[request(2, 10)]).await;
    assert!(
        matches!(router.next().await, Some(Frame::Reply { stream: 2, outcome }) if matches!(*outcome, Outcome::NotServing { .. }))
    );
    assert!(door.answer("e1", committed("one")).await);
    assert_eq!(router.next().await, reply(1, committed("one")));
    assert!(matches!(router.end().await, End::Stopped));
}

#[tokio::test]
async fn frames_may_arrive_a_byte_at_a_time() {
    let door = Held::default();
    let mut router = Router::greeted(BOUNDS, door.clone()).await;
    let mut bytes = BytesMut::new();
    encode(&request(1, 30), &mut bytes);
    for byte in bytes {
        router.raw(&[byte]).await;
    }
    assert!(door.answer("e1", committed("one")).await);
    assert_eq!(router.next().await, reply(1, committed("one")));
}

#[tokio::test]
async fn a_frame_of_an_unknown_kind_cuts_the_link() {
    let mut router = Router::greeted(BOUNDS, Held::default()).await;
    router.raw(&[0, 0, 0, 0, 99, 0, 0, 0, 0, 0, 0, 0]).await;
    assert!(matches!(router.end().await, End::Cut(Cut::Bytes(_))));
}

#[tokio::test]
async fn a_frame_over_the_limit_is_refused_by_its_head_alone() {
    let mut router = Router::greeted(BOUNDS, Held::default()).await;
    router.raw(&[0xff, 0xff, 0xff, 0x7f, 2, 0, 0, 0, 1, 0, 0, 0]).await;
    assert!(matches!(router.end().await, End::Cut(Cut::Bytes(_))));
}

#[tokio::test]
async fn half_a_frame_and_an_end_close_the_link_quietly() {
    let mut router = Router::greeted(BOUNDS, Held::default()).await;
    let mut bytes = BytesMut::new();
    encode(&request(1, 30), &mut bytes);
    router.raw(&bytes[..20]).await;
    router.socket.shutdown().await.expect("half closed");
    assert!(matches!(router.end().await, End::Closed));
}

#[tokio::test]
async fn a_silent_peer_is_cut_off() {
    let bounds = Bounds { silence: Duration::from_millis(500), ..BOUNDS };
    let router = Router::greeted(bounds, Held::default()).await;
    assert!(matches!(router.end().await, End::Silent(_)));
}

#[tokio::test]
async fn a_peer_that_takes_nothing_is_cut_off_although_it_talks() {
    let bounds = Bounds { silence: Duration::from_millis(300), ..BOUNDS };
    let mut router = Router::greeted(bounds, Held::default()).await;
    let (mut pings, begun) = (BytesMut::new(), tokio::time::Instant::now());
    (0..10_000).for_each(|_| encode(&Frame::Ping, &mut pings));
    // Until the pongs fill every buffer on the way, the gateway reads no further, and in the end hangs up.
    while tokio::time::timeout(PATIENCE, router.socket.write_all(&pings)).await.expect("cut off in time").is_ok() {
        assert!(begun.elapsed() < 2 * PATIENCE);
    }
    let ended = tokio::time::timeout(PATIENCE, router.line).await.expect("ends in time").expect("no panic").0;
    assert!(matches!(ended, End::Silent(_)), "{ended:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_bytes_make_a_link_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), greet: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut router = Router::connect(BOUNDS, Held::default()).await;
            if greet {
                router.send(&[hello_frame(Hello::CURRENT)]).await;
            }
            // The link may be cut before all is written.
            let _ = router.socket.write_all(&bytes).await;
            let _ = router.socket.shutdown().await;
            let ended = router.end().await;
            assert!(matches!(ended, End::Closed | End::Cut(_) | End::Broken(_)), "{ended:?}");
        });
    }
}
