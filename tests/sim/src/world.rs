//! The world of one run: its nodes, what is on the agenda, and how one thing leads to the next. Knows no protocol: what a
//! node does is in the file of its kind.

use crate::agenda::{Agenda, MS, Ns, SECOND};
use crate::database::Database;
use crate::depot::{Depot, StoreAsk};
use crate::draw::Draw;
use crate::faults::Faults;
use crate::hardware::Hardware;
use crate::history::History;
use crate::measures::Measures;
use crate::message::{Answer, Ask, Asker, Message};
use crate::network::{NODES, Network, Node, PLANES, PODS, ROUTERS};
use crate::operator::Operator;
use crate::plane::Plane;
use crate::platform::Platform;
use crate::pod::{Done, Litestream, Pod};
use crate::profile::Profile;
use crate::router::Router;
use config_service::domain::Change;
use config_service::store::StoreError;
use shared::protocol::invariants::What;
use shared::wire::control::Assignment;
use shared::wire::handoff::{Move, MoveState};
use shared::{TargetId, lease::LeaseTerms};
use std::sync::Arc;

/// Targets of every run.
pub(crate) const TARGETS: usize = 200;

/// The reason of an ownership that begins empty because somebody accepted that.
pub(crate) const LOSS: &str = "loss-accepted";

/// Something that happens.
#[derive(Debug)]
pub(crate) enum Happening {
    /// A message arrives.
    Deliver { to: Node, from: Node, message: Box<Message> },
    /// A node waits no longer for an answer.
    Expire { node: Node, life: u32, call: u64 },
    /// Something a node has to do is due.
    Wake { node: Node, life: u32, at: Ns },
    /// A pod's disk has done something.
    Disk { pod: u8, life: u32, done: Box<Done> },
    /// A pod's handler has run for the first event of a target.
    Handled { pod: u8, life: u32, target: usize },
    /// An event of a platform occurs.
    Event,
    /// A platform sends an event again.
    Redelivery { target: usize, event: u64, wait: Ns },
    /// A router tries a parked request again.
    Again { router: u8, life: u32, request: u64 },
    /// A node begins its watch again.
    Rewatch { node: Node, life: u32 },
    /// The object store does what it was asked.
    Depot { asker: Asker, ask: Box<StoreAsk> },
    /// The database has done something.
    Stored { asker: Asker, answer: Box<Answer> },
    /// A fault begins.
    Fault,
    /// A fault ends.
    Mend(u64),
    /// The control plane goes, and comes back when the faults end.
    Alone,
    /// A process starts.
    Start(Node),
    /// A process ends at once.
    Crash(Node),
    /// Faults end for good.
    Heal,
    /// A second has passed.
    Second,
}

/// A node whose process stands still.
#[derive(Debug, Default)]
struct Pause {
    since: Ns,
    held: Vec<Happening>,
}

/// The world.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now: Ns,
    pub(crate) agenda: Agenda<Happening>,
    pub(crate) profile: Profile,
    pub(crate) terms: LeaseTerms,
    pub(crate) network: Network,
    pub(crate) draw: Draw,
    pub(crate) history: History,
    pub(crate) measures: Measures,
    pub(crate) targets: Vec<TargetId>,
    pub(crate) pods: Vec<Pod>,
    pub(crate) planes: Vec<Plane>,
    pub(crate) routers: Vec<Router>,
    pub(crate) database: Database,
    pub(crate) depot: Depot,
    pub(crate) platform: Platform,
    pub(crate) faults: Faults,
    pub(crate) operator: Operator,
    /// Lives of folders whose loss an operator has accepted.
    pub(crate) lost: std::collections::BTreeSet<shared::Incarnation>,
    /// Lives of folders that nobody will come back as, and whose replicas are there.
    pub(crate) gone: std::collections::BTreeSet<shared::Incarnation>,
    /// The newest epoch of each target, as committed.
    pub(crate) newest: Vec<shared::Epoch>,
    paused: [Option<Pause>; NODES],
}

