//! How the cluster is, in one sentence, and what is wrong, worst first.

use super::{
    Facts, Standing,
    words::{count, span, things},
};
use shared::PodId;
use shared::wire::{admin::PodStatus, control::PodState, replication::Standing as Keeps};

/// How bad something is. The order is the order on the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tone {
    /// Targets wait, or nothing is promised.
    Bad,
    /// Somebody should know.
    Watch,
    /// As it should be.
    Good,
}

impl Tone {
    /// Returns the word that says it without colour.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Bad => "Down",
            Self::Watch => "Degraded",
            Self::Good => "Healthy",
        }
    }

    /// Returns the name of its class in the style sheet.
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Bad => "bad",
            Self::Watch => "watch",
            Self::Good => "good",
        }
    }
}

/// How the cluster is.
#[derive(Debug)]
pub(super) struct Health {
    /// How bad.
    pub(super) tone: Tone,
    /// The word for it.
    pub(super) word: &'static str,
    /// The sentence.
    pub(super) sentence: String,
    /// What is wrong, worst first.
    pub(super) problems: Vec<Trouble>,
}

/// One thing that is wrong.
#[derive(Debug)]
pub(super) struct Trouble {
    /// How bad.
    pub(super) tone: Tone,
    /// The pod it is about.
    pub(super) pod: Option<PodId>,
    /// What is wrong; goes on behind the pod's name.
    pub(super) what: String,
    /// What to do.
    pub(super) remedy: &'static str,
}

/// Judges what is known.
pub(super) fn judge(standing: &Standing) -> Health {
    match standing {
        Standing::Leading(facts) => leading(facts),
        Standing::Following { leader } => Health {
            tone: Tone::Good,
            word: "Follower",
            sentence: format!("This config-service stands by; {leader} leads."),
            problems: Vec::new(),
        },
        Standing::Leaderless { why } => Health {
            tone: Tone::Bad,
            word: "No leader",
            sentence: format!("Nobody leads: {why}."),
            problems: vec![Trouble {
                tone: Tone::Bad,
                pod: None,
                what: "No target is placed and no lease is renewed. Pods act until their leases end; routers keep the \
                       table they have."
                    .to_owned(),
                remedy: "This heals by itself once a config-service reaches its database. See whether the database \
                         answers, and what this service logs.",
            }],
        },
    }
}

fn leading(facts: &Facts) -> Health {
    let mut problems: Vec<_> = facts.pods.iter().flat_map(|pod| trouble(pod).into_iter().chain(replica(pod))).collect();
    let behind = facts.pods.iter().any(|pod| replica(pod).is_some());
    if facts.pods.is_empty() {
        problems.push(Trouble {
            tone: Tone::Watch,
            pod: None,
            what: "No gateway has registered with this cluster.".to_owned(),
            remedy: "Start one with `berth gateway`, BERTH_CONFIG_URL set to this address and the same \
                     BERTH_SERVICE_TOKENS; its log says why when it cannot register.",
        });
    }
    let silent = facts.confirmed > facts.late_after;
    if silent {
        problems.push(Trouble {
            tone: Tone::Bad,
            pod: None,
            what: format!("The database has not confirmed this leader for {}.", span(millis(facts))),
            remedy: "No lease is renewed until it does, and pods stop acting when theirs end. See whether the database \
                     answers, and what this service logs.",
        });
    }
    if let Some(why) = &facts.stopped {
        problems.push(Trouble {
            tone: Tone::Bad,
            pod: None,
            what: format!("Nothing is placed, and nothing is given to anybody else: {why}."),
            remedy: "Pods go on with what they have. What to do stands in the operator’s handbook, under “A restored \
                     database”.",
        });
    }
    if facts.quarantined > 0 {
        problems.push(Trouble {
            tone: Tone::Bad,
            pod: None,
            what: format!("{} for data that nobody reachable has.", waiting(facts.quarantined)),
            remedy: "Start the pods that are dead, with their own data folders: what waits is given back. When a folder \
                     is gone for good, accept its loss with `berth pod accept-data-loss`, or for one target with \
                     `berth target accept-data-loss`. The list of targets shows which they are.",
        });
    }
    // What is about the whole comes before what is about one.
    problems.sort_by(|a, b| (a.tone, &a.pod).cmp(&(b.tone, &b.pod)));
    let (tone, sentence) = if facts.stopped.is_some() {
        (Tone::Bad, "The control plane has stopped: nothing is placed or failed over.".to_owned())
    } else if silent {
        (Tone::Bad, "The database does not answer: no lease is renewed.".to_owned())
    } else {
        match (sentence(facts), facts.quarantined) {
            ((Tone::Good, text), 1..) => (Tone::Watch, text),
            ((Tone::Good, text), 0) if behind => (Tone::Watch, format!("{text} Not every replica keeps up.")),
            (said, _) => said,
        }
    };
    Health { tone, word: tone.word(), sentence, problems }
}

