//! The double of a collector: an HTTP server that decodes OTLP with the protocol's own types, keeps every span, and
//! answers as it is told. It shares no code with what encodes them.

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::{Span, span::SpanKind, status::StatusCode as SpanStatus},
};
use prost::Message;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{net::TcpListener, task::JoinSet};

/// What the collector answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// 200; the spans are kept.
    Takes,
    /// This status; nothing is kept.
    Answers(u16),
    /// Nothing at all.
    Hangs,
}

/// A span as it arrived.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// What describes the process that sent it.
    pub resource: BTreeMap<String, String>,
    /// The trace, in hexadecimal digits, as all ids here.
    pub trace: String,
    /// Its id.
    pub id: String,
    /// Its parent's id; empty for a root.
    pub parent: String,
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: SpanKind,
    /// Whether it failed.
    pub failed: bool,
    /// Its attributes, numbers as text.
    pub attributes: BTreeMap<String, String>,
    /// Trace and id of each span it names.
    pub links: Vec<(String, String)>,
    /// When it began and ended, in nanoseconds since the Unix epoch.
    pub time: (u64, u64),
}

impl Seen {
    /// Returns an attribute; empty when it is not there.
    pub fn get(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }

    /// Returns the service that sent it.
    pub fn service(&self) -> &str {
        self.resource.get("service.name").map_or("", String::as_str)
    }
}

#[derive(Debug)]
struct State {
    mood: Mood,
    asked: usize,
    headers: HeaderMap,
    spans: Vec<Seen>,
    bytes: Vec<u8>,
    odd: Vec<String>,
}

/// The double. It stops when it is dropped.
#[derive(Debug)]
pub struct CollectorDouble {
    port: u16,
    state: Arc<Mutex<State>>,
    _tasks: JoinSet<()>,
}

impl CollectorDouble {
    /// Starts the double.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("a bound listener").port();
        let state =
            State { mood, asked: 0, headers: HeaderMap::new(), spans: Vec::new(), bytes: Vec::new(), odd: Vec::new() };
        let state = Arc::new(Mutex::new(state));
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, Arc::clone(&state)));
        Self { port, state, _tasks: tasks }
    }

    /// Returns the endpoint to set.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Answers otherwise from now on.
    pub fn becomes(&self, mood: Mood) {
        self.with(|state| state.mood = mood);
    }

    /// Returns how many batches came, however they were answered.
    pub fn asked(&self) -> usize {
        self.with(|state| state.asked)
    }

    /// Returns a header of the newest batch; empty when it is not there.
    pub fn header(&self, name: &str) -> String {
        self.with(|state| state.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned())
    }

    /// Returns the spans so far.
    ///
    /// # Panics
    /// When something came that is not the protocol.
    pub fn spans(&self) -> Vec<Seen> {
        self.with(|state| {
            assert!(state.odd.is_empty(), "not OTLP: {:?}", state.odd);
            state.spans.clone()
        })
    }

    /// Returns whether these bytes are anywhere in what came.
    pub fn contains(&self, text: &str) -> bool {
        self.with(|state| state.bytes.windows(text.len()).any(|bytes| bytes == text.as_bytes()))
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        connections.spawn(async move {
            let service = service_fn(move |request| take(request, Arc::clone(&state)));
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn take(request: Request<Incoming>, state: Arc<Mutex<State>>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let mood = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.asked += 1;
        state.headers.clone_from(&head.headers);
        let kind = head.headers.get("content-type").and_then(|kind| kind.to_str().ok());
        match ExportTraceServiceRequest::decode(body.clone()) {
            Ok(request) if head.uri.path() == "/v1/traces" && kind == Some("application/x-protobuf") => {
                if state.mood == Mood::Takes {
                    state.spans.extend(flat(request));
                    state.bytes.extend_from_slice(&body);
                }
            }
            odd => state.odd.push(format!("{} {kind:?} {odd:?}", head.uri)),
        }
        state.mood
    };
    let status = match mood {
        Mood::Takes => StatusCode::OK,
        Mood::Answers(status) => StatusCode::from_u16(status).unwrap_or_default(),
        Mood::Hangs => std::future::pending().await,
    };
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    Ok(answer)
}

fn flat(request: ExportTraceServiceRequest) -> Vec<Seen> {
    let mut all = Vec::new();
    for of in request.resource_spans {
        let resource = attributes(of.resource.map(|resource| resource.attributes).unwrap_or_default());
        let spans = of.scope_spans.into_iter().flat_map(|scope| scope.spans);
        all.extend(spans.map(|span| seen(resource.clone(), span)));
    }
    all
}

fn seen(resource: BTreeMap<String, String>, span: Span) -> Seen {
    let kind = span.kind();
    Seen {
        resource,
        kind,
        trace: hex::encode(span.trace_id),
        id: hex::encode(span.span_id),
        parent: hex::encode(span.parent_span_id),
        name: span.name,
        failed: span.status.is_some_and(|status| status.code() == SpanStatus::Error),
        attributes: attributes(span.attributes),
        links: span.links.into_iter().map(|link| (hex::encode(link.trace_id), hex::encode(link.span_id))).collect(),
        time: (span.start_time_unix_nano, span.end_time_unix_nano),
    }
}

fn attributes(all: Vec<KeyValue>) -> BTreeMap<String, String> {
    all.into_iter().map(|pair| (pair.key, text(pair.value))).collect()
}

fn text(value: Option<AnyValue>) -> String {
    match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(flag)) => flag.to_string(),
        other => format!("{other:?}"),
    }
}
