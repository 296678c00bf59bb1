//! What is to be reported of moves, one call to config-service at a time: what comes up meanwhile goes with the next. The
//! latest word of each kind counts. What fails is not kept: the machines say it again.

use shared::wire::handoff::{MoveReport, Said};
use shared::{MoveId, wire::handoff::Reports};
use std::collections::BTreeMap;

/// Reports of one call at most.
const MOST: usize = 1_000;

/// What waits to be reported.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    said: BTreeMap<(MoveId, u8), Said>,
    /// Whether a call is out.
    pub(super) out: bool,
}

impl Waiting {
    /// Adds a report.
    pub(super) fn add(&mut self, id: MoveId, said: Said) {
        let kind = match said {
            Said::Progress { .. } => 0,
            Said::Frozen { .. } => 1,
            Said::Imported { .. } => 2,
            Said::Serving { .. } => 3,
            Said::Failed { .. } => 4,
        };
        self.said.insert((id, kind), said);
    }

    /// Returns what the next call takes along; none while one is out, or when there is nothing to say.
    pub(super) fn next(&mut self, make: impl FnOnce(Vec<MoveReport>) -> Reports) -> Option<Reports> {
        if self.out || self.said.is_empty() {
            return None;
        }
        let mut reports = Vec::new();
        while reports.len() < MOST
            && let Some(((id, _), said)) = self.said.pop_first()
        {
            reports.push(MoveReport { id, said });
        }
        self.out = true;
        Some(make(reports))
    }
}
