//! Lines of JSON that name the trace they belong to, so that a log line leads to its trace and back. Decides nothing about
//! what is logged.

use super::trace::TraceContext;
use std::fmt;
use tracing::{Event, Subscriber};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

/// Adds `trace_id` and `span_id` to the JSON objects that another format writes.
#[derive(Debug)]
pub(super) struct Traced<F>(pub(super) F);

impl<S, N, F> FormatEvent<S, N> for Traced<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let Some(trace) = TraceContext::current() else { return self.0.format_event(context, out, event) };
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        match line.trim_end().strip_suffix('}') {
            Some(open) => {
                writeln!(out, "{open},\"trace_id\":\"{}\",\"span_id\":\"{}\"}}", trace.trace(), trace.span())
            }
            None => out.write_str(&line),
        }
    }
}

#[cfg(test)]
mod tests;
