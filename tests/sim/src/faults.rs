//! Faults: which begin when, on whom, and how each ends.

use crate::agenda::{MS, Ns, SECOND};
use crate::draw::Draw;
use crate::network::{Node, PLANES, PODS, ROUTERS};
use crate::pod::Litestream;
use crate::profile::Kind;
use crate::world::{Happening, World};
use std::collections::BTreeMap;

/// The faults of a run.
#[derive(Debug)]
pub(crate) struct Faults {
    draw: Draw,
    stopped: bool,
    next: u64,
    open: BTreeMap<u64, Vec<Undo>>,
    /// How many there were.
    pub(crate) count: u64,
}

#[derive(Debug, Clone, Copy)]
enum Undo {
    Start(Node),
    Resume(Node, bool),
    Uncut(Node, Node),
    Disk(u8),
    Uncertain,
    Litestream(u8),
    Store,
    LoseDisk(u8, Ns),
    Undrain(u8),
    Uncordon(u8),
}

impl Faults {
    pub(crate) fn new(draw: Draw) -> Self {
        Self { draw, stopped: false, next: 0, open: BTreeMap::new(), count: 0 }
    }

    pub(crate) fn stop(&mut self) {
        self.stopped = true;
        self.open.clear();
    }

    /// Whether nothing is broken any more.
    pub(crate) fn are_over(&self) -> bool {
        self.stopped
    }

    fn pod(&mut self) -> Node {
        Node::Pod(self.draw.below(u64::from(PODS)) as u8)
    }

    fn plane(&mut self) -> Node {
        Node::Plane(self.draw.below(u64::from(PLANES)) as u8)
    }

    fn anybody(&mut self) -> Node {
        match self.draw.below(10) {
            0..5 => self.pod(),
            5..8 => self.plane(),
            8 => Node::Router(self.draw.below(u64::from(ROUTERS)) as u8),
            _ => Node::Database,
        }
    }
}

fn everybody() -> impl Iterator<Item = Node> {
    let planes = (0..PLANES).map(Node::Plane);
    (0..PODS).map(Node::Pod).chain(planes).chain((0..ROUTERS).map(Node::Router)).chain([Node::Database, Node::Store])
}

impl World {
    /// A fault begins; the next one is put on the agenda.
    pub(crate) fn fault_begins(&mut self) {
        if self.faults.stopped || self.profile.kinds.is_empty() {
            return;
        }
        let wait = self.faults.draw.waiting(self.profile.every).max(50 * MS);
        self.agenda.put(self.now + wait, Happening::Fault);
        let kind = self.faults.draw.one_of(&self.profile.kinds);
        let lasts = self.faults.draw.waiting(self.profile.lasts).max(20 * MS);
        self.history.say(self.now, || format!("fault: {kind:?} for {:.3} s", lasts as f64 / 1e9));
        let (undo, lasts) = self.does(kind, lasts);
        self.faults.count += 1;
        if !undo.is_empty() {
            self.mends_after(undo, lasts);
        }
    }

    /// Sees to it that something is undone after a while.
    fn mends_after(&mut self, undo: Vec<Undo>, lasts: Ns) {
        self.faults.next += 1;
        let fault = self.faults.next;
        self.faults.open.insert(fault, undo);
        self.agenda.put(self.now + lasts, Happening::Mend(fault));
    }

    pub(crate) fn fault_ends(&mut self, fault: u64) {
        for undo in self.faults.open.remove(&fault).unwrap_or_default() {
            self.history.say(self.now, || format!("mended: {undo:?}"));
            match undo {
                Undo::Start(node) => self.agenda.put(self.now, Happening::Start(node)),
                Undo::Resume(node, machine) => self.resume(node, machine),
                Undo::Uncut(from, to) => self.network.cut(from, to, false),
                Undo::Disk(n) => self.pods[usize::from(n)].disk.heal(),
                Undo::Uncertain => self.database.uncertain = 0,
                Undo::Litestream(n) => self.pods[usize::from(n)].litestream = Litestream::Runs,
                Undo::Store => self.depot.mend(),
                Undo::LoseDisk(n, away) => {
                    let (undo, lasts) = self.loses_disk(n, away);
                    self.mends_after(undo, lasts);
                }
                Undo::Undrain(n) => self.operator_drains(n, false),
                Undo::Uncordon(n) => self.operator_cordons(n, false),
            }
        }
    }