impl World {
    pub(crate) fn new(seed: u64, profile: Profile, history: History) -> Self {
        let mut draw = Draw::new(seed, 2);
        let terms = LeaseTerms::default();
        let mut rate = |ppm: u64| draw.between(0, 2 * ppm).cast_signed() - ppm.cast_signed();
        let pods = (0..PODS).map(|n| Pod::new(n, Hardware::new(rate(profile.ppm)))).collect();
        let planes = (0..PLANES).map(|_| Plane::new(Hardware::new(rate(profile.ppm)))).collect();
        let target = |n| format!("discord:guild:{n}").parse().expect("a target");
        Self {
            now: 0,
            agenda: Agenda::new(),
            terms,
            network: Network::new(profile.weather, Draw::new(seed, 3)),
            history,
            measures: Measures::default(),
            targets: (0..TARGETS).map(target).collect(),
            pods,
            planes,
            routers: (0..ROUTERS).map(|_| Router::new()).collect(),
            database: Database::new(),
            depot: Depot::new(Draw::new(seed, 9)),
            platform: Platform::new(Draw::new(seed, 4)),
            faults: Faults::new(Draw::new(seed, 5)),
            operator: Operator::default(),
            lost: Default::default(),
            gone: Default::default(),
            newest: vec![shared::Epoch(0); TARGETS],
            paused: Default::default(),
            draw,
            profile,
        }
    }

    /// Puts the beginning on the agenda.
    pub(crate) fn begin(&mut self) {
        for n in 0..PLANES {
            self.agenda.put(u64::from(n) * 10 * MS, Happening::Start(Node::Plane(n)));
        }
        for n in 0..PODS {
            self.agenda.put(50 * MS + u64::from(n) * 5 * MS, Happening::Start(Node::Pod(n)));
        }
        for n in 0..ROUTERS {
            self.agenda.put(100 * MS, Happening::Start(Node::Router(n)));
        }
        self.agenda.put(2 * SECOND, Happening::Event);
        self.agenda.put(8 * SECOND, Happening::Fault);
        self.agenda.put(SECOND, Happening::Second);
        if let Some(at) = self.profile.alone_from {
            self.agenda.put(at, Happening::Alone);
        }
        self.agenda.put(self.profile.heal_at, Happening::Heal);
    }

    /// Does the next thing; returns whether there was one before the end.
    pub(crate) fn step(&mut self) -> bool {
        match self.agenda.next() {
            Some((at, what)) if at <= self.profile.end_at => {
                self.now = self.now.max(at);
                self.happens(what);
                true
            }
            _ => false,
        }
    }

