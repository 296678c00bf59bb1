//! The bot on Discord: permits to identify, the budget they come from, sessions of programs that hold their connections
//! themselves, and the pods' slices of its REST requests. Says what a refusal's `Retry-After` is; when a shard may identify is `identify`'s to say.

use super::{
    Api,
    auth::{Reader, Service, Worker},
    body::{Body, Name, Params},
    docs::{Doc, Routes},
    problems::unprocessable,
};
use crate::identify::{IdentifyError, Wanted};
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, header};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use shared::{
    Problem,
    wire::{
        discord::{
            BudgetStatus, KeepSessions, MAX_SESSIONS, MAX_SHARDS, Permit, PermitAsk, Session, SessionsDropped,
            SessionsKept, Shard, ShardPlan, ShardReport, ShardsStatus,
        },
        rest::{RestAsk, RestSlice, RestStatus},
    },
};
use std::time::Duration;

/// Where permits are asked for: such a request may take long.
pub(super) const PERMITS: &str = "/v1/discord/permits";

/// Adds the routes.
pub(super) fn routes(routes: Routes) -> Routes {
    let permit_doc = Doc::new("Get a permit for a shard to identify")
        .text(
            "Waits until the shard's turn has come, and answers with one permit, to be used at once. It is spent when it is \
             answered, whether or not anybody hears of it. Resuming a session takes none.",
        )
        .answers::<Permit>()
        .fails(&[
            "budget-unknown",
            "identify-braked",
            "identify-later",
            "identify-spent",
            "invalid",
            "no-bot",
            "token-refused",
            "too-many-waiting",
        ])
        .example(json!({ "shard": 3, "shards": 16, "wait_ms": 30_000 }));
    let budget_doc = Doc::new("Show the bot's IDENTIFY budget")
        .text("How many shards Discord recommends, how many IDENTIFYs are left and until when, and which shards use them up.")
        .answers::<BudgetStatus>()
        .fails(&["budget-unknown"]);
    let keep_doc = Doc::new("Keep sessions")
        .text(
            "For programs that hold their connections themselves. What nobody has written for a day is forgotten: no session \
             can be resumed after that.",
        )
        .answers::<SessionsKept>()
        .fails(&["invalid"])
        .example(json!({ "sessions": [{
            "shardId": 3, "shardCount": 16, "sessionId": "0f1e", "resumeURL": "wss://gateway.discord.gg", "sequence": 1207,
        }] }));
    let session_doc = Doc::new("Show the session kept for a shard")
        .text("Of `shards` shards, or else the one that was kept last.")
        .answers::<Session>()
        .fails(&["not-found"]);
    let drop_doc = Doc::new("Forget the session kept for a shard")
        .text("Of `shards` shards, or else all of this number: it has ended, and is not to be resumed.")
        .answers::<SessionsDropped>();
    let slice_doc = Doc::new("Get a pod's slice of a bot's REST requests")
        .text(
            "A gateway says how many slots it keeps and how many it could use, and is told how many it has for a term. What it \
             keeps counts only when it has heard the last answer.",
        )
        .answers::<RestSlice>()
        .fails(&["invalid"]);
    let rest_doc = Doc::new("Show who has which part of the bots' REST requests")
        .text("How many requests a second there are, how they are shared out among the pods, and which pods send nothing.")
        .answers::<RestStatus>();
    let stand_doc = Doc::new("Say how a pod's shards stand")
        .text("Gateways do this themselves, every second. The answer says which shards the bot has, and is to have.")
        .answers::<ShardPlan>();
    let shards_doc = Doc::new("Show the bot's shards")
        .text(
            "How many the bot has, how far a change of that is, and how each stands at its holder, as that said within the last \
             seconds.",
        )
        .answers::<ShardsStatus>();
    routes
        .post("/v1/discord/rest", slice, slice_doc.asks_leader())
        .get("/v1/discord/rest", rest, rest_doc.asks_leader())
        .post("/v1/discord/shards", stand, stand_doc.asks_leader())
        .get("/v1/discord/shards", shards, shards_doc.asks_leader())
        .post(PERMITS, permit, permit_doc.asks_leader())
        .get("/v1/discord/budget", budget, budget_doc.asks_leader())
        .post("/v1/discord/sessions", keep, keep_doc.asks_leader())
        .get("/v1/discord/sessions/{shard}", session, session_doc.asks_leader())
        .delete("/v1/discord/sessions/{shard}", forget, drop_doc.asks_leader())
}

/// What every refusal is: one that says when it makes sense to ask again, or an ordinary problem.
enum Instead {
    Refused(IdentifyError),
    Problem(Problem),
}

impl From<IdentifyError> for Instead {
    fn from(why: IdentifyError) -> Self {
        Self::Refused(why)
    }
}

impl From<Problem> for Instead {
    fn from(why: Problem) -> Self {
        Self::Problem(why)
    }
}

