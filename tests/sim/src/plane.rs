//! A config-service: follower or leader. Follows the change log, serves watches, bids for the term. What it does as the
//! leader is in `leading`, the transactions in `desk`.

mod desk;
mod leading;
mod orders;
mod replicas;
mod watches;

use crate::agenda::{MS, Ns, SECOND};
use crate::database::LEADER_LEASE;
use crate::hardware::Hardware;
use crate::message::{Answer, Ask, Asker, Query};
use crate::network::Node;
use crate::world::{Happening, World};
use config_service::domain::{Batch, Change, Model, Snapshot};
use config_service::store::{Bid, StoreError};
use leading::Leading;
pub(crate) use orders::Order;
use shared::wire::handoff::Move;
use shared::{Mono, MoveId, PodId, Revision, Term};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long a config-service waits for the database.
const DATABASE: Ns = 1_500 * MS;
/// How long it waits for a pod.
const POD: Ns = SECOND;
/// How often a follower looks into the log.
const POLL: Ns = 300 * MS;
/// How long a watcher waits for something new.
const QUIET: Ns = 2 * SECOND;

/// A question under way.
#[derive(Debug, Clone)]
enum Call {
    Bid,
    Load(Term),
    Poll,
    Renew(Term, Mono, Ns),
    Resign,
    Commit(Term),
    Fence,
    /// How moves stand that the leader does not know any more, for whoever reported on them.
    Moves(Asker, Vec<(MoveId, Option<Move>)>),
    /// A follower passes a question on to the leader.
    Forward(Asker),
}

/// What it is.
#[derive(Debug)]
enum Role {
    Follower,
    Loading(Term),
    Leader(Box<Leading>),
}

/// A config-service.
#[derive(Debug)]
pub(crate) struct Plane {
    pub(crate) hardware: Hardware,
    pub(crate) up: bool,
    pub(crate) life: u32,
    role: Role,
    model: Model,
    /// What has changed since the model was first whole, and the revision before it.
    log: Vec<Change>,
    log_after: Revision,
    watchers: Vec<Watcher>,
    calls: BTreeMap<u64, Call>,
    next: u64,
    armed: Option<Ns>,
    /// Who leads, as far as it knows.
    leader: Option<u8>,
    poll_at: Ns,
    bid_at: Ns,
}

#[derive(Debug, Clone)]
struct Watcher {
    asker: Asker,
    after: Revision,
    pod: Option<PodId>,
    until: Ns,
}

impl Plane {
    pub(crate) fn new(hardware: Hardware) -> Self {
        Self {
            hardware,
            up: false,
            life: 0,
            role: Role::Follower,
            model: Model::new(Snapshot::default()),
            log: Vec::new(),
            log_after: Revision(0),
            watchers: Vec::new(),
            calls: BTreeMap::new(),
            next: 0,
            armed: None,
            leader: None,
            poll_at: 0,
            bid_at: 0,
        }
    }

    fn leading(&mut self) -> Option<&mut Leading> {
        match &mut self.role {
            Role::Leader(leading) => Some(leading),
            Role::Follower | Role::Loading(_) => None,
        }
    }

    fn leads(&mut self, term: Term) -> bool {
        self.leading().is_some_and(|leading| leading.term == term)
    }

    /// Takes committed changes in.
    fn learn(&mut self, changes: Vec<Change>) {
        for change in changes {
            if change.revision() > self.model.revision() {
                self.model.apply(change.clone());
                self.log.push(change);
            }
        }
    }
}

impl World {
    fn plane(&mut self, n: u8) -> &mut Plane {
        &mut self.planes[usize::from(n)]
    }

    pub(crate) fn plane_starts(&mut self, n: u8) {
        let now = self.now;
        let first = self.draw.below(200 * MS);
        let plane = self.plane(n);
        let hardware = std::mem::replace(&mut plane.hardware, Hardware::new(0));
        let (life, next) = (plane.life + 1, plane.next);
        *plane = Plane { life, next, up: true, poll_at: now, bid_at: now + first, ..Plane::new(hardware) };
        self.plane_goes_on(n);
    }

    pub(crate) fn plane_dies(&mut self, n: u8) {
        self.plane(n).up = false;
    }

