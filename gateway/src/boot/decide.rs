//! What is to be done before a gateway begins (LITESTREAM.md, Boot). Pure: what is known locally, what config-service says and what
//! the store's list says come in.

use super::note::LineageNote;
use crate::{folder::kept::Identity, store::life::Found};
#[cfg(feature = "plant")]
use shared::plant::{self, Bug};
use shared::{Incarnation, wire::control::LastLife};

/// What is known of a folder and of the pod whose it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts<'a> {
    /// Who asks.
    pub(super) now: &'a Identity,
    /// Where the copies are to be.
    pub(super) base: &'a str,
    /// What the folder says that it writes.
    pub(super) note: Option<&'a LineageNote>,
    /// The database; none when there is none that can be read.
    pub(super) db: Option<&'a Found>,
    /// The newest transaction that Litestream had put aside here; none when it is not known.
    pub(super) txid: Option<u64>,
    /// What config-service says of the pod's last life; none when it does not answer.
    pub(super) life: Option<&'a LastLife>,
    /// What the store says of the note's lineage; none when it does not answer.
    pub(super) copies: Option<Copies>,
}

/// What the store says of a lineage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Copies {
    /// Somebody has sealed it.
    pub(super) sealed: bool,
    /// The newest transaction that it holds.
    pub(super) last_txid: Option<u64>,
}

/// Says why the lineage cannot be gone on with; nothing when it can, which takes neither config-service nor the store.
pub(super) fn hindrance(facts: &Facts<'_>) -> Option<&'static str> {
    let Some(note) = facts.note else { return Some("no lineage was begun in this folder") };
    let Some(db) = facts.db else { return Some("there is no database that can be read") };
    if note.over {
        return Some("its lineage is over");
    }
    if note.base != facts.base {
        return Some("the replica is another one");
    }
    if note.lineage.pod != facts.now.pod || note.lineage.incarnation != db.incarnation {
        return Some("the database is in another life");
    }
    if let Some(life) = facts.life {
        match &life.incarnation {
            Some(last) if *last == db.incarnation && life.buried => return Some("its life was failed over"),
            Some(last) if !is_of(db, last) => return Some("the pod has lived on elsewhere"),
            _ => {}
        }
    }
    if let Some(copies) = facts.copies {
        if copies.sealed {
            return Some("its lineage is sealed");
        }
        // Where the same owner left it, nothing takes away what was uploaded already: this is an older copy of the folder.
        if is_behind(facts, copies) {
            return Some("the folder is older than its copies");
        }
    }
    let is_same = note.by == *facts.now && !facts.now.boot_id.is_empty();
    (!is_same && !said_goodbye(facts, db)).then_some("it is of another pod UID or boot")
}

/// Whether copies have more than the folder.
fn is_behind(facts: &Facts<'_>, copies: Copies) -> bool {
    #[cfg(feature = "plant")]
    if plant::on(Bug::OlderFolderKept) {
        return false;
    }
    copies.last_txid > facts.txid
}

/// A clean end of a process in this very folder: nothing was committed here after it, and nothing elsewhere.
fn said_goodbye(facts: &Facts<'_>, db: &Found) -> bool {
    facts
        .life
        .is_some_and(|life| life.incarnation.as_ref() == Some(&db.incarnation) && life.goodbye == Some(db.commit_seq))
}

/// Whether a database is in `life`, or in one that came after it in the same folder.
pub(super) fn is_of(db: &Found, life: &Incarnation) -> bool {
    db.incarnation == *life || db.past.contains(life)
}

/// Whether another life may begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Succession {
    /// It may.
    Now,
    /// Not yet: this has to end first.
    Wait(Waiting),
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiting {
    /// The folder is that of the last life, in another place: a lease may still be valid for so many milliseconds.
    Lease(u64),
    /// The last life was in another folder: whether it has ended, this folder's lock does not say.
    Burial,
}

/// Says whether the pod's last life may be succeeded (OWNERSHIP.md, Leases 9 and 12).
pub(super) fn succession(facts: &Facts<'_>, life: &LastLife) -> Succession {
    let Some(last) = &life.incarnation else { return Succession::Now };
    if life.buried || life.loss_accepted {
        return Succession::Now;
    }
    let here = facts.db.is_some_and(|db| is_of(db, last));
    let is_same = facts.note.is_some_and(|note| note.by == *facts.now && !facts.now.boot_id.is_empty());
    match (here, life.may_act_ms) {
        // The folder's lock proves that its process has ended.
        (true, _) if is_same => Succession::Now,
        (true, 0) => Succession::Now,
        (true, left) => Succession::Wait(Waiting::Lease(left)),
        // It owns nothing, and nobody asks for what it had.
        (false, 0) if life.targets == 0 => Succession::Now,
        (false, _) => Succession::Wait(Waiting::Burial),
    }
}

/// What the next life begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    /// The file that is here, once it has passed a check, in another life.
    Keep,
    /// The file that is here in the life it is in, of which nothing was ever uploaded: it is new, or a `prepare` was cut short.
    Finish,
    /// The copies of a life.
    Restore(Of),
    /// An empty database; a file that cannot be read is put aside.
    Empty,
}

impl Begin {
    /// Whether nothing is in it, where `db` is the file that is here.
    pub(super) fn is_empty(self, db: Option<&Found>) -> bool {
        match self {
            Self::Empty => true,
            Self::Finish => db.is_some_and(Found::is_empty),
            Self::Keep | Self::Restore(_) => false,
        }
    }
}

/// Whose copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    /// The life's that the database here is in.
    Own,
    /// The last one's that config-service knows.
    Last,
}

/// Says what the next life begins with. `own` and `last` are the copies of the life that the database here is in, and of the last
/// one that config-service knows; `is_whole`, whether the file has passed a quick check.
pub(super) fn begin(
    facts: &Facts<'_>,
    life: &LastLife,
    own: Option<Copies>,
    last: Option<Copies>,
    is_whole: bool,
) -> Begin {
    let uploaded = |copies: Option<Copies>| copies.and_then(|copies| copies.last_txid);
    let Some(db) = facts.db.filter(|db| life.incarnation.as_ref().is_none_or(|last| is_of(db, last))) else {
        // Whatever is here is older than the last life.
        return match facts.db {
            _ if uploaded(last).is_some() && !life.loss_accepted => Begin::Restore(Of::Last),
            Some(_) if is_whole => Begin::Keep,
            _ => Begin::Empty,
        };
    };
    let own = own.unwrap_or_default();
    let is_buried = life.buried && life.incarnation.as_ref() == Some(&db.incarnation);
    match own.last_txid {
        None if !is_whole => Begin::Empty,
        None if !own.sealed && !is_buried => Begin::Finish,
        Some(_) if !is_whole || is_behind(facts, own) => Begin::Restore(Of::Own),
        _ => Begin::Keep,
    }
}

#[cfg(test)]
mod tests;
