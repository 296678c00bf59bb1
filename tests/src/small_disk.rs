//! A small file system that can be filled to its last page. Knows nothing of who writes there.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// A small file system of its own; unmounted when dropped.
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one of `bytes` at a folder, which is made; none where this process may not.
    ///
    /// # Panics
    /// When the folder cannot be made.
    pub fn mount(at: &Path, bytes: usize) -> Option<Self> {
        std::fs::create_dir_all(at).expect("a folder");
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"]).arg(at);
        command.output().is_ok_and(|output| output.status.success()).then(|| Self(at.to_owned()))
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    /// Takes all that is left.
    ///
    /// # Panics
    /// When something is left after that.
    pub fn fill(&self) {
        let of = format!("of={}", self.filler().display());
        let taken = Command::new("dd").args(["if=/dev/zero", "bs=4096", &of]).output().expect("dd runs");
        assert!(!taken.status.success(), "the disk is full now");
    }

    /// Gives back what was taken.
    ///
    /// # Panics
    /// When nothing was taken.
    pub fn relieve(&self) {
        std::fs::remove_file(self.filler()).expect("the filler can be removed");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}
