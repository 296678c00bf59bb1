//! Decides how many pods there should be (OPERATORS.md, Kubernetes), and says of everything that speaks against acting on it
//! why, and what to do about it. One step at a time. Pure: loads, times and what goes on come in; nothing is started here.

mod rates;

pub use rates::{Missing, Rates, Sample, Use};

use shared::PodId;

/// What an autoscaler may do with what it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Nothing is worked out.
    Off,
    /// It says how many pods there should be.
    #[default]
    Recommend,
    /// It sees to it.
    Act,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Off, Self::Recommend, Self::Act];

    /// Returns the word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Recommend => "recommend",
            Self::Act => "act",
        }
    }

    /// Reads the word; none for another one.
    pub fn of(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == text)
    }
}

/// A ratio that is at a mark is beyond it, also where the quotient of two decimal fractions is a hair short of it.
const HAIR: f64 = 1e-9;

/// What can be short in a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dimension {
    /// Processor time.
    Cpu,
    /// Memory.
    Memory,
    /// Events per second.
    Events,
    /// Connections of browsers and the like.
    Sockets,
}

impl Dimension {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Cpu, Self::Memory, Self::Events, Self::Sockets];

    /// Returns the word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Events => "events",
            Self::Sockets => "sockets",
        }
    }
}

/// What one pod is meant to carry, and when that is too much or too little.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// By dimension, in the order of [`Dimension::ALL`]: shares of the limit for CPU and memory, events per second, sockets.
    pub goals: [f64; 4],
    /// The share of the goal at which a pod is added.
    pub up: f64,
    /// The share of the goal below which a pod is taken away.
    pub down: f64,
    /// The fewest pods.
    pub min: u32,
    /// The most pods.
    pub max: u32,
    /// How long nothing is done after pods were added or taken away, in milliseconds.
    pub cooldown_ms: u64,
}

impl Default for Rules {
    fn default() -> Self {
        Self { goals: [0.7, 0.8, 1_000.0, 5_000.0], up: 0.8, down: 0.3, min: 1, max: 10, cooldown_ms: 300_000 }
    }
}

/// One pod that is meant to run.
#[derive(Debug, Clone, PartialEq)]
pub struct PodUse {
    /// Its name.
    pub pod: PodId,
    /// What it uses, or why that is not known.
    pub used: Result<Use, Missing>,
    /// Why it cannot do its work; none when it can.
    pub unready: Option<String>,
}

/// What goes on.
#[derive(Debug, Clone, PartialEq)]
pub struct Inputs {
    /// What may be done.
    pub mode: Mode,
    /// How many pods are meant to run; none when nothing is known that starts and stops pods, with the reason.
    pub replicas: Result<u32, String>,
    /// Those pods, by ordinal: the last one leaves first.
    pub pods: Vec<PodUse>,
    /// What else speaks against it.
    pub held: Vec<Hold>,
    /// How long ago pods were last added or taken away, in milliseconds; none when never.
    pub since_scaled_ms: Option<u64>,
}

/// Why nothing is done. Each has a code, and a sentence with what to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Hold {
    /// The mode is off.
    Off,
    /// Nothing is known that starts and stops pods.
    NoHome(String),
    /// Pods are being added or taken away.
    Scaling {
        /// How many there are to be.
        to: u32,
    },
    /// Part of the targets is on pods of a new version.
    Canary,
    /// Pods are being replaced.
    Rollout(String),
    /// A pod is being drained.
    Drain(PodId),
    /// A pod cannot do its work.
    Unready(PodId, String),
    /// It is not known what a pod uses.
    Unknown(PodId, Missing),
    /// Pods were added or taken away lately.
    Cooldown {
        /// For how many milliseconds more.
        left_ms: u64,
    },
    /// There are as many pods as there may be.
    AtMax(u32),
    /// There are as few pods as there may be.
    AtMin(u32),
    /// One pod fewer would be too few.
    TooTight {
        /// The pod that would have too much.
        pod: PodId,
        /// Of what.
        dimension: Dimension,
        /// How much of its goal it would carry.
        ratio: f64,
    },
    /// An operator has forbidden changes.
    ReadOnly(String),
    /// It only recommends.
    OnlyRecommends,
}

