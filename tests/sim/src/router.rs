//! A router: production's table, and a short form of an event's journey around it. Events whose owner cannot take them now
//! wait here, for a bounded time; the platform hears an acknowledgement only from the owner.

use crate::agenda::{MS, Ns};
use crate::message::{Answer, Ask, Asker};
use crate::network::{Node, PLANES};
use crate::world::{Happening, World};
use shared::protocol::invariants::What;
use shared::routing::{Applied, Table};
use shared::wire::link::Outcome;
use shared::{Epoch, Revision};
use std::collections::BTreeMap;

/// How long a router keeps a request.
const PATIENCE: Ns = 2_500 * MS;
/// How long a parked request waits for its next attempt.
const AGAIN: Ns = 200 * MS;
/// How long a router waits for a pod.
const POD: Ns = 1_500 * MS;
/// How long it waits for config-service.
const PLANE: Ns = 1_000 * MS;
/// How long a watch may be silent.
const WATCH: Ns = 5_000 * MS;

/// A router.
#[derive(Debug)]
pub(crate) struct Router {
    pub(crate) up: bool,
    pub(crate) life: u32,
    pub(crate) table: Table,
    calls: BTreeMap<u64, Call>,
    requests: BTreeMap<u64, Request>,
    next: u64,
    plane: u8,
}

#[derive(Debug, Clone, Copy)]
enum Call {
    Watch,
    Place(u64),
    Pod(u64, Epoch, u8),
}

#[derive(Debug, Clone, Copy)]
struct Request {
    asker: Asker,
    target: usize,
    event: u64,
    until: Ns,
    hops: u32,
    redirected: bool,
}

