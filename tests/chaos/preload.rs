//! The other end of `preload.c`: builds it, and tells one process how its clocks run and how its disk fails. Keeps what it
//! told, so that a time that the process wrote down can be turned back into the machine's own.

use crate::command::run;
use anyhow::{Context, ensure};
use rustix::fs::{Mode, OFlags};
use shared::clock::{BootClock, Clock};
use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

const SOURCE: &str = include_str!("preload.c");
/// The setting that names the page.
pub(crate) const SETTING: &str = "BERTH_CHAOS_CONTROL";
const EIO: i64 = 5;
const HOUR: i64 = 3_600_000_000_000;

/// Builds the library in `folder` and returns where it is.
pub(crate) fn build(folder: &Path) -> anyhow::Result<PathBuf> {
    let (source, library) = (folder.join("preload.c"), folder.join("preload.so"));
    std::fs::write(&source, SOURCE)?;
    let (source, built) = (source.display().to_string(), library.display().to_string());
    run(&["cc", "-O2", "-shared", "-fPIC", "-o", &built, &source, "-ldl"])?;
    Ok(library)
}

/// Checks that a process of this build sees its clocks turned: one that asks the kernel past the C library would not.
pub(crate) fn prove(library: &Path, folder: &Path) -> anyhow::Result<()> {
    let mut control = Control::new(&folder.join("proof.control"))?;
    control.pieces = vec![Piece { base: 0, shift: HOUR, rate: 0 }];
    control.tell()?;
    let own = std::env::current_exe()?.display().to_string();
    let (load, page) = (format!("LD_PRELOAD={}", library.display()), format!("{SETTING}={}", control.path().display()));
    let said: i64 = run(&["env", &load, &page, &own, "clock"])?.trim().parse().context("a time")?;
    ensure!(said - now() > HOUR / 2, "clocks cannot be turned: this build asks the kernel past the C library");
    Ok(())
}

/// From a moment of the machine's clock on, how far a process's clocks are ahead and how much faster they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    base: i64,
    shift: i64,
    rate: i64,
}

impl Piece {
    fn ahead(self, real: i64) -> i64 {
        self.shift + i64::try_from(i128::from(real - self.base) * i128::from(self.rate) / 1_000_000_000).unwrap_or(0)
    }
}

/// What one process is told.
#[derive(Debug)]
pub(crate) struct Control {
    path: PathBuf,
    page: File,
    sequence: i64,
    pieces: Vec<Piece>,
    wall: i64,
    fsync_error: i64,
    fsync_ms: i64,
}

impl Control {
    /// Makes the page; it changes nothing yet.
    pub(crate) fn new(path: &Path) -> anyhow::Result<Self> {
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::TRUNC | OFlags::CLOEXEC;
        let page = File::from(rustix::fs::open(path, flags, Mode::from_raw_mode(0o644))?);
        let mut control = Self {
            path: path.to_owned(),
            page,
            sequence: 0,
            pieces: vec![Piece { base: 0, shift: 0, rate: 0 }],
            wall: 0,
            fsync_error: 0,
            fsync_ms: 0,
        };
        control.tell()?;
        Ok(control)
    }

    /// Where the page is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Lets all clocks run faster by `parts_per_million` from now on; slower when negative. They never jump by it.
    pub(crate) fn rate(&mut self, parts_per_million: i64) -> anyhow::Result<()> {
        let now = now();
        let shift = self.latest().ahead(now);
        self.pieces.push(Piece { base: now, shift, rate: parts_per_million * 1_000 });
        self.tell()
    }

    /// By how many nanoseconds the clocks are ahead now.
    pub(crate) fn ahead(&self) -> i64 {
        self.latest().ahead(now())
    }

    /// Puts the wall clock alone ahead by `ms`.
    pub(crate) fn wall(&mut self, ms: i64) -> anyhow::Result<()> {
        self.wall = ms * 1_000_000;
        self.tell()
    }

