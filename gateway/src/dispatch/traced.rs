//! The trace of an event while it waits and runs: the span it came with, how long it waited, what its handler's attempts
//! and its commit took. Decides what is whose child, what is only named, and what a span says of a failure: its kind, not its text.
//!
//! ```text
//! receive (door) ─┬─ queue           until the first attempt
//!                 ├─ handle, attempt 1 ── calls to the outside
//!                 ├─ handle, attempt 2  (names attempt 1)
//!                 ├─ commit
//!                 └─ duplicate          (of another trace: names this one's `receive`)
//! ```

use crate::handlers::HandlerError;
use shared::{
    event::Event,
    telemetry::trace::{Span, SpanKind, TraceContext, Tracer},
};

/// What a waiting event keeps of its trace. Empty when nothing is traced.
#[derive(Debug, Default)]
pub(crate) struct Traced {
    /// The span it came with; for a timer the first attempt.
    context: Option<TraceContext>,
    /// Ends when the event's turn comes.
    queued: Span,
    /// The first attempt, as far as this process knows.
    first: Option<TraceContext>,
    /// The last attempt.
    last: Option<TraceContext>,
}

impl Traced {
    /// Takes up the span that is current where the event arrives.
    pub(crate) fn arrived(tracer: &Tracer) -> Self {
        let Some(context) = TraceContext::current() else { return Self::default() };
        let queued = tracer.start("queue", SpanKind::Internal, Some(&context));
        Self { context: Some(context), queued, ..Self::default() }
    }

    /// Takes up the span that was written down with the event.
    pub(crate) fn resumed(context: Option<TraceContext>) -> Self {
        Self { context, ..Self::default() }
    }

    /// Returns the span that is to be written down with the event.
    pub(crate) const fn context(&self) -> Option<&TraceContext> {
        self.context.as_ref()
    }

    /// Returns the span that the event's calls to the outside belong to.
    pub(crate) fn caller(&self) -> Option<&TraceContext> {
        self.last.as_ref().or(self.context.as_ref())
    }

    /// Begins an attempt of the handler. `attempts` have failed before. What came with no span, a timer, begins a trace.
    /// `kind` says whether the handler runs here or is asked.
    pub(crate) fn attempt(&mut self, tracer: &Tracer, kind: SpanKind, event: &Event, attempts: u32) -> Span {
        self.queued = Span::default();
        if !tracer.is_on() {
            return Span::default();
        }
        let mut span = tracer.start_linked("handle", kind, self.context.as_ref(), &self.first);
        span.describe(|live| {
            live.rename(format!("handle {}", event.kind))
                .set("berth.target", event.target.to_string())
                .set("berth.event.id", event.id.clone())
                .set("berth.attempt", i64::from(attempts) + 1);
        });
        self.last = span.context().cloned();
        self.first = self.first.take().or_else(|| self.last.clone());
        self.context = self.context.take().or_else(|| self.last.clone());
        span
    }

    /// Begins the commit of what the event wrote, together with `others`.
    pub(crate) fn commit(&self, tracer: &Tracer, others: usize) -> Span {
        let Some(context) = &self.context else { return Span::default() };
        let mut span = tracer.start("commit", SpanKind::Internal, Some(context));
        span.describe(|live| {
            live.set("berth.group", i64::try_from(others).unwrap_or(i64::MAX));
        });
        span
    }

    /// Returns whether it is worth finding out where a duplicate came first.
    pub(crate) fn is_recorded(&self) -> bool {
        self.context.as_ref().is_some_and(TraceContext::sampled)
    }

    /// Notes that the event had been committed before, as part of the trace `first`.
    pub(crate) fn duplicate(&self, tracer: &Tracer, first: Option<&TraceContext>) {
        drop(tracer.start_linked("duplicate", SpanKind::Internal, self.context.as_ref(), first));
    }
}

/// Says how an attempt failed, if it did.
pub(crate) fn tell<T>(span: &mut Span, said: &Result<T, HandlerError>) {
    let Err(why) = said else { return };
    span.describe(|live| {
        live.set("berth.handler.result", why.word());
        if *why != HandlerError::Ignore {
            live.fail_as(why.word());
        }
    });
}

#[cfg(test)]
mod tests;
