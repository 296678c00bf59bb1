//! What this process uses of what it may have: processor time, memory, connections. Counts from the start of the process, so
//! that whoever asks twice has a rate. Decides nothing about how much is too much.

use crate::web::Web;
use rustix::time::{ClockId, clock_gettime};
use shared::wire::control::Usage;
use shared::{Clock, Mono};
use std::{fs, path::Path, sync::Arc};

/// Where the kernel shows the bounds of the group that this process is in, as containers see it.
const GROUP: &str = "/sys/fs/cgroup";

/// Measures the process. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct UsageMeter {
    clock: Arc<dyn Clock>,
    began: Mono,
    cores: f64,
    memory_limit: Option<u64>,
    web: Web,
}

impl UsageMeter {
    /// Begins to measure. `memory_limit` is what an operator says the process may occupy; the container's limit when it is
    /// not said.
    pub(crate) fn start(clock: Arc<dyn Clock>, memory_limit: Option<u64>, web: Web) -> Self {
        let bound = |file: &str| fs::read_to_string(Path::new(GROUP).join(file)).ok();
        let quota = bound("cpu.max").and_then(|text| cores(&text));
        let processors = std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64);
        let limit = memory_limit.or_else(|| bound("memory.max")?.trim().parse().ok());
        let began = clock.now();
        Self { clock, began, cores: quota.map_or(processors, |quota| quota.min(processors)), memory_limit: limit, web }
    }

    /// Returns the web traffic that counts.
    pub(super) fn web(&self) -> &Web {
        &self.web
    }

    /// Returns what was used until now.
    pub(crate) fn read(&self) -> Usage {
        let taken = clock_gettime(ClockId::ProcessCPUTime);
        let (seconds, nanos) = (taken.tv_sec.unsigned_abs(), taken.tv_nsec.unsigned_abs());
        Usage {
            up_ms: u64::try_from(self.clock.now().since(self.began).as_millis()).unwrap_or(u64::MAX),
            cpu_ms: seconds * 1_000 + nanos / 1_000_000,
            cores: self.cores,
            memory: resident().unwrap_or_default(),
            memory_limit: self.memory_limit,
            sockets: self.web.connections(),
        }
    }
}

/// Reads how many processors a quota of the kernel lets a group use: `150000 100000` is one and a half, `max` as many as there
/// are.
fn cores(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    let (quota, period): (f64, f64) = (quota.parse().ok()?, period.parse().ok()?);
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}

/// Returns how much memory the process occupies; none where the kernel does not say it so.
fn resident() -> Option<u64> {
    pages(&fs::read_to_string("/proc/self/statm").ok()?).map(|pages| pages * rustix::param::page_size() as u64)
}

fn pages(statm: &str) -> Option<u64> {
    statm.split(' ').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_read_as_the_kernel_writes_it() {
        assert_eq!(cores("150000 100000\n"), Some(1.5));
        assert_eq!(cores("max 100000\n"), None);
        assert_eq!(cores(""), None);
        assert_eq!(pages("1000 250 30 1 0 40 0\n"), Some(250));
    }
}