    fn plane_asks(&mut self, n: u8, to: Node, call: Call, ask: Ask, patience: Ns) -> u64 {
        let plane = self.plane(n);
        plane.next += 1;
        let number = plane.next;
        plane.calls.insert(number, call);
        self.ask(Node::Plane(n), to, number, ask, patience);
        number
    }

    fn plane_queries(&mut self, n: u8, call: Call, query: Query) {
        self.plane_asks(n, Node::Database, call, Ask::Query(query), DATABASE);
    }

    pub(crate) fn plane_wakes(&mut self, n: u8, at: Ns) {
        // One that was armed for earlier has taken this one's place.
        if self.plane(n).armed.take_if(|armed| *armed == at).is_none() {
            return;
        }
        self.plane_goes_on(n);
    }

    /// Does what is due, and sees to it that it wakes again.
    fn plane_goes_on(&mut self, n: u8) {
        let now = self.now;
        let plane = self.plane(n);
        let follows = matches!(plane.role, Role::Follower);
        if matches!(plane.role, Role::Follower | Role::Loading(_)) && plane.poll_at <= now {
            plane.poll_at = now + POLL;
            let after = plane.model.revision();
            self.plane_queries(n, Call::Poll, Query::Changes(after));
        }
        if follows && self.plane(n).bid_at <= now {
            self.plane(n).bid_at = now + LEADER_LEASE.as_nanos() as Ns / 3;
            self.plane_queries(n, Call::Bid, Query::Lead(n));
        }
        self.plane_leads_on(n);
        self.plane_serves_watchers(n);
        self.plane_arm(n);
    }

    fn plane_arm(&mut self, n: u8) {
        let now = self.now;
        let plane = self.plane(n);
        let quiet = plane.watchers.iter().map(|watcher| watcher.until).min();
        let due = match &plane.role {
            Role::Leader(leading) => leading.wake_at(now, &plane.hardware),
            Role::Follower => Some(plane.poll_at.min(plane.bid_at)),
            Role::Loading(_) => Some(plane.poll_at),
        };
        let Some(at) = due.into_iter().chain(quiet).min().map(|at| at.max(now + 1)) else { return };
        if plane.armed.is_some_and(|armed| armed <= at) {
            return;
        }
        plane.armed = Some(at);
        let life = plane.life;
        self.agenda.put(at, Happening::Wake { node: Node::Plane(n), life, at });
    }

    pub(crate) fn plane_asked(&mut self, n: u8, asker: Asker, ask: Ask) {
        match ask {
            Ask::Watch(after, pod) => self.plane_is_watched(n, asker, after, pod),
            ask if self.plane(n).leading().is_some() => {
                self.leader_asked(n, asker, ask);
                self.plane_goes_on(n);
            }
            ask => match self.plane(n).leader.filter(|leader| *leader != n && !matches!(asker.node, Node::Plane(_))) {
                Some(leader) => {
                    self.plane_asks(n, Node::Plane(leader), Call::Forward(asker), ask, POD);
                }
                None => self.answer(Node::Plane(n), asker, Answer::Elsewhere),
            },
        }
    }

    pub(crate) fn plane_hears(&mut self, n: u8, call: u64, answer: Answer) {
        let Some(call) = self.plane(n).calls.remove(&call) else { return };
        let failed = |answer: Answer| match answer {
            Answer::Failed(why) => why,
            _ => Arc::new(StoreError::Rejected("another answer".to_owned())),
        };
        match (call, answer) {
            (Call::Forward(asker), answer) => self.answer(Node::Plane(n), asker, answer),
            (Call::Bid, Answer::Bid(bid)) => self.plane_has_bid(n, bid),
            (Call::Load(term), Answer::Loaded(snapshot)) => self.plane_takes_over(n, term, *snapshot),
            (Call::Load(_), _) => self.plane(n).role = Role::Follower,
            (Call::Poll, Answer::Changed(Some(changes))) => {
                let plane = self.plane(n);
                if plane.leading().is_none() {
                    plane.learn(changes);
                }
            }
            // What a term asked is none of the next one's business.
            (Call::Renew(term, ..) | Call::Commit(term), _) if !self.plane(n).leads(term) => {}
            (Call::Renew(_, began, at), Answer::Done) => self.leader_checked(n, began, at, true),
            (Call::Renew(_, began, at), answer) => {
                if matches!(*failed(answer), StoreError::Fenced) {
                    self.leader_ends(n, "the term is over");
                } else {
                    self.leader_checked(n, began, at, false);
                }
            }
            (Call::Commit(_), Answer::Committed(committed)) => self.leader_committed(n, *committed),
            (Call::Commit(_), answer) => self.leader_not_committed(n, &failed(answer)),
            (Call::Fence, Answer::Fenced(fenced)) => self.leader_told_fenced(n, fenced),
            (Call::Moves(asker, stands), Answer::Moves(found)) => self.leader_answers_reports(n, asker, stands, &found),
            (Call::Moves(asker, _), _) => self.answer(Node::Plane(n), asker, Answer::Elsewhere),
            (Call::Bid | Call::Poll | Call::Resign | Call::Fence, _) => {}
        }
        self.plane_goes_on(n);
    }

