//! One rate limit of Discord's, as far as it is known here: how many requests it takes until when. Before anything is known of it one
//! request is out at a time. Pure: the time comes in.

use super::answer::{Heard, Scope};
use shared::Mono;
use std::time::Duration;

/// How long to wait before a bucket is looked at again whose request is out.
const LOOK: Duration = Duration::from_millis(50);

/// Two ends of a window that lie nearer than this are one.
const SAME: Duration = Duration::from_millis(250);

/// A bucket.
#[derive(Debug, Clone, Default)]
pub(super) struct Bucket {
    /// How many requests it takes; none as long as nothing was told.
    limit: Option<u32>,
    /// How many are left of the window that was told of last.
    left: u32,
    /// When that ends; none once it has.
    resets: Option<Mono>,
    /// How many are out.
    out: u32,
    /// No request leaves before.
    not_before: Mono,
}

impl Bucket {
    /// Begins with a limit that is known from others of its kind.
    pub(super) fn of(limit: Option<u32>) -> Self {
        Self { limit, left: limit.unwrap_or(0), ..Self::default() }
    }

    /// Says when to look again, unless a request may leave now.
    pub(super) fn closed(&mut self, now: Mono) -> Option<Mono> {
        if now < self.not_before {
            return Some(self.not_before);
        }
        let Some(limit) = self.limit else { return (self.out > 0).then(|| now.after(LOOK)) };
        if self.resets.is_some_and(|at| at <= now) {
            // What is out may be counted in the window that begins.
            (self.left, self.resets) = (limit.saturating_sub(self.out), None);
        }
        (self.left == 0).then(|| self.resets.unwrap_or_else(|| now.after(LOOK)))
    }

    /// A request leaves.
    pub(super) fn take(&mut self) {
        self.left = self.left.saturating_sub(1);
        self.out += 1;
    }

    /// A request did not leave after all.
    pub(super) fn give_back(&mut self) {
        self.out = self.out.saturating_sub(1);
        if let Some(limit) = self.limit {
            self.left = (self.left + 1).min(limit.saturating_sub(self.out));
        }
    }

    /// A request has ended, with an answer or without.
    pub(super) fn ended(&mut self, heard: Option<&Heard>, now: Mono) {
        self.out = self.out.saturating_sub(1);
        match heard {
            Some(heard) => self.hear(heard, now),
            None => self.settle_alone(now),
        }
    }

    /// Takes in what an answer says of it.
    pub(super) fn hear(&mut self, heard: &Heard, now: Mono) {
        if let Some(told) = &heard.told {
            let resets = now.after(told.reset_after);
            let left = told.remaining.saturating_sub(self.out);
            // Answers overtake each other: within one window only the smallest number counts.
            let same = self.limit.is_some() && self.resets.is_none_or(|before| resets <= before.after(SAME));
            self.left = if same { left.min(self.left) } else { left };
            self.limit = Some(told.limit);
            self.resets = Some(self.resets.map_or(resets, |before| before.max(resets)));
        } else {
            self.settle_alone(now);
        }
        if let Some((Scope::User | Scope::Shared, after)) = heard.hit {
            self.not_before = self.not_before.max(now.after(after));
        }
    }

    /// Without a word a window that nobody has told the end of begins anew when nothing of it is out.
    fn settle_alone(&mut self, now: Mono) {
        if let (Some(limit), None, 0) = (self.limit, self.resets, self.out) {
            (self.left, self.not_before) = (limit, self.not_before.max(now.after(LOOK)));
        }
    }

    /// Whether nothing would be lost with it.
    pub(super) fn is_idle(&self, now: Mono) -> bool {
        self.out == 0 && self.not_before <= now && self.resets.is_none_or(|at| at <= now)
    }
}

#[cfg(test)]
mod tests;
