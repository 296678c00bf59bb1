//! The shell of production's leader: carries out what it says, and tells it what happened.

use super::{Call, POD};
use crate::agenda::{Ns, SECOND};
use crate::database::LEADER_LEASE;
use crate::hardware::Hardware;
use crate::message::{Answer, Ask, Asker, Query};
use crate::network::Node;
use crate::plane::desk::Desk;
use crate::pod::number;
use crate::world::World;
use config_service::domain::{Model, Snapshot};
use shared::lease::LeaseTerms;
use shared::protocol::invariants::What;
use shared::protocol::leader::{Input, Intent, Leader, Output, Why};
use shared::wire::control::{Grant, Heartbeat, Peer, Witnesses};
use shared::wire::peers::{Fenced, Mark};
use shared::{Mono, PodId, Term};
use std::collections::{BTreeMap, VecDeque};

/// For so long after its last grant a pod counts as ready.
const READY: Ns = 3 * SECOND;

/// What a leader has beside its model.
#[derive(Debug)]
pub(super) struct Leading {
    pub(super) term: Term,
    pub(super) core: Leader,
    /// Heartbeats that wait, by pod and nonce.
    beats: BTreeMap<(PodId, u64), Vec<(Asker, Heartbeat)>>,
    pub(super) intents: VecDeque<Intent>,
    pub(super) desk: Desk,
    renew_at: Ns,
    /// When the database last confirmed the term.
    confirmed: Ns,
    granted: BTreeMap<PodId, Ns>,
}

impl Leading {
    pub(super) fn new(
        term: Term,
        terms: LeaseTerms,
        local: Mono,
        now: Ns,
        (snapshot, model): (&Snapshot, &Model),
    ) -> Self {
        Self {
            term,
            core: super::desk::core(term, terms, local, snapshot),
            beats: BTreeMap::new(),
            intents: VecDeque::new(),
            desk: Desk::new(model, local),
            renew_at: now,
            confirmed: now,
            granted: BTreeMap::new(),
        }
    }

    pub(super) fn wake_at(&self, now: Ns, hardware: &Hardware) -> Option<Ns> {
        let core = self.core.wake_at().into_iter().chain(self.desk.wake_at(hardware.look(now)));
        core.map(|at| hardware.true_at(at)).chain([self.renew_at]).min()
    }

    /// Whether a pod may be given something.
    pub(super) fn is_ready(&self, pod: &PodId, now: Ns) -> bool {
        self.granted.get(pod).is_some_and(|at| at + READY > now)
    }
}

impl World {
    /// Does what is due for a leader.
    pub(super) fn plane_leads_on(&mut self, n: u8) {
        let now = self.now;
        let Some(leading) = self.plane(n).leading() else { return };
        if now > leading.confirmed + 3 * LEADER_LEASE.as_nanos() as Ns {
            return self.leader_ends(n, "the database does not answer");
        }
        if leading.renew_at <= now {
            self.leader_renews(n);
        }
        self.desk_hears_operators(n);
        self.leader_does(n, Input::Tick);
        self.desk_goes_on(n);
    }

    fn leader_renews(&mut self, n: u8) {
        let now = self.now;
        let plane = self.plane(n);
        let local = plane.hardware.look(now);
        let Some(leading) = plane.leading() else { return };
        leading.renew_at = now + LEADER_LEASE.as_nanos() as Ns / 3;
        let term = leading.term;
        self.plane_queries(n, Call::Renew(term, local, now), Query::Renew(term));
    }

    /// Tells the core what happened, and does what it says.
    pub(super) fn leader_does(&mut self, n: u8, input: Input) {
        let now = self.now;
        let plane = self.plane(n);
        let local = plane.hardware.look(now);
        let Some(leading) = plane.leading() else { return };
        for output in leading.core.handle(local, input) {
            self.leader_carries_out(n, output);
        }
    }

