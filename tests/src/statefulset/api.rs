//! What the API answers: one StatefulSet, its pods, watches of both, and its scale.

use super::{State, locked};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    net::TcpListener,
    task::JoinSet,
    time::{Instant, sleep},
};

const SETS: &str = "/apis/apps/v1/namespaces/story/statefulsets";
const PODS: &str = "/api/v1/namespaces/story/pods";
/// How often a watch looks whether there is news.
const LOOK: Duration = Duration::from_millis(50);

/// Serves for ever.
pub(super) async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        connections.spawn(async move {
            let service = service_fn(move |request| answer(request, Arc::clone(&state)));
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(request: Request<Incoming>, state: Arc<Mutex<State>>) -> Result<Response<Full<Bytes>>, io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let query = head.uri.query().unwrap_or_default().to_owned();
    let watches = query.contains("watch=true");
    let path = head.uri.path();
    let (resource, verb) = match (path, &head.method) {
        (SETS | PODS, &Method::GET) => {
            (path.rsplit('/').next().unwrap_or_default(), if watches { "watch" } else { "list" })
        }
        _ if path == format!("{SETS}/gateway") => ("statefulsets", "get"),
        _ if path == format!("{SETS}/gateway/scale") && head.method == Method::PATCH => ("statefulsets/scale", "patch"),
        _ => return Ok(failed(404, "NotFound", "there is nothing here")),
    };
    {
        let state = locked(&state);
        if state.away {
            return Err(io::Error::other("the API is away"));
        }
        if state.forbidden.contains(&(verb.to_owned(), resource.to_owned())) {
            return Ok(failed(403, "Forbidden", &format!("User \"story\" cannot {verb} resource \"{resource}\"")));
        }
    }
    match (resource, verb) {
        ("statefulsets", "get") => Ok(json_of(200, &set(&locked(&state)))),
        ("pods", "list") => Ok(json_of(200, &pods(&locked(&state)))),
        (_, "watch") => watch(&state, resource, &query).await,
        ("statefulsets/scale", _) => Ok(patch(&mut locked(&state), &body)),
        _ => Ok(failed(405, "MethodNotAllowed", "the double does not do this")),
    }
}

/// Waits for news since the version in the query, and tells them in one event; the connection ends then, as it may any time.
async fn watch(state: &Mutex<State>, resource: &str, query: &str) -> Result<Response<Full<Bytes>>, io::Error> {
    let value =
        |name: &str| query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('=')?.parse::<u64>().ok());
    let since = value("resourceVersion").unwrap_or_default();
    let end = Instant::now() + Duration::from_secs(value("timeoutSeconds").unwrap_or(30));
    if locked(state).forgetful {
        let gone = json!({ "type": "ERROR", "object": status(410, "Expired", "too old resource version") });
        return Ok(json_of(200, &gone));
    }
    loop {
        {
            let state = locked(state);
            if state.away {
                return Err(io::Error::other("the API is away"));
            }
            let (version, object) = match resource {
                "pods" => (state.versions.1, pods(&state)["items"][0].clone()),
                _ => (state.versions.0, set(&state)),
            };
            if version > since {
                return Ok(json_of(200, &json!({ "type": "MODIFIED", "object": object })));
            }
        }
        if Instant::now() >= end {
            return Ok(Response::new(Full::default()));
        }
        sleep(LOOK).await;
    }
}

fn set(state: &State) -> Value {
    let running = state.pods.len();
    json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": { "name": "gateway", "namespace": "story", "resourceVersion": state.versions.0.to_string() },
        "spec": {
            "replicas": state.replicas,
            "podManagementPolicy": "Parallel",
            "selector": { "matchLabels": { "app": "gateway" } },
            "serviceName": "gateway",
            "template": {},
        },
        "status": { "replicas": running, "readyReplicas": running, "currentRevision": "1", "updateRevision": "1" },
    })
}

fn pods(state: &State) -> Value {
    let version = state.versions.1.to_string();
    let item = |ordinal: &u32| {
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": { "name": format!("gateway-{ordinal}"), "namespace": "story", "resourceVersion": version },
        })
    };
    let items: Vec<_> = state.pods.keys().map(item).collect();
    json!({ "apiVersion": "v1", "kind": "PodList", "metadata": { "resourceVersion": version }, "items": items })
}

fn patch(state: &mut State, body: &[u8]) -> Response<Full<Bytes>> {
    let Ok(patch) = serde_json::from_slice::<Value>(body) else { return failed(400, "BadRequest", "no JSON") };
    let version = patch["metadata"]["resourceVersion"].as_str();
    if version.is_some_and(|version| version != state.versions.0.to_string()) {
        return failed(409, "Conflict", "the object has been modified");
    }
    let Some(replicas) = patch["spec"]["replicas"].as_u64().and_then(|n| u32::try_from(n).ok()) else {
        return failed(422, "Invalid", "no replicas");
    };
    state.replicas = replicas;
    state.versions.0 += 1;
    state.patched += 1;
    let metadata = json!({ "name": "gateway", "namespace": "story", "resourceVersion": state.versions.0.to_string() });
    let scale = json!({
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": metadata,
        "spec": { "replicas": replicas },
        "status": { "replicas": state.pods.len() },
    });
    json_of(200, &scale)
}

fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message, "metadata": {} })
}

fn failed(code: u16, reason: &str, message: &str) -> Response<Full<Bytes>> {
    json_of(code, &status(code, reason, message))
}

fn json_of(code: u16, value: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(format!("{value}\n")));
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or_default();
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}
