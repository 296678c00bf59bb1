//! What a gateway does with events: the door, the mailbox, the transaction and the acknowledgement, each behind production's
//! guard, in the order in which production's dispatch has them. The rows are a list of events: a stand-in for its store.

use super::Done;
use super::gate::{Gate, Held, Said};
use crate::message::{Answer, Asker};
use crate::network::Node;
use crate::world::{Happening, World};
use gateway::ownership::{Denied, Guard};
use shared::event;
use shared::plant::{self, Bug};
use shared::protocol::invariants::What;
use shared::wire::link::Outcome;
use shared::{Epoch, lease::Use};
use std::collections::VecDeque;

/// A target's mailbox.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    waiting: VecDeque<Waiting>,
    /// What the first event is at.
    stage: Stage,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    #[default]
    Idle,
    Handling,
    Committing,
}

#[derive(Debug)]
struct Waiting {
    event: u64,
    /// It comes from a returned pod's journal.
    late: bool,
    guard: Guard,
    askers: Vec<Asker>,
}

impl Mailbox {
    fn has(&self, event: u64) -> bool {
        self.waiting.iter().any(|waiting| waiting.event == event)
    }
}

fn not_serving() -> Answer {
    Answer::Outcome(Outcome::NotServing { detail: String::new() })
}

pub(super) fn committed(duplicate: bool) -> Answer {
    let answer = event::Answer { status: 200, headers: Vec::new(), body: Default::default() };
    Answer::Outcome(Outcome::Committed { answer, duplicate })
}

impl World {
    /// The door: lease, epoch, then the mailbox.
    pub(super) fn pod_receives(
        &mut self,
        n: u8,
        asker: Asker,
        target: usize,
        (epoch, late): (Epoch, bool),
        event: u64,
    ) {
        let name = self.targets[target].clone();
        let pod = &mut self.pods[usize::from(n)];
        pod.hardware.look(self.now);
        let Some(process) = &mut pod.process else { return };
        let refusal = match process.ownership.guard(&name) {
            Err(Denied::NotOwner { epoch }) => {
                Answer::Outcome(Outcome::NotOwner { owner: process.ownership.owner(&name), epoch })
            }
            Err(_) => not_serving(),
            Ok(guard) if guard.epoch() != epoch => {
                Answer::Outcome(Outcome::NotOwner { owner: None, epoch: guard.epoch() })
            }
            // What waits for the replica would wait for too long.
            Ok(_) if process.gate.as_ref().is_some_and(Gate::is_closed) => not_serving(),
            Ok(guard) => {
                let mailbox = process.boxes.entry(target).or_default();
                let seen = || pod.disk.data.rows.get(&target).is_some_and(|row| row.seen.contains(&event));
                // What was committed long ago does not wait behind a handler that is at work.
                if mailbox.stage == Stage::Handling && !mailbox.has(event) && seen() {
                    return self.pod_syncs(n, Done::Known { target, epoch, event, asker });
                }
                match mailbox.waiting.iter_mut().find(|waiting| waiting.event == event) {
                    Some(waiting) => waiting.askers.push(asker),
                    None => {
                        mailbox.waiting.push_back(Waiting { event, late, guard, askers: vec![asker] });
                        let pod = pod.id.clone();
                        self.history.note(self.now, &What::Accepted { pod, target: name, event });
                        self.pod_handles(n, target);
                    }
                }
                return;
            }
        };
        self.answer(Node::Pod(n), asker, refusal);
    }

    /// The first event's handler runs. What the inbox has seen is answered without it.
    fn pod_handles(&mut self, n: u8, target: usize) {
        let pod = &mut self.pods[usize::from(n)];
        let Some(process) = &mut pod.process else { return };
        let life = process.life;
        let Some(mailbox) = process.boxes.get_mut(&target).filter(|mailbox| mailbox.stage == Stage::Idle) else {
            return;
        };
        let Some(first) = mailbox.waiting.front() else { return };
        let seen = pod.disk.data.rows.get(&target).is_some_and(|row| row.seen.contains(&first.event));
        mailbox.stage = Stage::Handling;
        let takes = if seen { 0 } else { self.draw.waiting(self.profile.handler) };
        let at = self.now + takes;
        self.agenda.put(at, Happening::Handled { pod: n, life, target });
    }

    /// The transaction: the guard is checked again before it is committed.
    pub(crate) fn pod_handled(&mut self, n: u8, target: usize) {
        let pod = &mut self.pods[usize::from(n)];
        pod.hardware.look(self.now);
        let Some(process) = &mut pod.process else { return };
        let Some(mailbox) = process.boxes.get_mut(&target) else { return };
        let Some(first) = mailbox.waiting.front().filter(|_| mailbox.stage == Stage::Handling) else { return };
        if process.ownership.check(&first.guard, Use::Act).is_err() {
            return self.pod_empties(n, target);
        }
        let epoch = first.guard.epoch();
        mailbox.stage = Stage::Committing;
        let (pod, target_name) = (pod.id.clone(), self.targets[target].clone());
        self.history.note(self.now, &What::Effect { pod, target: target_name, epoch });
        self.pod_syncs(n, Done::Commit(target));
    }

