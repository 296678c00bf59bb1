//! Who may see the pages. A browser cannot present a bearer token, so a form takes one and hands out a pass in a cookie
//! that no script and no other site can use. Where reads are open, so are the pages.

use super::{Loose, Pages, pass, show};
use crate::http::auth::{ADMIN, Actor, Known, known, may_read};
use crate::http::pass_on::is_passed_on;
use crate::page::{Frame, Session, SignIn, sign_in as form};
use axum::{
    Form,
    extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Request, State},
    middleware,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, Uri, header, request::Parts};
use serde::Deserialize;
use shared::wire::admin::Role;

/// The largest form: a token and a path.
pub(super) const FORM_LIMIT: DefaultBodyLimit = DefaultBodyLimit::max(16 * 1_024);

const COOKIE: &str = "berth_page";

/// Somebody who may see the pages.
pub(super) struct Visitor {
    /// What goes around the page.
    pub(super) frame: Frame,
    /// Whose pass it is.
    known: Option<Known>,
}

impl Visitor {
    /// Returns who it is; none for the services of the cluster, and for who has not signed in.
    pub(super) fn actor(&self) -> Option<&Actor> {
        match &self.known {
            Some(Known::Actor(actor)) => Some(actor),
            Some(Known::Service) | None => None,
        }
    }
}

impl FromRequestParts<Pages> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, pages: &Pages) -> Result<Self, Response> {
        let now_ms = pages.api.clock.wall_ms();
        let known = cookie(&parts.headers).and_then(|pass| pages.owner(pass, now_ms));
        let session = if known.is_some() { Session::SignedIn } else { Session::None };
        let here = parts.uri.path_and_query().map_or("/", |here| here.as_str()).to_owned();
        if session == Session::SignedIn || may_read(&parts.headers, &pages.api).is_ok() {
            return Ok(Self { frame: Frame { now_ms, here, session }, known });
        }
        let next: String = url_encode(&here);
        Err(see_other(&format!("/sign-in?next={next}")))
    }
}

impl Pages {
    /// Returns whom the token belongs to that a pass was made with; none when it may not read now.
    fn owner(&self, pass: &str, now_ms: u64) -> Option<Known> {
        let standing = self.api.control.standing();
        let kept = standing.iter().flat_map(|standing| standing.lasting(now_ms)).filter_map(|token| {
            let actor = Actor { name: token.name.clone(), role: token.role };
            Some((pass::kept(&token.hash)?, Known::Actor(actor)))
        });
        let admin = || Known::Actor(Actor { name: ADMIN.to_owned(), role: Role::Admin });
        let admins = self.api.admin.iter().map(|token| (pass::key(token.expose()), admin()));
        let services = self.api.service.iter().map(|token| (pass::key(token.expose()), Known::Service));
        pass::owner(pass, admins.chain(services).chain(kept), now_ms)
    }

    fn frame(&self, here: &str) -> Frame {
        Frame { now_ms: self.api.clock.wall_ms(), here: here.to_owned(), session: Session::None }
    }
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Next {
    #[serde(default)]
    next: String,
}

/// `GET /sign-in`.
pub(super) async fn ask(State(pages): State<Pages>, Loose(next): Loose<Next>, uri: Uri) -> Response {
    let here = uri.path_and_query().map_or("/sign-in", |here| here.as_str());
    show(StatusCode::OK, &form(&pages.frame(here), SignIn::Asked, inside(&next.next)))
}

#[derive(Deserialize)]
struct Filled {
    token: String,
    #[serde(default)]
    next: String,
}

/// `POST /sign-in`.
pub(super) async fn sign_in(State(pages): State<Pages>, headers: HeaderMap, request: Request) -> Response {
    let again = |what, next: &str| show(StatusCode::FORBIDDEN, &form(&pages.frame("/sign-in"), what, next));
    if !from_here(&headers) {
        return again(SignIn::WrongOrigin, "/");
    }
    let filled = tokio::time::timeout(pages.api.patience, Form::<Filled>::from_request(request, &pages)).await;
    let Ok(Ok(Form(Filled { token, next }))) = filled else { return again(SignIn::WrongToken, "/") };
    let next = inside(&next);
    let token = token.trim();
    let presented = [(header::AUTHORIZATION, format!("Bearer {token}"))];
    let presented = presented.map(|(name, value)| Some((name, value.parse().ok()?)));
    let presented: HeaderMap = presented.into_iter().flatten().collect();
    match known(&presented, &pages.api) {
        Ok(_) => {}
        Err(why) if why.status == 503 => return again(SignIn::NotHere, next),
        Err(_) => return again(SignIn::WrongToken, next),
    }
    let pass = pass::issue(&pass::key(token), pages.api.clock.wall_ms());
    let mut answer = see_other(next);
    set_cookie(&mut answer, &headers, &pass, "");
    answer
}

/// Lets only forms through that were sent from these pages; what another config-service has passed on was looked at there.
pub(super) async fn only_from_here(State(pages): State<Pages>, request: Request, next: middleware::Next) -> Response {
    if is_passed_on(request.headers()) || from_here(request.headers()) {
        return next.run(request).await;
    }
    super::deeds::from_elsewhere(&pages.frame(request.uri().path()))
}

/// `POST /sign-out`.
pub(super) async fn sign_out(headers: HeaderMap) -> Response {
    let mut answer = see_other("/sign-in");
    if from_here(&headers) {
        set_cookie(&mut answer, &headers, "", "; Max-Age=0");
    }
    answer
}

fn set_cookie(answer: &mut Response, headers: &HeaderMap, value: &str, more: &str) {
    let secure =
        if text(headers, header::ORIGIN).is_some_and(|origin| origin.starts_with("https:")) { "; Secure" } else { "" };
    let cookie = format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{more}");
    if let Ok(cookie) = cookie.parse() {
        answer.headers_mut().insert(header::SET_COOKIE, cookie);
    }
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

/// Returns whether a form was sent from one of these pages: the browser says so itself, or names this host as its origin.
fn from_here(headers: &HeaderMap) -> bool {
    let text = |name| text(headers, name);
    match text(http::HeaderName::from_static("sec-fetch-site")) {
        Some(site) => site == "same-origin",
        None => {
            let origin = text(header::ORIGIN).and_then(|origin| origin.split_once("://"));
            origin.is_some_and(|(_, authority)| text(header::HOST) == Some(authority))
        }
    }
}

fn text(headers: &HeaderMap, name: http::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Returns a path if it lies on this service, else the first page.
fn inside(next: &str) -> &str {
    let plain = next.len() <= 2_000 && next.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    if plain && next.starts_with('/') && !next.starts_with("//") { next } else { "/" }
}

pub(super) fn see_other(path: &str) -> Response {
    let head = [(header::LOCATION, path), (header::CACHE_CONTROL, "no-store")];
    (StatusCode::SEE_OTHER, head).into_response()
}

/// Escapes what has a meaning in a query; the path it is made from is percent-encoded already.
fn url_encode(path: &str) -> String {
    path.replace('%', "%25").replace('&', "%26").replace('+', "%2B").replace('#', "%23")
}
