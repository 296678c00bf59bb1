//! The task that keeps scaling going while this process leads: one owner of the ledger, one round a second. A round does the
//! steps that follow from how things stand, each written down before it is done or harmless when it is done twice; a look of the
//! autoscaler comes with some of the rounds. Decides when to look, when to try again and when to give an order up.

mod shown;

use super::{
    Parts, Refusal, ScaleError, Scaler, Supervisor,
    facts::{Facts, LEDGER},
};
use crate::{
    control::{Control, ControlError, Errand, Marking},
    domain::{By, Edit, SettingRecord},
    planner::{
        autoscale::{self, Decision, Hold, Inputs, Mode, PodUse, Rates, Rules},
        scaling::{self, Ledger, Range, Set, Step},
    },
};
use shared::wire::admin::{AutoscalerStatus, ScaleOrder, ScaleOrdered, Stopping};
use shared::{PodId, Revision, Term};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, MissedTickBehavior},
};

/// How often it is looked what is to be done.
const ROUND: Duration = Duration::from_secs(1);
/// How long it waits before it asks again for what was not taken.
const RETRY: Duration = Duration::from_secs(5);
/// How often counts are written that nothing else has caused to be written.
const WRITE: Duration = Duration::from_secs(600);
/// The most pods.
const MOST: u32 = 10_000;
/// Who the autoscaler is, in the audit.
const AUTOSCALER: &str = "autoscaler";

/// When it looks, and when it gives up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rhythm {
    /// How often the autoscaler looks.
    pub(crate) interval: Duration,
    /// How long an order may take.
    pub(crate) deadline: Duration,
}

/// What the task is asked.
pub(super) enum Ask {
    /// So many pods are to run.
    Order { to: u32, by: By, dry_run: bool, reply: oneshot::Sender<Result<ScaleOrdered, ScaleError>> },
    /// A pod was told to stop.
    Stopping { pod: PodId, reply: oneshot::Sender<Result<Stopping, ControlError>> },
}

/// The task.
pub(super) struct Keeper {
    parts: Parts,
    supervisor: Supervisor,
    show: watch::Sender<Option<Arc<AutoscalerStatus>>>,
    reign: Option<Reign>,
}

/// What is known while this process leads.
struct Reign {
    term: Term,
    ledger: Ledger,
    rates: Rates,
    decision: Option<Decision>,
    /// What the planner was told of the pods that are to run on.
    told: Option<Range>,
    /// When the autoscaler looks next.
    look_at: Instant,
    /// When it is asked again for what was not taken.
    retry_at: Instant,
    written: Instant,
}

impl Keeper {
    pub(super) fn new(
        parts: Parts,
        supervisor: Supervisor,
        show: watch::Sender<Option<Arc<AutoscalerStatus>>>,
    ) -> Self {
        Self { parts, supervisor, show, reign: None }
    }

