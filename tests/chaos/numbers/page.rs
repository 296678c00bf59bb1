//! Writes tables into a page of the documentation, between its marks, with where they come from. Knows nothing of how they
//! were measured.

use crate::command::run;
use anyhow::Context;
use shared::clock::{BootClock, Clock};
use std::path::Path;

/// Where a table comes from.
#[derive(Debug, Clone)]
pub(crate) struct Origin(String);

impl Origin {
    /// This machine, now, this commit, this command line.
    pub(crate) fn here(binary: &Path) -> Self {
        let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpu
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name.to_owned()));
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let commit = run(&["git", "rev-parse", "--short", "HEAD"]).unwrap_or_default();
        let seconds = BootClock.wall_ms() / 1_000;
        let date = run(&["date", "-u", "-d", &format!("@{seconds}"), "+%Y-%m-%d"]).unwrap_or_default();
        let release = binary.components().any(|part| part.as_os_str() == "release");
        let said: Vec<_> = std::env::args().skip(1).collect();
        Self(format!(
            "Measured on {} at commit {}, {} build, {} ({cores} cores, Linux {}), by `./chaos {}`.",
            date.trim(),
            commit.trim(),
            if release { "release" } else { "debug" },
            model.unwrap_or_else(|| "unknown processor".to_owned()),
            kernel.trim(),
            said.join(" ")
        ))
    }
}

/// Replaces what stands between `<!-- chaos: NAME -->` and `<!-- end -->`.
pub(crate) fn write_page(path: &Path, name: &str, origin: &Origin, table: &str) -> anyhow::Result<()> {
    let page = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let page = replaced(&page, name, &format!("{}\n\n{table}", origin.0))
        .with_context(|| format!("{} has no place for `{name}`", path.display()))?;
    std::fs::write(path, page).with_context(|| path.display().to_string())
}

fn replaced(page: &str, name: &str, text: &str) -> Option<String> {
    let begin = format!("<!-- chaos: {name} -->\n");
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once("<!-- end -->")?;
    Some(format!("{before}{begin}{text}<!-- end -->{after}"))
}

#[cfg(test)]
mod tests {
    use super::replaced;

    #[test]
    fn only_what_is_between_the_marks_is_replaced() {
        let page = "a\n<!-- chaos: x -->\nold\n<!-- end -->\nb\n<!-- chaos: y -->\n<!-- end -->\n";
        let new = "a\n<!-- chaos: x -->\nnew\n<!-- end -->\nb\n<!-- chaos: y -->\n<!-- end -->\n";
        assert_eq!(replaced(page, "x", "new\n").as_deref(), Some(new));
        assert_eq!(replaced(page, "z", "new\n"), None);
    }
}
