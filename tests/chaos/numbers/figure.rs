//! One row of the table: what was measured, how often, against what was promised. Pure.

use crate::verdict::Verdict;
use serde::Serialize;
use std::time::Duration;

/// A number.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    /// What it is of.
    pub(crate) name: String,
    /// What was measured, in words.
    pub(crate) measured: String,
    /// What is promised, in words.
    pub(crate) promised: String,
    /// Whether it was kept; nothing where nothing is promised.
    pub(crate) kept: Option<bool>,
}

impl Figure {
    /// Durations, of which the 99th percentile is promised to be at most `most`.
    pub(crate) fn times(name: &str, mut all: Vec<Duration>, most: Duration) -> Self {
        all.sort_unstable();
        let ms = |share: f64| percentile(&all, share).as_secs_f64() * 1e3;
        let measured = if let [only] = all.as_slice() {
            said(only.as_secs_f64() * 1e3)
        } else {
            format!("median {}, p99 {}, worst {} of {}", said(ms(0.5)), said(ms(0.99)), said(ms(1.0)), all.len())
        };
        Self {
            name: name.to_owned(),
            measured,
            promised: format!("p99 ≤ {}", said(most.as_secs_f64() * 1e3)),
            kept: Some(!all.is_empty() && percentile(&all, 0.99) <= most),
        }
    }

    /// Durations of which nothing is promised.
    pub(crate) fn told(name: &str, all: Vec<Duration>) -> Self {
        Self { promised: String::new(), kept: None, ..Self::times(name, all, Duration::ZERO) }
    }

    /// A count of what must not happen.
    pub(crate) fn none(name: &str, count: u64, of: u64, what: &str) -> Self {
        Self {
            name: name.to_owned(),
            measured: format!("{count} of {of}"),
            promised: format!("0 {what}"),
            kept: Some(count == 0),
        }
    }

    /// What became of all events.
    pub(crate) fn kept(acknowledged: u64, verdict: &Verdict) -> Self {
        let (lost, doubled) = (verdict.lost.len(), verdict.doubled.len());
        Self {
            name: "All events of these measurements".to_owned(),
            measured: format!(
                "{acknowledged} acknowledged: {lost} lost, {doubled} doubled, {} overlapping owners",
                verdict.overlapping.len()
            ),
            promised: "0 lost, 0 doubled, 0 overlapping".to_owned(),
            kept: Some(verdict.is_clean()),
        }
    }

    /// A number that could not be measured, and why.
    pub(crate) fn not_measured(name: &str, why: &anyhow::Error) -> Self {
        Self {
            name: name.to_owned(),
            measured: format!("not measured: {why:#}"),
            promised: "a number".to_owned(),
            kept: Some(false),
        }
    }

    /// Its row of the table.
    pub(crate) fn row(&self) -> String {
        let kept = match self.kept {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "-",
        };
        format!(
            "| {} | {} | {} | {kept} |\n",
            self.name,
            self.measured.replace('|', "/").replace('\n', " "),
            self.promised
        )
    }
}

fn percentile(sorted: &[Duration], share: f64) -> Duration {
    let last = sorted.len().saturating_sub(1);
    let index = ((sorted.len() as f64 * share).ceil() as usize).saturating_sub(1);
    sorted.get(index.min(last)).copied().unwrap_or_default()
}

fn said(ms: f64) -> String {
    if ms < 1_000.0 { format!("{ms:.0} ms") } else { format!("{:.2} s", ms / 1e3) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_99th_percentile_decides() {
        let times = |slow: usize| {
            let all = (0..100).map(|n| Duration::from_millis(if n < slow { 900 } else { 10 }));
            Figure::times("x", all.collect(), Duration::from_millis(500)).kept
        };
        assert_eq!((times(0), times(1), times(2)), (Some(true), Some(true), Some(false)));
        assert_eq!(Figure::times("x", Vec::new(), Duration::MAX).kept, Some(false), "nothing measured is nothing kept");
    }
}
