//! What the stories stand on: a gateway's end of the link, written by hand over a real socket, and a config-service that
//! says what it is told. The real services meet in the tests crate; these are for what the real ones do rarely.

use crate::Problem;
use crate::event::{Answer, Event, EventKind};
use crate::http::{Client, ServeLimits, bind, serve};
use crate::router::forward::{LinkOptions, Links};
use crate::settings::Secret;
use crate::shutdown::Shutdown;
use crate::wire::Hello;
use crate::wire::control::{Assignment, Place, Placed, PodInfo, Watch};
use crate::wire::link::{Frame, Outcome, Request, Window, decode, encode};
use crate::{Epoch, PodId, Revision, TargetId};
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use hyper::body::Frame as BodyFrame;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

/// The longest a story waits for anything.
pub const SOON: Duration = Duration::from_secs(60);

/// A window that nothing fills.
pub const WIDE: Window = Window { requests: 100, bytes: 1 << 20 };

/// Returns a pod of this name.
///
/// # Panics
/// When it is none.
pub fn pod(name: &str) -> PodId {
    name.parse().expect("a pod")
}

/// Returns a target of this name.
///
/// # Panics
/// When it is none.
pub fn target(name: &str) -> TargetId {
    name.parse().expect("a target")
}

/// Returns where a pod is.
///
/// # Panics
/// When the name is none.
pub fn pod_info(name: &str, address: &str, revision: u64) -> PodInfo {
    PodInfo {
        pod: pod(name),
        address: address.to_owned(),
        incarnation: "0190163d-8694-739b-aea5-966c26f8ad91".parse().expect("a UUID"),
        zone: None,
        capacity: 1.0,
        revision: Revision(revision),
    }
}

/// Returns a target with its owner.
///
/// # Panics
/// When a name is none.
pub fn assignment(name: &str, owner: &str, epoch: u64, revision: u64) -> Assignment {
    Assignment {
        target: target(name),
        pod: pod(owner),
        epoch: Epoch(epoch),
        revision: Revision(revision),
        parent: None,
        reason: "first-contact".to_owned(),
        since_ms: 0,
        state: Default::default(),
        data: None,
    }
}

/// Returns a request with so many bytes of body.
pub fn request(id: &str, body: usize) -> Request {
    let event = Event {
        target: target("github:key:repository.1"),
        parent: None,
        platform: crate::Platform::Github,
        kind: EventKind::GithubEvent,
        source: "github".to_owned(),
        id: id.to_owned(),
        received_at: 0,
        headers: vec![],
        body: vec![b'x'; body].into(),
    };
    Request { event, epoch: Epoch(1), revision: Revision(1), deadline_ms: 5_000, trace: None }
}

/// Returns what an owner says that has committed.
pub fn committed(body: &str) -> Outcome {
    let answer = Answer { status: 202, headers: vec![("x-berth".into(), "1".into())], body: body.to_owned().into() };
    Outcome::Committed { answer, duplicate: false }
}

/// Returns links that wait so long, and what ends them.
pub fn links(timeout: Duration) -> (Links, Shutdown) {
    let options = LinkOptions {
        token: Secret::new("token"),
        name: "router".to_owned(),
        timeout,
        max_frame: 1 << 20,
        except: None,
    };
    let shutdown = Shutdown::new();
    (Links::new(options, TaskTracker::new(), shutdown.clone()), shutdown)
}

/// A pod's port.
#[derive(Debug)]
pub struct FakePod {
    listener: TcpListener,
    /// Where it is.
    pub address: String,
}

impl FakePod {
    /// Takes a port.
    ///
    /// # Panics
    /// When there is none.
    pub async fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        Self { listener, address }
    }

    /// Waits for the next upgrade request and returns it with its connection, unanswered.
    pub async fn knock(&self) -> (String, TcpStream) {
        let accepted = timeout(SOON, self.listener.accept()).await.expect("soon");
        let (mut stream, _) = accepted.expect("a connection");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(timeout(SOON, stream.read_u8()).await.expect("soon").expect("a head"));
        }
        (String::from_utf8(head).expect("ascii"), stream)
    }

    /// Accepts a link as a gateway does.
    pub async fn accept(&self, window: Window) -> PodEnd {
        let (_, stream) = self.knock().await;
        let mut end = PodEnd { stream, buffer: BytesMut::new() };
        end.raw(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: berth-link\r\n\r\n").await;
        end.send(&Frame::Hello { hello: Hello::CURRENT, name: "pod".to_owned(), window }).await;
        assert!(matches!(end.frame().await, Some(Frame::Hello { .. })));
        end
    }
}

/// A pod's end of an open link.
#[derive(Debug)]
pub struct PodEnd {
    stream: TcpStream,
    buffer: BytesMut,
}

