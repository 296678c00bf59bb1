//! The task that keeps the lease: carries out what [`Holder`] decides, asks the witnesses, and puts what was granted or
//! promised into the pod's ownership. Decides nothing about leases itself.

use super::card::Card;
use super::keeper::Keeper;
use super::nag::Nag;
use super::peers::Peers;
use super::register::{failure, is_buried, register};
use super::sizes::Sizes;
use super::usage::UsageMeter;
use super::vitals::Vitals;
use super::witness::Witnessing;
use crate::boot::Over;
use crate::{Engine, metrics::GatewayMetrics, ownership::Ownership, readiness::Readiness};
use shared::clock::DriftGuard;
use shared::http::{Client, Latch};
use shared::protocol::holder::{Failure, Holder, Input, Output, Remembered};
use shared::protocol::witness;
use shared::shutdown::Shutdown;
use shared::wire::control::{Chain, Heartbeat, Load};
use shared::wire::peers::Relay;
use shared::{LeaseId, PodId};
use std::time::Duration;
use tokio::{sync::watch, task::JoinSet};

/// How far wall clock and boot clock may drift apart (OWNERSHIP.md, Clocks).
const DRIFT: Duration = Duration::from_secs(1);

/// Everything the task works with.
#[derive(Debug)]
pub(super) struct Heart {
    /// config-service.
    pub(super) client: Client,
    /// The other pods.
    pub(super) peers: Peers,
    /// This pod as a witness of theirs.
    pub(super) witness: Witnessing,
    /// Who writes the lease down.
    pub(super) keeper: Keeper,
    /// The lease of the process before this one, when it may be gone on with.
    pub(super) remembered: Option<Remembered>,
    /// How well this process keeps up.
    pub(super) vitals: Vitals,
    /// How the pod introduces itself.
    pub(super) card: Card,
    /// Where grants go.
    pub(super) ownership: Ownership,
    /// Whose load is reported.
    pub(super) engine: Engine,
    /// Open while the pod is registered.
    pub(super) registered: Latch,
    /// Told when the pod is registered for the first time, and when config-service answers again: the assignment stream
    /// waits for it.
    pub(super) known: watch::Sender<bool>,
    /// What else readiness hangs on.
    pub(super) readiness: Readiness,
    /// The counters.
    pub(super) metrics: GatewayMetrics,
    /// The pod stops in order: say goodbye.
    pub(super) leave: Shutdown,
    /// The last group that was committed, known once the goodbye is due.
    pub(super) last_commit: Option<u64>,
    /// Ends the lineage that the database writes, when its life is over.
    pub(super) over: Over,
    /// What the process uses.
    pub(super) usage: UsageMeter,
    /// What targets keep.
    pub(super) sizes: Sizes,
}

/// What a call came to.
#[derive(Debug)]
struct Heard {
    input: Input,
    /// Whether it is config-service's own word, not one that a witness has passed on.
    direct: bool,
}

impl Heart {
    /// Runs until the goodbye is said.
    pub(super) async fn run(mut self) {
        let clock = self.ownership.clock().clone();
        if let Some(remembered) = &self.remembered {
            tracing::info!(lease = %remembered.lease_id, witnesses = remembered.witnesses.pods.len(), "restarted in place, going on under the lease once it is granted or promised anew");
        }
        let remembered = self.remembered.take();
        let mut holder = self.holder(remembered);
        let mut drift = DriftGuard::new(&*clock, DRIFT);
        let (mut calls, mut nag) = (JoinSet::new(), Nag::default());
        let (mut heard, mut leaving, mut degraded) = (Heard { input: Input::Tick, direct: false }, false, false);
        loop {
            if drift.drifted(&*clock) {
                drift = DriftGuard::new(&*clock, DRIFT);
                calls.abort_all();
                let outputs = holder.handle(clock.now(), Input::Drifted);
                self.carry_out(outputs, &mut calls);
            }
            self.tell(&heard.input, &mut nag);
            if let Input::Granted(grant) = &heard.input {
                self.ownership.heard_of_term(grant.term);
            }
            self.tell_witness(&heard, &mut degraded).await;
            if is_buried(&heard.input)
                && !self.over.end("this life of the pod was failed over")
                && self.begin_anew().await
            {
                calls.abort_all();
                holder = self.holder(None);
                heard.input = Input::Tick;
            }
            if leaving && matches!(heard.input, Input::Granted(_)) {
                // The goodbye was heard: whoever comes next in this folder registers anew.
                self.keeper.drop_lease();
            }
            let outputs = holder.handle(clock.now(), heard.input);
            if outputs.contains(&Output::Gone) {
                break;
            }
            self.carry_out(outputs, &mut calls);
            self.note(holder.is_registered());
            let wait = holder.wake_at().map(|at| at.since(clock.now()));
            heard = tokio::select! {
                () = self.leave.cancelled(), if !leaving => {
                    leaving = true;
                    // In an orderly stop the database is closed by now, and this is its last group.
                    self.last_commit = self.engine.commit_seq().await.ok();
                    Input::Leave.into()
                }
                Some(answer) = calls.join_next() => answer.unwrap_or(Input::Tick.into()),
                version = self.keeper.kept() => Input::Kept(version).into(),
                // A wall clock that jumps is noticed within a heartbeat also while a call is under way.
                () = tokio::time::sleep(wait.unwrap_or(self.ownership.terms().heartbeat)) => Input::Tick.into(),
            };
        }
        self.ownership.drop_lease();
        self.keeper.finish().await;
        tracing::info!("said goodbye to config-service");
    }

