//! A gateway: the shell of production's holder and witness, and its life. What it does with events is in `events`, with its
//! assignments in `stream`, with moves in `moves`.

mod events;
mod gate;
mod heirs;
mod late;
mod lease;
mod moves;
mod prepare;
mod stream;

use crate::agenda::{MS, Ns, SECOND};
use crate::disk::Disk;
use crate::hardware::Hardware;
use crate::message::{Answer, Ask, Asker, Rows};
use crate::network::{Node, PLANES, PODS};
use crate::world::{Happening, World};
use events::Mailbox;
use gate::Gate;
use gateway::ownership::Ownership;
use gateway::simulation::boot::Note;
use heirs::Heirs;
use late::Late;
use moves::Moves;
use prepare::Preparing;
use shared::protocol::holder::{self, Holder, Remembered};
use shared::protocol::invariants::What;
use shared::protocol::witness::{self, Witness};
use shared::wire::control::Life;
use shared::wire::peers::Mark;
use shared::{Epoch, LeaseId, Mono, MoveId, PodId, Term};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long a pod waits for another one.
const PEER: Ns = SECOND;
/// How long it waits for config-service, other than for a grant.
const PLANE: Ns = 2 * SECOND;
/// How long a watch may be silent.
const WATCH: Ns = 5 * SECOND;
/// How long until something is tried again.
const AGAIN: Ns = 200 * MS;

/// What a disk has done.
#[derive(Debug, Clone)]
pub(crate) enum Done {
    /// The lease file is synced.
    Lease(Remembered),
    /// Marks are synced; whether they are all.
    Marks(Vec<Mark>, bool),
    /// The transaction of a target's first event.
    Commit(usize),
    /// The transaction in which a duplicate is counted of what is there already.
    Known { target: usize, epoch: Epoch, event: u64, asker: Asker },
    /// It is time to say again what the database holds.
    Waited,
    /// A target has been copied while it is served.
    Copied(MoveId, u64),
    /// A parcel that did not arrive is to be sent again.
    Resend(MoveId, u64),
    /// A target is frozen for a move.
    Frozen(MoveId),
    /// A parcel of a move is taken in.
    Imported(MoveId, Asker, u64, Rows),
    /// What was restored of a life is imported.
    Imports(Life),
    /// It is time to tell the leader again what was restored of a life.
    TellRestored(Life),
    /// It is time to look at the rows that are aside.
    LooksAside,
}

/// What a pod's Litestream is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Litestream {
    /// It uploads when it is asked to.
    Runs,
    /// There is none.
    Gone,
    /// It stands still, and answers nobody.
    Stopped,
}

#[derive(Debug, Clone)]
enum Call {
    Register,
    Beat(u64),
    Extend(PodId, u64),
    Relay(Asker),
    Watch,
    Holdings,
    Reports,
    Rows(MoveId, u64, u32),
    Sync,
    Seal,
    Heir(Life),
    Restored(Life),
    Owner(usize),
    Origins(usize),
    Late(usize),
}

/// What is gone when the process ends.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) life: u32,
    holder: Holder,
    witness: Witness,
    pub(crate) ownership: Ownership,
    boxes: BTreeMap<usize, Mailbox>,
    calls: BTreeMap<u64, Call>,
    plane: u8,
    armed: Option<Ns>,
    moves: Moves,
    /// Until when the checker was told that this pod may act.
    told: Option<Mono>,
    /// What the leader asked and is not answered yet.
    fences: Vec<(Asker, PodId, Term, u64)>,
    /// Config-service wants to know what the database holds, under this lease.
    report: Option<LeaseId>,
    watching: bool,
    /// Whether this process has had a snapshot: without one it names no position in the log.
    whole: bool,
    leaving: bool,
    /// What waits for the replica; none where there is none, and so the next.
    gate: Option<Gate>,
    heirs: Option<Heirs>,
    late: Late,
}

