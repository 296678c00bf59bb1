//! A gateway's disk: the files of lease and marks, and the rows of its targets. What was not synced when the machine lost
//! power is there or not, as it happens.

use crate::agenda::Ns;
use crate::draw::Draw;
use shared::protocol::handoff::destination::Imported;
use shared::protocol::holder::Remembered;
use shared::wire::peers::Mark;
use shared::{Epoch, Incarnation, MoveId, Revision};
use std::collections::{BTreeMap, BTreeSet};

/// Whose a target's rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// The pod serves them.
    Owned,
    /// They are on their way: nothing is accepted.
    Frozen(MoveId),
    /// They were given away by a move.
    Released(MoveId),
    /// Another pod was given the target without this one's release, or its data is elsewhere.
    Quarantined,
}

/// A target's rows, in short: which events have changed it.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// The epoch it was last owned under here.
    pub(crate) epoch: Epoch,
    /// Whose it is.
    pub(crate) held: Held,
    /// The journal: what was applied, in order.
    pub(crate) applied: Vec<u64>,
    /// The inbox.
    pub(crate) seen: BTreeSet<u64>,
}

impl Row {
    pub(crate) fn new(epoch: Epoch, held: Held, applied: Vec<u64>) -> Self {
        let seen = applied.iter().copied().collect();
        Self { epoch, held, applied, seen }
    }

    /// Returns how often an event has changed the state.
    pub(crate) fn times(&self, event: u64) -> u64 {
        if !self.seen.contains(&event) {
            return 0;
        }
        self.applied.iter().filter(|applied| **applied == event).count() as u64
    }
}

/// What a destination has taken in of a move.
#[derive(Debug, Clone)]
pub(crate) struct Incoming {
    pub(crate) target: usize,
    pub(crate) attempt: u64,
    /// The parcel that comes next.
    pub(crate) next: u32,
    pub(crate) applied: Vec<u64>,
    /// Everything is here.
    pub(crate) whole: Option<Imported>,
}

/// The data folder.
#[derive(Debug)]
pub(crate) struct Data {
    pub(crate) incarnation: Incarnation,
    /// Its lives that are over, the last one first.
    pub(crate) past: Vec<Incarnation>,
    lives: u32,
    pub(crate) highest: Epoch,
    pub(crate) revision: Revision,
    pub(crate) rows: BTreeMap<usize, Row>,
    pub(crate) incoming: BTreeMap<MoveId, Incoming>,
    /// Moves whose rows are the target's own, until the leader has closed them.
    pub(crate) switched: BTreeMap<MoveId, (usize, Epoch)>,
    pub(crate) attempts: u64,
}

fn incarnation(pod: u8, life: u32) -> Incarnation {
    format!("00000000-0000-4000-8000-{pod:04x}{life:08x}").parse().expect("a UUID")
}

impl Data {
    fn new(pod: u8, lives: u32) -> Self {
        Self {
            incarnation: incarnation(pod, lives),
            past: Vec::new(),
            lives,
            highest: Epoch(0),
            revision: Revision(0),
            rows: BTreeMap::new(),
            incoming: BTreeMap::new(),
            switched: BTreeMap::new(),
            attempts: 0,
        }
    }

    /// This life of the folder was buried: another begins in it, which owns nothing.
    pub(crate) fn begin_again(&mut self, pod: u8) {
        self.lives += 1;
        self.past.insert(0, std::mem::replace(&mut self.incarnation, incarnation(pod, self.lives)));
        self.revision = Revision(0);
        for row in self.rows.values_mut() {
            if matches!(row.held, Held::Owned | Held::Frozen(_)) {
                row.held = Held::Quarantined;
            }
        }
    }
}

/// The disk.
#[derive(Debug)]
pub(crate) struct Disk {
    pod: u8,
    /// The lease file, and the boot it was written in.
    pub(crate) lease: Option<(u32, Remembered)>,
    /// The file of marks; none when it is not whole.
    pub(crate) marks: Option<Vec<Mark>>,
    pub(crate) data: Data,
    /// How many times slower than usual it is.
    pub(crate) slow: u64,
    /// Whether it refuses to sync.
    pub(crate) failing: bool,
    /// What is written and not synced.
    unsynced: Vec<Unsynced>,
}

#[derive(Debug)]
enum Unsynced {
    Lease(u32, Remembered),
    Marks(Vec<Mark>),
}

impl Disk {
    pub(crate) fn new(pod: u8) -> Self {
        Self { pod, lease: None, marks: None, data: Data::new(pod, 1), slow: 1, failing: false, unsynced: Vec::new() }
    }

    pub(crate) fn is_well(&self) -> bool {
        self.slow == 1 && !self.failing
    }

    pub(crate) fn heal(&mut self) {
        (self.slow, self.failing) = (1, false);
    }

    /// The disk is replaced by an empty one.
    pub(crate) fn lose(&mut self) {
        let lives = self.data.lives + 1;
        *self = Self { data: Data::new(self.pod, lives), ..Self::new(self.pod) };
    }

    /// Returns how long a sync takes.
    pub(crate) fn sync(&self, draw: &mut Draw, mean: Ns) -> Ns {
        mean / 2 + draw.waiting(mean * self.slow)
    }

    /// The lease file is written, not synced yet.
    pub(crate) fn write_lease(&mut self, boot: u32, remembered: Remembered) {
        self.unsynced.push(Unsynced::Lease(boot, remembered));
    }

    /// Marks are written, not synced yet.
    pub(crate) fn write_marks(&mut self, marks: Vec<Mark>) {
        self.unsynced.push(Unsynced::Marks(marks));
    }

    /// The process ended: what was written and not synced has reached the file, or nothing of it has.
    pub(crate) fn cut(&mut self, draw: &mut Draw) {
        for unsynced in std::mem::take(&mut self.unsynced) {
            if draw.chance(500) {
                continue;
            }
            match unsynced {
                Unsynced::Lease(boot, remembered) => self.lease = Some((boot, remembered)),
                Unsynced::Marks(marks) if self.marks.is_some() => self.add_marks(marks),
                Unsynced::Marks(_) => {}
            }
        }
    }

    /// The lease file is synced.
    pub(crate) fn lease_synced(&mut self, boot: u32, remembered: Remembered) {
        self.unsynced.retain(|unsynced| !matches!(unsynced, Unsynced::Lease(..)));
        self.lease = Some((boot, remembered));
    }

    /// Marks are synced. `whole`: they are all there are.
    pub(crate) fn marks_synced(&mut self, marks: Vec<Mark>, whole: bool) {
        self.unsynced.retain(|unsynced| !matches!(unsynced, Unsynced::Marks(written) if *written == marks));
        if whole {
            self.marks = Some(marks);
        } else {
            self.add_marks(marks);
        }
    }

    /// A mark on disk is never lowered. A file that was never whole stays none.
    fn add_marks(&mut self, marks: Vec<Mark>) {
        let Some(kept) = &mut self.marks else { return };
        for mark in marks {
            match kept.iter_mut().find(|kept| kept.pod == mark.pod) {
                Some(kept) => kept.lease_id = kept.lease_id.max(mark.lease_id),
                None => kept.push(mark),
            }
        }
    }
}
