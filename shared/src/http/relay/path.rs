//! The URL of a guild's web traffic, `/g/{target}/…`: whose it is, and whether it may be passed on as it stands. Pure.
//! Every hop reads it with this, so that none can be made to see another path than the next one.

use crate::TargetId;
use http::{HeaderMap, Uri, header, uri::PathAndQuery};

const PREFIX: &str = "/g/";

/// A URL that may be passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebPath {
    /// Whose traffic it is.
    pub target: TargetId,
    /// What the next hop is asked for: the target in its plain form, the rest and the query byte for byte.
    pub onward: PathAndQuery,
}

/// Why a URL is not passed on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The path does not begin with `/g/` and a target.
    #[error("the path must be /g/TARGET/…, where TARGET is platform:kind:id: {0}")]
    Target(String),
    /// A segment is `.` or `..`, plain or escaped: applications would read another path than was routed.
    #[error("the path must not contain the segments . and .., escaped or not")]
    Dots,
    /// An escape is no two hex digits, or stands for a control character.
    #[error("the path contains an escape that is malformed or stands for a control character")]
    Escape,
    /// The request line names another host than the `Host` header.
    #[error("the host in the request line differs from the Host header")]
    Host,
}

impl WebPath {
    /// Reads the URL of a request.
    ///
    /// # Errors
    /// [`PathError`].
    pub fn read(uri: &Uri, headers: &HeaderMap) -> Result<Self, PathError> {
        let host = headers.get(header::HOST).map(|host| host.as_bytes());
        if uri
            .authority()
            .is_some_and(|named| host.is_none_or(|host| !host.eq_ignore_ascii_case(named.as_str().as_bytes())))
        {
            return Err(PathError::Host);
        }
        let rest = uri.path().strip_prefix(PREFIX).ok_or_else(|| PathError::Target("there is none".to_owned()))?;
        let (target, rest) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let target = unescape(target)?;
        let target = std::str::from_utf8(&target).map_err(|why| PathError::Target(why.to_string()))?;
        let target: TargetId = target.parse().map_err(|why: crate::id::IdError| PathError::Target(why.to_string()))?;
        let plain = unescape(rest)?;
        // Some applications read an escaped slash, or a backslash, as a slash: what is between them is a segment too.
        if plain.split(|byte| matches!(byte, b'/' | b'\\')).any(|segment| matches!(segment, b"." | b"..")) {
            return Err(PathError::Dots);
        }
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        let onward = format!("{PREFIX}{target}{rest}{query}").parse().map_err(|_| PathError::Escape)?;
        Ok(Self { target, onward })
    }
}

fn unescape(text: &str) -> Result<Vec<u8>, PathError> {
    let mut plain = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let byte = if byte == b'%' {
            let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16)).ok_or(PathError::Escape);
            let (high, low) = (digit()?, digit()?);
            u8::try_from(high * 16 + low).map_err(|_| PathError::Escape)?
        } else {
            byte
        };
        if byte.is_ascii_control() {
            return Err(PathError::Escape);
        }
        plain.push(byte);
    }
    Ok(plain)
}
