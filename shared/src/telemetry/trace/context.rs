//! The part of a span that travels: W3C Trace Context, level 1. Decides which text is a context and which is not; what is
//! not is left out as if it had not been there. Knows nothing of sampling.

use std::{fmt, str::FromStr, sync::Arc};

/// The longest `tracestate` that is carried on, in bytes. A longer one is left out whole.
const MOST_STATE: usize = 512;
/// The flag of a trace that somebody before has decided to record.
const SAMPLED: u8 = 1;
/// The bytes of [`TraceContext::to_bytes`].
const BYTES: usize = 25;

/// The id of a trace: 16 bytes, not all zero. Shown in lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 16]);

/// The id of a span: 8 bytes, not all zero. Shown in lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId([u8; 8]);

macro_rules! id {
    ($name:ident, $size:literal) => {
        impl $name {
            /// Makes an id; `None` when all bytes are zero.
            pub fn new(bytes: [u8; $size]) -> Option<Self> {
                (bytes != [0; $size]).then_some(Self(bytes))
            }

            /// Returns the bytes.
            pub const fn bytes(self) -> [u8; $size] {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }
    };
}

id!(TraceId, 16);
id!(SpanId, 8);

/// Why a text is no `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a W3C traceparent")]
pub struct NotAContext;

/// Which span a piece of work belongs to. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    trace: TraceId,
    span: SpanId,
    sampled: bool,
    /// What other vendors carry along.
    state: Option<Arc<str>>,
}

impl TraceContext {
    /// Makes the context of a span.
    pub const fn new(trace: TraceId, span: SpanId, sampled: bool) -> Self {
        Self { trace, span, sampled, state: None }
    }

    /// Returns the trace.
    pub const fn trace(&self) -> TraceId {
        self.trace
    }

    /// Returns the span.
    pub const fn span(&self) -> SpanId {
        self.span
    }

    /// Returns whether the trace is recorded.
    pub const fn sampled(&self) -> bool {
        self.sampled
    }

    /// Returns the `tracestate` that came with it.
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// Returns the context of another span of the same trace.
    #[must_use]
    pub fn child(&self, span: SpanId, sampled: bool) -> Self {
        Self { trace: self.trace, span, sampled, state: self.state.clone() }
    }

    /// Adds a `tracestate`. One that is empty, too long or not printable is left out.
    #[must_use]
    pub fn with_state(mut self, state: &str) -> Self {
        let state = state.trim();
        let fits = !state.is_empty() && state.len() <= MOST_STATE && state.bytes().all(|b| (0x20..0x7f).contains(&b));
        self.state = fits.then(|| state.into());
        self
    }

    /// Reads the headers of a request; `None` when they hold no context, or a malformed one.
    pub fn from_headers(headers: &http::HeaderMap) -> Option<Self> {
        let mut parents = headers.get_all("traceparent").iter();
        let parent = parents.next()?.to_str().ok()?.parse::<Self>().ok()?;
        if parents.next().is_some() {
            return None;
        }
        let states: Vec<_> = headers.get_all("tracestate").iter().filter_map(|state| state.to_str().ok()).collect();
        Some(parent.with_state(&states.join(",")))
    }

    /// Returns the `traceparent` of requests that this span makes.
    pub fn traceparent(&self) -> String {
        self.to_string()
    }

    /// Returns trace, span and flags as 25 bytes, for links and rows. The `tracestate` is not among them.
    pub fn to_bytes(&self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        bytes[..16].copy_from_slice(&self.trace.0);
        bytes[16..24].copy_from_slice(&self.span.0);
        bytes[24] = u8::from(self.sampled);
        bytes
    }

    /// Reads what [`TraceContext::to_bytes`] gave.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; BYTES] = bytes.try_into().ok()?;
        let trace = TraceId::new(bytes[..16].try_into().ok()?)?;
        let span = SpanId::new(bytes[16..24].try_into().ok()?)?;
        Some(Self::new(trace, span, bytes[24] & SAMPLED != 0))
    }
}

/// The `traceparent`.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

/// Reads a `traceparent`, of this version or a later one, whose first fields are the same.
impl FromStr for TraceContext {
    type Err = NotAContext;

    fn from_str(text: &str) -> Result<Self, NotAContext> {
        let mut parts = text.trim().split('-');
        let mut part = || parts.next().ok_or(NotAContext);
        let [version] = hex::<1>(part()?)?;
        let trace = TraceId::new(hex(part()?)?).ok_or(NotAContext)?;
        let span = SpanId::new(hex(part()?)?).ok_or(NotAContext)?;
        let [flags] = hex::<1>(part()?)?;
        let more = parts.next().is_some();
        if version == 0xff || (version == 0 && more) {
            return Err(NotAContext);
        }
        Ok(Self::new(trace, span, flags & SAMPLED != 0))
    }
}

/// Reads lower-case digits: the standard refuses the others.
fn hex<const N: usize>(text: &str) -> Result<[u8; N], NotAContext> {
    let text = text.as_bytes();
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        _ => Err(NotAContext),
    };
    if text.len() != 2 * N {
        return Err(NotAContext);
    }
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests;
