//! Rate limits as Discord words them: one for the bot, one per bucket, one that others share, and the ban of whoever sends
//! too much that is invalid (PLATFORMS.md, Discord gateway).

use super::{Reply, route::Route};
use crate::{
    ids::Now,
    limits::Window,
    settings::{Rate, Settings},
};
use serde_json::{Value, json};
use shared::clock::Mono;
use std::{collections::BTreeMap, time::Duration};

/// What was used.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    global: Window,
    buckets: BTreeMap<(&'static str, String), Window>,
    /// Channels that others use up: until when.
    shared: BTreeMap<u64, Mono>,
    /// Until when the bot has used its limit up elsewhere.
    elsewhere: Mono,
    invalid: Window,
    /// Since when and how long the address is banned.
    ban: Option<(Mono, Duration)>,
    /// How many requests were invalid at all.
    pub(crate) invalid_requests: usize,
}

impl Limits {
    /// A channel's limit is used up by others.
    pub(crate) fn share(&mut self, channel: u64, until: Mono) {
        self.shared.insert(channel, until);
    }

    /// The bot's limit is used up elsewhere.
    pub(crate) fn use_up(&mut self, until: Mono) {
        self.elsewhere = until;
    }

    /// Counts a request; returns the headers of its answer, or the refusal.
    pub(crate) fn pass(
        &mut self,
        settings: &Settings,
        route: &Route,
        now: Now,
    ) -> Result<Vec<(&'static str, String)>, Reply> {
        if let Route::Create(channel) = route {
            let until = self.shared.get(channel).copied().unwrap_or_default();
            if until > now.mono {
                return Err(refused(until.since(now.mono), "shared", Vec::new()));
            }
        }
        if self.elsewhere > now.mono && !route.of_interaction() {
            let headers = vec![("x-ratelimit-global", "true".to_owned())];
            return Err(refused(self.elsewhere.since(now.mono), "global", headers));
        }
        let bucket = route.bucket();
        let window = self.buckets.entry(bucket.clone()).or_default();
        // A request that the bucket refuses does not count for the bot.
        if window.left(settings.route, now.mono).uses > 0
            && !route.of_interaction()
            && let Err(after) = self.global.take(settings.global, now.mono)
        {
            return Err(refused(after, "global", vec![("x-ratelimit-global", "true".to_owned())]));
        }
        match window.take(settings.route, now.mono) {
            Ok(left) => Ok(headers(settings.route, bucket.0, left.uses, left.reset_after, now)),
            Err(after) => Err(refused(after, "user", headers(settings.route, bucket.0, 0, after, now))),
        }
    }

    /// Counts an answer that makes its request an invalid one. A limit that others used up is nobody's fault.
    pub(crate) fn judge(&mut self, settings: &Settings, reply: &Reply, now: Mono) {
        let shared = reply.headers.iter().any(|(name, value)| *name == "x-ratelimit-scope" && value == "shared");
        if !matches!(reply.status, 401 | 403 | 429) || shared {
            return;
        }
        self.invalid_requests += 1;
        match self.invalid.take(settings.invalid, now) {
            Ok(left) if left.uses == 0 => self.ban = Some((now, left.reset_after)),
            _ => {}
        }
    }

    /// The refusal of everything, for an address that sent too much that was invalid. It is not the API that says it.
    pub(crate) fn banned(&self, now: Now) -> Option<Reply> {
        let (since, long) = self.ban?;
        let left = long.checked_sub(now.mono.since(since)).filter(|left| !left.is_zero())?;
        let headers = vec![("retry-after", left.as_secs().max(1).to_string())];
        Some(Reply { status: 429, headers, body: Value::String("error code: 1015".to_owned()), lost: false })
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64())
}

fn headers(rate: Rate, bucket: &str, left: u32, after: Duration, now: Now) -> Vec<(&'static str, String)> {
    let reset = Duration::from_millis(now.wall_ms) + after;
    vec![
        ("x-ratelimit-limit", rate.most.to_string()),
        ("x-ratelimit-remaining", left.to_string()),
        ("x-ratelimit-reset", seconds(reset)),
        ("x-ratelimit-reset-after", seconds(after)),
        ("x-ratelimit-bucket", format!("double-{bucket}")),
    ]
}

fn refused(after: Duration, scope: &'static str, mut headers: Vec<(&'static str, String)>) -> Reply {
    // Whole seconds, upwards: whoever comes back then is not too early.
    headers.push(("retry-after", after.as_millis().div_ceil(1000).to_string()));
    headers.push(("x-ratelimit-scope", scope.to_owned()));
    let body = json!({
        "message": "You are being rate limited.", "global": scope == "global",
        "retry_after": (after.as_secs_f64() * 1000.0).ceil() / 1000.0,
    });
    Reply { status: 429, headers, body, lost: false }
}
