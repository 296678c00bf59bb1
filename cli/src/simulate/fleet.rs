//! A made-up fleet: who weighs what, and how that changes over a day. All of it follows from a seed.

use config_service::planner::{Entry, Phase, PodView, Snapshot, Weight};
use shared::{PodId, Revision, backoff::Rng};

/// Milliseconds of a day.
const DAY: u64 = 86_400_000;

/// What targets weigh when they are busiest, and when that is.
#[derive(Debug)]
pub(super) struct Fleet {
    peaks: Vec<f64>,
    /// When each is busiest, in milliseconds of the day.
    noon: Vec<u64>,
    bytes: Vec<f32>,
}

impl Fleet {
    /// Draws a fleet that fills `pods` pods to half of what they are meant to carry.
    pub(super) fn drawn(count: usize, pods: usize, rng: &mut Rng) -> Self {
        let mut peaks: Vec<f64> = (0..count).map(|rank| 1.0 / (rank as f64 + 1.0)).collect();
        let all: f64 = peaks.iter().sum();
        peaks.iter_mut().for_each(|peak| *peak = (*peak / all).min(0.01 / pods as f64));
        let scale = 1_000.0 * pods as f64 / peaks.iter().sum::<f64>();
        for at in (1..count).rev() {
            peaks.swap(at, usize::try_from(rng.next_u64() % (at as u64 + 1)).unwrap_or(0));
        }
        peaks.iter_mut().for_each(|peak| *peak *= scale);
        // Most of a bot's guilds are in the same part of the world.
        let noon = (0..count).map(|_| DAY / 2 + rng.next_u64() % (DAY / 4)).collect();
        let bytes = (0..count).map(|_| (1e5 + rng.next_f64() * 2e6) as f32).collect();
        Self { peaks, noon, bytes }
    }

    /// Returns what a target weighs at a time: a fifth at night, rising and falling in a straight line.
    pub(super) fn weight(&self, at: usize, now_ms: u64) -> Weight {
        let away = (now_ms % DAY).abs_diff(self.noon[at]);
        let away = away.min(DAY - away) as f64 / (DAY / 2) as f64;
        let events = self.peaks[at] * (1.0 - 0.8 * away);
        Weight { events: events as f32, bytes: self.bytes[at], sockets: 0.0 }
    }

    /// Returns the fleet at its beginning: on `pods` pods, of which those after the first `ready` are still to come.
    pub(super) fn snapshot(&self, pods: usize, ready: usize) -> Snapshot {
        let view = |n: usize| {
            let phase = if n < ready { Phase::Ready } else { Phase::Joining };
            PodView { phase, ..PodView::ready(pod(n)) }
        };
        let mut builder = Snapshot::of(Revision(1), (0..pods).map(view).collect(), self.peaks.len());
        for id in 0..self.peaks.len() {
            let target = format!("discord:guild:{id:09}").parse();
            let target = target.unwrap_or_else(|_| unreachable!("digits are a name"));
            let weight = self.weight(id, 0);
            builder.add(Entry { target, parent: None, owner: None, weight, rules: None });
        }
        builder.finish()
    }
}

/// The name of a pod.
pub(super) fn pod(n: usize) -> PodId {
    format!("gateway-{n}").parse().unwrap_or_else(|_| unreachable!("a number is a label"))
}
