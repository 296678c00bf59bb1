//! The double of a bot's own web application: an HTTP/1.1 server whose paths do what their last part says, and which
//! counts what reached it.
//!
//! ```text
//! …/echo        method, path, headers and length of the body, as JSON
//! …/digest      SHA-256 and length of the body, taken piece by piece
//! …/bytes?n     n bytes, made while they are read
//! …/events      server-sent events, one at once and one for each push
//! …/hang        nothing, for ever
//! …/die         half an answer, then the connection is gone
//! …/trailers    a body with a trailer
//! …/socket      leaves HTTP and says back whatever it hears
//! …/describe    what a handler says of itself: that it serves pages too; an event posted to …/events is done
//! …/headers     the response headers that `x-answer` lists, `name=value;…`
//! ```

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use hyper::{
    body::{Body, Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};
use tokio::{net::TcpListener, sync::broadcast, task::JoinSet};

type Answer = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// The double. It stops when it is dropped.
#[derive(Debug)]
pub struct WebDouble {
    port: u16,
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    calls: Mutex<Vec<String>>,
    pushes: broadcast::Sender<()>,
    /// Answers that hang or stream now.
    open: Arc<AtomicUsize>,
}

impl WebDouble {
    /// Starts the double.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("a bound listener").port();
        let shared =
            Arc::new(Shared { calls: Mutex::default(), pushes: broadcast::Sender::new(64), open: Arc::default() });
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, Arc::clone(&shared)));
        Self { port, shared, tasks }
    }

    /// Ends: whoever comes from now on finds nobody.
    pub async fn end(mut self) {
        self.tasks.shutdown().await;
    }

    /// Returns its URL.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns what has been asked for so far: method and path.
    pub fn calls(&self) -> Vec<String> {
        self.shared.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns how often a path with this end was asked for.
    pub fn count(&self, end: &str) -> usize {
        self.calls().iter().filter(|call| call.ends_with(end)).count()
    }

    /// Sends one more event to everybody who listens.
    pub fn push(&self) {
        let _ = self.shared.pushes.send(());
    }

    /// Returns how many answers hang, stream or are tunnels now.
    pub fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }
}

/// Counts itself while it lives.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let service = service_fn(move |request| answer(request, Arc::clone(&shared)));
            let http = hyper::server::conn::http1::Builder::new();
            let _ = http.serve_connection(TokioIo::new(stream), service).with_upgrades().await;
        });
    }
}

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Answer, hyper::Error> {
    let path = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
    let call = format!("{} {path}", request.method());
    shared.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    let last = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
    Ok(match last.as_str() {
        "describe" => text(json!({"api": ["1"], "name": "pages", "web": true}).to_string()),
        "events" if request.method() == http::Method::POST => text("{}".to_owned()),
        "digest" => digest(request).await?,
        "bytes" => {
            let wanted = request.uri().query().and_then(|n| n.parse().ok()).unwrap_or(0);
            whole(Zeros(wanted))
        }
        "events" => {
            let mut answer = whole(Events::new(&shared));
            answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
            answer
        }
        "hang" => {
            let _open = Open::new(&shared.open);
            std::future::pending().await
        }
        "die" => whole(Script(VecDeque::from([
            Ok(Frame::data(Bytes::from_static(b"half"))),
            Err(io::Error::other("told to die")),
        ]))),
        "trailers" => {
            let trailers =
                http::HeaderMap::from_iter([(HeaderName::from_static("x-sum"), HeaderValue::from_static("42"))]);
            let pieces = VecDeque::from([Ok(Frame::data(Bytes::from_static(b"body"))), Ok(Frame::trailers(trailers))]);
            let mut answer = whole(Script(pieces));
            answer.headers_mut().insert(header::TRAILER, HeaderValue::from_static("x-sum"));
            answer
        }
        "socket" => socket(request, &shared),
        "headers" => headers(&request),
        _ => echo(request).await?,
    })
}