    /// Lets every fsync fail, or none.
    pub(crate) fn fsync_fails(&mut self, fails: bool) -> anyhow::Result<()> {
        self.fsync_error = if fails { EIO } else { 0 };
        self.tell()
    }

    /// Lets every fsync take longer.
    pub(crate) fn fsync_slow(&mut self, ms: i64) -> anyhow::Result<()> {
        self.fsync_ms = ms;
        self.tell()
    }

    /// Returns the history of the process's clocks.
    pub(crate) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    fn latest(&self) -> Piece {
        self.pieces[self.pieces.len() - 1]
    }

    fn tell(&mut self) -> anyhow::Result<()> {
        let Piece { base, shift, rate } = self.latest();
        self.put(0, &[self.sequence + 1])?;
        self.put(1, &[base, shift, rate, self.wall, self.fsync_error, self.fsync_ms])?;
        self.sequence += 2;
        self.put(0, &[self.sequence])
    }

    fn put(&self, first: u64, numbers: &[i64]) -> anyhow::Result<()> {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_ne_bytes()).collect();
        Ok(self.page.write_all_at(&bytes, first * 8)?)
    }
}

/// Turns a boot time that a process wrote down into the machine's own.
pub(crate) fn real(pieces: &[Piece], written: u64) -> u64 {
    let written = i64::try_from(written).unwrap_or(i64::MAX);
    // The last piece that had begun by then, by the process's own clock.
    let piece = pieces.iter().rev().find(|piece| piece.base + piece.shift <= written).or(pieces.first());
    let Some(piece) = piece else { return u64::try_from(written).unwrap_or(0) };
    let since = i128::from(written - piece.base - piece.shift) * 1_000_000_000 / i128::from(1_000_000_000 + piece.rate);
    u64::try_from(i128::from(piece.base) + since).unwrap_or(0)
}

fn now() -> i64 {
    i64::try_from(BootClock.now().as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_turned_clock_wrote_is_turned_back() {
        let second = 1_000_000_000_i64;
        let pieces = [
            Piece { base: 0, shift: 0, rate: 0 },
            Piece { base: 10 * second, shift: 0, rate: 10_000_000 },
            Piece { base: 20 * second, shift: second / 10, rate: 0 },
        ];
        for real_s in [5, 10, 15, 20, 27] {
            let at = real_s * second;
            let piece = pieces.iter().rev().find(|piece| piece.base <= at).expect("a piece");
            let written = u64::try_from(at + piece.ahead(at)).expect("after boot");
            let back = i64::try_from(real(&pieces, written)).expect("small");
            assert!((back - at).abs() < 10, "{real_s} s: {back}");
        }
    }

    #[test]
    fn a_process_sees_its_clock_turned_and_its_disk_fail() {
        let folder = tempfile::tempdir().expect("a folder");
        let library = build(folder.path()).expect("a C compiler");
        let mut control = Control::new(&folder.path().join("page")).expect("a page");
        control.wall(86_400_000).expect("told");
        control.fsync_fails(true).expect("told");
        let page = control.path().to_owned();
        let sh = |line: &str| {
            let mut command = std::process::Command::new("sh");
            let done = command.args(["-c", line]).env("LD_PRELOAD", &library).env(SETTING, &page).output();
            let done = done.expect("sh runs");
            (done.status.success(), String::from_utf8_lossy(&done.stdout).trim().to_owned())
        };
        let seen: u64 = sh("date +%s").1.parse().expect("seconds");
        assert!(seen.abs_diff(BootClock.wall_ms() / 1_000 + 86_400) < 60, "{seen}");
        let file = folder.path().join("synced");
        assert!(!sh(&format!("dd if=/dev/zero of={} bs=1 count=1 conv=fsync", file.display())).0);
        control.fsync_fails(false).expect("told");
        assert!(sh(&format!("dd if=/dev/zero of={} bs=1 count=1 conv=fsync", file.display())).0);
    }
}
