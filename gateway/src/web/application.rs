//! Where the bot's own web application is: where it was said to be, else the handler itself once it says that it serves
//! pages. Decides what is a valid address of one.

use crate::handlers::{AsyncHandler, remote::Remote};
use http::{Uri, uri::Authority};
use std::str::FromStr;

/// The address of the bot's web application: `http://host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application(Authority);

/// Why an address is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected http://HOST:PORT without a path: requests keep theirs, /g/TARGET/…")]
pub struct NotAnApplication;

/// How the application is found.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    /// Where the settings say that it is.
    pub(crate) set: Option<Application>,
    /// The handler, when it is another program.
    pub(crate) handler: Option<Remote>,
}

impl Home {
    /// Returns where it is now; a handler may begin to serve pages with its next version.
    pub(crate) fn find(&self) -> Option<Application> {
        let handler = || self.handler.as_ref().filter(|handler| handler.describe().web);
        self.set.clone().or_else(|| handler()?.url().parse::<Uri>().ok()?.authority().cloned().map(Application))
    }
}

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
