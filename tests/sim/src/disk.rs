//! A gateway's disk: the files of lease and marks, and the rows of its targets. What was not synced when the machine lost
//! power is there or not, as it happens.

use crate::agenda::Ns;
use crate::draw::Draw;
use gateway::simulation::boot::{Database, Folder, Note};
use gateway::simulation::reconcile::Origin;
use shared::protocol::handoff::destination::Imported;
use shared::protocol::holder::Remembered;
use shared::wire::control::Life;
use shared::wire::peers::Mark;
use shared::{Epoch, Incarnation, MoveId, PodId, Revision};
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
    /// The copies that it has come through from replicas.
    pub(crate) origins: Vec<Origin>,
}

impl Row {
    pub(crate) fn new(epoch: Epoch, held: Held, applied: Vec<u64>) -> Self {
        let seen = applied.iter().copied().collect();
        Self { epoch, held, applied, seen, origins: Vec::new() }
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
    pub(crate) origins: Vec<Origin>,
    /// Everything is here.
    pub(crate) whole: Option<Imported>,
}

/// What was imported of a target from a replica: nobody's until it is switched.
#[derive(Debug, Clone)]
pub(crate) struct Import {
    pub(crate) epoch: Epoch,
    pub(crate) applied: Vec<u64>,
    pub(crate) origins: Vec<Origin>,
}

/// What counts of a target in a folder, or in its replica.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Newest<'a> {
    pub(crate) epoch: Epoch,
    /// It is what an owner had, and was not given away.
    pub(crate) whole: bool,
    pub(crate) applied: &'a [u64],
    pub(crate) origins: &'a [Origin],
}

/// The database.
#[derive(Debug, Clone)]
pub(crate) struct Data {
    pub(crate) incarnation: Incarnation,
    /// Its lives that are over, the last one first.
    pub(crate) past: Vec<Incarnation>,
    /// The last commit.
    pub(crate) seq: u64,
    pub(crate) highest: Epoch,
    pub(crate) revision: Revision,
    pub(crate) rows: BTreeMap<usize, Row>,
    pub(crate) incoming: BTreeMap<MoveId, Incoming>,
    /// Moves whose rows are the target's own, until the leader has closed them.
    pub(crate) switched: BTreeMap<MoveId, (usize, Epoch)>,
    pub(crate) attempts: u64,
    /// What was imported, by the life whose replica it is from.
    pub(crate) imports: BTreeMap<(Life, usize), Import>,
    /// Rows put aside whose journal's end is with the new owner.
    pub(crate) reconciled: BTreeSet<(usize, Epoch)>,
}

fn incarnation(pod: u8, life: u32) -> Incarnation {
    format!("00000000-0000-4000-8000-{pod:04x}{life:08x}").parse().expect("a UUID")
}

impl Data {
    fn new(pod: u8, lives: u32) -> Self {
        Self {
            incarnation: incarnation(pod, lives),
            past: Vec::new(),
            seq: 0,
            highest: Epoch(0),
            revision: Revision(0),
            rows: BTreeMap::new(),
            incoming: BTreeMap::new(),
            switched: BTreeMap::new(),
            attempts: 0,
            imports: BTreeMap::new(),
            reconciled: BTreeSet::new(),
        }
    }

    /// Returns the targets of which anything is here.
    pub(crate) fn targets(&self) -> BTreeSet<usize> {
        self.rows.keys().copied().chain(self.imports.keys().map(|(_, target)| *target)).collect()
    }

    /// Returns the newest that is here of a target: its rows, or what was restored and is nobody's yet.
    pub(crate) fn newest(&self, target: usize) -> Option<Newest<'_>> {
        let own = self.rows.get(&target).map(|row| Newest {
            epoch: row.epoch,
            whole: !matches!(row.held, Held::Released(_)),
            applied: &row.applied,
            origins: &row.origins,
        });
        let imports = self.imports.iter().filter(|((_, of), _)| *of == target).map(|(_, import)| Newest {
            epoch: import.epoch,
            whole: true,
            applied: &import.applied,
            origins: &import.origins,
        });
        own.into_iter().chain(imports).max_by_key(|copy| copy.epoch)
    }

    /// Another life begins, which owns nothing.
    fn begin_again(&mut self, incarnation: Incarnation) {
        self.past.insert(0, std::mem::replace(&mut self.incarnation, incarnation));
        self.revision = Revision(0);
        self.seq += 1;
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
    /// How many lives of the database there were, on this disk and those before it.
    lives: u32,
    /// The note of the lineage that is written; none when none was ever begun here.
    pub(crate) note: Option<Note>,
    /// What Litestream had put aside when it uploaded last.
    pub(crate) put_aside: Option<u64>,
    /// The disk as it was at some earlier time.
    older: Option<Box<Older>>,
    /// How many times slower than usual it is.
    pub(crate) slow: u64,
    /// Whether it refuses to sync.
    pub(crate) failing: bool,
    /// What is written and not synced.
    unsynced: Vec<Unsynced>,
}

/// What a volume had at some time.
#[derive(Debug)]
struct Older {
    data: Data,
    note: Option<Note>,
    put_aside: Option<u64>,
}

#[derive(Debug)]
enum Unsynced {
    Lease(u32, Remembered),
    Marks(Vec<Mark>),
}

impl Disk {
    pub(crate) fn new(pod: u8) -> Self {
        Self {
            pod,
            lease: None,
            marks: None,
            data: Data::new(pod, 1),
            lives: 1,
            note: None,
            put_aside: None,
            older: None,
            slow: 1,
            failing: false,
            unsynced: Vec::new(),
        }
    }

    /// This life of the database is over: another begins in it.
    pub(crate) fn begin_again(&mut self) {
        self.lives += 1;
        self.data.begin_again(incarnation(self.pod, self.lives));
    }

    /// The volume is copied.
    pub(crate) fn remember(&mut self) {
        let (data, note) = (self.data.clone(), self.note.clone());
        self.older = Some(Box::new(Older { data, note, put_aside: self.put_aside }));
    }

    /// Whether the life that it is in is lost when the volume is what it was.
    pub(crate) fn loses_its_life(&self) -> bool {
        self.older.as_ref().is_some_and(|older| older.data.incarnation != self.data.incarnation)
    }

    /// The volume is what it was when it was copied. Whoever put it back knows that its marks are of no use.
    pub(crate) fn go_back(&mut self) {
        let Some(older) = self.older.take() else { return };
        (self.data, self.note, self.put_aside) = (older.data, older.note, older.put_aside);
        (self.lease, self.marks) = (None, None);
    }

    /// Describes the folder to whoever prepares it.
    pub(crate) fn folder(&self, pod: &PodId, boot: u32) -> Folder {
        let Data { incarnation, past, seq, .. } = &self.data;
        let db = || Database { incarnation: incarnation.clone(), past: past.clone(), commit_seq: *seq };
        // Before its first lineage there is no database.
        Folder::new(pod, boot, self.note.as_ref(), self.note.as_ref().map(|_| db()), self.put_aside)
    }

    pub(crate) fn is_well(&self) -> bool {
        self.slow == 1 && !self.failing
    }

    pub(crate) fn heal(&mut self) {
        (self.slow, self.failing) = (1, false);
    }

    /// The disk is replaced by an empty one.
    pub(crate) fn lose(&mut self) {
        let lives = self.lives + 1;
        *self = Self { data: Data::new(self.pod, lives), lives, ..Self::new(self.pod) };
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
