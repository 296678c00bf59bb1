//! Turns what pods count into what they use: two reports of the same process make a rate. Decides when a report is none: it is
//! the first one, the process began anew, or nothing came since. Pure.

use shared::PodId;
use shared::wire::control::Usage;
use std::collections::BTreeMap;

/// What a pod uses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Use {
    /// The share of the processors it may have, 1.0 is all of them.
    pub cpu: Option<f64>,
    /// The share of the memory it may have; none when there is no limit.
    pub memory: Option<f64>,
    /// Events per second.
    pub events: f64,
    /// Open connections.
    pub sockets: f64,
}

/// Why it is not known what a pod uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// The pod does not say it.
    Unsaid,
    /// There is only one report so far.
    First,
    /// Its process began anew.
    Restarted,
    /// Nothing came since the last look.
    Old,
}

impl Missing {
    /// Says it in a sentence.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Unsaid => "it does not report it; update its binary",
            Self::First => "there is only one report so far, and a rate takes two; wait for the next look",
            Self::Restarted => "its process began anew, and so did its counters; wait for the next look",
            Self::Old => "nothing came since the last look; see why its heartbeats are missing",
        }
    }
}

/// A report of a pod.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// What its process has counted.
    pub usage: Usage,
    /// Events per second, smoothed by the pod.
    pub events: f64,
}

/// The last two reports of each pod.
#[derive(Debug, Default)]
pub struct Rates {
    last: BTreeMap<PodId, Sample>,
    known: BTreeMap<PodId, Result<Use, Missing>>,
}

impl Rates {
    /// Takes a look at all pods; those that are not among them are forgotten.
    pub fn look(&mut self, pods: impl IntoIterator<Item = (PodId, Option<Sample>)>) {
        let before = std::mem::take(&mut self.last);
        self.known.clear();
        for (pod, now) in pods {
            let used = now.ok_or(Missing::Unsaid).and_then(|now| used(before.get(&pod), &now));
            self.last.extend(now.map(|now| (pod.clone(), now)));
            self.known.insert(pod, used);
        }
    }

    /// Returns what a pod uses by the last look.
    ///
    /// # Errors
    /// Why it is not known.
    pub fn of(&self, pod: &PodId) -> Result<Use, Missing> {
        self.known.get(pod).copied().unwrap_or(Err(Missing::First))
    }
}

fn used(before: Option<&Sample>, now: &Sample) -> Result<Use, Missing> {
    let (then, usage) = (before.ok_or(Missing::First)?.usage, now.usage);
    if usage.up_ms < then.up_ms || usage.cpu_ms < then.cpu_ms {
        return Err(Missing::Restarted);
    }
    if usage.up_ms == then.up_ms {
        return Err(Missing::Old);
    }
    let passed = (usage.up_ms - then.up_ms) as f64;
    let cpu = (usage.cpu_ms - then.cpu_ms) as f64 / passed;
    let share = |used: f64, limit: f64| (limit > 0.0).then(|| used / limit);
    Ok(Use {
        cpu: share(cpu, usage.cores),
        memory: usage.memory_limit.and_then(|limit| share(usage.memory as f64, limit as f64)),
        events: now.events,
        sockets: usage.sockets as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(up_ms: u64, cpu_ms: u64) -> Sample {
        let usage = Usage { up_ms, cpu_ms, cores: 2.0, memory: 512, memory_limit: Some(1_024), sockets: 7 };
        Sample { usage, events: 3.0 }
    }

    fn pod() -> PodId {
        "gateway-0".parse().expect("valid")
    }

    fn after(looks: &[Option<Sample>]) -> Result<Use, Missing> {
        let mut rates = Rates::default();
        looks.iter().for_each(|look| rates.look([(pod(), *look)]));
        rates.of(&pod())
    }

    #[test]
    fn two_reports_make_a_rate_in_shares_of_the_limits() {
        let used = after(&[Some(sample(1_000, 500)), Some(sample(31_000, 30_500))]).expect("known");
        assert_eq!(used, Use { cpu: Some(0.5), memory: Some(0.5), events: 3.0, sockets: 7.0 });
    }

    #[test]
    fn what_is_no_rate_says_why() {
        assert_eq!(after(&[Some(sample(1_000, 1))]), Err(Missing::First));
        assert_eq!(after(&[Some(sample(1_000, 1)), None]), Err(Missing::Unsaid));
        assert_eq!(after(&[Some(sample(9_000, 9_000)), Some(sample(5_000, 9_500))]), Err(Missing::Restarted));
        assert_eq!(after(&[Some(sample(9_000, 9_000)), Some(sample(10_000, 10))]), Err(Missing::Restarted));
        assert_eq!(after(&[Some(sample(1_000, 1)), Some(sample(1_000, 1))]), Err(Missing::Old));
        assert_eq!(Rates::default().of(&pod()), Err(Missing::First));
    }

    #[test]
    fn a_pod_that_was_away_begins_with_its_first_report() {
        let mut rates = Rates::default();
        rates.look([(pod(), Some(sample(1_000, 1)))]);
        rates.look([]);
        rates.look([(pod(), Some(sample(2_000, 2)))]);
        assert_eq!(rates.of(&pod()), Err(Missing::First));
    }
}
