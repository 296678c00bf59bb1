//! Traces: what one event did, from service to service, as spans that a collector shows. A service starts [`Tracing`] with
//! its settings and hands its [`Tracer`] to whoever does something worth a span. Decides what is recorded, how a trace
//! travels ([`TraceContext`]) and how spans leave; knows no event, no target and no route.
//!
//! ```text
//! Tracer ─start─▶ Span ─end─▶ queue (bounded, never waits) ─▶ batches ─▶ collector, OTLP/HTTP
//!                                └ full: dropped, counted        └ away: again, then dropped, counted
//! ```

mod args;
mod batches;
mod collector;
mod context;
mod current;
mod meters;
mod span;
mod started;

pub use args::TraceArgs;
pub use context::{SpanId, TraceContext, TraceId};
pub use current::{Entered, Scope};
pub use opentelemetry::{Value, trace::SpanKind};
pub use span::{Live, Span, Tracer};
pub use started::Tracing;

#[cfg(test)]
pub(crate) use span::tests::recorder;
