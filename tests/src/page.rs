//! Writes tables into a page of the documentation, between its marks, with where they come from. Knows nothing of how they
//! were measured.

use anyhow::Context;
use shared::clock::{BootClock, Clock};
use std::{path::Path, process::Command};

/// Where a table comes from.
#[derive(Debug, Clone)]
pub struct Origin(String);

impl Origin {
    /// This machine, now, this commit, a binary, and what somebody types who wants to see it too.
    pub fn here(binary: &Path, typed: &str) -> Self {
        let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpu
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name.to_owned()));
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let commit = said(&["git", "rev-parse", "--short", "HEAD"]);
        let seconds = BootClock.wall_ms() / 1_000;
        let date = said(&["date", "-u", "-d", &format!("@{seconds}"), "+%Y-%m-%d"]);
        let release = binary.components().any(|part| part.as_os_str() == "release");
        Self(format!(
            "Measured on {} at commit {}, {} build, {} ({cores} cores, Linux {}), by `{typed}`.",
            date.trim(),
            commit.trim(),
            if release { "release" } else { "debug" },
            model.unwrap_or_else(|| "unknown processor".to_owned()),
            kernel.trim(),
        ))
    }
}

/// Replaces what stands between `<!-- NAME -->` and `<!-- end -->`.
///
/// # Errors
/// When the page cannot be read or written, or has no such place.
pub fn write_page(path: &Path, name: &str, origin: &Origin, table: &str) -> anyhow::Result<()> {
    let page = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let page = replaced(&page, name, &format!("{}\n\n{table}", origin.0))
        .with_context(|| format!("{} has no place for `{name}`", path.display()))?;
    std::fs::write(path, page).with_context(|| path.display().to_string())
}

/// What a program says; nothing where it cannot.
fn said(line: &[&str]) -> String {
    let done = Command::new(line[0]).args(&line[1..]).output();
    done.map(|done| String::from_utf8_lossy(&done.stdout).into_owned()).unwrap_or_default()
}

fn replaced(page: &str, name: &str, text: &str) -> Option<String> {
    let begin = format!("<!-- {name} -->\n");
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once("<!-- end -->")?;
    Some(format!("{before}{begin}{text}<!-- end -->{after}"))
}

#[cfg(test)]
mod tests;