fn waiting(targets: u64) -> String {
    format!("{} wait{}", things(targets, "target"), if targets == 1 { "s" } else { "" })
}

fn millis(facts: &Facts) -> u64 {
    u64::try_from(facts.confirmed.as_millis()).unwrap_or(u64::MAX)
}

fn sentence(facts: &Facts) -> (Tone, String) {
    let all = facts.pods.len() as u64;
    let ready = facts.pods.iter().filter(|pod| pod.is_well());
    let (ready, served) = ready.fold((0, 0), |(n, targets), pod| (n + 1, targets + pod.targets));
    let waiting = facts.targets.saturating_sub(served);
    match (all, ready) {
        (0, _) => (Tone::Watch, "No pod has registered yet.".to_owned()),
        (_, 0) if facts.targets == 0 => (Tone::Bad, "No pod is ready; there is no target yet.".to_owned()),
        (_, 0) => (Tone::Bad, format!("No pod is ready: {} without service.", things(facts.targets, "target"))),
        (all, ready) if all == ready => {
            let pods = if all == 1 { "The one pod is ready".to_owned() } else { format!("All {all} pods are ready") };
            let verb = if all == 1 { "serves" } else { "serve" };
            let rest = match facts.targets {
                0 => "; no target has been placed yet".to_owned(),
                some => match some.saturating_sub(facts.quarantined) {
                    served if served == some => format!(" and {verb} {}", things(some, "target")),
                    served => format!(" and {verb} {} of {}", count(served), things(some, "target")),
                },
            };
            (Tone::Good, format!("{pods}{rest}."))
        }
        (all, ready) => {
            let rest = match waiting {
                0 => "no target waits for the others".to_owned(),
                1 => format!("1 of {} waits for the others", things(facts.targets, "target")),
                some => format!("{} of {} wait for the others", count(some), things(facts.targets, "target")),
            };
            (Tone::Watch, format!("{ready} of {all} pods are ready; {rest}."))
        }
    }
}

/// What a pod's replica lacks.
fn replica(pod: &PodStatus) -> Option<Trouble> {
    let lag = pod.load.replication.filter(|_| pod.state == PodState::Ready)?;
    let what = format!("says that {}.", lag.trouble()?);
    let tone = if lag.state == Keeps::Behind { Tone::Watch } else { Tone::Bad };
    let remedy = "See whether Litestream runs beside it and what it logs, and whether the replica’s store answers: \
                  `berth replication status` has the cause.";
    Some(Trouble { tone, pod: Some(pod.info.pod.clone()), what, remedy })
}

fn trouble(pod: &PodStatus) -> Option<Trouble> {
    let since = pod.state_age_ms.map(|age| format!(" for {}", span(age))).unwrap_or_default();
    let wait = match pod.targets {
        0 => String::new(),
        1 => "; 1 target waits for it".to_owned(),
        many => format!("; {} wait for it", things(many, "target")),
    };
    let (tone, what, remedy) = match pod.state {
        PodState::Ready => {
            let what = format!("is not ready: {}{wait}.", pod.not_ready.as_deref()?);
            let remedy =
                "It keeps its targets and goes on by itself once that is mended. Its /readyz and its log say more.";
            return Some(Trouble { tone: Tone::Bad, pod: Some(pod.info.pod.clone()), what, remedy });
        }
        PodState::Joining => (
            Tone::Watch,
            "has registered and waits for its first lease",
            "This takes a second. If it stays, see its log.",
        ),
        PodState::Restarting => (
            Tone::Watch,
            "has said that it restarts",
            "Nothing, unless it stays away: its requests are held until it is back.",
        ),
        PodState::Suspect => (
            Tone::Watch,
            "is silent, its lease may still be valid",
            "See whether its process runs, and whether it reaches this service.",
        ),
        PodState::Expired => {
            (Tone::Bad, "is away, its lease is over", "Start it again with its own data folder. It keeps its targets.")
        }
        PodState::Draining => (Tone::Watch, "is being drained", "Nothing: its targets move away one after the other."),
        PodState::Drained => return None,
        PodState::Dead => (
            Tone::Bad,
            "was failed over, its targets have other owners",
            "Start it again with its own data folder, so that what only it has is given back.",
        ),
    };
    Some(Trouble { tone, pod: Some(pod.info.pod.clone()), what: format!("{what}{since}{wait}."), remedy })
}
