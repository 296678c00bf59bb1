//! What is counted of the calls to Discord. No bot, no channel and no path is ever a label.

use super::{
    answer::{Heard, Scope},
    limits::Standing,
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};
use shared::telemetry::Metrics;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByKind {
    kind: &'static str,
}

/// The meters. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub(super) struct Meters {
    answers: Family<ByKind, Counter>,
    slots: Family<ByKind, Gauge>,
    invalid: Gauge,
    braked: Gauge,
    paused: Gauge,
    refused: Gauge,
}

impl Meters {
    /// Registers them.
    pub(super) fn register(&self, metrics: &Metrics) {
        metrics.register(|to| {
            let help = "Answers of Discord's API to outgoing calls, by kind: what was done, and which limit was hit";
            to.register("berth_discord_rest_answers", help, self.answers.clone());
            let help =
                "Requests that may be out to Discord at once: given to this pod, and used; of the bot that uses most";
            to.register("berth_discord_rest_slots", help, self.slots.clone());
            let help = "Requests of the last ten minutes that Discord counts towards a ban of the address";
            to.register("berth_discord_rest_invalid", help, self.invalid.clone());
            let help = "1 while no call to Discord leaves, because too many were invalid";
            to.register("berth_discord_rest_braked", help, self.braked.clone());
            let help = "1 while calls wait because Discord told the bot or the address to pause";
            to.register("berth_discord_rest_paused", help, self.paused.clone());
            let help = "Tokens that Discord refused, and that are not used until the pod starts anew";
            to.register("berth_discord_rest_refused", help, self.refused.clone());
        });
    }

    /// An answer came.
    pub(super) fn answered(&self, heard: &Heard) {
        let kind = match (heard.status, heard.hit) {
            (_, Some((Scope::User, _))) => "limited_user",
            (_, Some((Scope::Global, _))) => "limited_global",
            (_, Some((Scope::Shared, _))) => "limited_shared",
            (_, Some((Scope::Address, _))) => "limited_address",
            (200..=299, _) => "ok",
            (401 | 403, _) => "invalid",
            (400..=499, _) => "refused",
            _ => "failed",
        };
        self.answers.get_or_create(&ByKind { kind }).inc();
    }

    /// Shows how it stands.
    pub(super) fn show(&self, standing: &Standing) {
        for (kind, count) in [("given", standing.slots), ("used", standing.used)] {
            self.slots.get_or_create(&ByKind { kind }).set(count.into());
        }
        self.invalid.set(standing.invalid.into());
        self.braked.set(standing.braked.into());
        self.paused.set(standing.paused.into());
        self.refused.set(i64::try_from(standing.refused).unwrap_or(i64::MAX));
    }
}
