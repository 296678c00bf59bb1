//! The door through which the simulation asks what a pod begins with. Exists only with the feature `plant`; decides nothing itself.

use super::decide::{self, Facts, Of, Succession};
use super::note::LineageNote;
use crate::{folder::kept::Identity, replica::Lineage, store::life::Found};
use shared::wire::control::LastLife;
use shared::{Incarnation, PodId};

/// Where every replica is.
const BASE: &str = "sim";

/// What the store says of a lineage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Copies {
    /// Somebody has sealed it.
    pub sealed: bool,
    /// The newest transaction that it holds.
    pub last: Option<u64>,
}

impl From<Copies> for decide::Copies {
    fn from(Copies { sealed, last }: Copies) -> Self {
        Self { sealed, last_txid: last }
    }
}

/// The note of a lineage, in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The life whose lineage is written.
    pub incarnation: Incarnation,
    /// The machine's boot that it was prepared in.
    pub boot: u32,
    /// It is never gone on with.
    pub over: bool,
}

/// A database: its life, the lives before it and its last commit.
#[derive(Debug, Clone)]
pub struct Database {
    /// The life it is in.
    pub incarnation: Incarnation,
    /// The lives that are over, the last one first.
    pub past: Vec<Incarnation>,
    /// Its last group.
    pub commit_seq: u64,
}

/// What the next life begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// The file that is here, in another life.
    Keep,
    /// The file that is here, in the life it is in.
    Finish,
    /// The copies of the life that the database here is in.
    RestoreOwn,
    /// The copies of the last life that config-service knows.
    RestoreLast,
    /// An empty database.
    Empty,
}

/// A data folder, as `prepare` finds it.
#[derive(Debug, Clone)]
pub struct Folder {
    now: Identity,
    note: Option<LineageNote>,
    db: Option<Found>,
    txid: Option<u64>,
}

impl Folder {
    /// Describes it. `boot` is the machine's boot, `txid` what Litestream had put aside.
    pub fn new(pod: &PodId, boot: u32, note: Option<&Note>, db: Option<Database>, txid: Option<u64>) -> Self {
        let by = |boot: u32| Identity { pod: pod.clone(), uid: None, boot_id: boot.to_string() };
        let note = note.map(|note| LineageNote {
            lineage: Lineage { generation: 1, pod: pod.clone(), incarnation: note.incarnation.clone() },
            previous: None,
            by: by(note.boot),
            base: BASE.to_owned(),
            over: note.over,
        });
        let db = db.map(|Database { incarnation, past, commit_seq }| Found { incarnation, past, commit_seq });
        Self { now: by(boot), note, db, txid }
    }

    fn facts<'a>(&'a self, life: Option<&'a LastLife>, copies: Option<Copies>) -> Facts<'a> {
        let (note, db, copies) = (self.note.as_ref(), self.db.as_ref(), copies.map(Into::into));
        Facts { now: &self.now, base: BASE, note, db, txid: self.txid, life, copies }
    }

    /// Returns whether its lineage goes on.
    pub fn goes_on(&self, life: Option<&LastLife>, copies: Option<Copies>) -> bool {
        decide::hindrance(&self.facts(life, copies)).is_none()
    }

    /// Returns whether another life may begin.
    pub fn may_begin(&self, life: &LastLife) -> bool {
        decide::succession(&self.facts(Some(life), None), life) == Succession::Now
    }

    /// Returns what that begins with, and whether nothing is in it.
    pub fn begin(&self, life: &LastLife, own: Option<Copies>, last: Option<Copies>) -> (Begin, bool) {
        let facts = self.facts(Some(life), None);
        let decided = decide::begin(&facts, life, own.map(Into::into), last.map(Into::into), self.db.is_some());
        let begin = match decided {
            decide::Begin::Keep => Begin::Keep,
            decide::Begin::Finish => Begin::Finish,
            decide::Begin::Restore(Of::Own) => Begin::RestoreOwn,
            decide::Begin::Restore(Of::Last) => Begin::RestoreLast,
            decide::Begin::Empty => Begin::Empty,
        };
        (begin, decided.is_empty(facts.db))
    }
}
