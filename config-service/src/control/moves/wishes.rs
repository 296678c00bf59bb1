//! What operators wish: that a target moves, that a move is called off, that a pod is cordoned or drained. Each rides in one
//! transaction with its entry in the audit, and is answered by its outcome.

use super::{
    ControlError, Live, Reply, World,
    limits::{Destinations, may_take, suits},
    recent::Recent,
};
use crate::{
    domain::{Batch, By, Marks, Model, Write},
    planner::{Limits, Traffic},
};
use serde_json::json;
use shared::protocol::handoff::{Event, Patience};
use shared::wire::admin::PodMarked;
use shared::wire::control::{Assignment, AssignmentState};
use shared::wire::handoff::{Move, MoveState};
use shared::{MoveId, PodId, Revision, TargetId};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Why a target moves because somebody said so.
pub(in crate::control) const MANUAL: &str = "manual";
/// Why a target moves whose parent does.
pub(super) const WITH_PARENT: &str = "with-parent";

/// Why a target moves for an even share.
pub(super) const REBALANCE: &str = "rebalance";
/// Why a target moves to the pod it is pinned to.
pub(super) const PINNED: &str = "pinned";

/// Why a target moves to the pods of its track.
pub(super) const CANARY: &str = "canary";

/// The words for why a target is where it is that come from moves.
const WORDS: [&str; 6] = [MANUAL, WITH_PARENT, super::drains::REASON, REBALANCE, PINNED, CANARY];

/// Returns the word as it stands at an assignment.
pub(super) fn word(reason: &str) -> &'static str {
    WORDS.into_iter().find(|word| *word == reason).unwrap_or("moved")
}

/// What an operator wishes.
#[derive(Debug)]
pub(in crate::control) enum Wish {
    /// A target is to move.
    Move {
        /// Which.
        target: TargetId,
        /// Where to; the planner chooses when it is not said.
        to: Option<PodId>,
        /// On whose word.
        by: By,
        /// Answered with the move as it begins.
        reply: Reply<Move>,
    },
    /// A move is to be called off.
    Cancel {
        /// Which.
        id: MoveId,
        /// On whose word.
        by: By,
        /// Answered with the move as it is over.
        reply: Reply<Move>,
    },
    /// Something is said of a pod.
    Mark {
        /// The pod.
        pod: PodId,
        /// What.
        marking: Marking,
        /// On whose word.
        by: By,
        /// Answered with what stands.
        reply: Reply<PodMarked>,
    },
}

/// What is said of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marking {
    /// It gets no new targets.
    Cordon,
    /// It gets new ones again.
    Uncordon,
    /// Everything is moved away from it.
    Drain,
    /// It keeps what it has.
    Undrain,
}

impl Marking {
    /// Returns the word for it, in paths and in the audit.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Cordon => "cordon",
            Self::Uncordon => "uncordon",
            Self::Drain => "drain",
            Self::Undrain => "undrain",
        }
    }

    /// Returns what stands when this is said of a pod.
    fn on(self, marks: Marks) -> Marks {
        match self {
            Self::Cordon => Marks { cordoned: true, ..marks },
            Self::Uncordon => Marks { cordoned: false, ..marks },
            Self::Drain => Marks { draining: true, ..marks },
            Self::Undrain => Marks { draining: false, ..marks },
        }
    }
}

/// Says what would stand when something is said of a pod.
///
/// # Errors
/// Nobody knows the pod.
pub(in crate::control) fn would_mark(model: &Model, pod: &PodId, marking: Marking) -> Result<PodMarked, ControlError> {
    let record = model.pod(pod).ok_or_else(|| ControlError::UnknownPod(pod.clone()))?;
    let Marks { cordoned, draining } = marking.on(record.marks);
    let targets = model.targets_of(pod);
    Ok(PodMarked { pod: pod.clone(), cordoned, draining, targets, revision: model.revision(), dry_run: false })
}

/// The moves that begin with the transaction that is put together.
pub(super) struct Begun {
    /// Moves under way, these among them.
    pub(super) traffic: Traffic,
    /// What is to be written.
    pub(super) writes: Vec<Write>,
    /// What they move, and what gets another owner in this transaction.
    pub(super) targets: HashSet<TargetId>,
}

impl Begun {
    /// Begins a move.
    pub(super) fn add(&mut self, entry: Move) {
        self.traffic.add(Some(&entry.from), &entry.to);
        self.targets.insert(entry.target.clone());
        self.writes.push(Write::Move { entry, expected: None });
    }
}

/// The wishes of one term.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    waiting: Vec<Wish>,
    riding: Vec<Wish>,
}

impl Wishes {
    pub(super) fn push(&mut self, wish: Wish) {
        self.waiting.push(wish);
    }

