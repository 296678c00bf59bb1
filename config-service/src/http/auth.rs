//! Who may do what, as extractors: a handler without one of them in its arguments is open to everybody.

use super::Api;
use axum::extract::FromRequestParts;
use http::request::Parts;
use shared::Problem;

/// A service of the cluster: it presented a service token.
pub(super) struct Service;

/// An operator: it presented an admin token.
pub(super) struct Admin;

/// Somebody who may read: a service, an operator, or anybody when reads are open.
pub(super) struct Reader;

impl FromRequestParts<Api> for Service {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        api.service.check(&parts.headers).map(|()| Self)
    }
}

impl FromRequestParts<Api> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        api.admin.check(&parts.headers).map(|()| Self)
    }
}

impl FromRequestParts<Api> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        if api.open_reads || api.service.check(&parts.headers).is_ok() {
            return Ok(Self);
        }
        api.admin.check(&parts.headers).map(|()| Self)
    }
}