    fn happens(&mut self, what: Happening) {
        if let Some(pause) = concerns(&what).and_then(|node| self.paused[node.at()].as_mut()) {
            return pause.held.push(what);
        }
        match what {
            Happening::Deliver { to, from, message } => self.delivered(to, from, *message),
            Happening::Expire { node, life, call } if self.life(node) == Some(life) => match node {
                Node::Pod(n) => self.pod_waits_no_longer(n, call),
                Node::Plane(n) => self.plane_waits_no_longer(n, call),
                Node::Router(n) => self.router_waits_no_longer(n, call),
                Node::Platform => self.platform_hears(call, None),
                Node::Database | Node::Store => {}
            },
            Happening::Wake { node, life, at } if self.life(node) == Some(life) => match node {
                Node::Pod(n) => self.pod_wakes(n, at),
                Node::Plane(n) => self.plane_wakes(n, at),
                _ => {}
            },
            Happening::Disk { pod, life, done } if self.life(Node::Pod(pod)) == Some(life) => self.pod_disk(pod, *done),
            Happening::Handled { pod, life, target } if self.life(Node::Pod(pod)) == Some(life) => {
                self.pod_handled(pod, target);
            }
            Happening::Again { router, life, request } if self.life(Node::Router(router)) == Some(life) => {
                self.router_tries_again(router, request);
            }
            Happening::Rewatch { node, life } if self.life(node) == Some(life) => match node {
                Node::Pod(n) => self.pod_watches(n),
                Node::Router(n) => self.router_rewatches(n),
                _ => {}
            },
            // What a process that has ended was waiting for.
            Happening::Expire { .. }
            | Happening::Wake { .. }
            | Happening::Disk { .. }
            | Happening::Handled { .. }
            | Happening::Again { .. }
            | Happening::Rewatch { .. } => {}
            Happening::Event => self.platform_acts(),
            Happening::Redelivery { target, event, wait } => self.platform_sends(target, event, wait),
            Happening::Depot { asker, ask } => self.depot_does(asker, *ask),
            Happening::Stored { asker, answer } => self.answer(Node::Database, asker, *answer),
            // Who is well may have changed with it, and what follows may follow at once.
            Happening::Fault => {
                self.fault_begins();
                self.look_around();
            }
            Happening::Mend(fault) => {
                self.fault_ends(fault);
                self.look_around();
            }
            Happening::Alone => {
                self.control_plane_goes();
                self.look_around();
            }
            Happening::Start(node) => self.starts(node),
            Happening::Crash(node) if !self.faults.are_over() => self.kill(node),
            Happening::Crash(_) => {}
            Happening::Heal => self.heal(),
            Happening::Second => {
                self.look_around();
                self.history.note(self.now, &What::Tick);
                self.operator_looks();
                self.agenda.put(self.now + SECOND, Happening::Second);
            }
        }
    }

    fn delivered(&mut self, to: Node, from: Node, message: Message) {
        self.history.say(self.now, || {
            let text = format!("{message:?}");
            format!("{from} → {to}: {}", text.chars().take(160).collect::<String>())
        });
        match message {
            Message::Ask(call, ask) => {
                let asker = Asker { node: from, call };
                match to {
                    _ if !self.serves(to) => self.answer(to, asker, Answer::Elsewhere),
                    Node::Pod(n) => self.pod_asked(n, asker, ask),
                    Node::Plane(n) => self.plane_asked(n, asker, ask),
                    Node::Router(n) => {
                        if let Ask::Webhook(target, event) = ask {
                            self.router_asked(n, asker, target, event);
                        }
                    }
                    Node::Database => {
                        if let Ask::Query(query) = ask {
                            self.database_asked(asker, query);
                        }
                    }
                    Node::Store => {
                        if let Ask::Store(ask) = ask {
                            self.depot_asked(asker, ask);
                        }
                    }
                    Node::Platform => {}
                }
            }
            Message::Answer(..) if self.life(to).is_none() => {}
            Message::Answer(call, answer) => match to {
                Node::Pod(n) => self.pod_hears(n, call, answer),
                Node::Plane(n) => self.plane_hears(n, call, answer),
                Node::Router(n) => self.router_hears(n, call, answer),
                Node::Platform => self.platform_hears(call, Some(answer)),
                Node::Database | Node::Store => {}
            },
        }
    }

    fn database_asked(&mut self, asker: Asker, query: crate::message::Query) {
        if !self.database.up {
            let refused = StoreError::Rejected("the server is away".to_owned());
            return self.answer(Node::Database, asker, Answer::Failed(Arc::new(refused)));
        }
        let took = Database::takes(&query);
        let lost = self.draw.chance(self.database.uncertain);
        let answer = self.database.answer(self.now, query);
        if let Answer::Committed(committed) = &answer {
            let changes = committed.changes.clone();
            self.database_changed(&changes);
        }
        if !lost {
            self.agenda.put(self.now + took, Happening::Stored { asker, answer: Box::new(answer) });
        }
    }