    /// Adds what is wished, and refuses what cannot be.
    pub(super) fn board(
        &mut self,
        world: &World<'_>,
        live: &mut BTreeMap<MoveId, Live>,
        terms: (&Limits, &Patience),
        batch: &mut Batch,
        begun: &mut Begun,
    ) {
        let (limits, patience) = terms;
        let (mut marked, mut children) = (HashSet::new(), Children::default());
        for wish in std::mem::take(&mut self.waiting) {
            let decided = match &wish {
                Wish::Move { target, .. } if begun.targets.contains(target) => None,
                Wish::Mark { pod, .. } if !marked.insert(pod.clone()) => None,
                Wish::Move { target, to, by, .. } => {
                    Some(begin(world, (target, to.as_ref(), by), limits, &mut children, batch, begun))
                }
                Wish::Cancel { id, by, .. } => Some(cancel(world, live.get_mut(id), (*id, by), patience, batch)),
                Wish::Mark { pod, marking, by, .. } => Some(mark(world.model, pod, *marking, by, batch)),
            };
            match decided {
                // Decided on what this transaction makes true.
                None => self.waiting.push(wish),
                Some(Ok(())) => self.riding.push(wish),
                Some(Err(why)) => wish.refuse(why),
            }
        }
    }

    /// What was wished is committed, `model` has it: answers.
    pub(super) fn settle(&mut self, model: &Model, recent: &Recent) {
        for wish in std::mem::take(&mut self.riding) {
            // Whoever asked may be gone; so it is with every reply here.
            match wish {
                Wish::Move { target, reply, .. } => {
                    let found = model.move_of(&target).cloned();
                    let _ = reply.send(found.ok_or(ControlError::Store));
                }
                Wish::Cancel { id, reply, .. } => {
                    let _ = reply.send(recent.get(id).cloned().ok_or(ControlError::Store));
                }
                Wish::Mark { pod, marking, by, reply } => {
                    let By { actor, request_id, .. } = &by;
                    tracing::info!(%pod, action = marking.as_str(), actor, request_id, "an operator made a change");
                    let _ = reply.send(would_mark(model, &pod, marking));
                }
            }
        }
    }

    /// Refuses what waits.
    pub(super) fn turn_away(&mut self, why: &ControlError) {
        self.waiting.drain(..).for_each(|wish| wish.refuse(why.clone()));
    }

    /// What was wished is not committed, as far as is known.
    pub(super) fn fail(&mut self, why: &ControlError) {
        std::mem::take(&mut self.riding).into_iter().for_each(|wish| wish.refuse(why.clone()));
    }
}

impl Wish {
    /// Answers that it cannot be.
    pub(in crate::control) fn refuse(self, why: ControlError) {
        match self {
            Self::Move { reply, .. } | Self::Cancel { reply, .. } => drop(reply.send(Err(why))),
            Self::Mark { reply, .. } => drop(reply.send(Err(why))),
        }
    }
}

fn begin(
    world: &World<'_>,
    (target, to, by): (&TargetId, Option<&PodId>, &By),
    limits: &Limits,
    children: &mut Children,
    batch: &mut Batch,
    begun: &mut Begun,
) -> Result<(), ControlError> {
    let entry = decide(world, target, to, &by.actor, limits, &begun.traffic)?;
    batch.audits.push(by.audit("move", target.as_str()));
    // Asked again under the same key, the move is answered as it stands then: only now does it get its number.
    batch.kept.extend(by.keep(&json!({ "move_of": target })));
    // A channel that is not split off stays with its guild.
    for child in children.of(world.model, &entry.from, target).iter().filter_map(|child| world.model.assignment(child))
    {
        if movable(world, &child).is_ok() && !begun.targets.contains(&child.target) {
            begun.add(new(&child, &entry.to, WITH_PARENT, &by.actor));
        }
    }
    begun.add(entry);
    Ok(())
}

/// Who belongs to whom on the pods that somebody has asked about: each pod's targets are gone through once for all moves of a
/// transaction.
#[derive(Debug, Default)]
struct Children(HashMap<PodId, HashMap<TargetId, Vec<TargetId>>>);

impl Children {
    /// Returns the targets of a pod that belong to `parent`.
    fn of(&mut self, model: &Model, pod: &PodId, parent: &TargetId) -> &[TargetId] {
        let families = self.0.entry(pod.clone()).or_insert_with(|| {
            let mut families = HashMap::<TargetId, Vec<TargetId>>::new();
            for held in model.held_by(pod, None) {
                if let Some(parent) = held.parent() {
                    families.entry(parent.clone()).or_default().push(held.target());
                }
            }
            families
        });
        families.get(parent).map_or(&[], Vec::as_slice)
    }
}

