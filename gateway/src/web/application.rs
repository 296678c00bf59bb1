//! Where the bot's own web application is. Decides what is a valid address of one.

use http::{Uri, uri::Authority};
use std::str::FromStr;

/// The address of the bot's web application: `http://host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application(Authority);

/// Why an address is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected http://HOST:PORT without a path: requests keep theirs, /g/TARGET/…")]
pub struct NotAnApplication;

impl Application {
    /// Returns host and port.
    pub(crate) fn authority(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for Application {
    type Err = NotAnApplication;

    fn from_str(text: &str) -> Result<Self, NotAnApplication> {
        let uri: Uri = text.parse().map_err(|_| NotAnApplication)?;
        let plain = uri.scheme_str() == Some("http") && matches!(uri.path(), "" | "/") && uri.query().is_none();
        let authority =
            uri.authority().filter(|named| plain && !named.host().is_empty() && !named.as_str().contains('@'));
        authority.cloned().map(Self).ok_or(NotAnApplication)
    }
}