    fn does(&mut self, kind: Kind, lasts: Ns) -> (Vec<Undo>, Ns) {
        let faults = &mut self.faults;
        let short = faults.draw.between(50, 3_000) * MS;
        match kind {
            Kind::PodKilled => {
                let node = faults.pod();
                let done = self.kills(node, short);
                if let Node::Pod(n) = node {
                    self.pod_leaves_litestream(n);
                }
                done
            }
            Kind::PodRebooted => {
                let node = faults.pod();
                let done = self.kills(node, short);
                if let Node::Pod(n) = node {
                    self.pod_boots(n);
                }
                done
            }
            Kind::PodAway => {
                let node = faults.pod();
                self.kills(node, lasts * 5)
            }
            Kind::PodDiskLost => {
                let Node::Pod(n) = faults.pod() else { return (Vec::new(), 0) };
                self.loses_disk(n, lasts * 3)
            }
            Kind::MarksLost => {
                let node = faults.pod();
                let done = self.kills(node, short);
                if let Node::Pod(n) = node {
                    self.pods[usize::from(n)].disk.marks = None;
                }
                done
            }
            Kind::PlaneKilled => {
                let node = faults.plane();
                self.kills(node, short)
            }
            Kind::RouterKilled => {
                let node = Node::Router(faults.draw.below(u64::from(ROUTERS)) as u8);
                self.kills(node, short)
            }
            Kind::PodStopped | Kind::MachinePaused => {
                let node = faults.pod();
                self.stops(node, kind == Kind::MachinePaused, lasts)
            }
            Kind::PlaneStopped => {
                let node = faults.plane();
                self.stops(node, false, lasts)
            }
            Kind::ClockJumps => {
                let ahead = faults.draw.between(1, 20) * SECOND;
                if let Node::Pod(n) = faults.pod() {
                    self.pods[usize::from(n)].hardware.jump(self.now, ahead);
                    self.pod_clock_changed(n);
                }
                (Vec::new(), 0)
            }
            Kind::WallStepped => {
                let by = faults.draw.between(0, 20_000).cast_signed() - 10_000;
                if let Node::Pod(n) = faults.pod() {
                    self.pods[usize::from(n)].hardware.step_wall(by);
                    self.pod_drifts(n, by);
                }
                (Vec::new(), 0)
            }
            Kind::DiskSlow => {
                let (slow, node) = (faults.draw.between(5, 500), faults.pod());
                let Node::Pod(n) = node else { return (Vec::new(), 0) };
                self.pods[usize::from(n)].disk.slow = slow;
                (vec![Undo::Disk(n)], lasts)
            }
            Kind::DiskFails => {
                let Node::Pod(n) = faults.pod() else { return (Vec::new(), 0) };
                self.pods[usize::from(n)].disk.failing = true;
                (vec![Undo::Disk(n)], lasts)
            }
            Kind::Cut => {
                let (a, b) = (faults.anybody(), faults.anybody());
                self.cuts(&[(a, b), (b, a)], lasts)
            }
            Kind::CutOneWay => {
                let (a, b) = (faults.anybody(), faults.anybody());
                self.cuts(&[(a, b)], lasts)
            }
            Kind::Isolated => {
                let node = faults.anybody();
                let ways: Vec<_> = everybody().flat_map(|other| [(node, other), (other, node)]).collect();
                self.cuts(&ways, lasts)
            }
            Kind::MassSilence => {
                let first = faults.draw.below(2) as u8;
                let silent = (first..PODS).map(Node::Pod);
                let ways: Vec<_> = silent.flat_map(|pod| (0..PLANES).map(move |n| (pod, Node::Plane(n)))).collect();
                self.cuts(&ways, lasts)
            }
            Kind::Apart => {
                let ways = self.apart(lasts);
                self.cuts(&ways, lasts)
            }
            Kind::DatabaseDown => {
                self.kill(Node::Database);
                (vec![Undo::Start(Node::Database)], lasts)
            }
            Kind::DatabaseUncertain => {
                self.database.uncertain = self.faults.draw.one_of(&[20, 200]);
                (vec![Undo::Uncertain], lasts)
            }
            Kind::PlaneGone => {
                self.control_plane_goes();
                let planes = (0..PLANES).map(|n| Undo::Start(Node::Plane(n)));
                (planes.chain([Undo::Start(Node::Database)]).collect(), lasts * 4)
            }
            Kind::Move => {
                let target = self.faults.draw.below(self.targets.len() as u64) as usize;
                let to = self.faults.draw.below(2 * u64::from(PODS)) as u8;
                self.operator_moves(target, Some(to).filter(|to| *to < PODS));
                (Vec::new(), 0)
            }
            Kind::Drain => {
                let Node::Pod(n) = self.faults.pod() else { return (Vec::new(), 0) };
                self.operator_drains(n, true);
                (vec![Undo::Undrain(n)], lasts * 3)
            }
            Kind::Cordon => {
                let Node::Pod(n) = self.faults.pod() else { return (Vec::new(), 0) };
                self.operator_cordons(n, true);
                (vec![Undo::Uncordon(n)], lasts * 3)
            }
            Kind::CancelMove => {
                self.operator_cancels();
                (Vec::new(), 0)
            }
            Kind::ManyMoves => {
                for _ in 0..20 {
                    let target = self.faults.draw.below(self.targets.len() as u64) as usize;
                    self.operator_moves(target, None);
                }
                (Vec::new(), 0)
            }
            Kind::StepDown => {
                self.operator_steps_down();
                (Vec::new(), 0)
            }
            Kind::DiskOlder
            | Kind::LitestreamGone
            | Kind::StoreAway
            | Kind::StoreSlow
            | Kind::StoreLoses
            | Kind::StoreCut
            | Kind::PausedThenLost => self.does_to_replicas(kind, lasts),
        }
    }