/// Decides what an operator's move would be.
///
/// # Errors
/// Why it cannot be.
pub(super) fn decide(
    world: &World<'_>,
    target: &TargetId,
    to: Option<&PodId>,
    actor: &str,
    limits: &Limits,
    traffic: &Traffic,
) -> Result<Move, ControlError> {
    let owner = world.model.assignment(target).ok_or_else(|| ControlError::UnknownTarget(target.clone()))?;
    movable(world, &owner)?;
    // Operators come before drains, within reason: their moves are begun beyond the bounds of those.
    if traffic.all() >= limits.in_flight.saturating_mul(2) {
        return Err(ControlError::TooManyMoves(traffic.all()));
    }
    let to = match to {
        Some(to) => match may_take(world, &owner.pod, to).and_then(|()| suits(world, &owner, to)) {
            Ok(()) => to.clone(),
            Err(why) => return Err(ControlError::NoDestination(format!("{to} {why}"))),
        },
        None => {
            let open = Limits { per_destination: usize::MAX, ..*limits };
            let chosen =
                Destinations::of(world, &owner.pod, &open, traffic).choose(world, std::slice::from_ref(target));
            let chosen = chosen.into_iter().next().map(|(_, to)| to);
            chosen.ok_or_else(|| ControlError::NoDestination("no other pod is ready and takes targets".to_owned()))?
        }
    };
    Ok(new(&owner, &to, MANUAL, actor))
}

/// Says whether a target may begin to move.
///
/// # Errors
/// Why not.
pub(super) fn movable(world: &World<'_>, owner: &Assignment) -> Result<(), ControlError> {
    let target = &owner.target;
    if owner.state != AssignmentState::Serving {
        return Err(ControlError::TargetQuarantined(target.clone()));
    }
    if let Some(running) = world.model.move_of(target).filter(|running| is_in_the_way(running, owner)) {
        return Err(ControlError::MoveRunning { target: target.clone(), id: running.id });
    }
    if world.alive(&owner.pod).is_none() {
        return Err(ControlError::PodNotReady(owner.pod.clone()));
    }
    Ok(())
}

/// A committed move whose target went on to another owner waits only for its destination to come back.
fn is_in_the_way(running: &Move, owner: &Assignment) -> bool {
    running.state != MoveState::Committed || owner.pod == running.to
}

/// Makes a move as it begins.
pub(super) fn new(owner: &Assignment, to: &PodId, reason: &str, actor: &str) -> Move {
    Move {
        id: MoveId(0),
        target: owner.target.clone(),
        from: owner.pod.clone(),
        to: to.clone(),
        state: MoveState::Copying,
        epoch: owner.epoch,
        revision: Revision(0),
        reason: reason.to_owned(),
        actor: actor.to_owned(),
        started_ms: 0,
        frozen_ms: None,
        ended_ms: None,
        pause_ms: None,
        rows: 0,
        bytes: 0,
        detail: None,
        plan: None,
    }
}

fn cancel(
    world: &World<'_>,
    live: Option<&mut Live>,
    (id, by): (MoveId, &By),
    patience: &Patience,
    batch: &mut Batch,
) -> Result<(), ControlError> {
    let (live, entry) = live.zip(world.model.moving(id)).ok_or(ControlError::UnknownMove(id))?;
    let closes = may_be_closed(world.model, entry);
    let (event, wanted) = if closes {
        (Event::Closed(format!("closed by {}: {}", by.actor, by.reason)), MoveState::Cleaned)
    } else {
        (Event::Cancel(format!("called off by {}: {}", by.actor, by.reason)), MoveState::Aborted)
    };
    live.take(world.now, patience, &event);
    let Some(next) = &live.next else { return Err(ControlError::MoveDecided { id, state: live.handoff.state }) };
    if next.state != wanted {
        return Err(ControlError::MoveDecided { id, state: next.state });
    }
    batch.audits.push(by.audit("cancel-move", entry.target.as_str()));
    batch.kept.extend(by.keep(&json!({ "move_of": entry.target })));
    Ok(())
}

/// Returns whether nobody needs the rows that the source of a committed move keeps: its target has begun anew since, on
/// somebody's word that what the destination had is lost.
pub(super) fn may_be_closed(model: &Model, entry: &Move) -> bool {
    let begun_since = |owner: &Assignment| {
        let committed_ms = entry.ended_ms.unwrap_or(u64::MAX);
        owner.state == AssignmentState::Serving && (owner.pod != entry.to || owner.since_ms > committed_ms)
    };
    entry.state == MoveState::Committed && model.assignment(&entry.target).as_ref().is_some_and(begun_since)
}

fn mark(model: &Model, pod: &PodId, marking: Marking, by: &By, batch: &mut Batch) -> Result<(), ControlError> {
    let answer = would_mark(model, pod, marking)?;
    let marks = Marks { cordoned: answer.cordoned, draining: answer.draining };
    if model.pod(pod).is_some_and(|record| record.marks != marks) {
        batch.writes.push(Write::Mark { pod: pod.clone(), marks });
    }
    batch.audits.push(by.audit(marking.as_str(), pod.as_str()));
    batch.kept.extend(by.keep(&answer));
    Ok(())
}
