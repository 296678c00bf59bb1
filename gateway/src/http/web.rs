//! `/g/{target}/…`: a router hands web traffic over. Decides who may (the services' token has a header of its own, for
//! `Authorization` is the application's) and under which epoch; marks what is the pod's own answer and not the
//! application's.

use super::{App, door::admit};
use crate::ownership::Denied;
use crate::web::Admitted;
use axum::{extract::Request, extract::State, response::IntoResponse, response::Response};
use http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts};
use hyper::body::Body as _;
use shared::http::relay::{EPOCH, OWNER, REFUSED, SERVICE_TOKEN, WebPath};
use shared::{
    Epoch, Problem, TargetId,
    http::{Facts, linger},
    telemetry::trace::TraceContext,
};
use std::time::Duration;

/// How long a router waits for a pod that is behind it, beyond what the door allows: no bound of its own.
const MOST: Duration = Duration::MAX;

pub(super) async fn pass(State(app): State<App>, request: Request) -> Response {
    let sampled = TraceContext::current().is_some_and(|span| span.sampled());
    let target =
        sampled.then(|| WebPath::read(request.uri(), request.headers()).ok()).flatten().map(|path| path.target);
    let mut answer = match try_pass(&app, request).await {
        Ok(answer) => {
            app.web.count("answered");
            answer
        }
        Err(Refusal { problem, owner, epoch }) => {
            app.web.count(&problem.code);
            let code = HeaderValue::try_from(problem.code.clone()).ok();
            let mut answer = problem.into_response();
            let own = [
                (REFUSED, code),
                (OWNER, owner.and_then(|owner| HeaderValue::try_from(owner).ok())),
                (EPOCH, epoch.map(|epoch| HeaderValue::from(epoch.0))),
            ];
            answer.headers_mut().extend(own.into_iter().filter_map(|(name, value)| Some((name, value?))));
            answer
        }
    };
    if let Some(target) = target {
        answer.extensions_mut().insert(Facts(vec![("berth.target", target.to_string().into())]));
    }
    answer
}

/// Why the pod itself answers.
struct Refusal {
    problem: Problem,
    owner: Option<String>,
    epoch: Option<Epoch>,
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self { problem, owner: None, epoch: None }
    }
}

async fn try_pass(app: &App, request: Request) -> Result<Response, Refusal> {
    let (head, body) = request.into_parts();
    let (path, admitted) = match admitted(app, &head).await {
        Ok(admitted) => admitted,
        Err(refusal) => {
            // Who waits to be told to go on sends no body.
            if !body.is_end_stream() && !head.headers.contains_key(header::EXPECT) {
                linger(body);
            }
            return Err(refusal);
        }
    };
    Ok(app.web.pass(admitted, &path, Request::from_parts(head, body)).await?)
}

/// Says whether a request may be handed on, and under what.
async fn admitted(app: &App, head: &Parts) -> Result<(WebPath, Admitted), Refusal> {
    let token = head.headers.get(SERVICE_TOKEN).map_or(&b""[..], HeaderValue::as_bytes);
    if !app.tokens.accept(token) {
        return Err(Problem::unauthorized("send Berth-Service-Token with a valid token").into());
    }
    let path = WebPath::read(&head.uri, &head.headers).map_err(|why| Problem::bad_request(why.to_string()))?;
    let epoch = epoch(&head.headers).ok_or_else(|| Problem::bad_request("send Berth-Epoch with a number"))?;
    let ownership = app.door.ownership();
    let guard = admit(ownership, &path.target, epoch, MOST).await.map_err(|why| denied(app, &path.target, why))?;
    let admitted = app.web.admit(guard, &path.target)?;
    Ok((path, admitted))
}

fn epoch(headers: &HeaderMap) -> Option<Epoch> {
    headers.get(EPOCH)?.to_str().ok()?.parse().ok().map(Epoch)
}

fn denied(app: &App, target: &TargetId, why: Denied) -> Refusal {
    match why {
        Denied::NotOwner { epoch } => Refusal {
            problem: Problem::new(StatusCode::MISDIRECTED_REQUEST, "not-owner", "this pod does not own the target"),
            owner: app.door.ownership().owner(target).map(|owner| owner.to_string()),
            epoch: Some(epoch),
        },
        Denied::NotServing(_) | Denied::Quarantined | Denied::Moving => {
            Problem::unavailable("not-serving", why.to_string()).into()
        }
    }
}
