//! Routes and their documentation, which cannot be had without each other: [`Routes`] takes both. What a handler asks for
//! (role, path, query, body) is read off its arguments, so it is documented as it is; what it answers is said beside it.

use super::{
    Api,
    auth::{Admin, Grade, Operator, Reader, Service, Worker},
    body::{Body, Name, Params, Parted},
    change::{Change, KEY, MAX_KEY, Removal, Try, Why},
};
use axum::{
    Extension, Router,
    extract::State,
    handler::Handler,
    routing::{MethodFilter, on},
};
use http::{HeaderMap, Method};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};
use shared::http::RequestId;
use std::collections::BTreeSet;

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Access {
    /// Anybody.
    Open,
    /// Whoever has any token.
    Viewer,
    /// A token of role operator or admin.
    Operator,
    /// A token of role admin.
    Admin,
    /// A service token.
    Service,
    /// A service token, or a token of role operator or admin.
    Worker,
}

impl Access {
    /// Returns the word for it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
            Self::Service => "service",
            Self::Worker => "service or operator",
        }
    }
}

/// What makes the schema of a type.
type Of = fn(&mut SchemaGenerator) -> Schema;

/// What is asked and answered at one route.
#[derive(Debug, Clone)]
pub(super) struct Doc {
    /// The method.
    pub(super) method: Method,
    /// The path, with its parts in braces.
    pub(super) path: &'static str,
    /// A few words.
    pub(super) summary: &'static str,
    /// Sentences, for what the summary leaves open.
    pub(super) text: &'static str,
    /// Who may call it.
    pub(super) access: Access,
    /// Where its parameters stand, and a structure whose fields they are.
    pub(super) parameters: Vec<(Place, Of)>,
    /// Whether it takes an `Idempotency-Key`.
    pub(super) keyed: bool,
    /// The body it takes, with an example.
    pub(super) body: Option<Of>,
    /// An example of the body.
    pub(super) example: Option<Value>,
    /// The status of success.
    pub(super) status: u16,
    /// What it answers then.
    pub(super) answer: Answer,
    /// Codes of the problems it may answer.
    pub(super) problems: BTreeSet<&'static str>,
    /// Who can answer it.
    pub(super) by: Answerer,
}

/// Who can answer a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answerer {
    /// Every process, whatever it knows.
    Anybody,
    /// The leader, and whoever follows it closely.
    Replica,
    /// The leader only; a follower passes the request on.
    Leader,
}

/// Where parameters stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A single part of the path, whose name the path says.
    Part,
    /// Parts of the path.
    Path,
    /// The query.
    Query,
}

/// What a route answers.
#[derive(Debug, Clone, Copy)]
pub(super) enum Answer {
    /// JSON.
    Json(Of),
    /// Something else, of this media type.
    Other(&'static str),
    /// Only problems.
    Nothing,
}

impl Doc {
    /// Begins the documentation of a route with a few words on it.
    pub(super) fn new(summary: &'static str) -> Self {
        Self {
            method: Method::GET,
            path: "",
            summary,
            text: "",
            access: Access::Open,
            parameters: Vec::new(),
            keyed: false,
            body: None,
            example: None,
            status: 200,
            answer: Answer::Nothing,
            problems: BTreeSet::new(),
            by: Answerer::Anybody,
        }
    }

    /// Adds sentences.
    pub(super) fn text(mut self, text: &'static str) -> Self {
        self.text = text;
        self
    }

    /// Says which JSON it answers with 200.
    pub(super) fn answers<T: JsonSchema>(mut self) -> Self {
        self.answer = Answer::Json(SchemaGenerator::subschema_for::<T>);
        self
    }

    /// Says with which status it succeeds, when not with 200.
    pub(super) fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Says that it answers something else than JSON with 200.
    pub(super) fn answers_as(mut self, media_type: &'static str) -> Self {
        self.answer = Answer::Other(media_type);
        self
    }