    /// Something is committed, whether anybody hears of it or not.
    fn database_changed(&mut self, changes: &[Change]) {
        for change in changes {
            if let Change::Fencing { fencing, .. } = change {
                // Nobody promises it anything until it has a new lease: not well, however well its machine is.
                self.history.note(self.now, &What::Well { pod: fencing.pod.clone(), yes: false });
            }
            if let Change::Move(Move { target, state: MoveState::Copying, .. }) = change {
                self.history.note(self.now, &What::MoveBegan { target: target.clone(), forced: true });
            }
            if let Change::Pod(record) = change
                && !record.buried
            {
                self.history.note(self.now, &What::Returned { pod: record.info.pod.clone() });
            }
            if let Change::Assignment { assignment, .. } = change {
                self.history.say(self.now, || format!("stored: {assignment:?}"));
                let Assignment { target, pod, epoch, reason, .. } = assignment.clone();
                if reason == LOSS {
                    self.history.note(self.now, &What::Wiped { target: target.clone() });
                }
                let at = self.index(&target);
                self.measures.replaced += u64::from(self.newest[at] != shared::Epoch(0));
                self.newest[at] = epoch;
                self.history.note(self.now, &What::Assigned { target, pod, epoch });
            }
        }
    }

    fn starts(&mut self, node: Node) {
        if self.life(node).is_some() && node != Node::Database {
            return;
        }
        self.history.say(self.now, || format!("{node} starts"));
        match node {
            Node::Pod(n) => self.pod_starts(n),
            Node::Plane(n) => self.plane_starts(n),
            Node::Router(n) => self.router_starts(n),
            Node::Database => {
                self.database.up = true;
                self.measures.database_is_back(self.now);
            }
            Node::Platform | Node::Store => {}
        }
    }

    /// Ends a process at once.
    pub(crate) fn kill(&mut self, node: Node) {
        self.history.say(self.now, || format!("{node} is killed"));
        self.paused[node.at()] = None;
        match node {
            Node::Pod(n) => self.pod_dies(n),
            Node::Plane(n) => self.plane_dies(n),
            Node::Router(n) => self.router_dies(n),
            Node::Database => self.database.up = false,
            Node::Platform | Node::Store => {}
        }
    }

    /// Returns which life of its process a node is in; none while it has none.
    pub(crate) fn life(&self, node: Node) -> Option<u32> {
        match node {
            Node::Pod(n) => self.pods[usize::from(n)].life(),
            Node::Plane(n) => {
                let plane = &self.planes[usize::from(n)];
                plane.up.then_some(plane.life)
            }
            Node::Router(n) => {
                let router = &self.routers[usize::from(n)];
                router.up.then_some(router.life)
            }
            Node::Database | Node::Platform | Node::Store => Some(0),
        }
    }

    /// Whether a node answers: a pod that is still being prepared does not.
    fn serves(&self, node: Node) -> bool {
        match node {
            Node::Pod(n) => self.pods[usize::from(n)].process.is_some(),
            node => self.life(node).is_some(),
        }
    }

    /// Asks somebody, and waits for the answer so long.
    pub(crate) fn ask(&mut self, from: Node, to: Node, call: u64, ask: Ask, patience: Ns) {
        self.send(from, to, Message::Ask(call, ask));
        if let Some(life) = self.life(from) {
            self.agenda.put(self.now + patience, Happening::Expire { node: from, life, call });
        }
    }

    /// Answers somebody.
    pub(crate) fn answer(&mut self, from: Node, asker: Asker, answer: Answer) {
        self.send(from, asker.node, Message::Answer(asker.call, answer));
    }

    fn send(&mut self, from: Node, to: Node, message: Message) {
        let [first, again] = self.network.send(from, to);
        if let Some(delay) = again {
            let message = Box::new(message.clone());
            self.agenda.put(self.now + delay, Happening::Deliver { to, from, message });
        }
        if let Some(delay) = first {
            self.agenda.put(self.now + delay, Happening::Deliver { to, from, message: Box::new(message) });
        }
    }

    /// Stops a node's process; what concerns it waits.
    pub(crate) fn pause(&mut self, node: Node) {
        self.history.say(self.now, || format!("{node} stands still"));
        self.paused[node.at()].get_or_insert(Pause { since: self.now, held: Vec::new() });
    }

