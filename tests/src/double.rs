//! The double of a platform's API: an HTTP server that records each call and answers with the status it was told.

use crate::wait::eventually;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU16, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{net::TcpListener, task::JoinSet};

/// How long the end of a caller may take to be noticed, on a busy machine.
const ENDS: Duration = Duration::from_secs(60);

/// A call that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as text.
    pub body: String,
}

/// The double. It stops when it is dropped.
#[derive(Debug)]
pub struct PlatformDouble {
    host: String,
    calls: Arc<Mutex<Vec<Call>>>,
    status: Arc<AtomicU16>,
    open: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl PlatformDouble {
    /// Starts the double; it answers 200 until it is told otherwise.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start() -> Self {
        Self::start_at("127.0.0.1").await
    }

    /// Starts the double on another address of this machine.
    ///
    /// # Panics
    /// When the address is not this machine's, or no port is free.
    pub async fn start_at(address: &str) -> Self {
        let listener = TcpListener::bind((address, 0)).await.expect("a free port");
        let host = listener.local_addr().expect("a bound listener").to_string();
        let (calls, status) = (Arc::<Mutex<Vec<Call>>>::default(), Arc::new(AtomicU16::new(200)));
        let open = Arc::<AtomicUsize>::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, Arc::clone(&calls), Arc::clone(&status), Arc::clone(&open)));
        Self { host, calls, status, open, _tasks: tasks }
    }

    /// Returns its address, `host:port`.
    pub fn host(&self) -> String {
        self.host.clone()
    }

    /// Answers with `status` from now on.
    pub fn answer_with(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// Returns how many calls have arrived so far.
    pub fn count(&self) -> usize {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Waits until nobody is connected any more: what somebody sent who has ended since has arrived then.
    ///
    /// # Panics
    /// When somebody stays.
    pub async fn left(&self) {
        eventually("nobody is connected", ENDS, async || (self.open.load(Ordering::SeqCst) == 0).then_some(())).await;
    }

    /// Returns what has arrived so far.
    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn serve(listener: TcpListener, calls: Arc<Mutex<Vec<Call>>>, status: Arc<AtomicU16>, open: Arc<AtomicUsize>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (calls, status, open) = (Arc::clone(&calls), Arc::clone(&status), Arc::clone(&open));
        open.fetch_add(1, Ordering::SeqCst);
        connections.spawn(async move {
            let service = service_fn(move |request| record(request, Arc::clone(&calls), Arc::clone(&status)));
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

async fn record(
    request: Request<Incoming>,
    calls: Arc<Mutex<Vec<Call>>>,
    status: Arc<AtomicU16>,
) -> Result<Response<Full<bytes::Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let headers = head.headers.iter();
    let call = Call {
        method: head.method.to_string(),
        path: head.uri.path_and_query().map_or_else(String::new, ToString::to_string),
        headers: headers
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = http::StatusCode::from_u16(status.load(Ordering::SeqCst)).unwrap_or_default();
    Ok(answer)
}