impl PodEnd {
    /// Sends these very bytes.
    ///
    /// # Panics
    /// When the link is gone.
    pub async fn raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("written");
    }

    /// Sends a frame.
    ///
    /// # Panics
    /// When the link is gone.
    pub async fn send(&mut self, frame: &Frame) {
        let mut out = BytesMut::new();
        encode(frame, &mut out);
        self.raw(&out).await;
    }

    /// Answers a request.
    ///
    /// # Panics
    /// When the link is gone.
    pub async fn reply(&mut self, stream: u32, outcome: Outcome) {
        self.send(&Frame::Reply { stream, outcome: Box::new(outcome) }).await;
    }

    /// Returns the next frame, pings included; `None` when the router has closed the link.
    pub async fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = decode(&mut self.buffer, 1 << 22).expect("well formed") {
                return Some(frame);
            }
            let read = timeout(SOON, self.stream.read_buf(&mut self.buffer)).await.expect("soon");
            if read.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// Returns the next frame that is no ping; pings are answered.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            match self.frame().await {
                Some(Frame::Ping) => self.send(&Frame::Pong).await,
                other => return other,
            }
        }
    }

    /// Returns the next request.
    pub async fn request(&mut self) -> (u32, Request) {
        match self.next().await {
            Some(Frame::Request { stream, request }) => (stream, *request),
            other => panic!("expected a request, got {other:?}"),
        }
    }
}

/// A config-service that hands every call to the story.
#[derive(Debug)]
pub struct FakeConfig {
    /// Where it is.
    pub url: String,
    watches: mpsc::UnboundedReceiver<WatchCall>,
    places: mpsc::UnboundedReceiver<PlaceCall>,
    stop: Shutdown,
}

/// A watch that has been asked for.
#[derive(Debug)]
pub struct WatchCall {
    /// What came with it.
    pub headers: HeaderMap,
    answer: mpsc::UnboundedSender<Bytes>,
}

impl WatchCall {
    /// Sends a message.
    ///
    /// # Panics
    /// When nobody listens.
    pub fn say(&self, message: &Watch) {
        let id = message.completes().map(|revision| revision.0);
        let data = serde_json::to_string(message).expect("plain data");
        self.raw(&crate::wire::sse::write(message.name(), id, &data));
    }

    /// Sends these very characters.
    ///
    /// # Panics
    /// When nobody listens.
    pub fn raw(&self, text: &str) {
        self.answer.send(Bytes::copy_from_slice(text.as_bytes())).expect("somebody listens");
    }

    /// Waits until the other side has hung up.
    pub async fn closed(&self) {
        timeout(SOON, self.answer.closed()).await.expect("soon");
    }
}

/// A placement that has been asked for.
#[derive(Debug)]
pub struct PlaceCall {
    /// What is asked.
    pub place: Place,
    answer: oneshot::Sender<Result<Placed, Problem>>,
}

impl PlaceCall {
    /// Says that all have a home.
    ///
    /// # Panics
    /// When nobody waits.
    pub fn answer(self, revision: u64, assignments: Vec<Assignment>) {
        self.settle(Ok(Placed { revision: Revision(revision), assignments, refused: vec![] }));
    }

    /// Answers as the story likes.
    ///
    /// # Panics
    /// When nobody waits.
    pub fn settle(self, answer: Result<Placed, Problem>) {
        self.answer.send(answer).expect("somebody waits");
    }
}

type Hooks = (mpsc::UnboundedSender<WatchCall>, mpsc::UnboundedSender<PlaceCall>);

impl FakeConfig {
    /// Starts on a free port.
    ///
    /// # Panics
    /// When there is none.
    pub async fn start() -> Self {
        let bound = bind("127.0.0.1:0".parse().expect("an address"), "").await.expect("a port");
        let url = format!("http://{}", bound.address);
        let ((watching, watches), (placing, places)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let stop = Shutdown::new();
        let router = axum::Router::new()
            .route("/v1/watch", get(watch))
            .route("/v1/targets/place", post(place))
            .with_state((watching, placing));
        crate::shutdown::spawn(serve(bound, router, ServeLimits::default(), stop.clone()));
        Self { url, watches, places, stop }
    }

    /// Returns a client of it.
    pub fn client(&self) -> Client {
        Client::new(&self.url, Some(Secret::new("token")), Duration::from_secs(30)).expect("a URL")
    }

    /// Waits for the next watch.
    ///
    /// # Panics
    /// When none comes.
    pub async fn watch(&mut self) -> WatchCall {
        timeout(SOON, self.watches.recv()).await.expect("soon").expect("runs")
    }

    /// Waits for the next placement.
    ///
    /// # Panics
    /// When none comes.
    pub async fn place(&mut self) -> PlaceCall {
        timeout(SOON, self.places.recv()).await.expect("soon").expect("runs")
    }
}

impl Drop for FakeConfig {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn watch(State((hook, _)): State<Hooks>, headers: HeaderMap) -> Response {
    let (answer, chunks) = mpsc::unbounded_channel();
    let _ = hook.send(WatchCall { headers, answer });
    Response::new(Body::new(Chunks(chunks)))
}

async fn place(
    State((_, hook)): State<Hooks>,
    axum::Json(place): axum::Json<Place>,
) -> Result<axum::Json<Placed>, Problem> {
    let (answer, settled) = oneshot::channel();
    let _ = hook.send(PlaceCall { place, answer });
    settled.await.unwrap_or_else(|_| Err(Problem::internal())).map(axum::Json)
}

/// A body that is written while it is read.
struct Chunks(mpsc::UnboundedReceiver<Bytes>);

impl hyper::body::Body for Chunks {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, Self::Error>>> {
        self.0.poll_recv(cx).map(|chunk| chunk.map(|chunk| Ok(BodyFrame::data(chunk))))
    }
}