    /// Lets it go on. `machine`: its clock shows nothing of the pause.
    pub(crate) fn resume(&mut self, node: Node, machine: bool) {
        let Some(pause) = self.paused[node.at()].take() else { return };
        self.history.say(self.now, || format!("{node} goes on"));
        if machine && let Node::Pod(n) = node {
            self.pods[usize::from(n)].hardware.missed(pause.since, self.now);
            self.pod_clock_changed(n);
        }
        for what in pause.held {
            self.happens(what);
        }
    }

    pub(crate) fn is_paused(&self, node: Node) -> bool {
        self.paused[node.at()].is_some()
    }

    /// Tells the checker who is well: once a second, and when a fault begins or ends.
    fn look_around(&mut self) {
        for n in 0..PODS {
            let (pod, yes) = (self.pods[usize::from(n)].id.clone(), self.is_well(n));
            self.history.note(self.now, &What::Well { pod, yes });
            let (pod, yes) = (self.pods[usize::from(n)].id.clone(), self.is_reached(n));
            self.history.note(self.now, &What::Reached { pod, yes });
        }
        let yes = self.plane_works();
        self.history.note(self.now, &What::Plane { yes });
    }

    /// Whether nothing is wrong with a pod that anybody has done to it.
    fn is_well(&self, n: u8) -> bool {
        let node = Node::Pod(n);
        let others = (0..PODS).filter(|other| *other != n);
        let cut = |other: Node| self.network.is_cut(node, other) || self.network.is_cut(other, node);
        let pod = &self.pods[usize::from(n)];
        self.pod_is_witness(n)
            && !self.is_paused(node)
            && pod.disk.is_well()
            && !others.map(Node::Pod).any(cut)
            && !(0..PLANES).map(Node::Plane).any(cut)
    }

    /// Whether a pod runs and some config-service and it reach each other.
    fn is_reached(&self, n: u8) -> bool {
        let node = Node::Pod(n);
        let reaches = |plane: Node| !self.network.is_cut(node, plane) && !self.network.is_cut(plane, node);
        self.serves(node) && !self.is_paused(node) && (0..PLANES).map(Node::Plane).any(reaches)
    }

    /// Whether there is a leader with a database that nobody cut off.
    fn plane_works(&self) -> bool {
        let cut = |a: Node, b: Node| self.network.is_cut(a, b) || self.network.is_cut(b, a);
        let works = |n: u8| {
            let node = Node::Plane(n);
            self.planes[usize::from(n)].up && !self.is_paused(node) && !cut(node, Node::Database)
        };
        self.database.up && self.database.uncertain == 0 && (0..PLANES).all(works)
    }

    /// Ends every fault.
    fn heal(&mut self) {
        self.history.say(self.now, || "everything is well from now on".to_owned());
        self.faults.stop();
        self.network.heal();
        self.starts(Node::Database);
        self.database.uncertain = 0;
        self.depot.heal();
        self.operator_buries_the_lost();
        for n in 0..PODS {
            self.pods[usize::from(n)].disk.heal();
            self.pods[usize::from(n)].litestream = Litestream::Runs;
            self.resume(Node::Pod(n), false);
            self.starts(Node::Pod(n));
        }
        for n in 0..PLANES {
            self.resume(Node::Plane(n), false);
            self.starts(Node::Plane(n));
        }
        for n in 0..ROUTERS {
            self.resume(Node::Router(n), false);
            self.starts(Node::Router(n));
        }
    }
}

/// Returns whose process has to run for something to happen.
fn concerns(what: &Happening) -> Option<Node> {
    match what {
        Happening::Deliver { to, .. } => Some(*to),
        Happening::Expire { node, .. } | Happening::Wake { node, .. } | Happening::Rewatch { node, .. } => Some(*node),
        Happening::Disk { pod, .. } | Happening::Handled { pod, .. } => Some(Node::Pod(*pod)),
        Happening::Again { router, .. } => Some(Node::Router(*router)),
        _ => None,
    }
}