/// A gateway.
#[derive(Debug)]
pub(crate) struct Pod {
    pub(crate) id: PodId,
    pub(crate) hardware: Hardware,
    pub(crate) disk: Disk,
    pub(crate) process: Option<Process>,
    preparing: Option<Preparing>,
    pub(crate) litestream: Litestream,
    lives: u32,
    boot: u32,
    next: u64,
}

pub(crate) fn pod_id(n: u8) -> PodId {
    format!("gateway-{n}").parse().expect("a pod")
}

impl Pod {
    pub(crate) fn new(n: u8, hardware: Hardware) -> Self {
        Self {
            id: pod_id(n),
            hardware,
            disk: Disk::new(n),
            process: None,
            preparing: None,
            litestream: Litestream::Runs,
            lives: 0,
            boot: 0,
            next: 0,
        }
    }

    /// Returns which life of its process it is in, or of what prepares it; none while there is none.
    pub(crate) fn life(&self) -> Option<u32> {
        let process = self.process.as_ref().map(|process| process.life);
        process.or(self.preparing.as_ref().map(|preparing| preparing.life))
    }

    /// Returns the note of the lineage that its database writes.
    pub(crate) fn note(&self) -> Option<&Note> {
        self.disk.note.as_ref()
    }
}

impl World {
    pub(crate) fn pod_starts(&mut self, n: u8) {
        if self.profile.replicas.is_some() {
            self.pod_prepares(n);
        } else {
            self.pod_begins(n);
        }
    }

    /// The gateway itself starts.
    fn pod_begins(&mut self, n: u8) {
        let replicated = self.profile.replicas.is_some();
        let seed = self.draw.bits();
        let (now, terms) = (self.now, self.terms);
        let pod = &mut self.pods[usize::from(n)];
        pod.lives += 1;
        let local = pod.hardware.look(now);
        let data = &pod.disk.data;
        // The lease file counts only in the boot it was written in (Leases 12).
        let remembered = pod.disk.lease.as_ref().filter(|(boot, _)| *boot == pod.boot).map(|(_, kept)| kept.clone());
        // A witness that may have lost its marks has to register: it reads them back with that (Leases 4).
        let remembered = remembered.filter(|_| pod.disk.marks.is_some());
        let registered = remembered.is_some();
        let holder = Holder::new(pod.id.clone(), data.incarnation.clone(), terms, seed, remembered);
        let witness = Witness::new(pod.id.clone(), terms, local, pod.disk.marks.clone());
        let ownership = Ownership::new(pod.id.clone(), Arc::new(pod.hardware.seen()), terms);
        pod.process = Some(Process {
            life: pod.lives,
            holder,
            witness,
            ownership,
            boxes: BTreeMap::new(),
            calls: BTreeMap::new(),
            plane: n % PLANES,
            armed: None,
            moves: Moves::default(),
            told: None,
            fences: Vec::new(),
            report: None,
            watching: false,
            whole: false,
            leaving: false,
            gate: replicated.then(|| Gate::new(local, data.seq)),
            heirs: replicated.then(Heirs::default),
            late: Late::default(),
        });
        self.pod_takes_up(n);
        self.pod_resumes_moves(n);
        if replicated {
            self.pod_finds_imports(n);
            self.pod_gate_ticks(n);
            self.pod_looks_aside_later(n);
        }
        self.pod_lease(n, holder::Input::Tick);
        // Whoever has never registered as what it is now has no assignments.
        if registered {
            self.pod_watches(n);
        }
    }

    /// Whether a pod's word as a witness counts: it knows all its marks.
    pub(crate) fn pod_is_witness(&self, n: u8) -> bool {
        self.pods[usize::from(n)].process.as_ref().is_some_and(|process| process.witness.is_ready())
    }

