//! Handing events to their owners. [`Upstream`] is all the router knows of it; [`Links`] does it over one multiplexed
//! frame link per pod (`crate::wire::link`). A link carries what it is given: who owns what is not its matter.

mod connection;
mod links;
mod open;
mod session;

pub use links::{LinkOptions, Links};

use crate::PodId;
use crate::wire::link::{Outcome, Request};

/// A way to hand requests to pods.
pub trait Upstream: Send + Sync + 'static {
    /// The right to have one request of a given size unanswered at a pod. Dropped, it goes back.
    type Share: Send;

    /// Takes a share if there is one now.
    ///
    /// # Errors
    /// [`NoShare`].
    fn try_reserve(&self, pod: &PodId, bytes: usize) -> Result<Self::Share, NoShare>;

    /// Waits for a share, first come first served.
    ///
    /// # Errors
    /// [`NoShare`], but never [`NoShare::Full`].
    fn reserve(&self, pod: &PodId, bytes: usize) -> impl Future<Output = Result<Self::Share, NoShare>> + Send;

    /// Hands a request over and waits for its outcome. Dropping the future tells the pod that nobody waits any more.
    ///
    /// # Errors
    /// [`Lost`] when the link died first.
    fn call(&self, share: Self::Share, request: Request) -> impl Future<Output = Result<Outcome, Lost>> + Send;

    /// Returns once requests can be handed to the pod, at once when they can be now.
    fn ready(&self, pod: &PodId) -> impl Future<Output = ()> + Send;
}

/// Why there is no share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoShare {
    /// The link is not open.
    #[error("the link is down")]
    Down,
    /// The pod's window is used up.
    #[error("the pod's window is used up")]
    Full,
    /// The request is larger than a frame may be. Waiting does not help.
    #[error("the request is too large for the link")]
    TooLarge,
}

/// The link died before the outcome came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the link was lost")]
pub struct Lost {
    /// Whether the pod may have seen the request.
    pub sent: bool,
}

#[cfg(test)]
mod tests;