    fn holder(&self, remembered: Option<Remembered>) -> Holder {
        let clock = self.ownership.clock();
        let seed = clock.now().as_nanos() ^ clock.wall_ms().rotate_left(32) ^ u64::from(std::process::id());
        let (pod, incarnation) = (self.ownership.pod().clone(), self.engine.incarnation());
        Holder::new(pod, incarnation, *self.ownership.terms(), seed, remembered)
    }

    /// Tells this pod's own witness what it has to know: the marks it made, whether config-service answers, and whether it
    /// is too slow for its word to count.
    async fn tell_witness(&self, heard: &Heard, degraded: &mut bool) {
        let is_bad = self.vitals.are_bad();
        if std::mem::replace(degraded, is_bad) != is_bad {
            tracing::warn!(degraded = is_bad, "whether this pod is too slow for its word about others to count");
            self.witness.said(witness::Input::Degraded(is_bad)).await;
        }
        match &heard.input {
            Input::Registered(registered) => {
                self.witness.said(witness::Input::MarksRead(registered.fenced.clone())).await;
            }
            Input::Granted(_) if heard.direct => self.witness.said(witness::Input::Granted).await,
            _ => {}
        }
    }

    /// Begins another life in the same folder: this one was failed over. Returns whether it has begun.
    async fn begin_anew(&self) -> bool {
        match self.engine.begin_anew().await {
            Ok(incarnation) => {
                self.keeper.drop_lease();
                tracing::warn!(%incarnation, "this pod was failed over, it begins anew; its rows are kept and not served until they are given back");
                true
            }
            Err(why) => {
                tracing::error!(error = %why, "cannot begin anew after a failover, trying again");
                false
            }
        }
    }

    fn carry_out(&mut self, outputs: Vec<Output>, calls: &mut JoinSet<Heard>) {
        for output in outputs {
            match output {
                Output::Register => {
                    let (client, card) = (self.client.clone(), self.card.clone());
                    let registered = register(client, card, self.ownership.clone(), self.engine.clone());
                    calls.spawn(async { Heard { input: registered.await, direct: true } });
                }
                Output::Beat { lease_id, nonce, chain, witnesses, leaving, give_up, via } => {
                    let beat = self.heartbeat(lease_id, nonce, chain, witnesses, leaving);
                    self.beat(beat, give_up, via.as_ref(), calls);
                }
                Output::Extend { to, question } => {
                    let asked = self.peers.extend(to, question);
                    calls.spawn(async { asked.await.into() });
                }
                Output::Keep(remembered) => {
                    self.keeper.keep(remembered, self.ownership.generation(), self.ownership.term());
                }
                Output::Hold { lease, not_before } => {
                    self.metrics.heartbeat(if not_before.is_some() { "granted" } else { "promised" });
                    if self.ownership.lease().is_none_or(|(held, _)| held.id != lease.id) {
                        tracing::info!(lease = %lease.id, "holding a lease");
                    }
                    self.ownership.hold(lease, not_before);
                }
                Output::Drop(why) => {
                    calls.abort_all();
                    if self.ownership.lease().is_some() {
                        tracing::warn!(reason = why, "lease dropped, registering anew");
                    }
                    self.ownership.drop_lease();
                    self.keeper.drop_lease();
                }
                Output::RanOut => tracing::warn!("the lease ran out without an answer, no target is served"),
                Output::Ignored(why) => {
                    self.metrics.heartbeat("ignored");
                    tracing::warn!(reason = why, "an answer of config-service was ignored");
                }
                Output::Gone => {}
            }
        }
    }