    pub(super) async fn run(mut self, mut asks: mpsc::Receiver<Ask>) {
        let mut round = tokio::time::interval(ROUND);
        round.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let ask = tokio::select! {
                _ = round.tick() => None,
                ask = asks.recv() => match ask {
                    Some(ask) => Some(ask),
                    None => return,
                },
            };
            let done = match ask {
                None => self.round().await,
                Some(Ask::Order { to, by, dry_run, reply }) => {
                    // Whoever asked may be gone; so it is with every reply here.
                    let _ = reply.send(self.order(to, by, dry_run).await);
                    self.round().await
                }
                Some(Ask::Stopping { pod, reply }) => {
                    let _ = reply.send(self.stopping(&pod).await);
                    Ok(())
                }
            };
            if let Err(why) = done {
                // What was not written is read anew.
                tracing::debug!(error = %why, "scaling waits");
                self.reign = None;
                if !self.parts.control.leads() {
                    self.parts.metrics.autoscaler(None, None);
                    self.show.send_replace(None);
                }
            }
        }
    }

    fn scaler(&self) -> &dyn Scaler {
        self.parts.scaler.as_deref().unwrap_or(&self.supervisor)
    }

    async fn facts(&mut self) -> Result<Facts, ControlError> {
        let facts = self.parts.control.read(Facts::of).await?;
        if self.reign.as_ref().is_none_or(|reign| reign.term != facts.term) {
            let now = Instant::now();
            let ledger = facts.ledger.as_deref().map(Ledger::read).unwrap_or_default();
            let (rates, term) = (Rates::default(), facts.term);
            let (decision, told) = (None, None);
            self.reign = Some(Reign { term, ledger, rates, decision, told, look_at: now, retry_at: now, written: now });
        }
        Ok(facts)
    }

    /// Does what is to be done now.
    async fn round(&mut self) -> Result<(), ControlError> {
        if !self.parts.control.leads() {
            return Err(ControlError::NotLeader { leader: None });
        }
        let facts = self.facts().await?;
        let set = self.scaler().seen();
        if facts.read_only.is_none()
            && let Ok(set) = &set
        {
            self.steps(set, &facts).await?;
        }
        self.give_up_late_orders().await?;
        let due = self.reign.as_ref().is_some_and(|reign| Instant::now() >= reign.look_at);
        if due {
            self.look(&set, &facts).await?;
        }
        self.publish(&set, &facts);
        Ok(())
    }

    /// Does the steps that follow from how things stand.
    async fn steps(&mut self, set: &Set, facts: &Facts) -> Result<(), ControlError> {
        let Some(reign) = &mut self.reign else { return Ok(()) };
        let order = reign.ledger.order.as_ref().map(|order| order.to);
        let range = set.range(order);
        if reign.told.as_ref() != Some(&range) {
            self.parts.control.range(range.clone()).await?;
            reign.told = Some(range);
        }
        for step in scaling::next(set, &facts.known(), order, &reign.ledger.emptied) {
            match step {
                Step::Drain(pod) => {
                    reign.ledger.emptied.insert(pod.clone());
                    note(&self.parts.control, reign).await?;
                    let by = by(&format!(
                        "{pod} is not to run any more: there are to be {} pods",
                        order.unwrap_or(set.replicas)
                    ));
                    self.parts.control.mark(pod, Marking::Drain, by).await?;
                }
                Step::Undrain(pod) => {
                    let by = by(&format!("{pod} is to run again"));
                    match self.parts.control.mark(pod.clone(), Marking::Undrain, by).await {
                        Ok(_) | Err(ControlError::UnknownPod(_)) => {}
                        Err(why) => return Err(why),
                    }
                    reign.ledger.emptied.remove(&pod);
                    note(&self.parts.control, reign).await?;
                }
                Step::Wait(why) => waits(reign, why),
                Step::Done => end(&self.parts, reign, None).await?,
                Step::Scale { from, to } => {
                    if Instant::now() < reign.retry_at {
                        continue;
                    }
                    // The term is checked by this write, right before what nobody checks.
                    waits(reign, format!("{} pods were asked for", to));
                    note(&self.parts.control, reign).await?;
                    let scaler = self.parts.scaler.as_deref().unwrap_or(&self.supervisor);
                    reign.retry_at = Instant::now() + RETRY;
                    match scaler.scale(from, to).await {
                        Ok(()) => tracing::info!(from, to, home = scaler.name(), "asked for another number of pods"),
                        Err(Refusal::Again(why)) => {
                            tracing::warn!(from, to, error = why, "another number of pods was not taken, asking again");
                            waits(reign, why);
                        }
                        Err(Refusal::Final(why)) => end(&self.parts, reign, Some(why)).await?,
                    }
                }
            }
        }
        Ok(())
    }

    async fn give_up_late_orders(&mut self) -> Result<(), ControlError> {
        let now_ms = self.parts.clock.wall_ms();
        let deadline_ms = u64::try_from(self.parts.rhythm.deadline.as_millis()).unwrap_or(u64::MAX);
        let Some(reign) = &mut self.reign else { return Ok(()) };
        let Some(order) = &reign.ledger.order else { return Ok(()) };
        if now_ms.saturating_sub(order.begun_ms) < deadline_ms {
            return Ok(());
        }
        let why = format!("not done in {} s: {}", deadline_ms / 1_000, order.waiting);
        end(&self.parts, reign, Some(why)).await
    }

    /// One look of the autoscaler.
    async fn look(&mut self, set: &Result<Set, String>, facts: &Facts) -> Result<(), ControlError> {
        let now_ms = self.parts.clock.wall_ms();
        let Some(reign) = &mut self.reign else { return Ok(()) };
        reign.look_at = Instant::now() + self.parts.rhythm.interval;
        reign.rates.look(facts.samples());
        let rules = rules(&self.parts.rules, facts);
        let inputs = inputs(set, facts, reign, now_ms);
        let decision = autoscale::decide(&inputs, &rules);
        let replicas = inputs.replicas.as_ref().ok().copied();
        if replicas.is_some() {
            reign.ledger.looked(inputs.pods.iter().all(|pod| pod.unready.is_none()));
        }
        let news = reign.ledger.decided(now_ms, replicas, &decision);
        if let Some((from, to)) = replicas.zip(decision.step()) {
            tracing::info!(from, to, why = decision.why, "the autoscaler orders another number of pods");
            let (actor, reason) = (AUTOSCALER.to_owned(), decision.why.clone());
            let waiting = String::new();
            let order = ScaleOrder { from, to, actor, reason: reason.clone(), begun_ms: now_ms, waiting };
            reign.ledger.order = Some(order);
            let answer = ScaleOrdered { from, to, leaving: Vec::new(), revision: Revision(0), dry_run: false };
            write(&self.parts.control, reign, by(&reason), &answer).await?;
        } else if news || reign.written.elapsed() >= WRITE {
            note(&self.parts.control, reign).await?;
        }
        reign.decision = Some(decision);
        Ok(())
    }

    /// Takes an order of somebody.
    async fn order(&mut self, to: u32, by: By, dry_run: bool) -> Result<ScaleOrdered, ScaleError> {
        if !(1..=MOST).contains(&to) {
            return Err(ScaleError::Bounds);
        }
        let facts = self.facts().await?;
        let set = self.scaler().look().await.map_err(ScaleError::NoHome)?;
        let now_ms = self.parts.clock.wall_ms();
        let reign = self.reign.as_mut().ok_or(ControlError::NotLeader { leader: None })?;
        let leaving = (set.start.saturating_add(to)..set.start.saturating_add(set.replicas)).rev();
        let leaving = leaving.filter_map(|ordinal| set.pod(ordinal)).collect();
        let from = set.replicas;
        let mut answer = ScaleOrdered { from, to, leaving, revision: Revision(0), dry_run };
        if dry_run {
            answer.revision = self.parts.control.read(|view| view.model.revision()).await?;
            return Ok(answer);
        }
        let (actor, reason) = (by.actor.clone(), by.reason.clone());
        let order = ScaleOrder { from, to, actor, reason, begun_ms: now_ms, waiting: String::new() };
        let before = reign.ledger.order.replace(order);
        reign.retry_at = Instant::now();
        match write(&self.parts.control, reign, by, &answer).await {
            Ok(revision) => answer.revision = revision,
            Err(why) => {
                reign.ledger.order = before;
                return Err(why.into());
            }
        }
        // Who looks after the answer sees the order, or what has become of it.
        self.publish(&Ok(set), &facts);
        Ok(answer)
    }

    /// Answers a pod that was told to stop. Whether its number is to run is looked at anew: the signal may be faster than what
    /// was seen last.
    async fn stopping(&mut self, pod: &PodId) -> Result<Stopping, ControlError> {
        let facts = self.facts().await?;
        let targets = facts.pods.get(pod).map_or(0, |status| status.targets);
        let stays = Stopping { leaving: false, may_stop: true, targets };
        let seen = self.scaler().seen();
        let is_known_to_leave = |set: &Set| set.ordinal(pod).is_some_and(|n| !set.is_within(n, set.replicas));
        let set = match seen {
            Ok(set) if is_known_to_leave(&set) => set,
            _ => match self.scaler().look().await {
                Ok(set) if is_known_to_leave(&set) => set,
                _ => return Ok(stays),
            },
        };
        if facts.read_only.is_none() {
            self.steps(&set, &facts).await?;
        }
        let facts = self.facts().await?;
        let empty = facts.known().get(pod).is_none_or(|known| known.draining && known.empty);
        let targets = facts.pods.get(pod).map_or(0, |status| status.targets);
        Ok(Stopping { leaving: true, may_stop: empty, targets })
    }

    fn publish(&self, set: &Result<Set, String>, facts: &Facts) {
        let Some(reign) = &self.reign else { return };
        let name = set.is_ok().then(|| self.scaler().name());
        let rules = rules(&self.parts.rules, facts);
        let status = shown::status(name, set, facts, reign, &rules);
        self.parts.metrics.autoscaler(status.replicas, status.desired);
        self.show.send_replace(Some(Arc::new(status)));
    }
}

