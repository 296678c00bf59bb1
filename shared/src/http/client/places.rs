//! The addresses of one service that runs several times, and which of them is in use. Decides when to go on with the next;
//! calls nobody.

use super::ClientError;
use crate::problem::Problem;
use http::Uri;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The replicas of a service. Whoever shares it shares which one is in use.
#[derive(Debug)]
pub(super) struct Places {
    bases: Vec<String>,
    at: AtomicUsize,
}

impl Places {
    /// Reads one URL, or several with commas between them.
    pub(super) fn parse(text: &str) -> Result<Self, ClientError> {
        let named = text.split(',').map(str::trim).filter(|base| !base.is_empty());
        let bases = named.map(base).collect::<Result<Vec<_>, _>>()?;
        if bases.is_empty() {
            return Err(ClientError::Url(text.to_owned()));
        }
        Ok(Self { bases, at: AtomicUsize::new(0) })
    }

    /// Returns the same addresses, beginning with the first.
    pub(super) fn anew(&self) -> Self {
        Self { bases: self.bases.clone(), at: AtomicUsize::new(0) }
    }

    /// Returns how many there are.
    pub(super) fn count(&self) -> usize {
        self.bases.len()
    }

    /// Returns all of them as they are written.
    pub(super) fn all(&self) -> String {
        self.bases.join(",")
    }

    /// Returns the one in use.
    pub(super) fn current(&self) -> &str {
        &self.bases[self.at.load(Ordering::Relaxed) % self.bases.len()]
    }

    /// Begins an attempt at the one in use.
    pub(super) fn attempt(&self) -> Attempt<'_> {
        Attempt { places: self, at: self.at.load(Ordering::Relaxed), well: false }
    }

    /// Leaves `base` for the next one, unless somebody has left it already.
    pub(super) fn leave(&self, base: &str) {
        let at = self.at.load(Ordering::Relaxed);
        if self.bases[at % self.bases.len()] == base {
            self.leave_at(at);
        }
    }

    fn leave_at(&self, at: usize) {
        let next = (at + 1) % self.bases.len();
        // Lost races mean that another call has gone on already.
        let _ = self.at.compare_exchange(at, next, Ordering::Relaxed, Ordering::Relaxed);
    }
}

fn base(text: &str) -> Result<String, ClientError> {
    let base = text.trim_end_matches('/').to_owned();
    let uri: Uri = base.parse().map_err(|_| ClientError::Url(base.clone()))?;
    if uri.scheme_str() != Some("http") || uri.host().is_none() {
        return Err(ClientError::Url(base));
    }
    Ok(base)
}

/// One attempt. One that does not end well, given up before its end too, is the last at its place.
pub(super) struct Attempt<'a> {
    places: &'a Places,
    at: usize,
    well: bool,
}

impl Attempt<'_> {
    /// Returns where it goes.
    pub(super) fn base(&self) -> &str {
        &self.places.bases[self.at % self.places.bases.len()]
    }

    /// Says how it ended. Returns whether the call may be repeated elsewhere: nothing was done here, or doing it twice is
    /// the same as once (`safe`).
    pub(super) fn ended<T>(mut self, outcome: &Result<T, ClientError>, safe: bool) -> bool {
        let code = |problem: &Problem, codes: &[&str]| problem.status == 503 && codes.contains(&problem.code.as_str());
        match outcome {
            Err(ClientError::Unreachable { sent, .. }) => safe || !sent,
            Err(ClientError::Problem(problem)) if code(problem, &UNTOUCHED) => true,
            Err(ClientError::Problem(problem)) if code(problem, &UNKNOWN) => safe,
            _ => {
                self.well = true;
                false
            }
        }
    }
}

/// What a replica answers that has done nothing, while another may be able to.
const UNTOUCHED: [&str; 2] = ["not-leader", "too-many-watchers"];

/// What a replica answers that is cut off from what it needs, and cannot say what was done.
const UNKNOWN: [&str; 2] = ["store-unavailable", "leader-unreachable"];

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.well {
            self.places.leave_at(self.at);
        }
    }
}

#[cfg(test)]
mod tests;
