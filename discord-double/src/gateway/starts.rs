//! The budget of IDENTIFYs (PLATFORMS.md, Discord gateway): so many a day, and one per bucket in a while.

use crate::{
    limits::{Left, Window},
    settings::Settings,
};
use shared::clock::Mono;
use std::collections::BTreeMap;

/// What becomes of an IDENTIFY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// It may start a session.
    Granted,
    /// The one before it in its bucket is too near.
    TooSoon,
    /// There were too many today.
    Spent,
}

/// What was spent.
#[derive(Debug, Default)]
pub(crate) struct Starts {
    day: Window,
    /// The last granted one of each bucket.
    granted: BTreeMap<u32, Mono>,
}

impl Starts {
    /// Spends one of the day's, granted or not.
    pub(crate) fn take(&mut self, settings: &Settings, shard: u32, now: Mono) -> Start {
        if self.day.take(settings.starts, now).is_err() {
            return Start::Spent;
        }
        let bucket = shard % settings.concurrency.max(1);
        if self.granted.get(&bucket).is_some_and(|last| now.since(*last) < settings.pace) {
            return Start::TooSoon;
        }
        self.granted.insert(bucket, now);
        Start::Granted
    }

    /// What `/gateway/bot` says of the day.
    pub(crate) fn left(&self, settings: &Settings, now: Mono) -> Left {
        self.day.left(settings.starts, now)
    }
}