    pub(crate) fn pod_dies(&mut self, n: u8) {
        self.pod_cuts_commits(n);
        let pod = &mut self.pods[usize::from(n)];
        pod.preparing = None;
        if pod.process.take().is_none() {
            return;
        }
        pod.disk.cut(&mut self.draw);
        let id = pod.id.clone();
        self.history.note(self.now, &What::Restarted { pod: id });
    }

    /// The machine loses power and boots.
    pub(crate) fn pod_boots(&mut self, n: u8) {
        let pod = &mut self.pods[usize::from(n)];
        pod.boot += 1;
        pod.hardware.boot(self.now);
    }

    /// Somebody has meddled with its clock: what was armed may be wrong.
    pub(crate) fn pod_clock_changed(&mut self, n: u8) {
        if let Some(process) = &mut self.pods[usize::from(n)].process {
            process.armed = None;
        }
        self.pod_arm(n);
    }

    /// Its wall clock was stepped.
    pub(crate) fn pod_drifts(&mut self, n: u8, by_ms: i64) {
        if by_ms.abs() > 1_000 {
            self.pod_lease(n, holder::Input::Drifted);
        }
    }

    fn process(&mut self, n: u8) -> Option<&mut Process> {
        self.pods[usize::from(n)].process.as_mut()
    }

    fn pod_asks(&mut self, n: u8, to: Node, call: Call, ask: Ask, patience: Ns) {
        let pod = &mut self.pods[usize::from(n)];
        let Some(process) = &mut pod.process else { return };
        pod.next += 1;
        let number = pod.next;
        process.calls.insert(number, call);
        self.ask(Node::Pod(n), to, number, ask, patience);
    }

    /// Waits for somebody who hears nothing.
    fn pod_waits(&mut self, n: u8, call: Call, patience: Ns) {
        let pod = &mut self.pods[usize::from(n)];
        let Some(process) = &mut pod.process else { return };
        pod.next += 1;
        process.calls.insert(pod.next, call);
        let (life, call) = (process.life, pod.next);
        self.agenda.put(self.now + patience, Happening::Expire { node: Node::Pod(n), life, call });
    }

    fn pod_plane(&mut self, n: u8) -> Node {
        Node::Plane(self.process(n).map_or(0, |process| process.plane))
    }

    /// Goes on with the next config-service.
    fn pod_turns(&mut self, n: u8) {
        if let Some(process) = self.process(n) {
            process.plane = (process.plane + 1) % PLANES;
        }
    }

    pub(crate) fn pod_asked(&mut self, n: u8, asker: Asker, ask: Ask) {
        match ask {
            Ask::Extend(question) => self.pod_witnesses(n, Some(asker), witness::Input::Extend(question)),
            Ask::Fence(fence) => self.pod_witnesses(n, Some(asker), witness::Input::Fence(fence)),
            Ask::Relay(pod, heartbeat) => {
                let plane = self.pod_plane(n);
                self.pod_asks(n, plane, Call::Relay(asker), Ask::Heartbeat(pod, heartbeat), PEER);
            }
            Ask::Request(target, epoch, event) => self.pod_receives(n, asker, target, (epoch, false), event),
            Ask::Late(target, event) => self.pod_receives_late(n, asker, target, event),
            Ask::Origins(target) => self.pod_tells_origins(n, asker, target),
            Ask::Rows(id, attempt, rows) => self.pod_is_sent_rows(n, asker, id, attempt, rows),
            _ => self.answer(Node::Pod(n), asker, Answer::Elsewhere),
        }
    }

