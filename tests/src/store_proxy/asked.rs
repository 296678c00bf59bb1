//! What a request asks of an S3-compatible store, as the verbs that a policy allows. Pure.

use crate::store::BUCKET;
use http::{Method, Request, header};

/// The verb that a policy has to allow for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// `s3:PutObject`.
    Put,
    /// `s3:PutObject`, of one part of a large object.
    Part,
    /// `s3:GetObject`, for its head too.
    Get,
    /// `s3:ListBucket`.
    List,
    /// `s3:DeleteObject`, for many at once too.
    Delete,
    /// `s3:AbortMultipartUpload`.
    Abort,
    /// Another one.
    Other,
}

impl Verb {
    /// Returns its name in a policy.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Put | Self::Part => "s3:PutObject",
            Self::Get => "s3:GetObject",
            Self::List => "s3:ListBucket",
            Self::Delete => "s3:DeleteObject",
            Self::Abort => "s3:AbortMultipartUpload",
            Self::Other => "another one",
        }
    }
}

/// Where a request says which bucket it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bucket {
    /// In the path, as the first part of it.
    InPath,
    /// In the host's name, before that of the store.
    InHost,
}

/// A request to the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// What it needs.
    pub verb: Verb,
    /// The key, or what a list begins with.
    pub key: String,
    /// Its line: method, path and query.
    pub line: String,
    /// Who asks, by its own word.
    pub by: String,
    /// Where its bucket stands.
    pub bucket: Bucket,
}

impl Asked {
    /// Says what a request asks, when the bucket stands in the path.
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
        let (_, key) = path.trim_start_matches('/').split_once('/').unwrap_or_default();
        let has = |name: &str| query.split('&').any(|part| part.split('=').next() == Some(name));
        let of_bucket = key.is_empty();
        let verb = match *request.method() {
            Method::GET if of_bucket && (has("list-type") || has("prefix")) => Verb::List,
            Method::HEAD if of_bucket => Verb::List,
            Method::GET | Method::HEAD if !of_bucket && !has("uploadId") => Verb::Get,
            Method::PUT if !of_bucket && has("partNumber") => Verb::Part,
            Method::PUT if !of_bucket => Verb::Put,
            Method::POST if !of_bucket && (has("uploads") || has("uploadId")) => Verb::Put,
            Method::DELETE if !of_bucket && has("uploadId") => Verb::Abort,
            Method::DELETE if !of_bucket => Verb::Delete,
            Method::POST if of_bucket && has("delete") => Verb::Delete,
            _ => Verb::Other,
        };
        let by = request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let prefix = query.split('&').find_map(|part| part.strip_prefix("prefix=")).unwrap_or_default();
        let key = if of_bucket { prefix.replace("%2F", "/") } else { key.to_owned() };
        let host = request.headers().get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let bucket = if host.starts_with(&format!("{BUCKET}.")) { Bucket::InHost } else { Bucket::InPath };
        Self { verb, key, line: format!("{} {}", request.method(), request.uri()), by: by.to_owned(), bucket }
    }
}