    fn does_to_replicas(&mut self, kind: Kind, lasts: Ns) -> (Vec<Undo>, Ns) {
        let faults = &mut self.faults;
        let (node, many) = (faults.pod(), faults.draw.one_of(&[10, 100]));
        let Node::Pod(n) = node else { return (Vec::new(), 0) };
        match kind {
            Kind::DiskOlder => {
                let done = self.kills(node, lasts);
                self.pod_boots(n);
                if self.pods[usize::from(n)].disk.loses_its_life() {
                    self.operator_sees_a_lost_disk(n);
                }
                self.pods[usize::from(n)].disk.go_back();
                // Some other volume is copied now, to come back later.
                let other = self.faults.draw.below(u64::from(PODS)) as usize;
                self.pods[other].disk.remember();
                done
            }
            Kind::LitestreamGone => {
                let litestream = if many == 10 { Litestream::Gone } else { Litestream::Stopped };
                self.pods[usize::from(n)].litestream = litestream;
                (vec![Undo::Litestream(n)], lasts * 2)
            }
            Kind::StoreAway => {
                self.depot.away = true;
                (vec![Undo::Store], lasts * 2)
            }
            Kind::StoreSlow => {
                self.depot.slow = many;
                (vec![Undo::Store], lasts * 2)
            }
            Kind::StoreLoses => {
                self.depot.loses = many * 3;
                (vec![Undo::Store], lasts * 2)
            }
            Kind::PausedThenLost => {
                let asleep = faults.draw.between(6_000, 16_000) * MS;
                let awake = faults.draw.between(20, 2_000) * MS;
                let done = self.stops(node, true, asleep);
                if !done.0.is_empty() {
                    self.mends_after(vec![Undo::LoseDisk(n, lasts * 3)], asleep + awake);
                }
                done
            }
            _ => self.cuts(&[(node, Node::Store), (Node::Store, node)], lasts * 2),
        }
    }

    /// All config-services and the database are away.
    pub(crate) fn control_plane_goes(&mut self) {
        self.kill(Node::Database);
        (0..PLANES).for_each(|n| self.kill(Node::Plane(n)));
        self.measures.control_plane_goes();
    }

    /// Chooses who is apart, and lets those who promise come back at times of their own; returns the ways to be cut.
    fn apart(&mut self, lasts: Ns) -> Vec<(Node, Node)> {
        let (first, promising) = (self.faults.draw.below(u64::from(PODS)) as u8, self.faults.draw.between(1, 3) as u8);
        let pod = Node::Pod(first);
        let others = (1..PODS).map(|n| Node::Pod((first + n) % PODS));
        let (promising, far): (Vec<_>, Vec<_>) = others.enumerate().partition(|(n, _)| *n < usize::from(promising));
        for (_, witness) in promising {
            let hears_nothing: Vec<_> = (0..PLANES).map(|n| (Node::Plane(n), witness)).collect();
            let lasts = self.faults.draw.between(lasts / 4, lasts);
            let (undo, lasts) = self.cuts(&hears_nothing, lasts);
            self.mends_after(undo, lasts);
            // Some come back as another process than the one that promised.
            if self.faults.draw.chance(300) {
                self.agenda.put(self.now + lasts, Happening::Crash(witness));
                self.agenda.put(self.now + lasts + 200 * MS, Happening::Start(witness));
            }
        }
        let away = (0..PLANES).map(Node::Plane).chain(far.into_iter().map(|(_, other)| other));
        away.flat_map(|other| [(pod, other), (other, pod)]).collect()
    }

    /// A gateway dies with its disk, and is started again after a while.
    fn loses_disk(&mut self, n: u8, away: Ns) -> (Vec<Undo>, Ns) {
        let done = self.kills(Node::Pod(n), away);
        self.pod_boots(n);
        if self.profile.replicas.is_some() {
            self.operator_sees_a_lost_disk(n);
        } else {
            self.operator_accepts_loss(n);
        }
        self.pods[usize::from(n)].disk.lose();
        done
    }

    fn kills(&mut self, node: Node, lasts: Ns) -> (Vec<Undo>, Ns) {
        self.kill(node);
        (vec![Undo::Start(node)], lasts)
    }

    fn stops(&mut self, node: Node, machine: bool, lasts: Ns) -> (Vec<Undo>, Ns) {
        if self.is_paused(node) {
            return (Vec::new(), 0);
        }
        self.pause(node);
        (vec![Undo::Resume(node, machine)], lasts)
    }

    fn cuts(&mut self, ways: &[(Node, Node)], lasts: Ns) -> (Vec<Undo>, Ns) {
        let ways = ways.iter().filter(|(from, to)| from != to);
        let undo = ways.map(|(from, to)| {
            self.network.cut(*from, *to, true);
            Undo::Uncut(*from, *to)
        });
        (undo.collect(), lasts)
    }
}
