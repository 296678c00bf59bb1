//! What one transaction is to write, and the stamped changes that come out of it. Stamping is shared by all stores, so
//! that a revision and an epoch mean the same in each.

use super::{Edit, Fencing, Hold, Marks, Members, PodRecord, moves, plans};
use serde::{Deserialize, Serialize};
#[cfg(feature = "plant")]
use shared::plant::{self, Bug};
use shared::wire::{
    admin::{PlanHead, PlanState, PlannedMove},
    control::{Assignment, AssignmentState, DataAt},
    handoff::{Move, MoveState},
};
use shared::{Epoch, LeaseId, PodId, Revision, TargetId};
use std::sync::Arc;

/// One row to be written, with what it expects to find. A write whose expectation fails makes the whole batch a conflict.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// A pod registers, or something about it changes.
    Pod {
        /// What is to be known of it; the revision in it is stamped by the store.
        record: PodRecord,
        /// The lease id that is replaced; none for a pod that is new.
        expected: Option<LeaseId>,
        /// The highest epoch the pod has seen: nothing at or below it is issued any more (OWNERSHIP.md, rule 11).
        floor: Epoch,
    },
    /// A target gets an owner and a new epoch.
    Assign {
        /// The target.
        target: TargetId,
        /// The guild it belongs to.
        parent: Option<TargetId>,
        /// Its owner from now on.
        pod: PodId,
        /// Owner and epoch that are replaced; none on first contact.
        expected: Option<(PodId, Epoch)>,
        /// Why, in a word or two.
        reason: &'static str,
        /// Whether it may serve.
        state: AssignmentState,
        /// Where its data is, if not simply where it was.
        data: Option<DataAt>,
    },
    /// An incarnation of a pod is over, irrevocably (OWNERSHIP.md, Leases 5). Expects that it is the pod's newest under this
    /// lease, and not buried yet.
    Bury(PodRecord),
    /// The witness config gets its next version, or lets go of the set before; expects the step before that.
    Members(Members),
    /// A pod is about to be fenced. Neither lease nor round ever goes back.
    Fencing(Fencing),
    /// It is known now who holds what in this generation.
    Settle(u32),
    /// A planned move begins, or gets another state. The assignment that a commit makes is a write of its own, behind this.
    Move {
        /// As it is to stand; its id when it begins, its revision and its times are stamped by the store.
        entry: Move,
        /// The state that is replaced; none when it begins.
        expected: Option<MoveState>,
    },
    /// An operator has said something of a pod.
    Mark {
        /// The pod.
        pod: PodId,
        /// What stands from now on.
        marks: Marks,
    },
    /// A plan is made, or gets further.
    Plan {
        /// As it is to stand; its id when it is made, its revision and its times are stamped by the store.
        head: Box<PlanHead>,
        /// Its moves, when it is made; they never change afterwards.
        moves: Option<Arc<[PlannedMove]>>,
        /// The state that is replaced; none when it is made.
        expected: Option<PlanState>,
    },
    /// Something holds a target where it is, or nothing any more.
    Hold {
        /// The target.
        target: TargetId,
        /// What holds from now on.
        hold: Hold,
    },
}

/// Who did what and why, for the append-only audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// Who: the name of a token.
    pub actor: String,
    /// What.
    pub action: &'static str,
    /// To what.
    pub subject: String,
    /// Why.
    pub reason: String,
    /// The request that asked for it.
    pub request_id: String,
}

/// An answer that is kept with what it answers, in one transaction, so that the same request under the same key is answered
/// again and not done again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Who asked; keys of different actors never meet.
    pub actor: String,
    /// The caller's `Idempotency-Key`.
    pub key: String,
    /// What was asked: another request under the same key is a mistake.
    pub fingerprint: String,
    /// The answer, a JSON object without its revision: that is known only in the transaction.
    pub body: String,
}

/// One transaction.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// The rows, each of which gets a revision of its own, in this order.
    pub writes: Vec<Write>,
    /// Tokens and settings; they take no revision, watchers do not hear of them.
    pub edits: Vec<Edit>,
    /// The audit entries.
    pub audits: Vec<Audit>,
    /// Answers to be kept.
    pub kept: Vec<Kept>,
    /// Begins this cluster generation, which is a new one (OWNERSHIP.md, Leases 11): every counter goes beyond what any older generation can
    /// have issued, every pod has to register anew and to report, the change log is empty, and this term is over. Goes
    /// together with no rows.
    pub generation: Option<u32>,
}

impl Batch {
    /// The most rows of one transaction.
    pub const MAX_WRITES: usize = 5_000;

    /// Returns whether there is nothing to be written.
    pub fn is_empty(&self) -> bool {
        let nothing = self.writes.is_empty() && self.edits.is_empty();
        nothing && self.audits.is_empty() && self.kept.is_empty() && self.generation.is_none()
    }

