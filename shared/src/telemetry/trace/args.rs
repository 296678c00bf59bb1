//! The settings of traces, under the names that OpenTelemetry gives them, and what they come to. Decides whether anything
//! is exported, where to, and what is recorded.

use crate::settings::{Secret, SettingError, duration};
use clap::builder::FalseyValueParser;
use http::Uri;
use opentelemetry::KeyValue;
use opentelemetry_sdk::trace::{Sampler, ShouldSample};
use std::time::Duration;

/// The path of traces below an endpoint that serves all signals.
const PATH: &str = "/v1/traces";

/// Flags every role has for its traces. Without an endpoint nothing is traced, and it costs nothing.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Traces")]
pub struct TraceArgs {
    /// OTLP collector, `http://HOST:4318`; spans go to its path /v1/traces. Unset: nothing is traced
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,
    /// Where spans go, taken as it is; goes before --otlp-endpoint
    #[arg(long, env = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", value_name = "URL")]
    pub otlp_traces_endpoint: Option<String>,
    /// Headers for the collector, `name=value,…`, values percent-encoded
    #[arg(long, env = "OTEL_EXPORTER_OTLP_HEADERS", hide_env_values = true, value_name = "PAIRS")]
    pub otlp_headers: Option<String>,
    /// Headers for the collector; goes before --otlp-headers
    #[arg(long, env = "OTEL_EXPORTER_OTLP_TRACES_HEADERS", hide_env_values = true, value_name = "PAIRS")]
    pub otlp_traces_headers: Option<String>,
    /// The protocol; only `http/protobuf` is spoken
    #[arg(long, env = "OTEL_EXPORTER_OTLP_PROTOCOL", value_name = "NAME")]
    pub otlp_protocol: Option<String>,
    /// The protocol; goes before --otlp-protocol
    #[arg(long, env = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", value_name = "NAME")]
    pub otlp_traces_protocol: Option<String>,
    /// How long the collector may take for a batch; a plain number counts milliseconds
    #[arg(long, env = "OTEL_EXPORTER_OTLP_TIMEOUT", default_value = "10s", value_parser = milliseconds, value_name = "TIME", help_heading = "Limits")]
    pub otlp_timeout: Duration,
    /// `otlp`, or `none` to trace nothing
    #[arg(long, env = "OTEL_TRACES_EXPORTER", value_name = "NAME")]
    pub traces_exporter: Option<String>,
    /// Trace nothing, whatever else is set
    #[arg(long, env = "OTEL_SDK_DISABLED", value_parser = FalseyValueParser::new())]
    pub otel_disabled: bool,
    /// The service's name in traces; `berth-` and the role when unset
    #[arg(long, env = "OTEL_SERVICE_NAME", value_name = "NAME")]
    pub otel_service_name: Option<String>,
    /// What else describes this process, `name=value,…`, values percent-encoded
    #[arg(long, env = "OTEL_RESOURCE_ATTRIBUTES", value_name = "PAIRS")]
    pub otel_resource_attributes: Option<String>,
    /// Which traces are recorded: `always_on`, `always_off`, `traceidratio`, each also with `parentbased_` in front;
    /// parentbased_always_on when unset
    #[arg(long, env = "OTEL_TRACES_SAMPLER", value_name = "NAME")]
    pub traces_sampler: Option<String>,
    /// The share of traces that `traceidratio` records, 0 to 1; 1 when unset
    #[arg(long, env = "OTEL_TRACES_SAMPLER_ARG", value_name = "RATIO")]
    pub traces_sampler_arg: Option<String>,
    /// Most spans that wait for the collector; more are dropped and counted
    #[arg(long, env = "OTEL_BSP_MAX_QUEUE_SIZE", default_value_t = 2_048, value_name = "N", help_heading = "Limits")]
    pub trace_queue: usize,
    /// Most spans in a batch
    #[arg(
        long,
        env = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
        default_value_t = 512,
        value_name = "N",
        help_heading = "Limits"
    )]
    pub trace_batch: usize,
    /// How long a span waits for others at most; a plain number counts milliseconds
    #[arg(long, env = "OTEL_BSP_SCHEDULE_DELAY", default_value = "5s", value_parser = milliseconds, value_name = "TIME")]
    pub trace_delay: Duration,
    /// How long a process that stops may take to deliver its last spans
    #[arg(long, env = "BERTH_TRACE_FLUSH", default_value = "2s", value_parser = duration, value_name = "TIME", help_heading = "Limits")]
    pub trace_flush: Duration,
}

/// What the settings come to.
#[derive(Debug)]
pub(super) struct Plan {
    /// Scheme and authority.
    pub(super) base: String,
    /// Path and query.
    pub(super) path: String,
    /// Headers beside the protocol's own.
    pub(super) headers: Vec<(String, Secret)>,
    /// What is recorded.
    pub(super) sampler: Box<dyn ShouldSample>,
    /// What the user says of the process, the service's name among it if given.
    pub(super) resource: Vec<KeyValue>,
}

