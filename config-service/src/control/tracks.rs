//! How the pods of each track do, by what they report of their answers with their heartbeats: the difference of two reports, at most
//! [`WINDOW`] apart, so that both tracks are judged by the same time. Lives in memory: another leader begins anew. Pure.

use super::View;
use crate::domain::{Model, PodRecord};
use shared::wire::admin::{CanaryStatus, TrackStatus};
use shared::wire::control::{PodState, Served, Track};
use shared::{Mono, PodId};
use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    time::Duration,
};

/// Over how long answers are counted at most.
const WINDOW: Duration = Duration::from_secs(300);

/// How far two reports are apart that are remembered.
const STEP: Duration = Duration::from_secs(5);

/// What pods have reported.
#[derive(Debug, Default)]
pub(super) struct Reports(HashMap<PodId, Reported>);

/// What one has.
#[derive(Debug, Default)]
struct Reported {
    /// At most one for each step, the oldest first.
    kept: VecDeque<(Mono, Served)>,
    newest: Option<(Mono, Served)>,
}

impl Reports {
    /// Takes a report.
    pub(super) fn heard(&mut self, pod: &PodId, served: Option<Served>, now: Mono) {
        let Some(served) = served else { return };
        let reported = self.0.entry(pod.clone()).or_default();
        if reported.newest.is_some_and(|(_, before)| served.since(&before).is_none()) {
            // Its process has begun anew: what it counted before is over.
            reported.kept.clear();
        }
        if reported.kept.back().is_none_or(|(at, _)| now.since(*at) >= STEP) {
            reported.kept.push_back((now, served));
        }
        // The oldest one may be as old as the window; the next one is younger.
        while reported.kept.get(1).is_some_and(|(at, _)| now.since(*at) >= WINDOW) {
            reported.kept.pop_front();
        }
        reported.newest = Some((now, served));
    }

    /// Returns what a pod has answered in the window, and in how long that was.
    fn of(&self, pod: &PodId) -> Option<(Duration, Served)> {
        let reported = self.0.get(pod)?;
        let ((from, before), (to, after)) = (reported.kept.front()?, reported.newest.as_ref()?);
        Some((to.since(*from), after.since(before)?))
    }

    /// Returns how the pods of a track do.
    fn track(&self, track: Track, pods: &[(&PodRecord, PodState)], model: &Model) -> TrackStatus {
        let of_track = || pods.iter().map(|(record, _)| *record).filter(|record| record.track == track);
        let version = |record: &PodRecord| {
            let bot = record.bot.as_ref().and_then(|bot| bot.version.clone());
            bot.unwrap_or_else(|| record.version.clone())
        };
        let (mut counted, mut served) = (Duration::ZERO, Served::default());
        for (time, of) in of_track().filter_map(|record| self.of(&record.info.pod)) {
            (counted, served) = (counted.max(time), served.plus(&of));
        }
        TrackStatus {
            track,
            pods: of_track().map(|record| record.info.pod.clone()).collect(),
            versions: of_track().map(version).collect::<BTreeSet<_>>().into_iter().collect(),
            targets: of_track().map(|record| model.targets_of(&record.info.pod)).sum(),
            counted_ms: millis(counted),
            events: served.events,
            errors: served.errors,
            error_rate: (served.events > 0).then(|| served.errors as f64 / served.events as f64),
            p50_ms: served.percentile_ms(50),
            p99_ms: served.percentile_ms(99),
        }
    }
}

impl View<'_> {
    /// Returns the canary, and how the tracks do side by side.
    pub(crate) fn canary(&self) -> CanaryStatus {
        let (model, canary) = (self.model, self.model.canary());
        let pods: Vec<_> = self.fleet.states(model, self.now).filter(|(record, _)| !record.buried).collect();
        let record = model.canary_record();
        CanaryStatus {
            state: canary.state,
            share: canary.share(),
            named: model.canary_named().count() as u64,
            plan: canary.plan,
            actor: record.map(|record| record.actor.clone()),
            reason: record.map(|record| record.reason.clone()),
            since_ms: record.map(|record| record.at_ms),
            warnings: warnings(canary.runs(), &pods),
            window_ms: millis(WINDOW),
            tracks: Track::ALL.map(|track| self.fleet.reports().track(track, &pods, model)).to_vec(),
        }
    }
}

/// Says what is wrong with the canary, as sentences.
fn warnings(runs: bool, pods: &[(&PodRecord, PodState)]) -> Vec<String> {
    let takes = |track: Track| {
        let takes = |(record, state): &&(&PodRecord, PodState)| {
            record.track == track && *state == PodState::Ready && record.marks.open()
        };
        pods.iter().any(|pod| takes(&pod))
    };
    let mut warnings = Vec::new();
    if runs && !takes(Track::Canary) {
        warnings.push(
            "no pod of track canary takes targets: those of the canary are served by the others, and go there when one does"
                .to_owned(),
        );
    }
    if !takes(Track::Stable) && takes(Track::Canary) {
        warnings.push(
            "no pod of track stable takes targets: those that are not of the canary have nowhere to go".to_owned(),
        );
    }
    warnings
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