    pub(crate) fn pod_hears(&mut self, n: u8, call: u64, answer: Answer) {
        if self.pods[usize::from(n)].preparing.is_some() {
            return self.prepare_hears(n, call, Some(answer));
        }
        let Some(call) = self.process(n).and_then(|process| process.calls.remove(&call)) else { return };
        if matches!(answer, Answer::Elsewhere)
            && matches!(call, Call::Register | Call::Beat(_) | Call::Holdings | Call::Reports | Call::Relay(_))
        {
            self.pod_turns(n);
        }
        match (call, answer) {
            (Call::Register, Answer::Registered(registered)) => self.pod_registered(n, registered),
            (Call::Register, answer) => self.pod_not_registered(n, &answer),
            (Call::Beat(_), Answer::Granted(grant)) => {
                self.measures.granted(n, self.now);
                self.pod_witnesses(n, None, witness::Input::Granted);
                if let Some(process) = self.process(n) {
                    process.ownership.heard_of_term(grant.term);
                }
                self.pod_lease(n, holder::Input::Granted(grant));
            }
            (Call::Beat(nonce), answer) => {
                let failure = lease::failure(&answer);
                self.pod_lease(n, holder::Input::NotGranted { nonce, failure });
            }
            (Call::Extend(..), Answer::Extended(by, answer)) => {
                self.pod_lease(n, holder::Input::Answered { by, answer });
            }
            (Call::Extend(by, nonce), _) => self.pod_lease(n, holder::Input::Unanswered { by, nonce }),
            (Call::Relay(asker), answer) => self.answer(Node::Pod(n), asker, answer),
            (Call::Watch, Answer::Watched(messages)) => self.pod_is_told(n, messages),
            (Call::Watch, _) => self.pod_loses_watch(n),
            (Call::Holdings, Answer::Taken) => {
                if let Some(process) = self.process(n) {
                    process.report = None;
                }
            }
            (Call::Holdings, _) => self.pod_reports_later(n),
            (Call::Reports, Answer::Reported(reported)) => self.pod_moves_told(n, &reported.moves, false),
            (Call::Reports, _) => {}
            (Call::Rows(id, attempt, number), answer) => self.pod_has_sent(n, id, (attempt, number), Some(&answer)),
            (Call::Sync, answer) => self.pod_synced(n, Some(&answer)),
            (Call::Seal, answer) => self.pod_read_seal(n, Some(&answer)),
            (Call::Heir(life), answer) => self.job_hears(n, &life, Some(answer)),
            (Call::Restored(life), answer) => self.job_was_told(n, &life, Some(answer)),
            (Call::Owner(target), answer) => self.late_told_owner(n, target, &answer),
            (Call::Origins(target), Answer::Origins(origins)) => self.late_told_origins(n, target, &origins),
            (Call::Origins(_), _) => {}
            (Call::Late(target), answer) => self.late_was_taken(n, target, &answer),
        }
    }

    pub(crate) fn pod_waits_no_longer(&mut self, n: u8, call: u64) {
        if self.pods[usize::from(n)].preparing.is_some() {
            return self.prepare_hears(n, call, None);
        }
        let Some(call) = self.process(n).and_then(|process| process.calls.remove(&call)) else { return };
        match call {
            Call::Register => {
                self.pod_turns(n);
                self.pod_lease(n, holder::Input::NotRegistered(lease::unreachable()));
            }
            Call::Beat(nonce) => {
                self.pod_turns(n);
                let failure = lease::unreachable();
                self.pod_lease(n, holder::Input::NotGranted { nonce, failure });
            }
            Call::Extend(by, nonce) => self.pod_lease(n, holder::Input::Unanswered { by, nonce }),
            Call::Relay(asker) => {
                self.pod_turns(n);
                self.answer(Node::Pod(n), asker, Answer::Elsewhere);
            }
            Call::Watch => self.pod_loses_watch(n),
            Call::Holdings => {
                self.pod_turns(n);
                self.pod_reports_later(n);
            }
            Call::Reports => self.pod_turns(n),
            Call::Rows(id, attempt, number) => self.pod_has_sent(n, id, (attempt, number), None),
            Call::Sync => self.pod_synced(n, None),
            Call::Seal => self.pod_read_seal(n, None),
            Call::Heir(life) => self.job_hears(n, &life, None),
            Call::Restored(life) => self.job_was_told(n, &life, None),
            // It is looked at again after a while.
            Call::Owner(_) | Call::Origins(_) | Call::Late(_) => {}
        }
    }