impl Router {
    pub(crate) fn new() -> Self {
        let (calls, requests) = (BTreeMap::new(), BTreeMap::new());
        Self { up: false, life: 0, table: Table::new(), calls, requests, next: 0, plane: 0 }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

impl World {
    pub(crate) fn router_starts(&mut self, n: u8) {
        let router = &mut self.routers[usize::from(n)];
        let (life, next) = (router.life + 1, router.next);
        *router = Router { up: true, life, next, plane: n % PLANES, ..Router::new() };
        self.router_watches(n);
    }

    pub(crate) fn router_dies(&mut self, n: u8) {
        self.routers[usize::from(n)].up = false;
    }

    fn router_asks(&mut self, n: u8, to: Node, call: Call, ask: Ask, patience: Ns) {
        let router = &mut self.routers[usize::from(n)];
        let number = router.number();
        router.calls.insert(number, call);
        self.ask(Node::Router(n), to, number, ask, patience);
    }

    fn router_watches(&mut self, n: u8) {
        let router = &self.routers[usize::from(n)];
        let after = Some(router.table.revision()).filter(|revision| *revision > Revision(0));
        self.router_asks(n, Node::Plane(router.plane), Call::Watch, Ask::Watch(after, None), WATCH);
    }

    pub(crate) fn router_asked(&mut self, n: u8, asker: Asker, target: usize, event: u64) {
        let until = self.now + PATIENCE;
        let router = &mut self.routers[usize::from(n)];
        let number = router.number();
        router.requests.insert(number, Request { asker, target, event, until, hops: 1, redirected: false });
        let requests = router.requests.len() as u64;
        self.history.note(self.now, &What::Parked { requests });
        self.router_forwards(n, number);
    }

    fn router_forwards(&mut self, n: u8, number: u64) {
        let router = &mut self.routers[usize::from(n)];
        let Some(request) = router.requests.get_mut(&number) else { return };
        match router.table.route(&self.targets[request.target]) {
            Some(route) => {
                let (epoch, pod) = (route.epoch, route.pod.ordinal().unwrap_or_default() as u8);
                let ask = Ask::Request(request.target, epoch, request.event);
                self.router_asks(n, Node::Pod(pod), Call::Pod(number, epoch, pod), ask, POD);
            }
            None => self.router_places(n, number),
        }
    }

    fn router_places(&mut self, n: u8, number: u64) {
        let router = &self.routers[usize::from(n)];
        let Some(request) = router.requests.get(&number) else { return };
        let (plane, target) = (router.plane, request.target);
        self.router_asks(n, Node::Plane(plane), Call::Place(number), Ask::Place(target), PLANE);
    }

    /// Waits a little, or gives up while the platform still listens.
    fn router_parks(&mut self, n: u8, number: u64) {
        let router = &mut self.routers[usize::from(n)];
        let Some(request) = router.requests.get_mut(&number) else { return };
        if self.now + AGAIN >= request.until {
            let asker = request.asker;
            router.requests.remove(&number);
            self.answer(Node::Router(n), asker, Answer::Status(503));
        } else {
            let (life, at) = (router.life, self.now + AGAIN);
            self.agenda.put(at, Happening::Again { router: n, life, request: number });
        }
    }

    pub(crate) fn router_tries_again(&mut self, n: u8, number: u64) {
        if let Some(request) = self.routers[usize::from(n)].requests.get_mut(&number) {
            // It begins anew: whoever is the owner now is asked.
            (request.hops, request.redirected) = (1, false);
        }
        self.router_forwards(n, number);
    }

    pub(crate) fn router_hears(&mut self, n: u8, call: u64, answer: Answer) {
        let Some(call) = self.routers[usize::from(n)].calls.remove(&call) else { return };
        match (call, answer) {
            (Call::Watch, Answer::Watched(messages)) => {
                for message in messages {
                    if self.routers[usize::from(n)].table.apply(message) == Applied::Resync {
                        self.routers[usize::from(n)].table = Table::new();
                    }
                }
                self.router_watches(n);
            }
            (Call::Watch, _) => self.router_loses_watch(n),
            (Call::Place(number), Answer::Placed(assignment)) => {
                self.routers[usize::from(n)].table.learn(*assignment);
                self.router_forwards(n, number);
            }
            (Call::Place(number), _) => {
                self.router_turns(n);
                self.router_parks(n, number);
            }
            (Call::Pod(number, epoch, pod), Answer::Outcome(outcome)) => {
                self.router_told(n, number, epoch, pod, outcome);
            }
            (Call::Pod(number, ..), _) => self.router_parks(n, number),
        }
    }

    fn router_told(&mut self, n: u8, number: u64, epoch: Epoch, pod: u8, outcome: Outcome) {
        let router = &mut self.routers[usize::from(n)];
        let Some(request) = router.requests.get_mut(&number) else { return };
        request.hops += 1;
        match outcome {
            Outcome::Committed { .. } => {
                let Request { asker, target, hops, .. } = *request;
                router.requests.remove(&number);
                let (target, pod) = (self.targets[target].clone(), self.pods[usize::from(pod)].id.clone());
                self.history.note(self.now, &What::Answered { target, pod, epoch, hops });
                self.answer(Node::Router(n), asker, Answer::Status(200));
            }
            Outcome::NotOwner { .. } if !request.redirected => {
                request.redirected = true;
                self.router_places(n, number);
            }
            _ => self.router_parks(n, number),
        }
    }

    pub(crate) fn router_waits_no_longer(&mut self, n: u8, call: u64) {
        match self.routers[usize::from(n)].calls.remove(&call) {
            Some(Call::Watch) => self.router_loses_watch(n),
            Some(Call::Place(number)) => {
                self.router_turns(n);
                self.router_parks(n, number);
            }
            Some(Call::Pod(number, ..)) => self.router_parks(n, number),
            None => {}
        }
    }

    /// Goes on with the next config-service.
    fn router_turns(&mut self, n: u8) {
        let router = &mut self.routers[usize::from(n)];
        router.plane = (router.plane + 1) % PLANES;
    }

    fn router_loses_watch(&mut self, n: u8) {
        self.router_turns(n);
        let life = self.routers[usize::from(n)].life;
        self.agenda.put(self.now + AGAIN, Happening::Rewatch { node: Node::Router(n), life });
    }

    pub(crate) fn router_rewatches(&mut self, n: u8) {
        self.router_watches(n);
    }
}
