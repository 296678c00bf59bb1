//! What was measured, as a table for people and as JSON.

use super::{
    load::Timing,
    processes::{Memory, SUPERVISOR},
};
use crate::output::{self, Table};
use serde::Serialize;
use std::{fmt::Write as _, time::Duration};

/// The form of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(super) enum Form {
    /// For people
    #[default]
    Table,
    /// One JSON document
    Json,
}

/// All that was measured.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) version: &'static str,
    pub(super) build: &'static str,
    pub(super) machine: Machine,
    pub(super) pods: u16,
    pub(super) targets: u32,
    pub(super) events: u32,
    pub(super) concurrency: u16,
    /// From starting `berth up` to the first event answered by its owner.
    pub(super) first_answer_seconds: f64,
    pub(super) load: Span,
    pub(super) sender_cpu_us_per_event: f64,
    pub(super) roles: Vec<Role>,
}

/// Where it was measured.
#[derive(Debug, Serialize)]
pub(super) struct Machine {
    pub(super) processor: String,
    pub(super) cores: usize,
    pub(super) kernel: String,
}

/// How fast the load went through.
#[derive(Debug, Serialize)]
pub(super) struct Span {
    pub(super) seconds: f64,
    pub(super) events_per_second: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
}

/// What one role used: memory of a process on average, processor time of all its processes together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Role {
    pub(super) role: String,
    pub(super) processes: u32,
    /// After the first answer.
    pub(super) rest: Memory,
    /// Right after the load.
    pub(super) loaded: Memory,
    pub(super) cpu_us_per_event: f64,
}

impl Machine {
    /// Describes this machine, as far as it says.
    pub(super) fn this() -> Self {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let name = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        let kernel = rustix::system::uname();
        Self {
            processor: name.map_or("unknown", |(_, name)| name.trim()).to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: format!("{} {}", kernel.sysname().to_string_lossy(), kernel.release().to_string_lossy()),
        }
    }
}

impl Span {
    /// Sums a load's timing up.
    pub(super) fn of(timing: &Timing, events: u32) -> Self {
        let seconds = timing.all.as_secs_f64();
        let at = |part: f64| Self::percentile(&timing.each, part).as_secs_f64() * 1_000.0;
        Self { seconds, events_per_second: f64::from(events) / seconds, p50_ms: at(0.5), p99_ms: at(0.99) }
    }

    /// Returns the duration that this part of all, from the shortest on, does not exceed.
    pub(super) fn percentile(sorted: &[Duration], part: f64) -> Duration {
        let last = sorted.len().saturating_sub(1);
        sorted.get((last as f64 * part).round() as usize).copied().unwrap_or(Duration::ZERO)
    }
}

impl Role {
    /// Puts processes of the same role together, roles by name, the supervisor last.
    pub(super) fn group(processes: impl Iterator<Item = Self>) -> Vec<Self> {
        let mut roles: Vec<Self> = Vec::new();
        for process in processes {
            match roles.iter_mut().find(|role| role.role == process.role) {
                Some(role) => role.join(&process),
                None => roles.push(process),
            }
        }
        roles.sort_by_key(|role| (role.role == SUPERVISOR, role.role.clone()));
        roles
    }

    fn join(&mut self, other: &Self) {
        let n = u64::from(self.processes);
        let mean = |all: u64, one: u64| (all * n + one) / (n + 1);
        let join = |all: Memory, one: Memory| Memory {
            pss_bytes: mean(all.pss_bytes, one.pss_bytes),
            rss_bytes: mean(all.rss_bytes, one.rss_bytes),
        };
        (self.rest, self.loaded) = (join(self.rest, other.rest), join(self.loaded, other.loaded));
        self.processes += 1;
        self.cpu_us_per_event += other.cpu_us_per_event;
    }
}

impl Report {
    /// Returns the report in a form.
    pub(super) fn show(&self, form: Form) -> String {
        match form {
            Form::Json => output::json(self),
            Form::Table => self.table(),
        }
    }

    fn table(&self) -> String {
        let mut text = String::new();
        let Self { machine, load, .. } = self;
        let mut facts = Table::new(&["what", "measured"]);
        let mut fact = |name: &str, value: String| facts.row([name.to_owned(), value]);
        fact("build", format!("berth {}, {}", self.version, self.build));
        fact("machine", format!("{}, {} cores, {}", machine.processor, machine.cores, machine.kernel));
        let (pods, targets) = (self.pods, self.targets);
        fact("load", format!("{} events, {targets} targets, {pods} pods, {} at once", self.events, self.concurrency));
        fact("first answer", format!("{:.2} s after the start", self.first_answer_seconds));
        fact("events per second", format!("{:.0}", load.events_per_second));
        fact("answer, median", format!("{:.1} ms", load.p50_ms));
        fact("answer, 99 %", format!("{:.1} ms", load.p99_ms));
        fact("sender's CPU", format!("{:.0} µs per event", self.sender_cpu_us_per_event));
        text.push_str(&facts.render());
        let mut roles = Table::new(&["role", "processes", "pss at rest", "pss loaded", "rss loaded", "cpu per event"]);
        let megabytes = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
        for role in &self.roles {
            roles.row([
                role.role.clone(),
                role.processes.to_string(),
                megabytes(role.rest.pss_bytes),
                megabytes(role.loaded.pss_bytes),
                megabytes(role.loaded.rss_bytes),
                format!("{:.0} µs", role.cpu_us_per_event),
            ]);
        }
        let _ = write!(text, "\n{}", roles.render());
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_a_process_mean_and_processor_time_the_sum_of_a_role() {
        let one = |role: &str, pss: u64, cpu: f64| Role {
            role: role.to_owned(),
            processes: 1,
            rest: Memory { pss_bytes: pss, rss_bytes: 2 * pss },
            loaded: Memory::default(),
            cpu_us_per_event: cpu,
        };
        let all = [one(SUPERVISOR, 1, 0.0), one("gateway", 10, 1.0), one("gateway", 20, 2.0), one("gateway", 60, 3.0)];
        let roles = Role::group(all.into_iter());
        assert_eq!((roles[0].role.as_str(), roles[0].processes, roles[0].rest.pss_bytes), ("gateway", 3, 30));
        assert!((roles[0].cpu_us_per_event - 6.0).abs() < 1e-9);
        assert_eq!(roles[1].role, SUPERVISOR);
    }

    #[test]
    fn the_median_lies_in_the_middle() {
        let timing = Timing { all: Duration::from_secs(2), each: (1..=101).map(Duration::from_millis).collect() };
        let span = Span::of(&timing, 100);
        assert!((span.p50_ms - 51.0).abs() < 1e-9 && (span.p99_ms - 100.0).abs() < 1e-9, "{span:?}");
        assert!((span.events_per_second - 50.0).abs() < 1e-9);
    }
}