    fn leader_carries_out(&mut self, n: u8, output: Output) {
        let now = self.now;
        let plane = self.plane(n);
        let revision = plane.model.revision();
        let reports = match &output {
            Output::Grant { pod, .. } => plane.model.pod(pod).is_some_and(|record| record.report),
            _ => false,
        };
        if let Output::Grant { pod, .. } = &output {
            self.history.note(now, &What::Heard { pod: pod.clone() });
        }
        let Some(leading) = self.plane(n).leading() else { return };
        match output {
            Output::Check => self.leader_renews(n),
            // It is heard, and has to say first what its database holds.
            Output::Grant { pod, nonce, .. } if reports => {
                for (asker, _) in leading.beats.remove(&(pod, nonce)).unwrap_or_default() {
                    self.answer(Node::Plane(n), asker, Answer::Refused(503, "report-first"));
                }
            }
            Output::Grant { pod, nonce, witnesses: version } => {
                leading.granted.insert(pod.clone(), now);
                let term = leading.term;
                let others = leading.core.members().now.iter().filter(|other| **other != pod);
                let pods = others.map(|other| Peer { pod: other.clone(), address: format!("{other}:1") }).collect();
                let witnesses = Witnesses { version, pods };
                for (asker, heartbeat) in leading.beats.remove(&(pod, nonce)).unwrap_or_default() {
                    let grant = Grant {
                        lease_id: heartbeat.lease_id,
                        incarnation: heartbeat.incarnation,
                        nonce,
                        term,
                        lease_ms: self.terms.duration.as_millis() as u64,
                        revision,
                        witnesses: witnesses.clone(),
                    };
                    self.answer(Node::Plane(n), asker, Answer::Granted(grant));
                }
            }
            Output::Refuse { pod, nonce, why } => {
                self.history.say(now, || format!("config-{n} refuses a heartbeat of {pod}: {why:?}"));
                let Some(leading) = self.plane(n).leading() else { return };
                for (asker, _) in leading.beats.remove(&(pod, nonce)).unwrap_or_default() {
                    self.answer(Node::Plane(n), asker, refusal(why));
                }
                if why == Why::Ahead {
                    self.leader_ends(n, "a pod knows more than this leader's database");
                }
            }
            Output::Write(intent) => leading.intents.push_back(intent),
            Output::Fence { to, fence } => {
                self.plane_asks(n, Node::Pod(number(&to)), Call::Fence, Ask::Fence(fence), POD);
            }
            Output::Note(note) => self.history.say(now, || format!("config-{n}: {note:?}")),
        }
    }

    pub(super) fn leader_beats(&mut self, n: u8, asker: Asker, pod: PodId, heartbeat: Heartbeat) {
        let Some(leading) = self.plane(n).leading() else { return };
        let waiting = leading.beats.entry((pod.clone(), heartbeat.nonce)).or_default();
        waiting.push((asker, heartbeat.clone()));
        self.leader_does(n, Input::Beat { pod, heartbeat });
    }

    /// A check of the term has ended that began at `began` of this leader's clock.
    pub(super) fn leader_checked(&mut self, n: u8, began: Mono, at: Ns, ok: bool) {
        let Some(leading) = self.plane(n).leading() else { return };
        if ok {
            leading.confirmed = leading.confirmed.max(at);
        }
        self.leader_does(n, Input::Checked { began, ok });
    }

    pub(super) fn leader_told_fenced(&mut self, n: u8, fenced: Fenced) {
        if self.plane(n).leading().is_some() {
            self.history.note(
                self.now,
                &What::Fenced {
                    by: fenced.by.clone(),
                    mark: Mark { pod: fenced.pod.clone(), lease_id: fenced.lease_id },
                },
            );
        }
        self.leader_does(n, Input::Fenced(fenced));
    }
}

/// What a refused heartbeat is answered.
fn refusal(why: Why) -> Answer {
    match why {
        Why::Unknown => Answer::Refused(404, "unknown-pod"),
        Why::Buried => Answer::Refused(410, "incarnation-buried"),
        Why::WrongIncarnation | Why::Superseded | Why::Fenced | Why::Cloned => Answer::Refused(409, "lease-over"),
        Why::Suspended | Why::Ahead | Why::Unchecked => Answer::Refused(503, "unavailable"),
        Why::NotLeader => Answer::Elsewhere,
    }
}
