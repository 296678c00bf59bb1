//! What the author of an asynchronous handler sees: it is given a [`Call`] and answers with [`Said`]. No transaction is
//! open meanwhile; what it said is applied as one when it has answered. The contract over HTTP is the same.

mod call;
mod turns;

pub use call::{Call, Local, Preloaded};
pub(crate) use turns::Turns;

use super::{Acquired, HandlerError, Said};
pub use futures_util::future::BoxFuture;
use shared::TargetId;
use std::time::Duration;

/// What a handler says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Described {
    /// Its name.
    pub name: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// Keys that come along with every call: a key, or the beginning of keys with `*` behind it.
    pub preload: Vec<String>,
    /// Most calls at once; the pod's own bound when it is smaller or this is not given.
    pub max_concurrency: Option<usize>,
    /// How long a call may take; the pod's own bound when that is shorter or this is not given.
    pub timeout: Option<Duration>,
    /// Whether it serves a web application of its targets too.
    pub web: bool,
}

/// A bot that has to wait for something while it works. Calls for one target come strictly one after another, in the order
/// in which its events were accepted; targets run beside each other. A call may come again until what was said has been
/// committed, so it keeps nothing of its own that must not happen twice.
pub trait AsyncHandler: Send + Sync + 'static {
    /// Says what the handler wants. Asked before every call.
    fn describe(&self) -> Described {
        Described::default()
    }

    /// Handles one event, or the timer in [`Call::timer`]. Dropped when its time is over, or when its target is no longer
    /// this pod's.
    ///
    /// # Errors
    /// [`HandlerError`].
    fn handle<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<Said, HandlerError>>;

    /// Completes once the handler can be called. While it cannot, calls wait, and no attempt is counted.
    fn available(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    /// As [`super::Handler::on_acquire`]. What it says comes also with the first call, in [`Call::acquired`].
    fn on_acquire(&self, acquired: &Acquired<'_>) {
        let _ = acquired;
    }

    /// Told when the pod has stopped serving a target.
    fn on_release(&self, target: &TargetId) {
        let _ = target;
    }

    /// As [`super::Handler::export_volatile`].
    fn export_volatile(&self, target: &TargetId) -> Option<Vec<u8>> {
        let _ = target;
        None
    }

    /// As [`super::Handler::import_volatile`].
    fn import_volatile(&self, target: &TargetId, state: &[u8]) {
        let _ = (target, state);
    }
}