/// The rules with the bounds that are in force.
fn rules(fixed: &Rules, facts: &Facts) -> Rules {
    let (min, max) = (facts.values.min, facts.values.max.max(facts.values.min));
    Rules { min, max, ..*fixed }
}

fn inputs(set: &Result<Set, String>, facts: &Facts, reign: &Reign, now_ms: u64) -> Inputs {
    let mut held = Vec::new();
    if let Some(order) = &reign.ledger.order {
        held.push(Hold::Scaling { to: order.to });
    }
    if let Some(how) = set.as_ref().ok().and_then(|set| set.rollout.clone()) {
        held.push(Hold::Rollout(how));
    }
    if facts.canary {
        held.push(Hold::Canary);
    }
    let within =
        |pod: &PodId| set.as_ref().is_ok_and(|set| set.ordinal(pod).is_some_and(|n| set.is_within(n, set.replicas)));
    let draining = facts.pods.iter().filter(|(pod, status)| status.drain.is_some() && within(pod));
    held.extend(draining.map(|(pod, _)| Hold::Drain(pod.clone())));
    if let Some(why) = &facts.read_only {
        held.push(Hold::ReadOnly(why.clone()));
    }
    let numbers =
        set.as_ref().map(|set| (set.start..set.start.saturating_add(set.replicas)).filter_map(|n| set.pod(n)));
    let used = |pod: PodId| PodUse { used: reign.rates.of(&pod), unready: facts.unready(&pod), pod };
    Inputs {
        mode: Mode::of(&facts.values.mode).unwrap_or_default(),
        replicas: set.as_ref().map(|set| set.replicas).map_err(Clone::clone),
        pods: numbers.map(|pods| pods.map(used).collect()).unwrap_or_default(),
        held,
        since_scaled_ms: reign.ledger.last_ms().map(|last| now_ms.saturating_sub(last)),
    }
}

