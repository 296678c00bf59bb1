//! Ingress: what a platform sent, verified over the raw bytes, with its target and dedupe key (PLATFORMS.md).
//!
//! Pure: headers, body and the wall clock in, a [`Verdict`] out. It knows nothing of owners, sockets or tasks. Nothing is
//! parsed before its signature has been checked, and a [`VerifiedEvent`] can only be made in here.
//!
//! **Strict reading.** A verified body must be UTF-8, valid JSON (or a form) and at most [`MAX_DEPTH`] deep. A key that
//! routing reads may stand only once in its object: a reader that takes the first and one that takes the last of two
//! would route and act differently. Such a body is refused with 400; keys that routing does not read are not looked at.

mod discord;
mod form;
mod github;
mod json;
mod signature;
mod slack;
mod standard;
mod telegram;
mod verdict;
mod verifiers;

pub use json::MAX_DEPTH;
pub use verdict::{Ignored, Reason, Verdict, VerifiedEvent};
pub use verifiers::{Source, Verifiers};

#[cfg(test)]
pub(crate) mod tests;
