//! The task that keeps the lease: carries out what [`Holder`] decides and puts grants into the pod's ownership. Decides
//! nothing about leases itself.

use super::nag::Nag;
use super::register::{failure, is_buried, register};
use crate::{Engine, Options, metrics::GatewayMetrics, ownership::Ownership, readiness::Readiness};
use shared::LeaseId;
use shared::clock::DriftGuard;
use shared::http::{Client, Latch};
use shared::lease::LeaseTerms;
use shared::protocol::holder::{Failure, Holder, Input, Output};
use shared::shutdown::Shutdown;
use shared::wire::control::{Chain, Heartbeat};
use std::{net::SocketAddr, time::Duration};
use tokio::{sync::watch, task::JoinSet};

/// How far wall clock and boot clock may drift apart (OWNERSHIP.md, Clocks).
const DRIFT: Duration = Duration::from_secs(1);

/// Everything the task works with.
#[derive(Debug)]
pub(crate) struct Heart {
    /// config-service.
    pub(crate) client: Client,
    /// How the pod introduces itself.
    pub(crate) card: Card,
    /// Where grants go.
    pub(crate) ownership: Ownership,
    /// Whose load is reported.
    pub(crate) engine: Engine,
    /// Open while the pod is registered.
    pub(crate) registered: Latch,
    /// Told when the pod is registered for the first time, and when config-service answers again: the assignment stream
    /// waits for it.
    pub(crate) known: watch::Sender<bool>,
    /// What else readiness hangs on.
    pub(crate) readiness: Readiness,
    /// The counters.
    pub(crate) metrics: GatewayMetrics,
    /// The pod stops in order: say goodbye.
    pub(crate) leave: Shutdown,
}

/// How a pod introduces itself.
#[derive(Debug, Clone)]
pub(crate) struct Card {
    /// Where others reach it, `host:port`.
    pub(crate) address: String,
    /// Its zone.
    pub(crate) zone: Option<String>,
    /// Its relative capacity.
    pub(crate) capacity: f64,
}

/// The pod does not know where others reach it.
#[derive(Debug, thiserror::Error)]
#[error(
    "BERTH_GATEWAY_ADVERTISE is not set and the pod listens on every address; set it to the HOST:PORT others reach this pod at"
)]
pub(crate) struct NoAddress;

impl Card {
    /// Writes the card of a pod that listens on `bound`.
    ///
    /// # Errors
    /// [`NoAddress`].
    pub(crate) fn new(options: &Options, bound: SocketAddr) -> Result<Self, NoAddress> {
        let address = match &options.advertise {
            Some(address) => address.clone(),
            None if bound.ip().is_unspecified() => return Err(NoAddress),
            None => bound.to_string(),
        };
        Ok(Self { address, zone: options.zone.clone(), capacity: options.capacity })
    }
}

impl Heart {
    /// Runs until the goodbye is said.
    pub(crate) async fn run(self) {
        let clock = self.ownership.clock().clone();
        let seed = clock.now().as_nanos() ^ clock.wall_ms().rotate_left(32) ^ u64::from(std::process::id());
        let incarnation = self.engine.incarnation();
        // Nobody is asked for promises yet: a lease ends when config-service is silent.
        let terms = LeaseTerms { extend_below: Duration::ZERO, ..*self.ownership.terms() };
        let mut holder = Holder::new(self.ownership.pod().clone(), incarnation, terms, seed, None);
        let mut drift = DriftGuard::new(&*clock, DRIFT);
        let (mut calls, mut nag) = (JoinSet::new(), Nag::default());
        let (mut input, mut leaving) = (Input::Tick, false);
        loop {
            if drift.drifted(&*clock) {
                drift = DriftGuard::new(&*clock, DRIFT);
                calls.abort_all();
                let outputs = holder.handle(clock.now(), Input::Drifted);
                self.carry_out(outputs, &mut holder, &mut calls);
            }
            self.tell(&input, &mut nag);
            if is_buried(&input) && self.begin_anew().await {
                calls.abort_all();
                holder = Holder::new(self.ownership.pod().clone(), self.engine.incarnation(), terms, seed, None);
                input = Input::Tick;
            }
            let outputs = holder.handle(clock.now(), input);
            if outputs.contains(&Output::Gone) {
                break;
            }
            self.carry_out(outputs, &mut holder, &mut calls);
            self.note(holder.is_registered());
            let wait = holder.wake_at().map(|at| at.since(clock.now()));
            input = tokio::select! {
                () = self.leave.cancelled(), if !leaving => { leaving = true; Input::Leave }
                Some(answer) = calls.join_next() => answer.unwrap_or(Input::Tick),
                // A wall clock that jumps is noticed within a heartbeat also while a call is under way.
                () = tokio::time::sleep(wait.unwrap_or(self.ownership.terms().heartbeat)) => Input::Tick,
            };
        }
        self.ownership.drop_lease();
        tracing::info!("said goodbye to config-service");
    }