fn waits(reign: &mut Reign, why: String) {
    if let Some(order) = &mut reign.ledger.order {
        order.waiting = why;
    }
}

/// Ends the order under way, and writes that down.
async fn end(parts: &Parts, reign: &mut Reign, failure: Option<String>) -> Result<(), ControlError> {
    if let Some(order) = &reign.ledger.order {
        let (from, to) = (order.from, order.to);
        match &failure {
            None => tracing::info!(from, to, "as many pods run as were ordered"),
            Some(why) => tracing::warn!(from, to, error = why, "an order for another number of pods has failed"),
        }
    }
    reign.ledger.ended(parts.clock.wall_ms(), failure);
    note(&parts.control, reign).await
}

fn by(reason: &str) -> By {
    By { actor: AUTOSCALER.to_owned(), reason: reason.to_owned(), request_id: String::new(), key: None }
}

fn edit(reign: &Reign, by: &By) -> Edit {
    let (actor, reason) = (by.actor.clone(), by.reason.clone());
    Edit::Set(SettingRecord { name: LEDGER.to_owned(), value: reign.ledger.text(), actor, reason, at_ms: 0 })
}

/// Writes the ledger with an entry in the audit.
async fn write(control: &Control, reign: &mut Reign, by: By, answer: &ScaleOrdered) -> Result<Revision, ControlError> {
    let errand = Errand::new("scale", format!("{} pods", answer.to), Some(edit(reign, &by)), by, answer);
    reign.written = Instant::now();
    control.errand(errand).await
}

/// Writes the ledger; nobody has said anything that belongs in the audit.
async fn note(control: &Control, reign: &mut Reign) -> Result<(), ControlError> {
    let by = by("scaling");
    let errand = Errand::note(edit(reign, &by), by);
    reign.written = Instant::now();
    control.errand(errand).await.map(drop)
}
