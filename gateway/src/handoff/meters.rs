//! What is counted of moves here. How many run in the cluster and how they end, config-service counts.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};
use shared::telemetry::Metrics;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BySide {
    side: &'static str,
}

/// From this pod, or to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Source,
    Destination,
}

/// The meters. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct HandoffMeters {
    moves: Family<BySide, Gauge>,
    frozen: Gauge,
    bytes: Family<BySide, Counter>,
}

impl Side {
    const fn label(self) -> BySide {
        let side = match self {
            Self::Source => "source",
            Self::Destination => "destination",
        };
        BySide { side }
    }
}

impl HandoffMeters {
    /// Registers the meters.
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let meters = Self::default();
        metrics.register(|to| {
            let help = "Moves that this pod has something to do for, by its side of them";
            to.register("berth_pod_moves", help, meters.moves.clone());
            let help = "Targets that accept nothing here because they are being moved";
            to.register("berth_pod_frozen_targets", help, meters.frozen.clone());
            let help = "Bytes of rows that moves took away from this pod, or brought to it";
            to.register("berth_moved_bytes", help, meters.bytes.clone());
        });
        meters
    }

    /// Shows how many moves there are.
    pub(super) fn moves(&self, side: Side, count: usize) {
        self.moves.get_or_create(&side.label()).set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Shows how many targets are frozen.
    pub(super) fn frozen(&self, count: usize) {
        self.frozen.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Counts what a move took away or brought.
    pub(super) fn moved(&self, side: Side, bytes: u64) {
        self.bytes.get_or_create(&side.label()).inc_by(bytes);
    }
}