fn whole(body: impl Body<Data = Bytes, Error = io::Error> + Send + 'static) -> Answer {
    Response::new(body.boxed_unsync())
}

fn text(text: String) -> Answer {
    whole(Script(VecDeque::from([Ok(Frame::data(Bytes::from(text)))])))
}

async fn echo(request: Request<Incoming>) -> Result<Answer, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let headers: Vec<_> = head
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let path = head.uri.to_string();
    let said = json!({"method": head.method.as_str(), "path": path, "headers": headers, "length": body.len()});
    Ok(text(said.to_string()))
}

async fn digest(request: Request<Incoming>) -> Result<Answer, hyper::Error> {
    let (mut body, mut digest, mut length) = (request.into_body(), Sha256::new(), 0);
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            digest.update(&data);
            length += data.len();
        }
    }
    Ok(text(format!("{length} {}", hex::encode(digest.finalize()))))
}

fn headers(request: &Request<Incoming>) -> Answer {
    let mut answer = text("x".to_owned());
    let listed = request.headers().get("x-answer").and_then(|value| value.to_str().ok()).unwrap_or_default();
    for (name, value) in listed.split(';').filter_map(|pair| pair.split_once('=')) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            answer.headers_mut().append(name, value);
        }
    }
    answer
}

fn socket(mut request: Request<Incoming>, shared: &Shared) -> Answer {
    let mut answer = whole(Script(VecDeque::new()));
    let Some(protocol) = request.headers().get(header::UPGRADE).cloned() else {
        *answer.status_mut() = StatusCode::UPGRADE_REQUIRED;
        return answer;
    };
    let open = Open::new(&shared.open);
    let upgrade = hyper::upgrade::on(&mut request);
    shared::shutdown::spawn(async move {
        let _open = open;
        if let Ok(socket) = upgrade.await {
            let (mut read, mut write) = tokio::io::split(TokioIo::new(socket));
            let _ = tokio::io::copy(&mut read, &mut write).await;
            let _ = tokio::io::AsyncWriteExt::shutdown(&mut write).await;
        }
    });
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    answer.headers_mut().insert(header::UPGRADE, protocol);
    if let Some(key) = request.headers().get("sec-websocket-key").cloned() {
        answer.headers_mut().insert("sec-websocket-accept", key);
    }
    answer
}

/// Pieces written down beforehand.
struct Script(VecDeque<Result<Frame<Bytes>, io::Error>>);

impl Body for Script {
    type Data = Bytes;
    type Error = io::Error;

    /// What came before an error is sent before it: the error's turn is the second one.
    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.0.pop_front() {
            Some(Err(why)) if why.kind() == io::ErrorKind::Other => {
                self.0.push_front(Err(io::Error::new(io::ErrorKind::BrokenPipe, why)));
                context.waker().wake_by_ref();
                Poll::Pending
            }
            piece => Poll::Ready(piece),
        }
    }
}

/// That many zeros, made as they are read.
struct Zeros(usize);

impl Body for Zeros {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        static ZEROS: [u8; 32 << 10] = [0; 32 << 10];
        let some = self.0.min(ZEROS.len());
        self.0 -= some;
        Poll::Ready((some > 0).then(|| Ok(Frame::data(Bytes::from_static(&ZEROS[..some])))))
    }
}

/// Events: the first at once, then one for each push.
struct Events {
    next: Pin<Box<dyn Future<Output = broadcast::Receiver<()>> + Send>>,
    sent: usize,
    _open: Open,
}

impl Events {
    fn new(shared: &Shared) -> Self {
        let pushes = shared.pushes.subscribe();
        Self { next: Box::pin(std::future::ready(pushes)), sent: 0, _open: Open::new(&shared.open) }
    }
}

impl Body for Events {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let mut pushes = ready!(self.next.as_mut().poll(context));
        let event = format!("data: {}\n\n", self.sent);
        self.sent += 1;
        self.next = Box::pin(async move {
            let _ = pushes.recv().await;
            pushes
        });
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(event)))))
    }
}