    pub(crate) fn pod_wakes(&mut self, n: u8, at: Ns) {
        // One that was armed for earlier has taken this one's place.
        let Some(process) = self.process(n).filter(|process| process.armed == Some(at)) else { return };
        process.armed = None;
        self.pod_lease(n, holder::Input::Tick);
        self.pod_moves_tick(n);
        self.pod_gate_ticks(n);
        self.pod_restores(n);
        self.pod_arm(n);
    }

    /// Sees to it that the pod wakes when something is due by its own clock.
    fn pod_arm(&mut self, n: u8) {
        let pod = &mut self.pods[usize::from(n)];
        let Some(process) = &mut pod.process else { return };
        let due = process.holder.wake_at().into_iter().chain(process.moves.wake_at());
        let local = pod.hardware.look(self.now);
        let gate = process.gate.as_mut().and_then(|gate| gate.wake_at(local));
        // What is due and has no place yet is looked at when there is one.
        let heirs = process.heirs.as_ref().and_then(Heirs::wake_at).filter(|at| *at > local);
        let due = due.chain(gate).chain(heirs).min();
        let Some(at) = due.map(|due| pod.hardware.true_at(due).max(self.now + 1)) else { return };
        if process.armed.is_some_and(|armed| armed <= at) {
            return;
        }
        process.armed = Some(at);
        self.agenda.put(at, Happening::Wake { node: Node::Pod(n), life: process.life, at });
    }

    /// A disk has done something, or was asked to and refuses.
    pub(crate) fn pod_disk(&mut self, n: u8, done: Done) {
        if self.pods[usize::from(n)].preparing.is_some() {
            return self.prepare_wakes(n);
        }
        let pod = &mut self.pods[usize::from(n)];
        if pod.disk.failing && !matches!(done, Done::Commit(_)) {
            return self.pod_syncs(n, done);
        }
        match done {
            Done::Lease(remembered) => {
                let version = remembered.witnesses.version;
                pod.disk.lease_synced(pod.boot, remembered);
                self.pod_lease(n, holder::Input::Kept(version));
            }
            Done::Marks(marks, whole) => {
                pod.disk.marks_synced(marks.clone(), whole);
                for mark in marks {
                    self.pod_witnesses(n, None, witness::Input::Kept(mark));
                }
            }
            Done::Commit(target) => self.pod_committed(n, target),
            Done::Known { target, epoch, event, asker } => self.pod_knew(n, (target, epoch), event, asker),
            Done::Waited => self.pod_reports_holdings(n),
            Done::Copied(id, attempt) => self.pod_copies(n, id, attempt),
            Done::Resend(id, attempt) => self.pod_resends(n, id, attempt),
            Done::Frozen(id) => self.pod_froze(n, id),
            Done::Imported(id, asker, attempt, rows) => self.pod_imported(n, id, asker, attempt, rows),
            Done::Imports(life) => self.job_imports(n, &life),
            Done::TellRestored(life) => self.job_tells(n, &life),
            Done::LooksAside => self.pod_looks_aside(n),
        }
    }

    /// Has the disk do something.
    fn pod_syncs(&mut self, n: u8, done: Done) {
        let pod = &mut self.pods[usize::from(n)];
        let Some(process) = &pod.process else { return };
        let wait = if pod.disk.failing { AGAIN } else { 0 };
        let at = self.now + wait + pod.disk.sync(&mut self.draw, self.profile.sync);
        self.agenda.put(at, Happening::Disk { pod: n, life: process.life, done: Box::new(done) });
    }
}

/// Returns the number of a pod.
pub(crate) fn number(pod: &PodId) -> u8 {
    pod.ordinal().map_or(PODS, |n| n as u8)
}
