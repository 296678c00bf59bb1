//! Traces: what one event did, from service to service, as spans that a collector shows. This module decides how a trace
//! travels ([`TraceContext`]) and what is current where ([`Scope`]); it knows no event, no target and no route.

mod context;
mod current;

pub use context::{SpanId, TraceContext, TraceId};
pub use current::{Entered, Scope};