    /// The commit is durable, or the disk refused it; the guard is checked once more before the sender hears of it.
    pub(super) fn pod_committed(&mut self, n: u8, target: usize) {
        let pod = &mut self.pods[usize::from(n)];
        pod.hardware.look(self.now);
        let Some(process) = &mut pod.process else { return };
        let Some(mailbox) = process.boxes.get_mut(&target).filter(|mailbox| mailbox.stage == Stage::Committing) else {
            return;
        };
        mailbox.stage = Stage::Idle;
        let Some(first) = mailbox.waiting.pop_front() else { return };
        let holds = process.ownership.check(&first.guard, Use::Act).is_ok();
        let failed = pod.disk.failing;
        let (event, epoch) = (first.event, first.guard.epoch());
        let (id, name) = (pod.id.clone(), self.targets[target].clone());
        let Waiting { late, guard, askers, .. } = first;
        let answer = if failed {
            self.history.note(self.now, &What::Refused { pod: id, target: name, event });
            Some(Answer::Outcome(Outcome::NotCommitted { detail: String::new() }))
        } else {
            let duplicate = !self.pod_applies(n, target, (event, late), epoch);
            if holds {
                let askers = askers.clone();
                self.pod_lets_out(n, Held::Said(Said { guard, target, event, askers, duplicate }));
                None
            } else {
                Some(Answer::Outcome(Outcome::Late))
            }
        };
        for (asker, answer) in askers.into_iter().zip(answer.into_iter().cycle()) {
            self.answer(Node::Pod(n), asker, answer);
        }
        self.pod_freezes_on(n, target);
        self.pod_handles(n, target);
    }

    /// The group is committed in which a duplicate was counted; the sender hears that its event is there, if it is still this
    /// pod's to say.
    pub(super) fn pod_knew(&mut self, n: u8, (target, epoch): (usize, Epoch), event: u64, asker: Asker) {
        let pod = &mut self.pods[usize::from(n)];
        pod.hardware.look(self.now);
        let Some(process) = &mut pod.process else { return };
        let name = self.targets[target].clone();
        match process.ownership.guard(&name) {
            Ok(guard) if guard.epoch() == epoch => {
                self.pod_lets_out(n, Held::Said(Said { guard, target, event, askers: vec![asker], duplicate: true }));
            }
            _ => self.answer(Node::Pod(n), asker, Answer::Outcome(Outcome::Late)),
        }
    }

    /// Writes an event down; returns whether it was news.
    fn pod_applies(&mut self, n: u8, target: usize, (event, late): (u64, bool), epoch: Epoch) -> bool {
        let pod = &mut self.pods[usize::from(n)];
        let data = &mut pod.disk.data;
        let Some(row) = data.rows.get_mut(&target) else { return false };
        data.seq += 1;
        let news = row.seen.insert(event) || late && plant::on(Bug::LateNotCompared);
        if news {
            row.applied.push(event);
        }
        let (pod, target) = (pod.id.clone(), self.targets[target].clone());
        if news {
            self.history.note(self.now, &What::Applied { pod, target, epoch, event });
        } else {
            // It keeps no place: it was there before.
            self.history.note(self.now, &What::Refused { pod, target, event });
        }
        news
    }

    /// A process ends in the middle of commits: each is on disk, or nothing of it is.
    pub(super) fn pod_cuts_commits(&mut self, n: u8) {
        let Some(process) = self.process(n) else { return };
        let committing = process.boxes.iter().filter(|(_, mailbox)| mailbox.stage == Stage::Committing);
        let under_way: Vec<_> = committing
            .filter_map(|(target, mailbox)| {
                mailbox.waiting.front().map(|first| (*target, (first.event, first.late), first.guard.epoch()))
            })
            .collect();
        for (target, event, epoch) in under_way {
            if self.draw.chance(500) && !self.pods[usize::from(n)].disk.failing {
                self.pod_applies(n, target, event, epoch);
            }
        }
    }

    /// Nothing of what waits for a target is done here; what is being committed is.
    pub(super) fn pod_empties(&mut self, n: u8, target: usize) {
        let Some(process) = self.process(n) else { return };
        let Some(mailbox) = process.boxes.get_mut(&target) else { return };
        let keep = usize::from(mailbox.stage == Stage::Committing);
        let gone: Vec<_> = mailbox.waiting.drain(keep.min(mailbox.waiting.len())..).collect();
        if keep == 0 {
            mailbox.stage = Stage::Idle;
        }
        for waiting in gone {
            let (pod, name) = (self.pods[usize::from(n)].id.clone(), self.targets[target].clone());
            self.history.note(self.now, &What::Refused { pod, target: name, event: waiting.event });
            for asker in waiting.askers {
                self.answer(Node::Pod(n), asker, not_serving());
            }
        }
    }

    /// Whether a transaction of a target is under way.
    pub(super) fn pod_is_committing(&mut self, n: u8, target: usize) -> bool {
        let boxes = self.process(n).map(|process| &process.boxes);
        boxes.and_then(|boxes| boxes.get(&target)).is_some_and(|mailbox| mailbox.stage == Stage::Committing)
    }
}