impl Hold {
    /// Returns a stable word for it.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::NoHome(_) => "no-home",
            Self::Scaling { .. } => "scaling",
            Self::Canary => "canary",
            Self::Rollout(_) => "rollout",
            Self::Drain(_) => "drain",
            Self::Unready(..) => "unready",
            Self::Unknown(..) => "no-data",
            Self::Cooldown { .. } => "cooldown",
            Self::AtMax(_) => "at-max",
            Self::AtMin(_) => "at-min",
            Self::TooTight { .. } => "too-tight",
            Self::ReadOnly(_) => "read-only",
            Self::OnlyRecommends => "recommends",
        }
    }

    /// Says it in a sentence.
    pub fn sentence(&self) -> String {
        match self {
            Self::Off => "the autoscaler is off; set autoscaler-mode to recommend or act".to_owned(),
            Self::NoHome(why) => format!("what starts and stops pods is not known: {why}"),
            Self::Scaling { to } => format!("pods are being added or taken away until there are {to}; wait for it"),
            Self::Canary => "a canary is under way; promote it or abort it first".to_owned(),
            Self::Rollout(how) => format!("pods are being replaced ({how}); wait for the end of the rollout"),
            Self::Drain(pod) => format!("{pod} is being drained; wait for it, or berth pod undrain {pod}"),
            Self::Unready(pod, why) => {
                format!("{pod} is not ready: {why}; a pod that comes back may be all that is missing")
            }
            Self::Unknown(pod, missing) => format!("it is not known what {pod} uses: {}", missing.sentence()),
            Self::Cooldown { left_ms } => {
                format!("pods were added or taken away lately; the next step may come in {} s", left_ms.div_ceil(1_000))
            }
            Self::AtMax(max) => format!("there are {max} pods, the most there may be; raise autoscaler-max"),
            Self::AtMin(min) => format!("there are {min} pods, the fewest there may be; lower autoscaler-min"),
            Self::TooTight { pod, dimension, ratio } => format!(
                "one pod fewer would leave {pod} with {:.0} % of the {} it is meant to carry",
                ratio * 100.0,
                dimension.as_str()
            ),
            Self::ReadOnly(why) => format!("the cluster is read-only: {why}"),
            Self::OnlyRecommends => "it only recommends; set autoscaler-mode to act, or berth scale to N".to_owned(),
        }
    }

    /// Returns whether too little is known to want anything.
    const fn blinds(&self) -> bool {
        matches!(self, Self::Off | Self::NoHome(_) | Self::Unready(..) | Self::Unknown(..))
    }
}

/// Which way it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// One pod more.
    Up,
    /// One pod less.
    Down,
    /// As it is.
    Stay,
}

impl Way {
    /// Returns the word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Stay => "stay",
        }
    }
}

/// What was decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// How many pods there should be; none when nothing is known that starts and stops pods.
    pub desired: Option<u32>,
    /// Which way that is.
    pub way: Way,
    /// Why, in a sentence.
    pub why: String,
    /// Everything that speaks against doing it now. When it is empty and `way` is not to stay, it is to be done.
    pub why_not: Vec<Hold>,
    /// How much of each goal the pods carry on average, in the order of [`Dimension::ALL`]; none where it is not known.
    pub ratios: [Option<f64>; 4],
}

impl Decision {
    /// Returns how many pods there are to be, when something is to be done.
    pub fn step(&self) -> Option<u32> {
        self.desired.filter(|_| self.way != Way::Stay && self.why_not.is_empty())
    }
}