    /// Sends a heartbeat, to config-service itself or through a witness.
    fn beat(&mut self, beat: Heartbeat, give_up: Duration, via: Option<&PodId>, calls: &mut JoinSet<Heard>) {
        let (nonce, pod) = (beat.nonce, self.ownership.pod().clone());
        let late = move || {
            let failure = Failure::Unreachable("no answer in time".to_owned());
            Input::NotGranted { nonce, failure }
        };
        if let Some(via) = via {
            let relayed = self.peers.relay(via, Relay { pod, heartbeat: beat });
            calls.spawn(async move { tokio::time::timeout(give_up, relayed).await.unwrap_or_else(|_| late()).into() });
            return;
        }
        let client = self.client.clone();
        calls.spawn(async move {
            let path = format!("/v1/pods/{pod}/heartbeat");
            let input = match tokio::time::timeout(give_up, client.post(&path, &beat)).await {
                Ok(Ok(grant)) => Input::Granted(grant),
                Ok(Err(why)) => Input::NotGranted { nonce, failure: failure(why) },
                Err(_) => late(),
            };
            Heard { input, direct: true }
        });
    }

    fn heartbeat(&self, lease_id: LeaseId, nonce: u64, chain: Chain, witnesses: u64, leaving: bool) -> Heartbeat {
        Heartbeat {
            incarnation: self.engine.incarnation(),
            lease_id,
            nonce,
            load: Load { usage: Some(self.usage.read()), ..self.engine.load() },
            revision: self.ownership.revision(),
            leaving,
            goodbye: self.last_commit.filter(|_| leaving),
            not_ready: self.readiness.complaint(),
            witnesses,
            degraded: self.vitals.are_bad(),
            weights: self.engine.weights(),
            served: Some(Box::new(self.engine.answers().all())),
            measured: Box::new(self.sizes.tell()),
            chain,
            term: self.ownership.term(),
        }
    }

    fn note(&self, registered: bool) {
        if registered {
            self.registered.open();
            self.known.send_if_modified(|known| !std::mem::replace(known, true));
        } else {
            self.registered.close("not registered with config-service");
        }
        self.readiness.refresh();
    }

    /// Logs what becomes of the calls, once per change and now and then.
    fn tell(&self, input: &Input, nag: &mut Nag) {
        let now = self.ownership.clock().now();
        match input {
            Input::NotRegistered(failure) | Input::NotGranted { failure, .. } => match failure {
                Failure::Unreachable(detail) => {
                    self.metrics.heartbeat("unreachable");
                    if nag.tell(now, detail) {
                        let yet = if *self.known.borrow() {
                            "config-service is not reachable"
                        } else {
                            "config-service is not reachable yet"
                        };
                        tracing::warn!(url = self.client.bases(), error = detail, "{yet}");
                    }
                }
                Failure::Refused(problem) => {
                    self.metrics.heartbeat("refused");
                    if nag.tell(now, &problem.to_string()) {
                        let remedy = if matches!(problem.status, 401 | 403) {
                            "set BERTH_SERVICE_TOKENS as config-service has it"
                        } else {
                            ""
                        };
                        tracing::warn!(code = problem.code, error = %problem, remedy, "config-service refused this pod");
                    }
                }
            },
            Input::Registered(answer) => {
                nag.over();
                tracing::info!(pod = %self.ownership.pod(), lease = %answer.lease_id, "registered");
            }
            Input::Granted(_) if nag.over() => {
                self.known.send_replace(true);
                tracing::info!("config-service answers again");
            }
            _ => {}
        }
    }
}

impl From<Input> for Heard {
    fn from(input: Input) -> Self {
        Self { input, direct: false }
    }
}