impl IntoResponse for Instead {
    fn into_response(self) -> Response {
        let (problem, after) = match self {
            Self::Refused(why) => {
                let after = why.after();
                (Problem::from(why), after)
            }
            Self::Problem(problem) => (problem, None),
        };
        let mut response = problem.into_response();
        // Whole seconds, and not a moment too early.
        let seconds = after.map(|after| after.as_millis().div_ceil(1_000).max(1).to_string());
        if let Some(value) = seconds.and_then(|seconds| HeaderValue::from_str(&seconds).ok()) {
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        response
    }
}

/// Which of several numbers of shards is meant.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Of {
    /// How many shards there are.
    #[schemars(range(min = 1, max = 16_384))]
    shards: Option<u32>,
}

impl Of {
    fn checked(&self) -> Result<Option<u32>, Problem> {
        match self.shards {
            Some(shards) if !(1..=MAX_SHARDS).contains(&shards) => {
                Err(Problem::bad_request(format!("`shards` is 1 to {MAX_SHARDS}")))
            }
            shards => Ok(shards),
        }
    }
}

async fn permit(State(api): State<Api>, _: Worker, Body(ask): Body<PermitAsk>) -> Result<Json<Permit>, Instead> {
    let PermitAsk { shard, shards, refused_session, wait_ms } = ask;
    let shard = named(shard, shards)?;
    check("refused_session", refused_session.as_deref(), 200)?;
    let wait = wait_ms.map(Duration::from_millis);
    Ok(Json(api.identify.permit(Wanted { shard, refused: refused_session, wait }).await?))
}

async fn budget(State(api): State<Api>, _: Reader) -> Result<Json<BudgetStatus>, Instead> {
    Ok(Json(api.identify.budget().await?))
}

async fn slice(State(api): State<Api>, _: Service, Body(ask): Body<RestAsk>) -> Result<Json<RestSlice>, Problem> {
    check("bot", Some(&ask.bot), 64)?;
    Ok(Json(api.rest.slice(ask).await?))
}

async fn rest(State(api): State<Api>, _: Reader) -> Result<Json<RestStatus>, Problem> {
    Ok(Json(api.rest.status().await?))
}

async fn stand(State(api): State<Api>, _: Service, Body(said): Body<ShardReport>) -> Result<Json<ShardPlan>, Problem> {
    Ok(Json(api.identify.shards_stand(said).await?))
}

async fn shards(State(api): State<Api>, _: Reader) -> Result<Json<ShardsStatus>, Problem> {
    Ok(Json(api.identify.shards().await?))
}

async fn keep(
    State(api): State<Api>,
    _: Worker,
    Body(body): Body<KeepSessions>,
) -> Result<Json<SessionsKept>, Instead> {
    let kept = body.sessions.len();
    if kept > MAX_SESSIONS {
        return Err(unprocessable("invalid", &format!("at most {MAX_SESSIONS} sessions are kept at once")).into());
    }
    for session in &body.sessions {
        named(session.shard_id, session.shard_count)?;
        check("sessionId", Some(&session.session_id), 200)?;
        check("resumeURL", Some(&session.resume_url), 500)?;
        if i64::try_from(session.sequence).is_err() {
            return Err(unprocessable("invalid", &format!("`sequence` is at most {}", i64::MAX)).into());
        }
    }
    if kept > 0 {
        api.identify.keep(body.sessions).await?;
    }
    Ok(Json(SessionsKept { kept: kept as u64 }))
}

async fn session(
    State(api): State<Api>,
    _: Worker,
    Name(shard): Name<u32>,
    Params(of): Params<Of>,
) -> Result<Json<Session>, Instead> {
    let found = api.identify.session(shard, of.checked()?).await?;
    let found = found.ok_or_else(|| Problem::not_found(format!("no session of shard {shard} is kept")))?;
    Ok(Json(found))
}

async fn forget(
    State(api): State<Api>,
    _: Worker,
    Name(shard): Name<u32>,
    Params(of): Params<Of>,
) -> Result<Json<SessionsDropped>, Instead> {
    Ok(Json(SessionsDropped { dropped: api.identify.forget(shard, of.checked()?).await? }))
}

fn named(shard: u32, shards: u32) -> Result<Shard, Problem> {
    Shard::new(shard, shards).map_err(|why| unprocessable("invalid", &why.to_string()))
}

/// Refuses a text that is empty, too long, or that a database does not take.
fn check(name: &str, text: Option<&str>, most: usize) -> Result<(), Problem> {
    let fits = text.is_none_or(|text| (1..=most).contains(&text.len()) && !text.contains(char::is_control));
    let said = || unprocessable("invalid", &format!("{name} has 1 to {most} characters, and none of control"));
    if fits { Ok(()) } else { Err(said()) }
}
