//! What is counted of the connections to Discord's gateway. No guild and no session is ever a label.

use super::{connector::End, lanes::Delivered};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};
use shared::{telemetry::Metrics, wire::discord::ShardState};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByState {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByHow {
    how: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOutcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReason {
    reason: String,
}

/// The meters. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Meters {
    shards: Family<ByState, Gauge>,
    sessions: Family<ByHow, Counter>,
    ends: Family<ByReason, Counter>,
    dispatches: Family<ByOutcome, Counter>,
    waiting: Gauge,
}

impl Meters {
    /// Registers the meters.
    pub(super) fn register(metrics: &Metrics) -> Self {
        let meters = Self::default();
        metrics.register(|to| {
            let help = "Shards that this pod holds, by how their connection stands";
            to.register("berth_discord_shards", help, meters.shards.clone());
            let help = "Sessions on Discord's gateway, begun anew (identified) or gone on with (resumed)";
            to.register("berth_discord_sessions", help, meters.sessions.clone());
            let help = "Connections to Discord's gateway that ended, by the code or the kind of trouble";
            to.register("berth_discord_ends", help, meters.ends.clone());
            let help = "What Discord's gateway told, by what became of it at its owner";
            to.register("berth_discord_dispatches", help, meters.dispatches.clone());
            let help = "Events of Discord's gateway that are not committed yet";
            to.register("berth_discord_open_events", help, meters.waiting.clone());
        });
        meters
    }

    /// A shard stands so, and not as before.
    pub(super) fn stands(&self, before: Option<ShardState>, now: Option<ShardState>) {
        let gauge = |state: ShardState| self.shards.get_or_create_owned(&ByState { state: state.as_str() });
        if let Some(before) = before {
            gauge(before).dec();
        }
        if let Some(now) = now {
            gauge(now).inc();
        }
    }

    /// A session began, or goes on.
    pub(super) fn session(&self, new: bool) {
        let how = if new { "identified" } else { "resumed" };
        self.sessions.get_or_create(&ByHow { how }).inc();
    }

    /// A connection ended.
    pub(super) fn ended(&self, end: &End) {
        let reason = match end {
            // Beyond those that Discord documents, a code says nothing.
            End::Closed(Some(code @ (1000..=1015 | 4000..=4014))) => code.to_string(),
            End::Closed(Some(_)) => "other".to_owned(),
            End::Closed(None) => "none".to_owned(),
            End::Invalid { .. } => "invalid-session".to_owned(),
            End::Broken(_) => "broken".to_owned(),
        };
        self.ends.get_or_create(&ByReason { reason }).inc();
    }

    /// An event is done with.
    pub(super) fn delivered(&self, delivered: Delivered) {
        let outcome = match delivered {
            Delivered::Committed => "committed",
            Delivered::Duplicate => "duplicate",
            Delivered::TooLarge => "too-large",
        };
        self.dispatches.get_or_create(&ByOutcome { outcome }).inc();
    }

    /// An event is none.
    pub(super) fn malformed(&self) {
        self.dispatches.get_or_create(&ByOutcome { outcome: "malformed" }).inc();
    }

    /// So many more, or fewer, are open.
    pub(super) fn open(&self, before: usize, now: usize) {
        let signed = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.waiting.inc_by(signed(now) - signed(before));
    }
}