impl TraceArgs {
    /// Returns what to do, or `None` when nothing is to be traced.
    ///
    /// # Errors
    /// When a setting does not have its form, or asks for what is not spoken.
    pub(super) fn plan(&self) -> Result<Option<Plan>, SettingError> {
        let exporter = given(self.traces_exporter.as_deref()).unwrap_or("otlp");
        if self.otel_disabled || exporter == "none" {
            return Ok(None);
        }
        if exporter != "otlp" {
            return Err(form("OTEL_TRACES_EXPORTER", "expected otlp or none"));
        }
        let (name, url) = match (given(self.otlp_traces_endpoint.as_deref()), given(self.otlp_endpoint.as_deref())) {
            (Some(url), _) => ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", url.to_owned()),
            (None, Some(url)) => ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("{}{PATH}", url.trim_end_matches('/'))),
            (None, None) => return Ok(None),
        };
        let (base, path) = endpoint(name, &url)?;
        self.protocol()?;
        Ok(Some(Plan { base, path, headers: self.headers()?, sampler: self.sampler()?, resource: self.resource()? }))
    }

    fn protocol(&self) -> Result<(), SettingError> {
        let (name, protocol) = match given(self.otlp_traces_protocol.as_deref()) {
            Some(protocol) => ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", protocol),
            None => ("OTEL_EXPORTER_OTLP_PROTOCOL", given(self.otlp_protocol.as_deref()).unwrap_or("http/protobuf")),
        };
        let spoken = protocol == "http/protobuf";
        spoken.then_some(()).ok_or_else(|| form(name, "only http/protobuf is spoken; collectors take it at port 4318"))
    }

    fn headers(&self) -> Result<Vec<(String, Secret)>, SettingError> {
        let (name, text) = match given(self.otlp_traces_headers.as_deref()) {
            Some(text) => ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", text),
            None => ("OTEL_EXPORTER_OTLP_HEADERS", given(self.otlp_headers.as_deref()).unwrap_or_default()),
        };
        let valid = |key: &str, value: &str| {
            http::HeaderName::try_from(key).is_ok() && http::HeaderValue::try_from(value).is_ok()
        };
        described(name, text)?
            .into_iter()
            .map(|(key, value)| match valid(&key, &value) {
                true => Ok((key, Secret::new(value))),
                false => Err(form(name, "a name or value cannot stand in a header")),
            })
            .collect()
    }

    fn resource(&self) -> Result<Vec<KeyValue>, SettingError> {
        let text = given(self.otel_resource_attributes.as_deref()).unwrap_or_default();
        let mut all: Vec<_> = described("OTEL_RESOURCE_ATTRIBUTES", text)?
            .into_iter()
            .map(|(key, value)| KeyValue::new(key, value))
            .collect();
        if let Some(name) = given(self.otel_service_name.as_deref()) {
            all.retain(|known| known.key.as_str() != "service.name");
            all.push(KeyValue::new("service.name", name.to_owned()));
        }
        Ok(all)
    }

    fn sampler(&self) -> Result<Box<dyn ShouldSample>, SettingError> {
        let name = given(self.traces_sampler.as_deref()).unwrap_or("parentbased_always_on");
        let (own, by_parent) = name.strip_prefix("parentbased_").map_or((name, false), |own| (own, true));
        let own = match own {
            "always_on" => Sampler::AlwaysOn,
            "always_off" => Sampler::AlwaysOff,
            "traceidratio" => Sampler::TraceIdRatioBased(self.ratio()?),
            _ => {
                let detail = "expected always_on, always_off or traceidratio, each also with parentbased_ in front";
                return Err(form("OTEL_TRACES_SAMPLER", detail));
            }
        };
        Ok(if by_parent { Box::new(Sampler::parent_based(own)) } else { Box::new(own) })
    }

    fn ratio(&self) -> Result<f64, SettingError> {
        let Some(text) = given(self.traces_sampler_arg.as_deref()) else { return Ok(1.0) };
        let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
        ratio.ok_or_else(|| form("OTEL_TRACES_SAMPLER_ARG", "expected a number from 0 to 1"))
    }
}

/// Splits where spans go into what the client needs. The client speaks plain HTTP, as all calls inside a cluster.
fn endpoint(name: &'static str, url: &str) -> Result<(String, String), SettingError> {
    let uri: Uri = url.parse().map_err(|_| form(name, "expected http://HOST:PORT"))?;
    let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
    match (uri.scheme_str(), authority) {
        (Some("http"), Some(authority)) => {
            let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
            Ok((format!("http://{authority}"), path.to_owned()))
        }
        (Some("https"), _) => Err(form(name, "only http:// is spoken; run a collector near by and let it use TLS")),
        _ => Err(form(name, "expected http://HOST:PORT, without a user")),
    }
}

/// An empty value counts as none, as OpenTelemetry wants it.
fn given(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

fn form(name: &'static str, detail: &str) -> SettingError {
    SettingError::Form { name, detail: detail.to_owned() }
}

/// Splits pairs whose values are percent-encoded.
fn described(name: &'static str, text: &str) -> Result<Vec<(String, String)>, SettingError> {
    let decoded = |value: &str| decode(value).ok_or_else(|| form(name, "a value is not percent-encoded UTF-8"));
    crate::settings::pairs(name, text)?
        .into_iter()
        .map(|(key, value)| Ok((decoded(key.trim())?, decoded(value.trim())?)))
        .collect()
}

fn decode(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut out = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        out.push(u8::from_str_radix(digits, 16).ok()?);
        out.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(out).ok()
}

/// Parses a time as OpenTelemetry writes it, in plain milliseconds, or as Berth does, with a unit.
fn milliseconds(text: &str) -> Result<Duration, String> {
    text.trim().parse().map(Duration::from_millis).or_else(|_| duration(text))
}

#[cfg(test)]
mod tests;