    /// Begins another life in the same folder: this one was failed over. Returns whether it has begun.
    async fn begin_anew(&self) -> bool {
        match self.engine.begin_anew().await {
            Ok(incarnation) => {
                tracing::warn!(%incarnation, "this pod was failed over, it begins anew; its rows are kept and not served until they are given back");
                true
            }
            Err(why) => {
                tracing::error!(error = %why, "cannot begin anew after a failover, trying again");
                false
            }
        }
    }

    fn carry_out(&self, outputs: Vec<Output>, holder: &mut Holder, calls: &mut JoinSet<Input>) {
        for output in outputs {
            match output {
                Output::Register => {
                    calls.spawn(register(
                        self.client.clone(),
                        self.card.clone(),
                        self.ownership.clone(),
                        self.engine.clone(),
                    ));
                }
                Output::Beat { lease_id, nonce, chain, leaving, give_up, .. } => {
                    let beat = self.heartbeat(lease_id, nonce, chain, leaving);
                    calls.spawn(send(self.client.clone(), self.ownership.pod().to_string(), beat, give_up));
                }
                Output::Hold { lease, not_before } => {
                    self.metrics.heartbeat("granted");
                    if self.ownership.lease().is_none_or(|(held, _)| held.id != lease.id) {
                        tracing::info!(lease = %lease.id, "holding a lease");
                    }
                    self.ownership.hold(lease, not_before);
                }
                Output::Keep(remembered) => {
                    let kept = Input::Kept(remembered.witnesses.version);
                    let outputs = holder.handle(self.ownership.clock().now(), kept);
                    self.carry_out(outputs, holder, calls);
                }
                Output::Drop(why) => {
                    calls.abort_all();
                    if self.ownership.lease().is_some() {
                        tracing::warn!(reason = why, "lease dropped, registering anew");
                    }
                    self.ownership.drop_lease();
                }
                Output::RanOut => tracing::warn!("the lease ran out without an answer, no target is served"),
                Output::Ignored(why) => {
                    self.metrics.heartbeat("ignored");
                    tracing::warn!(reason = why, "an answer of config-service was ignored");
                }
                Output::Extend { .. } | Output::Gone => {}
            }
        }
    }

    fn heartbeat(&self, lease_id: LeaseId, nonce: u64, chain: Chain, leaving: bool) -> Heartbeat {
        Heartbeat {
            incarnation: self.engine.incarnation(),
            lease_id,
            nonce,
            load: self.engine.load(),
            revision: self.ownership.revision(),
            leaving,
            not_ready: self.readiness.complaint(),
            witnesses: 0,
            degraded: false,
            chain,
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

async fn send(client: Client, pod: String, beat: Heartbeat, give_up: Duration) -> Input {
    let path = format!("/v1/pods/{pod}/heartbeat");
    match tokio::time::timeout(give_up, client.post(&path, &beat)).await {
        Ok(Ok(grant)) => Input::Granted(grant),
        Ok(Err(why)) => Input::NotGranted { nonce: beat.nonce, failure: failure(why) },
        Err(_) => {
            let failure = Failure::Unreachable("no answer in time".to_owned());
            Input::NotGranted { nonce: beat.nonce, failure }
        }
    }
}
