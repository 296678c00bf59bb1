//! What processes use, as Linux tells it under /proc: processor time from `stat`, memory from `smaps_rollup`. Parsing is
//! pure.

use crate::exit::Failure;
use serde::Serialize;
use std::{fs, time::Duration};

/// A process of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    /// Its id.
    pub(super) id: u32,
    /// What it is.
    pub(super) role: String,
}

/// What a process has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usage {
    /// Processor time, of all its threads, since it began.
    pub(super) cpu: Duration,
    /// Memory, now.
    pub(super) memory: Memory,
}

/// Memory of a process, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(super) struct Memory {
    /// Its own share: pages it has alone, and of shared pages its part.
    pub(super) pss_bytes: u64,
    /// All its pages that are in memory.
    pub(super) rss_bytes: u64,
}

/// The supervisor's role.
pub(super) const SUPERVISOR: &str = "berth up";

/// Returns the supervisor and the roles it started, by id.
///
/// # Errors
/// Where there is no /proc.
pub(super) fn children(supervisor: u32) -> Result<Vec<Process>, Failure> {
    let no_proc = |why| Failure::error(format!("cannot read /proc: {why}; the measurement needs Linux"));
    let mut found = vec![Process { id: supervisor, role: SUPERVISOR.to_owned() }];
    for entry in fs::read_dir("/proc").map_err(no_proc)?.flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let line = fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
        if let (Some(stat), Some(role)) = (parse_stat(&stat), line.split('\0').nth(1))
            && stat.parent == supervisor
        {
            found.push(Process { id, role: role.to_owned() });
        }
    }
    found.sort_by_key(|process| process.id);
    Ok(found)
}

/// Returns what a process has used.
///
/// # Errors
/// When it is no more.
pub(super) fn usage(id: u32) -> Result<Usage, Failure> {
    let read = |file: &str| {
        let path = format!("/proc/{id}/{file}");
        fs::read_to_string(&path).map_err(|why| Failure::error(format!("cannot read {path}: {why}")))
    };
    let stat =
        parse_stat(&read("stat")?).ok_or_else(|| Failure::error(format!("/proc/{id}/stat is not understood")))?;
    let ticks = rustix::param::clock_ticks_per_second().max(1);
    let cpu = Duration::from_secs_f64(stat.ticks as f64 / ticks as f64);
    Ok(Usage { cpu, memory: parse_memory(&read("smaps_rollup")?) })
}

/// Returns the most memory that a process ever had, in bytes.
///
/// # Errors
/// When it is no more.
pub(super) fn most(id: u32) -> Result<u64, Failure> {
    let path = format!("/proc/{id}/status");
    let text = fs::read_to_string(&path).map_err(|why| Failure::error(format!("cannot read {path}: {why}")))?;
    Ok(bytes_of(&text, "VmHWM:"))
}

/// Returns what this process has used.
///
/// # Errors
/// Where there is no /proc.
pub(super) fn own() -> Result<Usage, Failure> {
    usage(std::process::id())
}

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    ticks: u64,
}

/// Reads the parent and the processor time. The name before them is in brackets and may hold anything.
fn parse_stat(text: &str) -> Option<Stat> {
    let fields: Vec<_> = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace().collect();
    let number = |i: usize| fields.get(i)?.parse::<u64>().ok();
    Some(Stat { parent: u32::try_from(number(1)?).ok()?, ticks: number(11)? + number(12)? })
}

fn parse_memory(text: &str) -> Memory {
    Memory { pss_bytes: bytes_of(text, "Pss:"), rss_bytes: bytes_of(text, "Rss:") }
}

/// Returns what stands in the line of that name; zero when there is none.
fn bytes_of(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    number.unwrap_or_default() * 1_024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let stat = "42 (a) b (c) S 7 42 42 0 -1 4194304 100 0 0 0 150 25 3 4 20 0 5 0 1000 0 0";
        assert_eq!(parse_stat(stat), Some(Stat { parent: 7, ticks: 175 }));
        assert_eq!(parse_stat("42 (a"), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn memory_is_read_by_its_names() {
        let text = "00400000-7fff ---p 00000000 00:00 0 [rollup]\nRss:  20480 kB\nPss:   10240 kB\nPss_Anon: 1 kB\n";
        assert_eq!(parse_memory(text), Memory { pss_bytes: 10_240 * 1_024, rss_bytes: 20_480 * 1_024 });
        assert_eq!(parse_memory("nothing"), Memory::default());
    }

    #[test]
    fn a_process_knows_its_own_use() {
        let usage = own().expect("this machine has /proc");
        assert!(usage.memory.rss_bytes >= usage.memory.pss_bytes && usage.memory.pss_bytes > 0);
    }
}
