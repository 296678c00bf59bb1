//! What every change has in common: who makes it and why, whether it is only tried (`dry_run`), whether changes are allowed
//! at all, and the `Idempotency-Key`, under which the same change is answered again instead of being made again.

use super::{
    Api,
    auth::{Actor, Grade},
    body::{Params, parse, read},
    problems::{conflict, unprocessable},
};
use crate::{
    control::Standing,
    domain::By,
    store::{KeptAnswer, MoveFilter},
};
use axum::{
    Json,
    extract::{FromRequest, FromRequestParts, Request},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, request::Parts};
use schemars::JsonSchema;
use serde::{Deserialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use shared::{
    MoveId, Problem, Revision,
    http::RequestId,
    wire::admin::{Because, MAX_REASON, REASON},
};
use std::{
    collections::HashSet,
    marker::PhantomData,
    sync::{Arc, Mutex, PoisonError},
};

/// The header that names a change.
pub(super) const KEY: &str = "idempotency-key";

/// The longest key, in bytes.
pub(super) const MAX_KEY: usize = 255;

/// Marks an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// A change with a JSON body, by somebody of grade `G`.
pub(super) struct Change<G, T> {
    /// What is to be changed.
    pub(super) body: T,
    /// On whose word.
    pub(super) by: By,
    /// Who it is.
    pub(super) actor: Actor,
    /// Whether nothing is to be changed, only said what would be.
    pub(super) dry_run: bool,
    /// Holds the key until the change is answered.
    _turn: Option<Turn>,
    _grade: PhantomData<fn() -> G>,
}

/// A removal: it has no body, so its reason stands in the query.
pub(super) struct Removal<G> {
    /// On whose word.
    pub(super) by: By,
    /// Who it is.
    pub(super) actor: Actor,
    /// Whether nothing is to be changed, only said what would be.
    pub(super) dry_run: bool,
    /// Holds the key until the removal is answered.
    _turn: Option<Turn>,
    _grade: PhantomData<fn() -> G>,
}

/// The query of a change.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Try {
    /// Changes nothing, and says what would be.
    #[serde(default)]
    dry_run: bool,
}

/// The query of a removal.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Why {
    /// Why, for the audit: 1 to 1000 characters.
    #[schemars(regex(pattern = REASON), length(max = 1000))]
    reason: String,
    /// Changes nothing, and says what would be.
    #[serde(default)]
    dry_run: bool,
}

/// Why a change is not made: something is wrong with it, or it was made before.
pub(super) enum Instead {
    /// It is refused.
    Refused(Problem),
    /// It was made before; this was the answer.
    Replayed(serde_json::Value),
}

impl From<Problem> for Instead {
    fn from(why: Problem) -> Self {
        Self::Refused(why)
    }
}

impl IntoResponse for Instead {
    fn into_response(self) -> Response {
        match self {
            Self::Refused(problem) => problem.into_response(),
            Self::Replayed(answer) => ([(REPLAYED, HeaderValue::from_static("true"))], Json(answer)).into_response(),
        }
    }
}

impl<G: Grade + Send, T: DeserializeOwned + Because + Send> FromRequest<Api> for Change<G, T> {
    type Rejection = Instead;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Instead> {
        let (mut parts, body) = request.into_parts();
        let actor = G::of(&parts.headers, api)?.actor().clone();
        let Params(Try { dry_run }) = Params::from_request_parts(&mut parts, api).await?;
        let bytes = read(Request::from_parts(parts.clone(), body), api).await?;
        let body: T = parse(&bytes)?;
        let (by, turn) = begin(&parts, api, actor.name.clone(), body.reason(), &bytes, dry_run).await?;
        Ok(Self { body, by, actor, dry_run, _turn: turn, _grade: PhantomData })
    }
}

impl<G: Grade + Send> FromRequestParts<Api> for Removal<G> {
    type Rejection = Instead;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Instead> {
        let actor = G::of(&parts.headers, api)?.actor().clone();
        let Params(Why { reason, dry_run }) = Params::from_request_parts(parts, api).await?;
        let (by, turn) = begin(parts, api, actor.name.clone(), &reason, b"", dry_run).await?;
        Ok(Self { by, actor, dry_run, _turn: turn, _grade: PhantomData })
    }
}