/// Decides how many pods there should be.
pub fn decide(inputs: &Inputs, rules: &Rules) -> Decision {
    let uses: Vec<_> = inputs.pods.iter().filter_map(|pod| Some((&pod.pod, pod.used.as_ref().ok()?))).collect();
    let loads: Vec<[Option<f64>; 4]> = uses.iter().map(|(_, used)| ratios(used, rules)).collect();
    let ratios = mean(&loads);
    let mut holds = inputs.held.clone();
    for pod in &inputs.pods {
        match (&pod.unready, &pod.used) {
            (Some(why), _) => holds.push(Hold::Unready(pod.pod.clone(), why.clone())),
            (None, Err(missing)) => holds.push(Hold::Unknown(pod.pod.clone(), *missing)),
            (None, Ok(_)) => {}
        }
    }
    if inputs.mode == Mode::Off {
        holds.insert(0, Hold::Off);
    }
    let replicas = match &inputs.replicas {
        Ok(replicas) => *replicas,
        Err(why) => {
            holds.push(Hold::NoHome(why.clone()));
            let why = "how many pods are meant to run is not known".to_owned();
            return Decision { desired: None, way: Way::Stay, why, why_not: holds, ratios };
        }
    };
    let blind = holds.iter().any(Hold::blinds) || loads.is_empty() || loads.len() < replicas as usize;
    let (mut way, why) = match () {
        () if blind => (Way::Stay, "too little is known to want another number of pods".to_owned()),
        () if replicas < rules.min => (Way::Up, format!("there are fewer pods than {}", rules.min)),
        () if replicas > rules.max => (Way::Down, format!("there are more pods than {}", rules.max)),
        () => wish(&ratios, rules),
    };
    match way {
        Way::Up if replicas >= rules.max => {
            holds.push(Hold::AtMax(rules.max));
            way = Way::Stay;
        }
        Way::Down if replicas <= rules.min.max(1) => {
            holds.push(Hold::AtMin(rules.min.max(1)));
            way = Way::Stay;
        }
        Way::Down if replicas <= rules.max => {
            let names: Vec<_> = uses.iter().map(|(pod, _)| *pod).collect();
            if let Some(hold) = too_tight(&names, &loads, rules) {
                holds.push(hold);
                way = Way::Stay;
            }
        }
        _ => {}
    }
    let left_ms = rules.cooldown_ms.saturating_sub(inputs.since_scaled_ms.unwrap_or(u64::MAX));
    if way != Way::Stay && left_ms > 0 {
        holds.push(Hold::Cooldown { left_ms });
    }
    if way != Way::Stay && inputs.mode == Mode::Recommend {
        holds.push(Hold::OnlyRecommends);
    }
    let desired = match way {
        Way::Up => replicas + 1,
        Way::Down => replicas - 1,
        Way::Stay => replicas,
    };
    Decision { desired: Some(desired), way, why, why_not: holds, ratios }
}

/// How much of its goals a pod carries.
fn ratios(used: &Use, rules: &Rules) -> [Option<f64>; 4] {
    let used = [used.cpu, used.memory, Some(used.events), Some(used.sockets)];
    std::array::from_fn(|n| used[n].filter(|_| rules.goals[n] > 0.0).map(|used| used / rules.goals[n]))
}

/// The mean of each dimension over the pods; none where one of them does not know it.
fn mean(loads: &[[Option<f64>; 4]]) -> [Option<f64>; 4] {
    std::array::from_fn(|n| {
        let known: Option<Vec<f64>> = loads.iter().map(|load| load[n]).collect();
        known.filter(|known| !known.is_empty()).map(|known| known.iter().sum::<f64>() / known.len() as f64)
    })
}

/// What the loads alone ask for.
fn wish(ratios: &[Option<f64>; 4], rules: &Rules) -> (Way, String) {
    let known = || Dimension::ALL.into_iter().zip(ratios).filter_map(|(dimension, ratio)| Some((dimension, (*ratio)?)));
    let Some((dimension, most)) = known().max_by(|a, b| a.1.total_cmp(&b.1)) else {
        return (Way::Stay, "no pod says what it uses".to_owned());
    };
    let said = format!("the pods carry {:.0} % of the {} they are meant to", most * 100.0, dimension.as_str());
    if most >= rules.up - HAIR {
        (Way::Up, format!("{said}; from {:.0} % on there should be one more", rules.up * 100.0))
    } else if most <= rules.down + HAIR {
        (
            Way::Down,
            format!("{said}, and less of everything else; up to {:.0} % there should be one fewer", rules.down * 100.0),
        )
    } else {
        (Way::Stay, format!("{said}: neither too much nor too little"))
    }
}

/// Says which pod would have too much when the last one leaves and the others share what it carries.
fn too_tight(pods: &[&PodId], loads: &[[Option<f64>; 4]], rules: &Rules) -> Option<Hold> {
    let (leaving, rest) = loads.split_last()?;
    let share = rest.len() as f64;
    let mut worst: Option<(f64, usize, Dimension)> = None;
    for (at, load) in rest.iter().enumerate() {
        for (n, dimension) in Dimension::ALL.into_iter().enumerate() {
            let Some(after) = load[n].zip(leaving[n]).map(|(own, more)| own + more / share) else { continue };
            if worst.is_none_or(|(most, ..)| after > most) {
                worst = Some((after, at, dimension));
            }
        }
    }
    let (ratio, at, dimension) = worst.filter(|(ratio, ..)| *ratio >= rules.up)?;
    Some(Hold::TooTight { pod: (*pods.get(at)?).clone(), dimension, ratio })
}

#[cfg(test)]
mod tests;
