//! Spans as services make them. A tracer that is off makes spans that hold nothing: no clock is read, nothing is
//! allocated, and what would describe the span is not computed. Decides nothing about sampling or export.

use super::{Scope, SpanId, TraceContext, TraceId};
use opentelemetry::{
    Context, KeyValue, Value,
    trace::{
        Link, Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt, TraceFlags, TraceState,
        Tracer as _,
    },
};
use opentelemetry_sdk::trace::{SdkTracer, Span as SdkSpan};
use std::{borrow::Cow, str::FromStr};

/// Most links of a span; OpenTelemetry's own default.
const MOST_LINKS: usize = 128;

/// Makes spans. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Tracer(Option<SdkTracer>);

impl Tracer {
    /// Makes a tracer that records nothing.
    pub const fn off() -> Self {
        Self(None)
    }

    pub(super) const fn new(tracer: SdkTracer) -> Self {
        Self(Some(tracer))
    }

    /// Returns whether anything may be recorded.
    pub const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Starts a span below `parent`, or a new trace. A tracer that is off hands the parent on.
    pub fn start(&self, name: impl Into<Cow<'static, str>>, kind: SpanKind, parent: Option<&TraceContext>) -> Span {
        self.start_linked(name, kind, parent, [])
    }

    /// Starts a span that has to do with others which are not its parent.
    pub fn start_linked<'l>(
        &self,
        name: impl Into<Cow<'static, str>>,
        kind: SpanKind,
        parent: Option<&TraceContext>,
        links: impl IntoIterator<Item = &'l TraceContext>,
    ) -> Span {
        let Some(tracer) = &self.0 else { return Span { live: None, context: parent.cloned() } };
        let from_outside = matches!(kind, SpanKind::Server | SpanKind::Consumer);
        let above = parent
            .map_or_else(Context::new, |parent| Context::new().with_remote_span_context(foreign(parent, from_outside)));
        let links = links.into_iter().take(MOST_LINKS).map(|link| Link::with_context(foreign(link, true))).collect();
        let builder = SpanBuilder::from_name(name).with_kind(kind).with_links(links);
        let span = tracer.build_with_context(builder, &above);
        let own = span.span_context();
        let ids = TraceId::new(own.trace_id().to_bytes()).zip(SpanId::new(own.span_id().to_bytes()));
        let context = ids.map(|(trace, id)| {
            let context = TraceContext::new(trace, id, own.is_sampled());
            match parent.and_then(TraceContext::state) {
                Some(state) => context.with_state(state),
                None => context,
            }
        });
        Span { live: span.is_recording().then(|| Box::new(Live { span, failed: false })), context }
    }
}

fn foreign(context: &TraceContext, remote: bool) -> SpanContext {
    let flags = if context.sampled() { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
    // A state that is none is left out; the trace goes on.
    let state = context.state().and_then(|state| TraceState::from_str(state).ok()).unwrap_or_default();
    let trace = opentelemetry::TraceId::from_bytes(context.trace().bytes());
    SpanContext::new(trace, opentelemetry::SpanId::from_bytes(context.span().bytes()), flags, remote, state)
}

/// A piece of work with a beginning and an end: it ends when it is dropped.
#[derive(Debug, Default)]
pub struct Span {
    live: Option<Box<Live>>,
    context: Option<TraceContext>,
}

/// A span that is being recorded.
#[derive(Debug)]
pub struct Live {
    span: SdkSpan,
    failed: bool,
}

impl Live {
    /// Sets an attribute. Never a secret and never a message's text.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) -> &mut Self {
        self.span.set_attribute(KeyValue::new(key, value));
        self
    }

    /// Gives the span another name.
    pub fn rename(&mut self, name: String) -> &mut Self {
        self.span.update_name(name);
        self
    }

    /// Says that the work failed, in a few words.
    pub fn fail(&mut self, why: impl Into<Cow<'static, str>>) -> &mut Self {
        self.span.set_status(Status::error(why));
        self
    }

    /// Says what kind of failure it was (`error.type`) and that the work failed. Whoever is nearest to the failure says it
    /// first, and that counts.
    pub fn fail_as(&mut self, kind: impl Into<Cow<'static, str>>) -> &mut Self {
        if std::mem::replace(&mut self.failed, true) {
            return self;
        }
        let kind = kind.into();
        self.set("error.type", kind.clone()).fail(kind)
    }
}

impl Span {
    /// Returns what the work that belongs to the span is to carry along.
    pub const fn context(&self) -> Option<&TraceContext> {
        self.context.as_ref()
    }

    /// Describes the span if it is recorded; otherwise `describe` does not run.
    pub fn describe(&mut self, describe: impl FnOnce(&mut Live)) {
        if let Some(live) = &mut self.live {
            describe(live);
        }
    }

    /// Makes the span current in a future.
    pub fn scope<F: Future>(&self, inner: F) -> Scope<F> {
        Scope::new(self.context.clone(), inner)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.span.end();
    }
}

#[cfg(test)]
pub(crate) mod tests;