/// The setting that may be changed while nothing else may.
const SWITCH: &str = "/v1/settings/read-only";

async fn begin(
    parts: &Parts,
    api: &Api,
    actor: String,
    reason: &str,
    body: &[u8],
    dry_run: bool,
) -> Result<(By, Option<Turn>), Instead> {
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > MAX_REASON || reason.contains('\0') {
        return Err(Problem::bad_request("say why in `reason`, in at most 1000 characters").into());
    }
    if let Some(standing) = api.control.standing().filter(|_| parts.uri.path() != SWITCH && !dry_run) {
        writable(&standing)?;
    }
    let request_id = parts.extensions.get::<RequestId>().map(ToString::to_string).unwrap_or_default();
    let key = key(&parts.headers)?.filter(|_| !dry_run);
    let mut by = By { actor, reason: reason.to_owned(), request_id, key: None };
    let Some(key) = key else { return Ok((by, None)) };
    let turn = api.turns.take(&by.actor, &key).ok_or_else(|| {
        conflict("idempotency-in-use", "a request with this Idempotency-Key is under way; ask again when it has ended")
    })?;
    let fingerprint = fingerprint(parts, body);
    if let Some(kept) = api.control.kept(by.actor.clone(), key.clone()).await.map_err(Problem::from)? {
        return Err(replayed(api, &kept, &fingerprint).await);
    }
    by.key = Some((key, fingerprint));
    Ok((by, Some(turn)))
}

/// Says whether changes are allowed.
///
/// # Errors
/// 409 `read-only` when somebody has ended that for now.
pub(super) fn writable(standing: &Standing) -> Result<(), Problem> {
    let Some((who, why)) = &standing.values.read_only else { return Ok(()) };
    let text = format!("{who} has made the cluster read-only: {why}; DELETE {SWITCH} ends that");
    Err(conflict("read-only", &text))
}

fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(given) = headers.get(KEY) else { return Ok(None) };
    let text = given.to_str().unwrap_or_default();
    if (1..=MAX_KEY).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(Some(text.to_owned()));
    }
    Err(Problem::bad_request("an Idempotency-Key has 1 to 255 printable ASCII characters and no space"))
}

/// What was asked: method, path, query and body.
fn fingerprint(parts: &Parts, body: &[u8]) -> String {
    let mut hash = Sha256::new();
    for part in [parts.method.as_str(), parts.uri.path(), parts.uri.query().unwrap_or_default()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.update(body);
    hex::encode(hash.finalize())
}

async fn replayed(api: &Api, kept: &KeptAnswer, fingerprint: &str) -> Instead {
    if kept.fingerprint != fingerprint {
        return unprocessable("idempotency-mismatch", "this Idempotency-Key was used for another request").into();
    }
    let mut answer: serde_json::Value = serde_json::from_str(&kept.body).unwrap_or_default();
    if let Some(target) = answer["move_of"].as_str() {
        return match moved(api, target, kept.revision).await {
            Ok(entry) => Instead::Replayed(entry),
            Err(why) => why.into(),
        };
    }
    if let Some(object) = answer.as_object_mut() {
        object.insert("revision".to_owned(), kept.revision.0.into());
    }
    Instead::Replayed(answer)
}

/// The move of a target that was begun or called off at a revision, as it stands now: it has its number from the
/// transaction, so that the answer itself cannot be kept with it.
async fn moved(api: &Api, target: &str, at: Revision) -> Result<serde_json::Value, Problem> {
    let (target, before) = (target.parse().ok(), Some(MoveId(at.0 + 1)));
    let found = api.control.moves(MoveFilter { target, before, ..MoveFilter::default() }, 1).await?.pop();
    let found = found.ok_or_else(|| Problem::not_found("the move was made, and is forgotten by now"))?;
    Ok(serde_json::to_value(found).unwrap_or_default())
}

/// The keys of the changes under way. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Turns(Arc<Mutex<HashSet<(String, String)>>>);

/// A key in use, until this is dropped.
pub(super) struct Turn {
    all: Turns,
    mine: (String, String),
}

impl Turns {
    fn take(&self, actor: &str, key: &str) -> Option<Turn> {
        let mine = (actor.to_owned(), key.to_owned());
        let free = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(mine.clone());
        free.then(|| Turn { all: self.clone(), mine })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.all.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.mine);
    }
}
