//! The gateways' disks: small file systems in memory, mounted before anything runs and unmounted when all is over. Knows how
//! to fill one, to lose one, and to let one take nothing.

use crate::command::{run, try_run};
use rustix::fs::{FallocateFlags, Mode, OFlags};
use std::path::{Path, PathBuf};

const FILLER: &str = "filler";
/// How often a mount is tried.
const REMOUNTS: usize = 400;

/// All disks of a run.
#[derive(Debug, Default)]
pub(crate) struct Disks(Vec<PathBuf>);

impl Disks {
    /// Mounts a disk of so many bytes as a folder called `name`.
    pub(crate) fn add(&mut self, folder: &Path, name: &str, bytes: u64) -> anyhow::Result<()> {
        let at = folder.join(name);
        std::fs::create_dir_all(&at)?;
        let path = at.display().to_string();
        run(&["mount", "-t", "tmpfs", "-o", &format!("size={bytes}"), "berth-chaos", &path])?;
        self.0.push(at);
        Ok(())
    }

    /// Fills a disk to the last byte.
    pub(crate) fn fill(&self, disk: usize) -> anyhow::Result<()> {
        let at = &self.0[disk];
        let file = rustix::fs::open(at.join(FILLER), OFlags::CREATE | OFlags::WRONLY, Mode::from_raw_mode(0o644))?;
        let (mut size, mut step) = (0_u64, rustix::fs::statvfs(at)?.f_bavail * rustix::fs::statvfs(at)?.f_frsize);
        // What is free changes meanwhile: halve until not even a page fits.
        while step >= 4096 {
            match rustix::fs::fallocate(&file, FallocateFlags::empty(), size, step) {
                Ok(()) => size += step,
                Err(_) => step /= 2,
            }
        }
        Ok(())
    }

    /// A disk is replaced by an empty one.
    pub(crate) fn lose(&self, disk: usize) -> anyhow::Result<()> {
        for entry in std::fs::read_dir(&self.0[disk])? {
            let path = entry?.path();
            if path.is_dir() { std::fs::remove_dir_all(&path)? } else { std::fs::remove_file(&path)? }
        }
        Ok(())
    }

    /// Lets a disk take nothing more, or again. While somebody is writing a file the kernel refuses: then it is asked again.
    pub(crate) async fn read_only(&self, disk: usize, read_only: bool) -> anyhow::Result<()> {
        let option = if read_only { "remount,ro" } else { "remount,rw" };
        let path = self.0[disk].display().to_string();
        for _ in 0..REMOUNTS {
            if run(&["mount", "-o", option, &path]).is_ok() {
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        anyhow::bail!("{path} cannot be mounted anew: {option}")
    }

    /// Makes room again.
    pub(crate) fn clear(&self, disk: usize) {
        let _ = std::fs::remove_file(self.0[disk].join(FILLER));
    }
}

impl Drop for Disks {
    fn drop(&mut self) {
        for at in &self.0 {
            try_run(&["umount", "-l", &at.display().to_string()]);
        }
    }
}

/// Unmounts what an earlier run left behind.
pub(crate) fn sweep() {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    for at in mounts.lines().filter_map(|line| line.strip_prefix("berth-chaos ")?.split(' ').next()) {
        try_run(&["umount", "-l", at]);
    }
}
