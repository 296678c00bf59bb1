//! What a run says at its end: as JSON, and in words. Decides no verdict.

use crate::verdict::Verdict;
use serde::Serialize;
use std::collections::BTreeMap;

/// One fault that was made.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    /// Seconds since the load began.
    pub(crate) at_s: f64,
    /// Its kind.
    pub(crate) kind: &'static str,
    /// Whom it met.
    pub(crate) who: String,
    /// How long it lasted, in milliseconds.
    pub(crate) hold_ms: u64,
    /// Whether another one was made at the same moment: then the times below are of both.
    pub(crate) together: bool,
    /// How many targets it could touch.
    pub(crate) targets: usize,
    /// The longest that an event of theirs waited for its acknowledgement, in milliseconds.
    pub(crate) pause_ms: u64,
    /// From the end of the fault until all of them were served, in milliseconds.
    pub(crate) served_again_ms: Option<u64>,
    /// Why it could not be made, when it could not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refused: Option<String>,
}

/// The report of a run.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    /// What the faults were drawn from.
    pub(crate) seed: u64,
    /// How long the load ran, in seconds.
    pub(crate) seconds: f64,
    /// Distinct events that were acknowledged.
    pub(crate) acknowledged: u64,
    /// Acknowledged events and wanted effects that are not there.
    pub(crate) lost: usize,
    /// Events and effects that happened twice.
    pub(crate) doubled: usize,
    /// Moments with two owners.
    pub(crate) overlapping_owners: usize,
    /// Targets whose events lie in another order than they were accepted in.
    pub(crate) disordered: usize,
    /// Targets that were not served within a minute after the last fault.
    pub(crate) unserved: usize,
    /// The longest that an event waited between faults, when all was well, in milliseconds: how loaded the machine was.
    pub(crate) calm_ms: u64,
    /// Calls whose outcome nobody knows.
    pub(crate) uncertain: usize,
    /// Lines of the gateways' ownership logs that were compared.
    pub(crate) ownership_lines: u64,
    /// How often a target got another owner.
    pub(crate) changed_hands: usize,
    /// Nodes that ended without having been killed.
    pub(crate) ended_by_themselves: Vec<String>,
    /// How many faults were made.
    pub(crate) faults: usize,
    /// Of which kinds.
    pub(crate) fault_kinds: BTreeMap<&'static str, usize>,
    /// Each of them.
    pub(crate) rows: Vec<Row>,
    /// What is wrong, in sentences; the first hundred of each.
    pub(crate) findings: Vec<String>,
}

impl Report {
    /// Takes the verdict in.
    pub(crate) fn judged(&mut self, verdict: &Verdict) {
        self.lost = verdict.lost.len();
        self.doubled = verdict.doubled.len();
        self.overlapping_owners = verdict.overlapping.len();
        self.disordered = verdict.disordered.len();
        self.uncertain = verdict.uncertain;
        self.ownership_lines = verdict.compared;
        self.changed_hands = verdict.changed_hands;
        self.findings.extend(verdict.findings());
    }

    /// Counts the rows.
    pub(crate) fn counted(&mut self) {
        for row in self.rows.iter().filter(|row| row.refused.is_none()) {
            *self.fault_kinds.entry(row.kind).or_default() += 1;
        }
        self.faults = self.fault_kinds.values().sum();
    }

    /// Whether all promises were kept.
    pub(crate) fn is_clean(&self) -> bool {
        self.findings.is_empty() && self.unserved == 0
    }

    /// The whole of it in a sentence.
    pub(crate) fn sentence(&self) -> String {
        format!(
            "{} faults of {} kinds in {:.0} s, seed {}; {} events acknowledged: {} lost, {} doubled, {} out of order, {} moments with two owners, {} targets not served again; {} calls of unknown outcome. Targets changed hands {} times; {} lines of ownership logs were compared. Between the faults no event waited longer than {} ms.",
            self.faults,
            self.fault_kinds.len(),
            self.seconds,
            self.seed,
            self.acknowledged,
            self.lost,
            self.doubled,
            self.disordered,
            self.overlapping_owners,
            self.unserved,
            self.uncertain,
            self.changed_hands,
            self.ownership_lines,
            self.calm_ms
        )
    }

    /// The worst of each kind, of faults that came alone where there were some, as rows of a markdown table: kind, faults, longest pause, served again.
    pub(crate) fn table(&self) -> String {
        let mut out = String::from(
            "| fault | times | longest wait of an event | served again after its end |\n|---|---|---|---|\n",
        );
        for (kind, times) in &self.fault_kinds {
            let made = || self.rows.iter().filter(|row| row.kind == *kind && row.refused.is_none());
            // What is due to this kind alone, where there is something.
            let alone = made().any(|row| !row.together);
            let rows = || made().filter(|row| !(alone && row.together));
            let pause = rows().map(|row| row.pause_ms).max().unwrap_or(0);
            let again = rows().filter_map(|row| row.served_again_ms).max().unwrap_or(0);
            let about = crate::faults::Kind::named(kind).map_or("", crate::faults::Kind::about);
            out += &format!(
                "| {about} (`{kind}`) | {times} | {:.1} s | {:.1} s |\n",
                pause as f64 / 1e3,
                again as f64 / 1e3
            );
        }
        out
    }
}