    /// Returns how many epochs the batch takes.
    pub fn epochs(&self) -> usize {
        self.writes.iter().filter(|write| matches!(write, Write::Assign { .. })).count()
    }

    /// Returns the highest epoch that any registering pod has seen.
    pub fn floor(&self) -> Epoch {
        let floors = self.writes.iter().map(|write| match write {
            Write::Pod { floor, .. } => *floor,
            _ => Epoch(0),
        });
        floors.max().unwrap_or_default()
    }

    /// Returns what the batch changes when the counters stand at `revision` and `epoch` after it, at `now_ms` of the
    /// database's clock.
    pub fn stamp(&self, revision: Revision, epoch: Epoch, now_ms: u64) -> Vec<Change> {
        let mut at = Revision(revision.0 - self.writes.len() as u64);
        let mut fence = Epoch(epoch.0 - self.epochs() as u64);
        let stamped = self.writes.iter().map(|write| {
            at = Revision(at.0 + 1);
            match write {
                Write::Pod { record, .. } => {
                    let mut record = record.clone();
                    record.info.revision = at;
                    Change::Pod(record)
                }
                Write::Bury(record) => {
                    let mut record = PodRecord { buried: true, ..record.clone() };
                    record.info.revision = at;
                    Change::Pod(record)
                }
                Write::Members(members) => Change::Members { revision: at, members: members.clone() },
                Write::Fencing(fencing) => Change::Fencing { revision: at, fencing: fencing.clone() },
                Write::Settle(generation) => Change::Settled { revision: at, generation: *generation },
                Write::Assign { target, parent, pod, expected, reason, state, data } => {
                    fence = fence.next();
                    #[cfg(feature = "plant")]
                    let fence = match expected {
                        Some((_, epoch)) if plant::on(Bug::EpochNotIncreased) => *epoch,
                        _ => fence,
                    };
                    let assignment = Assignment {
                        target: target.clone(),
                        pod: pod.clone(),
                        epoch: fence,
                        revision: at,
                        parent: parent.clone(),
                        reason: (*reason).to_owned(),
                        since_ms: now_ms,
                        state: *state,
                        data: data.clone(),
                    };
                    Change::Assignment { assignment, from: expected.as_ref().map(|(pod, _)| pod.clone()) }
                }
                Write::Move { entry, expected } => Change::Move(moves::stamped(entry, *expected, at, now_ms)),
                Write::Plan { head, expected, .. } => {
                    Change::Plan { head: Box::new(plans::stamped(head, *expected, at, now_ms)) }
                }
                Write::Hold { target, hold } => {
                    Change::Held { target: target.clone(), hold: hold.clone(), revision: at }
                }
                Write::Mark { pod, marks } => Change::Marked { pod: pod.clone(), marks: *marks, revision: at },
            }
        });
        stamped.collect()
    }
}

/// One entry of the change log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Change {
    /// A pod registered anew, or something about it changed.
    Pod(PodRecord),
    /// The witness config has a new version.
    Members {
        /// The revision that made it so.
        revision: Revision,
        /// The config.
        members: Members,
    },
    /// A pod is being fenced.
    Fencing {
        /// The revision that made it so.
        revision: Revision,
        /// How far.
        fencing: Fencing,
    },
    /// It is known who holds what.
    Settled {
        /// The revision that made it so.
        revision: Revision,
        /// In which generation.
        generation: u32,
    },
    /// A target has an owner.
    Assignment {
        /// The assignment now in force.
        assignment: Assignment,
        /// The owner before: it has to hear that it no longer is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<PodId>,
    },
    /// A planned move began, or is in another state.
    Move(Move),
    /// An operator has said something of a pod.
    Marked {
        /// The pod.
        pod: PodId,
        /// What stands now.
        marks: Marks,
        /// The revision that made it so.
        revision: Revision,
    },
    /// A plan was made, or got further.
    Plan {
        /// It. Not in the place of the entry's own fields: both have a `kind`. Large: it would make each of thousands of others so.
        head: Box<PlanHead>,
    },
    /// Something holds a target where it is, or nothing any more.
    Held {
        /// The target.
        target: TargetId,
        /// What holds now.
        hold: Hold,
        /// The revision that made it so.
        revision: Revision,
    },
}

impl Change {
    /// Returns the revision that made the change.
    pub fn revision(&self) -> Revision {
        match self {
            Self::Pod(record) => record.info.revision,
            Self::Assignment { assignment, .. } => assignment.revision,
            Self::Members { revision, .. } | Self::Fencing { revision, .. } | Self::Settled { revision, .. } => {
                *revision
            }
            Self::Move(entry) => entry.revision,
            Self::Marked { revision, .. } | Self::Held { revision, .. } => *revision,
            Self::Plan { head } => head.revision,
        }
    }
}
