//! Running the machine's own programs (`ip`, `mount`, …) and saying what they said. Knows nothing of what for.

use anyhow::{Context, bail};
use std::process::Command;

/// Runs a program to its end and returns its output; an error has what it said.
pub(crate) fn run(line: &[&str]) -> anyhow::Result<String> {
    let [program, arguments @ ..] = line else { bail!("no program") };
    let done =
        Command::new(program).args(arguments).output().with_context(|| format!("{program} cannot be started"))?;
    if !done.status.success() {
        bail!("{}: {} {}", line.join(" "), done.status, String::from_utf8_lossy(&done.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// Runs a program whose failure does not matter.
pub(crate) fn try_run(line: &[&str]) {
    let _ = run(line);
}
