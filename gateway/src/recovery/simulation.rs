//! The door through which the simulation asks what is restored next, and in which order that is done. Exists only with the feature
//! `plant`; decides nothing itself.

use super::{
    plan::{Ended, Plan, Work},
    search::{self, Heard, Step},
    wanted,
};
use crate::{ownership::Ownership, replica::Lineage};
use shared::wire::control::Life;
use shared::{Mono, TargetId};

/// Replicas that a process restores at once.
const AT_ONCE: usize = 2;

/// What a job came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// Everything was imported, or reported as missing.
    Done,
    /// Something is away.
    Again,
    /// There is nothing to be had.
    Hopeless,
}

/// What a job is given.
#[derive(Debug, Clone)]
pub struct Job {
    /// Whose replica.
    pub life: Life,
    /// The targets wanted of it.
    pub targets: Vec<TargetId>,
    /// Nothing more can be had: it is only reported.
    pub given_up: bool,
}

/// The replicas of which a process wants something.
#[derive(Debug)]
pub struct Restores(Plan);

impl Default for Restores {
    fn default() -> Self {
        Self(Plan::new(AT_ONCE))
    }
}

impl Restores {
    /// Copies of this are here from before the process began.
    pub fn left_over(&mut self, life: Life) {
        self.0.left_over(life);
    }

    /// Looks at what the assignments say; returns the replicas of which nothing is wanted any more.
    pub fn look(&mut self, now: Mono, ownership: &Ownership) -> Vec<Life> {
        self.0.hear(now, wanted(ownership))
    }

    /// Returns the next job, when there is one and a place for it.
    pub fn next(&mut self, now: Mono) -> Option<Job> {
        let (life, Work { wanted, given_up }) = self.0.next(now)?;
        Some(Job { life, targets: wanted.targets, given_up: given_up.is_some() })
    }

    /// A job has ended.
    pub fn ended(&mut self, now: Mono, life: &Life, came: Came) {
        let ended = match came {
            Came::Done => Ended::Done,
            Came::Again => Ended::Again(String::new()),
            Came::Hopeless => Ended::Hopeless("there is nothing to be had".to_owned()),
        };
        self.0.ended(now, life, ended);
    }

    /// Returns when time alone brings something to do.
    pub fn wake_at(&self) -> Option<Mono> {
        self.0.wake_at()
    }
}

/// What is asked of the store next, by the life whose lineage it is.
#[derive(Debug, Clone)]
pub enum Next {
    /// Seal it.
    Seal(Life),
    /// List it.
    List(Life),
    /// Read what it was begun with.
    Begun(Life),
    /// Restore it.
    Restore(Life),
    /// The newest copy is an empty database.
    Empty,
    /// There is none.
    Nothing,
}

/// The search for the newest copy of a life.
#[derive(Debug, Clone)]
pub struct Search(search::Search);

impl Search {
    /// Begins.
    pub fn begin(life: &Life) -> (Self, Next) {
        let (search, step) = search::Search::begin(life, lineage(life));
        (Self(search), next(step))
    }

    /// It is sealed.
    pub fn sealed(&mut self) -> Next {
        next(self.0.hear(Heard::Sealed))
    }

    /// It has files, or none.
    pub fn listed(&mut self, any: bool) -> Next {
        let files = u64::from(any);
        next(self.0.hear(Heard::Listed { files, bytes: files }))
    }

    /// It was begun with this one, or with an empty database.
    pub fn begun(&mut self, before: Option<&Life>, empty: bool) -> Next {
        next(self.0.hear(Heard::Begun { previous: before.map(lineage), empty }))
    }
}

fn lineage(life: &Life) -> Lineage {
    Lineage { generation: 1, pod: life.pod.clone(), incarnation: life.incarnation.clone() }
}

fn next(step: Step) -> Next {
    let life = |lineage: Lineage| Life { pod: lineage.pod, incarnation: lineage.incarnation };
    match step {
        Step::Seal(lineage) => Next::Seal(life(lineage)),
        Step::List(lineage) => Next::List(life(lineage)),
        Step::Begun(lineage) => Next::Begun(life(lineage)),
        Step::Restore(lineage, _) => Next::Restore(life(lineage)),
        Step::Empty => Next::Empty,
        Step::Nothing(_) => Next::Nothing,
    }
}