    pub(crate) fn plane_waits_no_longer(&mut self, n: u8, call: u64) {
        match self.plane(n).calls.remove(&call) {
            Some(Call::Load(_)) => self.plane(n).role = Role::Follower,
            Some(Call::Renew(term, ..) | Call::Commit(term)) if !self.plane(n).leads(term) => {}
            Some(Call::Renew(_, began, at)) => self.leader_checked(n, began, at, false),
            Some(Call::Forward(asker) | Call::Moves(asker, _)) => self.answer(Node::Plane(n), asker, Answer::Elsewhere),
            Some(Call::Commit(_)) => {
                self.leader_not_committed(n, &StoreError::Uncertain("nobody answers".to_owned()));
            }
            _ => {}
        }
        self.plane_goes_on(n);
    }

    fn plane_has_bid(&mut self, n: u8, bid: Bid) {
        let now = self.now;
        let plane = self.plane(n);
        if !matches!(plane.role, Role::Follower) {
            return;
        }
        match bid {
            Bid::Won(term) => {
                plane.role = Role::Loading(term);
                self.history.say(now, || format!("config-{n} has won term {term}"));
                self.plane_queries(n, Call::Load(term), Query::Load(term));
            }
            Bid::Held { address, remaining } => {
                plane.leader = address.parse().ok();
                let most = LEADER_LEASE.as_nanos() as Ns / 3;
                plane.bid_at = now + (remaining.as_nanos() as Ns).clamp(20 * MS, most);
            }
        }
    }

    /// Reads everything anew and leads.
    fn plane_takes_over(&mut self, n: u8, term: Term, snapshot: Snapshot) {
        let (now, terms) = (self.now, self.terms);
        let plane = self.plane(n);
        if !matches!(plane.role, Role::Loading(loading) if loading == term) {
            return;
        }
        let local = plane.hardware.look(now);
        plane.model = Model::new(snapshot.clone());
        let leading = Leading::new(term, terms, local, now, (&snapshot, &plane.model));
        plane.log.clear();
        plane.log_after = snapshot.revision;
        plane.role = Role::Leader(Box::new(leading));
        self.history.say(now, || format!("config-{n} leads in term {term}"));
    }

    /// The term is over, or what the model says may not be what the database holds.
    fn leader_ends(&mut self, n: u8, why: &str) {
        let wait = self.now + self.draw.between(50, 300) * MS;
        let plane = self.plane(n);
        if plane.leading().is_none() {
            return;
        }
        plane.role = Role::Follower;
        plane.leader = None;
        plane.bid_at = wait;
        plane.poll_at = 0;
        let revision = plane.model.revision();
        plane.model = Model::new(Snapshot::default());
        plane.log.clear();
        plane.log_after = Revision(0);
        plane.watchers.clear();
        self.history.say(self.now, || format!("config-{n} leads no longer at revision {revision}: {why}"));
    }

    /// Gives the term up, if it leads.
    pub(crate) fn plane_steps_down(&mut self, n: u8) {
        if self.is_paused(Node::Plane(n)) || !self.plane(n).up {
            return;
        }
        if let Some(term) = self.plane(n).leading().map(|leading| leading.term) {
            self.plane_queries(n, Call::Resign, Query::Resign(term));
            self.leader_ends(n, "it was told to step down");
            self.plane_goes_on(n);
        }
    }

    /// Begins a transaction.
    fn leader_commits(&mut self, n: u8, term: Term, batch: Batch) {
        self.plane_queries(n, Call::Commit(term), Query::Commit(term, Box::new(batch)));
    }
}
