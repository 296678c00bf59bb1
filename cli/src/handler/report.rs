//! What a conformance run found: one line a check, with what to do about it. Decides how it reads and how the run ends;
//! knows nothing of how a check is made.

use crate::{
    exit::{Code, Failure},
    output::{self, Format},
};
use serde::Serialize;
use std::fmt::Write as _;

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    /// As it should be.
    Ok,
    /// Works, and could be better.
    Hint,
    /// Berth would not take it.
    Failed,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    /// What was tried.
    pub(super) check: String,
    /// How it went.
    pub(super) outcome: Outcome,
    /// What was found.
    pub(super) found: String,
    /// What to do about it; empty when there is nothing to do.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) remedy: String,
}

impl Check {
    /// Makes a check that went well.
    pub(super) fn ok(check: impl Into<String>, found: impl Into<String>) -> Self {
        Self { check: check.into(), outcome: Outcome::Ok, found: found.into(), remedy: String::new() }
    }

    /// Makes a check that could have gone better.
    pub(super) fn hint(check: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check: check.into(), outcome: Outcome::Hint, found: found.into(), remedy: remedy.into() }
    }

    /// Makes a check that failed.
    pub(super) fn failed(check: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { outcome: Outcome::Failed, ..Self::hint(check, found, remedy) }
    }
}

/// All of a run.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The handler's URL.
    pub(super) url: String,
    /// What the handler calls itself.
    pub(super) handler: Option<String>,
    /// How many checks went well, hints among them.
    passed: usize,
    /// How many hints there are.
    hints: usize,
    /// How many checks failed.
    failed: usize,
    /// The checks, in the order in which they were made.
    checks: Vec<Check>,
}

impl Report {
    /// Sums up a run.
    pub(super) fn new(url: &str, handler: Option<String>, checks: Vec<Check>) -> Self {
        let count = |outcome| checks.iter().filter(|check| check.outcome == outcome).count();
        let (hints, failed) = (count(Outcome::Hint), count(Outcome::Failed));
        Self { url: url.to_owned(), handler, passed: checks.len() - failed, hints, failed, checks }
    }

    /// Prints it.
    ///
    /// # Errors
    /// When standard output cannot be written, or a check failed (exit code 1).
    pub(super) fn print(&self, format: Format) -> Result<(), Failure> {
        let cells = |check: &Check| vec![check.check.clone()];
        match format {
            Format::Json => output::print(&output::json(self))?,
            Format::Jsonl | Format::Name => output::rows(format, self, &self.checks, &[], cells)?,
            _ => output::print(&self.text())?,
        }
        match self.failed {
            0 => Ok(()),
            n => Err(Failure::new(Code::Error, format!("{n} of {} checks failed", self.checks.len()))),
        }
    }

    fn text(&self) -> String {
        let width = self.checks.iter().map(|check| check.check.chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        for Check { check, outcome, found, remedy } in &self.checks {
            let word = match outcome {
                Outcome::Ok => "ok",
                Outcome::Hint => "hint",
                Outcome::Failed => "FAIL",
            };
            let arrow = if remedy.is_empty() { "" } else { " -> " };
            let _ =
                writeln!(text, "{word:4}  {check:width$}  {}{arrow}{}", output::plain(found), output::plain(remedy));
        }
        let _ = writeln!(text, "\n{} passed ({} with a hint), {} failed", self.passed, self.hints, self.failed);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_one_line_with_its_remedy_and_no_control_characters() {
        let checks = vec![
            Check::ok("describe", "fine"),
            Check::failed("event timer", "said\n\u{1b}[2J", "do this"),
            Check::hint("paths", "x", "y"),
        ];
        let report = Report::new("http://x", None, checks);
        assert_eq!(
            report.text(),
            "ok    describe     fine\nFAIL  event timer  said\\u{a}\\u{1b}[2J -> do this\nhint  paths        x -> y\n\n2 passed (1 with a hint), 1 failed\n"
        );
        assert_eq!(report.print(Format::Name).expect_err("a check failed").code, Code::Error);
    }
}
