//! The collector: spans as OTLP/HTTP protobuf, and what its answers mean by that protocol. Does not decide how often
//! something is tried.

use super::args::Plan;
use crate::{
    http::{Client, ClientError},
    settings::Secret,
};
use bytes::Bytes;
use http::{Method, StatusCode, header};
use opentelemetry_proto::{
    tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    transform::{common::tonic::ResourceAttributesWithSchema, trace::tonic::group_spans_by_resource_and_scope},
};
use opentelemetry_sdk::{Resource, trace::SpanData};
use prost::Message;
use std::time::Duration;

/// What a collector said to a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// It has it, but for so many spans.
    Taken {
        /// How many spans it did not want.
        rejected: usize,
    },
    /// It will never want it.
    Refused(String),
    /// It may take it later.
    Later {
        /// What happened.
        why: String,
        /// When it asks to be tried again.
        after: Option<Duration>,
    },
}

/// A collector.
#[derive(Debug)]
pub(super) struct Collector {
    client: Client,
    path: String,
    headers: Vec<(String, Secret)>,
    resource: ResourceAttributesWithSchema,
}

impl Collector {
    /// Makes the way to a collector, which may take `timeout` for a batch.
    pub(super) fn new(plan: Plan, resource: &Resource, timeout: Duration) -> Result<Self, ClientError> {
        let client = Client::new(&plan.base, None, timeout)?;
        Ok(Self { client, path: plan.path, headers: plan.headers, resource: resource.into() })
    }

    /// Returns where it is.
    pub(super) fn endpoint(&self) -> &str {
        self.client.base()
    }

    /// Returns the message that holds the spans.
    pub(super) fn encode(&self, spans: Vec<SpanData>) -> Bytes {
        let resource_spans = group_spans_by_resource_and_scope(spans, &self.resource);
        ExportTraceServiceRequest { resource_spans }.encode_to_vec().into()
    }

    /// Sends a message.
    pub(super) async fn send(&self, body: Bytes) -> Sent {
        let mut headers = vec![(header::CONTENT_TYPE.to_string(), "application/x-protobuf".to_owned())];
        headers.extend(self.headers.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())));
        match self.client.exchange(Method::POST, &self.path, &headers, body).await {
            Ok(answer) => judge(&answer),
            Err(why) => Sent::Later { why: why.to_string(), after: None },
        }
    }
}

fn judge(answer: &http::Response<Bytes>) -> Sent {
    let status = answer.status();
    if status.is_success() {
        // What cannot be read says nothing of rejected spans.
        let said = ExportTraceServiceResponse::decode(answer.body().clone()).unwrap_or_default();
        let rejected = said.partial_success.map_or(0, |partial| partial.rejected_spans);
        return Sent::Taken { rejected: usize::try_from(rejected).unwrap_or(0) };
    }
    let why = format!("the collector answered {status}");
    let later = matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    );
    if !later {
        return Sent::Refused(why);
    }
    let after = answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    Sent::Later { why, after: after.map(Duration::from_secs) }
}

#[cfg(test)]
mod tests;
