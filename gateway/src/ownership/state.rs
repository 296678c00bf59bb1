//! What the pod knows of who owns what, and how a message of its assignment stream changes that. Pure: knows no lock, no
//! clock and no database.

use shared::wire::control::{Assignment, AssignmentState, DataAt, Life};
use shared::{Epoch, PodId, Revision, TargetId, Term, lease::Lease};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// A target that is now this pod's, or has a new epoch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Acquired {
    /// The target.
    pub target: TargetId,
    /// The epoch it is owned under.
    pub epoch: Epoch,
    /// Given back: rows that this pod has put aside are the target's again, when they are of this epoch.
    pub kept: Option<Epoch>,
}

impl Acquired {
    /// Names a target that comes without a word about rows that were put aside.
    pub fn new(target: TargetId, epoch: Epoch) -> Self {
        Self { target, epoch, kept: None }
    }
}

/// What a message of the watch changed for this pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Targets that are now this pod's, or have a new epoch; ordered.
    pub acquired: Vec<Acquired>,
    /// Targets that no longer are, or whose data is not here; ordered.
    pub released: Vec<TargetId>,
}

impl Changes {
    /// Returns whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.acquired.is_empty() && self.released.is_empty()
    }
}

/// A lease in use.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    pub(super) lease: Lease,
    /// The lease counts only once the pod's own assignment stream has reached this revision: a pod that was away must
    /// not act on what it remembers.
    pub(super) not_before: Revision,
}

/// A target of this pod's, in a snapshot.
#[derive(Debug, Clone)]
struct Mine {
    epoch: Epoch,
    state: AssignmentState,
    kept: Option<Epoch>,
    /// Whose replica has its data, when this pod is to restore it.
    restoring: Option<Life>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) lease: Option<Held>,
    pub(super) owned: HashMap<TargetId, Epoch>,
    /// Targets that moves are taking away: nothing new begins.
    pub(super) moving: HashSet<TargetId>,
    /// Targets of this pod's whose data is not here: denied, and nothing is begun empty.
    pub(super) withheld: HashMap<TargetId, Epoch>,
    /// Those of them that this pod is to restore, and from whose replica.
    pub(super) restoring: HashMap<TargetId, (Epoch, Life)>,
    /// Targets seen under another pod, with the epoch: for honest `not-owner` answers.
    pub(super) elsewhere: HashMap<TargetId, (PodId, Epoch)>,
    pub(super) revision: Revision,
    pub(super) generation: u32,
    /// The highest term of a leader that this pod was told of.
    pub(super) term: Term,
    arriving: Option<HashMap<TargetId, Mine>>,
}

impl State {
    /// The highest epoch known of a target, whoever owns it.
    pub(super) fn known(&self, target: &TargetId) -> Option<Epoch> {
        let elsewhere = self.elsewhere.get(target).map(|(_, epoch)| *epoch);
        self.owned.get(target).copied().max(self.withheld.get(target).copied()).max(elsewhere)
    }

    /// Forgets the parts of a snapshot that is not whole.
    pub(super) fn start_over(&mut self) {
        self.arriving = None;
    }

    pub(super) fn snapshot(&mut self, me: &PodId, first: bool, more: bool, assignments: Vec<Assignment>) -> Changes {
        if first || self.arriving.is_none() {
            self.arriving = Some(HashMap::new());
        }
        let mine = assignments.into_iter().filter(|assignment| assignment.pod == *me);
        let mine = mine.map(|assignment| (assignment.target.clone(), Mine::of(&assignment, me)));
        self.arriving.get_or_insert_default().extend(mine);
        if more {
            return Changes::default();
        }
        let mut fresh = self.arriving.take().unwrap_or_default();
        // A server that lags behind may still call a target ours that has since been given away.
        fresh.retain(|target, mine| self.known(target).is_none_or(|known| known <= mine.epoch));
        let serving = |target: &TargetId| fresh.get(target).filter(|mine| mine.state == AssignmentState::Serving);
        let released = self.owned.keys().filter(|target| serving(target).is_none()).cloned().collect::<BTreeSet<_>>();
        let acquired = fresh.iter().filter(|(target, mine)| {
            mine.state == AssignmentState::Serving && self.owned.get(*target) != Some(&mine.epoch)
        });
        let acquired = acquired
            .map(|(target, mine)| Acquired { target: target.clone(), epoch: mine.epoch, kept: mine.kept })
            .collect::<BTreeSet<_>>();
        self.owned.retain(|target, epoch| serving(target).is_some_and(|mine| mine.epoch == *epoch));
        let withheld = fresh.iter().filter(|(_, mine)| mine.state == AssignmentState::Quarantined);
        self.withheld = withheld.map(|(target, mine)| (target.clone(), mine.epoch)).collect();
        let restoring = fresh.iter().filter_map(|(target, mine)| {
            mine.restoring.as_ref().map(|life| (target.clone(), (mine.epoch, life.clone())))
        });
        self.restoring = restoring.collect();
        Changes { acquired: acquired.into_iter().collect(), released: released.into_iter().collect() }
    }

    pub(super) fn delta(&mut self, me: &PodId, assignments: Vec<Assignment>) -> Changes {
        let (mut acquired, mut released) = (BTreeMap::<TargetId, Mine>::new(), BTreeSet::new());
        for assignment in assignments {
            let (mine, target) = (Mine::of(&assignment, me), assignment.target);
            let known = acquired.get(&target).map(|mine| mine.epoch).max(self.known(&target));
            // Under one epoch only this can change: whether its owner has its data.
            let turned = assignment.pod == *me
                && match mine.state {
                    AssignmentState::Serving => self.withheld.get(&target) == Some(&mine.epoch),
                    AssignmentState::Quarantined => {
                        self.owned.get(&target).copied().max(acquired.get(&target).map(|mine| mine.epoch))
                            == Some(mine.epoch)
                    }
                };
            if !turned && known.is_some_and(|known| known >= mine.epoch) {
                continue;
            }
            let was_ours = self.owned.remove(&target).is_some() | acquired.remove(&target).is_some();
            self.withheld.remove(&target);
            self.restoring.remove(&target);
            if let Some(life) = &mine.restoring {
                self.restoring.insert(target.clone(), (mine.epoch, life.clone()));
            }
            match (assignment.pod == *me, mine.state) {
                (true, AssignmentState::Serving) => {
                    acquired.insert(target, mine);
                    continue;
                }
                (true, AssignmentState::Quarantined) => drop(self.withheld.insert(target.clone(), mine.epoch)),
                (false, _) => drop(self.elsewhere.insert(target.clone(), (assignment.pod, mine.epoch))),
            }
            if was_ours {
                released.insert(target);
            }
        }
        let acquired =
            acquired.into_iter().map(|(target, mine)| Acquired { target, epoch: mine.epoch, kept: mine.kept });
        Changes { acquired: acquired.collect(), released: released.into_iter().collect() }
    }
}

impl Mine {
    fn of(assignment: &Assignment, me: &PodId) -> Self {
        let kept = assignment.data.as_ref().filter(|data| data.pod == *me).map(|data| data.epoch);
        let restoring = assignment.restoring().filter(|_| assignment.pod == *me).map(DataAt::life);
        Self { epoch: assignment.epoch, state: assignment.state, kept, restoring }
    }
}