    /// Says which codes its problems may have, beside those that its arguments bring along.
    pub(super) fn fails(mut self, codes: &[&'static str]) -> Self {
        self.problems.extend(codes);
        self
    }

    /// Says that it asks the leader. A follower passes it on.
    pub(super) fn asks_leader(mut self) -> Self {
        self.by = Answerer::Leader;
        self.fails(&[
            "generation-ahead",
            "leader-unreachable",
            "not-leader",
            "revision-ahead",
            "store-unavailable",
            "too-many-passed-on",
        ])
    }

    /// Says that every replica answers it by itself: a follower from what it has read of the leader's commits.
    pub(super) fn asks_replica(self) -> Self {
        Self { by: Answerer::Replica, ..self.asks_leader() }
    }

    /// Adds an example of the body.
    pub(super) fn example(mut self, body: Value) -> Self {
        self.example = Some(body);
        self
    }

    fn takes(&mut self, access: Access) {
        self.access = self.access.max(access);
        self.problems.extend(["unauthorized", "not-leader"]);
        if access != Access::Viewer {
            self.problems.insert("forbidden");
        }
    }

    fn takes_body<T: JsonSchema>(&mut self) {
        self.body = Some(SchemaGenerator::subschema_for::<T>);
        self.problems.extend(["bad-request", "body-too-large", "body-too-slow", "unsupported-media-type"]);
    }

    fn takes_parameters<T: JsonSchema>(&mut self, place: Place) {
        self.parameters.push((place, T::json_schema));
        self.problems.insert("bad-request");
    }

    fn takes_key(&mut self) {
        self.keyed = true;
        self.problems.extend([
            "bad-request",
            "idempotency-in-use",
            "idempotency-mismatch",
            "read-only",
            "store-unavailable",
        ]);
    }
}

/// Returns the parameter that changes take.
pub(super) fn key_parameter() -> Value {
    json!({
        "name": KEY, "in": "header", "required": false,
        "description": "Names the change: asked again under the same key, it is answered again and not made again.",
        "schema": { "type": "string", "minLength": 1, "maxLength": MAX_KEY, "pattern": "^[!-~]+$" },
    })
}

/// An argument of a handler, or all of them, that says what it asks of a request.
pub(super) trait Describe {
    /// Notes it.
    fn describe(_doc: &mut Doc) {}
}

impl Describe for State<Api> {}
impl Describe for HeaderMap {}
impl Describe for Option<Extension<RequestId>> {}

impl Describe for Service {
    fn describe(doc: &mut Doc) {
        doc.takes(Access::Service);
    }
}

impl Describe for Worker {
    fn describe(doc: &mut Doc) {
        doc.takes(Access::Worker);
    }
}

impl Describe for Reader {
    fn describe(doc: &mut Doc) {
        doc.takes(Access::Viewer);
    }
}

impl Describe for Operator {
    fn describe(doc: &mut Doc) {
        doc.takes(Access::Operator);
    }
}

impl Describe for Admin {
    fn describe(doc: &mut Doc) {
        doc.takes(Access::Admin);
    }
}

impl<T: JsonSchema> Describe for Name<T> {
    fn describe(doc: &mut Doc) {
        doc.parameters.push((Place::Part, SchemaGenerator::subschema_for::<T>));
        doc.problems.insert("bad-request");
    }
}

impl<T: JsonSchema> Describe for Parted<T> {
    fn describe(doc: &mut Doc) {
        doc.takes_parameters::<T>(Place::Path);
    }
}

impl<T: JsonSchema> Describe for Params<T> {
    fn describe(doc: &mut Doc) {
        doc.takes_parameters::<T>(Place::Query);
    }
}

impl<T: JsonSchema> Describe for Body<T> {
    fn describe(doc: &mut Doc) {
        doc.takes_body::<T>();
    }
}

impl<G: Grade, T: JsonSchema> Describe for Change<G, T> {
    fn describe(doc: &mut Doc) {
        doc.takes(G::ACCESS);
        doc.takes_body::<T>();
        doc.takes_parameters::<Try>(Place::Query);
        doc.takes_key();
    }
}

impl<G: Grade> Describe for Removal<G> {
    fn describe(doc: &mut Doc) {
        doc.takes(G::ACCESS);
        doc.takes_parameters::<Why>(Place::Query);
        doc.takes_key();
    }
}

macro_rules! describe_all {
    ($($argument:ident),*) => {
        impl<M, $($argument: Describe),*> Describe for (M, $($argument,)*) {
            fn describe(_doc: &mut Doc) {
                $($argument::describe(_doc);)*
            }
        }
    };
}

describe_all!();
describe_all!(A);
describe_all!(A, B);
describe_all!(A, B, C);
describe_all!(A, B, C, D);
describe_all!(A, B, C, D, E);
describe_all!(A, B, C, D, E, F);

/// Routes with their documentation.
pub(super) struct Routes {
    router: Router<Api>,
    docs: Vec<Doc>,
}

impl Routes {
    /// Makes an empty set.
    pub(super) fn new() -> Self {
        Self { router: Router::new(), docs: Vec::new() }
    }

    /// Adds `GET path`.
    pub(super) fn get<H: Handler<T, Api>, T: Describe + 'static>(
        self,
        path: &'static str,
        handler: H,
        doc: Doc,
    ) -> Self {
        self.add(Method::GET, MethodFilter::GET, path, handler, doc)
    }

    /// Adds `POST path`.
    pub(super) fn post<H: Handler<T, Api>, T: Describe + 'static>(
        self,
        path: &'static str,
        handler: H,
        doc: Doc,
    ) -> Self {
        self.add(Method::POST, MethodFilter::POST, path, handler, doc)
    }

    /// Adds `PUT path`.
    pub(super) fn put<H: Handler<T, Api>, T: Describe + 'static>(
        self,
        path: &'static str,
        handler: H,
        doc: Doc,
    ) -> Self {
        self.add(Method::PUT, MethodFilter::PUT, path, handler, doc)
    }

    /// Adds `DELETE path`.
    pub(super) fn delete<H: Handler<T, Api>, T: Describe + 'static>(
        self,
        path: &'static str,
        handler: H,
        doc: Doc,
    ) -> Self {
        self.add(Method::DELETE, MethodFilter::DELETE, path, handler, doc)
    }

    /// Documents a route that is served by somebody else.
    pub(super) fn mention(mut self, path: &'static str, mut doc: Doc) -> Self {
        doc.path = path;
        self.docs.push(doc);
        self
    }

    fn add<H: Handler<T, Api>, T: Describe + 'static>(
        mut self,
        method: Method,
        filter: MethodFilter,
        path: &'static str,
        handler: H,
        mut doc: Doc,
    ) -> Self {
        (doc.method, doc.path) = (method, path);
        T::describe(&mut doc);
        self.docs.push(doc);
        self.router = self.router.route(path, on(filter, handler));
        self
    }

    /// Returns both.
    pub(super) fn into_parts(self) -> (Router<Api>, Vec<Doc>) {
        (self.router, self.docs)
    }
}
