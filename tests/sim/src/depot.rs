//! The object store: of each lineage the newest copy that has arrived, what it was begun with, and its seal. It is linearizable,
//! as S3 is; what it may be is away, slow, and silent about what it has done. An upload that is late lands in the lineage
//! that it was meant for, whatever has become of its pod.

use crate::agenda::{MS, Ns, SECOND};
use crate::disk::Data;
use crate::draw::Draw;
use crate::message::{Answer, Asker};
use crate::network::Node;
use crate::profile::Replicas;
use crate::world::{Happening, World};
use gateway::simulation::boot::Copies;
use shared::protocol::invariants::What;
use shared::wire::control::Life;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A question to the store, about the lineage of a life.
#[derive(Debug, Clone)]
pub(crate) enum StoreAsk {
    /// Write its beginning.
    Begin(Life, Began),
    /// Read that.
    Begun(Life),
    /// Upload everything up to a commit.
    Put(Life, Arc<Data>),
    /// Read whether it is sealed.
    Sealed(Life),
    /// Read that, and list it.
    Look(Life),
    /// Seal it.
    Seal(Life),
    /// Restore it.
    Fetch(Life),
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) enum StoreAnswer {
    /// It is written.
    Done,
    /// Whether it is sealed.
    Sealed(bool),
    /// What is there; none when there is no such lineage.
    Looked(Option<Copies>),
    /// Its beginning.
    Begun(Began),
    /// The newest copy.
    Fetched(Option<Arc<Data>>),
}

/// How a lineage began.
#[derive(Debug, Clone, Default)]
pub(crate) struct Began {
    /// The one before it.
    pub(crate) before: Option<Life>,
    /// With an empty database.
    pub(crate) empty: bool,
}

#[derive(Debug, Default)]
struct Lineage {
    began: Began,
    sealed: bool,
    copy: Option<Arc<Data>>,
}

/// The store.
#[derive(Debug)]
pub(crate) struct Depot {
    lineages: BTreeMap<Life, Lineage>,
    pub(crate) draw: Draw,
    /// Whether nobody reaches it.
    pub(crate) away: bool,
    /// How many times slower than usual it is.
    pub(crate) slow: u64,
    /// Answers lost after the work was done, per mille.
    pub(crate) loses: u64,
    /// Whether nothing is late any more.
    healed: bool,
}

impl Depot {
    pub(crate) fn new(draw: Draw) -> Self {
        Self { lineages: BTreeMap::new(), draw, away: false, slow: 1, loses: 0, healed: false }
    }

    /// A fault has ended.
    pub(crate) fn mend(&mut self) {
        (self.away, self.slow, self.loses) = (false, 1, 0);
    }

    /// All is well from now on.
    pub(crate) fn heal(&mut self) {
        self.mend();
        self.healed = true;
    }

    fn takes(&mut self, ask: &StoreAsk, day: &Replicas) -> Ns {
        let mean = match ask {
            StoreAsk::Put(..) if !self.healed && self.draw.chance(day.late) => {
                return self.draw.between(2, 40) * SECOND;
            }
            StoreAsk::Put(..) | StoreAsk::Begin(..) | StoreAsk::Seal(_) => day.put,
            StoreAsk::Look(_) => day.list,
            StoreAsk::Fetch(_) => 200 * MS,
            StoreAsk::Sealed(_) | StoreAsk::Begun(_) => day.put / 3,
        };
        let mean = if self.healed { mean.min(40 * MS) } else { mean };
        mean / 2 + self.draw.waiting(mean * self.slow)
    }

    fn answer(&mut self, ask: StoreAsk) -> StoreAnswer {
        match ask {
            StoreAsk::Begin(life, began) => {
                self.lineages.entry(life).or_insert_with(|| Lineage { began, ..Lineage::default() });
                StoreAnswer::Done
            }
            StoreAsk::Begun(life) => {
                StoreAnswer::Begun(self.lineages.get(&life).map(|lineage| lineage.began.clone()).unwrap_or_default())
            }
            StoreAsk::Put(life, copy) => {
                let lineage = self.lineages.entry(life).or_default();
                // What comes late is covered by what came before it.
                if lineage.copy.as_ref().is_none_or(|there| there.seq < copy.seq) {
                    lineage.copy = Some(copy);
                }
                StoreAnswer::Done
            }
            StoreAsk::Sealed(life) => StoreAnswer::Sealed(self.lineages.get(&life).is_some_and(|found| found.sealed)),
            StoreAsk::Look(life) => StoreAnswer::Looked(
                self.lineages
                    .get(&life)
                    .map(|found| Copies { sealed: found.sealed, last: found.copy.as_ref().map(|copy| copy.seq) }),
            ),
            StoreAsk::Seal(life) => {
                self.lineages.entry(life).or_default().sealed = true;
                StoreAnswer::Done
            }
            StoreAsk::Fetch(life) => {
                StoreAnswer::Fetched(self.lineages.get(&life).and_then(|lineage| lineage.copy.clone()))
            }
        }
    }
}

impl World {
    pub(crate) fn depot_asked(&mut self, asker: Asker, ask: StoreAsk) {
        let Some(day) = &self.profile.replicas else { return };
        if self.depot.away {
            // Some connections are refused, others are never answered.
            if self.depot.draw.chance(500) {
                self.answer(Node::Store, asker, Answer::Elsewhere);
            }
            return;
        }
        let at = self.now + self.depot.takes(&ask, day);
        self.agenda.put(at, Happening::Depot { asker, ask: Box::new(ask) });
    }

    pub(crate) fn depot_does(&mut self, asker: Asker, ask: StoreAsk) {
        if let StoreAsk::Seal(life) = &ask {
            self.history.note(self.now, &What::Sealed { life: life.clone() });
        }
        let answer = self.depot.answer(ask);
        if !self.depot.draw.chance(self.depot.loses) {
            self.answer(Node::Store, asker, Answer::Store(answer));
        }
    }
}
