//! What pods report on moves: it waits for the next transaction, all of it for the same one, and is answered with how the
//! moves stand then.

use super::{ControlError, Live, Reply, World};
use shared::MoveId;
use shared::protocol::handoff::{Event, Patience};
use shared::wire::handoff::{Move, Reports as Told};
use std::collections::BTreeMap;

/// How each of the moves reported on stands, in that order; nothing of those that this leader does not know.
pub(in crate::control) type Stands = Vec<(MoveId, Option<Move>)>;

/// The reports of one term.
#[derive(Debug, Default)]
pub(super) struct Reports {
    waiting: Vec<(Told, Reply<Stands>)>,
    riding: Vec<(Vec<MoveId>, Reply<Stands>)>,
}

impl Reports {
    pub(super) fn push(&mut self, said: Told, reply: Reply<Stands>) {
        self.waiting.push((said, reply));
    }

    /// Lets the moves hear what was reported. A report counts only for the pod's present incarnation.
    pub(super) fn board(&mut self, world: &World<'_>, live: &mut BTreeMap<MoveId, Live>, patience: &Patience) {
        for (Told { pod, incarnation, reports }, reply) in std::mem::take(&mut self.waiting) {
            let refused = match world.model.pod(&pod) {
                None => Some(ControlError::UnknownPod(pod.clone())),
                Some(record) if record.info.incarnation != incarnation || record.buried => {
                    Some(ControlError::WrongIncarnation(pod.clone()))
                }
                Some(_) => None,
            };
            if let Some(why) = refused {
                // Whoever asked may be gone; so it is with every reply here.
                let _ = reply.send(Err(why));
                continue;
            }
            let ids = reports.iter().map(|report| report.id).collect();
            for report in reports {
                if let Some(live) = live.get_mut(&report.id) {
                    live.take(world.now, patience, &Event::Said { by: pod.clone(), said: report.said });
                }
            }
            self.riding.push((ids, reply));
        }
    }

    /// Answers what has been heard.
    pub(super) fn settle(&mut self, stands: impl Fn(&MoveId) -> Option<Move>) {
        for (ids, reply) in std::mem::take(&mut self.riding) {
            let _ = reply.send(Ok(ids.into_iter().map(|id| (id, stands(&id))).collect()));
        }
    }

    /// Answers what waits with an error.
    pub(super) fn turn_away(&mut self, why: &ControlError) {
        for (_, reply) in self.waiting.drain(..) {
            let _ = reply.send(Err(why.clone()));
        }
    }

    /// Answers what has been heard with an error.
    pub(super) fn fail(&mut self, why: &ControlError) {
        for (_, reply) in std::mem::take(&mut self.riding) {
            let _ = reply.send(Err(why.clone()));
        }
    }
}
