//! Lines of JSON that name the module they come from, and the trace they belong to, so that a log line leads to its trace
//! and back. The module stands under `module`: `target` is what a pod owns. Decides nothing about what is logged.

use super::trace::TraceContext;
use std::fmt;
use tracing::{Event, Subscriber};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

/// Adds `module`, and `trace_id` and `span_id` inside a span, to the JSON objects that another format writes.
#[derive(Debug)]
pub(super) struct Traced<F>(pub(super) F);

impl<S, N, F> FormatEvent<S, N> for Traced<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        let Some(open) = line.trim_end().strip_suffix('}') else { return out.write_str(&line) };
        // A module's path needs no escaping.
        write!(out, "{open},\"module\":\"{}\"", event.metadata().target())?;
        if let Some(trace) = TraceContext::current() {
            write!(out, ",\"trace_id\":\"{}\",\"span_id\":\"{}\"", trace.trace(), trace.span())?;
        }
        out.write_str("}\n")
    }
}

#[cfg(test)]
mod tests;
