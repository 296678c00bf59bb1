//! Tokens of the admin API. The secret is made here and shown once; what is kept is its hash.

use super::{
    Api,
    auth::{ADMIN, Admin, PREFIX, hash},
    body::Name,
    change::{Change, Removal},
    docs::{Doc, Routes},
};
use crate::{
    control::{ControlError, Errand},
    domain::{Edit, TokenRecord},
};
use axum::{Json, extract::State};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;
use shared::{
    Problem, Revision,
    wire::admin::{CreateToken, TokenCreated, TokenInfo, TokenList, TokenRevoked},
};

/// Adds the routes.
pub(super) fn routes(routes: Routes) -> Routes {
    let create_doc = Doc::new("Make a token")
        .text("The secret is in the answer and nowhere else. A repeated request gets the same answer without it.")
        .answers::<TokenCreated>()
        .fails(&["token-exists", "too-many-tokens", "internal"])
        .example(json!({ "name": "deploy", "role": "operator", "reason": "for the deploy pipeline" }));
    let revoke_doc = Doc::new("Revoke a token").text("It counts no more as soon as this is answered.");
    routes
        .get("/v1/tokens", list, Doc::new("List tokens").answers::<TokenList>().asks_leader())
        .post("/v1/tokens", create, create_doc.asks_leader())
        .delete("/v1/tokens/{id}", revoke, revoke_doc.answers::<TokenRevoked>().fails(&["not-found"]).asks_leader())
}

async fn list(State(api): State<Api>, _: Admin) -> Result<Json<TokenList>, Problem> {
    let tokens = api.control.read(|view| view.model.tokens().map(TokenRecord::info).collect::<Vec<_>>());
    let mut tokens = tokens.await?;
    tokens.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Json(TokenList { tokens }))
}

async fn create(State(api): State<Api>, change: Change<Admin, CreateToken>) -> Result<Json<TokenCreated>, Problem> {
    let CreateToken { name, role, ttl_ms, .. } = &change.body;
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'@' | b'-');
    let fits = (1..=64).contains(&name.len()) && name.bytes().all(plain) && name.as_bytes()[0].is_ascii_alphanumeric();
    if !fits {
        return Err(Problem::bad_request(
            "a token's name has 1 to 64 characters of A-Z a-z 0-9 . _ @ - and begins with one of the first",
        ));
    }
    if RESERVED.iter().any(|reserved| name.eq_ignore_ascii_case(reserved)) {
        let text = format!("{name} is no name for a token: the audit calls tokens of the settings so; choose another");
        return Err(Problem::bad_request(text));
    }
    if ttl_ms.is_some_and(|ttl| !(1_000..=CENTURY_MS).contains(&ttl)) {
        return Err(Problem::bad_request("ttl_ms is from 1000 to 3155760000000"));
    }
    let now_ms = api.clock.wall_ms();
    let (id, secret) = (format!("t_{}", random::<9>()?), format!("{PREFIX}{}", random::<32>()?));
    let record = TokenRecord {
        id,
        name: name.clone(),
        role: *role,
        hash: hash(secret.as_bytes()),
        created_ms: now_ms,
        created_by: change.by.actor.clone(),
        expires_ms: ttl_ms.map(|ttl| now_ms + ttl),
        used_ms: None,
    };
    let token = record.info();
    let mut created = TokenCreated { token, secret: None, revision: Revision(0), dry_run: change.dry_run };
    let errand = Errand::new("create-token", name.as_str(), Some(Edit::AddToken(record)), change.by.clone(), &created);
    created.revision = api.perform(errand, change.dry_run).await?;
    created.secret = (!change.dry_run).then_some(secret);
    Ok(Json(created))
}

/// Names of who presents a token of the settings. A made token of that name would pass for it in the audit, and for its
/// Idempotency-Keys.
const RESERVED: [&str; 2] = [ADMIN, "service"];

/// The longest a token may be valid, in milliseconds.
const CENTURY_MS: u64 = 3_155_760_000_000;

/// Returns `N` random bytes as text.
fn random<const N: usize>() -> Result<String, Problem> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|why| {
        tracing::error!(error = %why, "the operating system gives no random bytes");
        Problem::internal()
    })?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

async fn revoke(
    State(api): State<Api>,
    Name(id): Name<String>,
    removal: Removal<Admin>,
) -> Result<Json<TokenRevoked>, Problem> {
    let token: Option<TokenInfo> = api
        .control
        .read({
            let id = id.clone();
            move |view| view.model.token(&id).map(TokenRecord::info)
        })
        .await?;
    let token = token.ok_or_else(|| ControlError::UnknownToken(id.clone()))?;
    let mut revoked = TokenRevoked { token, revision: Revision(0), dry_run: removal.dry_run };
    let subject = revoked.token.name.clone();
    let errand = Errand::new("revoke-token", subject, Some(Edit::RemoveToken(id)), removal.by.clone(), &revoked);
    revoked.revision = api.perform(errand, removal.dry_run).await?;
    Ok(Json(revoked))
}
