//! Plans as operators ask for them, and the leader's own for an even share: made by the planner on another thread, from what
//! the model held when they were asked for; written, applied, called off. Carrying them out is `moves`'.

mod ask;
mod canary;
mod draft;
mod emptying;
mod job;
mod rounds;
mod shape;
mod words;

pub(crate) use ask::PlanWish;
pub(super) use draft::Draft;
pub(crate) use rounds::ACTOR;
pub(super) use rounds::{Rounds, Stand};
pub(super) use shape::Shape;
pub(crate) use words::word;

use super::{Control, ControlError, Reply, moves::Moves};
use crate::{
    domain::{Batch, By, Change, Edit, Hold, Marks, Model, Write},
    store::PlanFilter,
};
use emptying::Emptying;
use job::{Came, Job, Made, Purpose};
use shared::wire::admin::{Pin, Plan, PlanHead, PlanKind, PlanState, PlanSubject, PlannedMove};
use shared::{Mono, PlanId, PodId, Revision, TargetId};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

/// Most plans that wait for the planner.
const WAITING: usize = 32;

/// The plans of one term.
#[derive(Debug, Default)]
pub(super) struct Plans {
    /// Those that wait for the planner.
    waiting: VecDeque<PlanWish>,
    job: Option<Job>,
    /// What is to be written.
    due: Vec<Due>,
    riding: Vec<Riding>,
    /// What this leader has made of plans: whoever read one before may know an older state.
    states: BTreeMap<PlanId, PlanState>,
    /// When the leader looks by itself.
    pub(super) rounds: Rounds,
    /// Drains without a plan.
    emptying: Emptying,
}

/// A change of a plan that is to be written.
#[derive(Debug)]
struct Due {
    head: PlanHead,
    /// Its moves, when they are written or begin.
    moves: Option<Arc<[PlannedMove]>>,
    expected: Option<PlanState>,
    by: By,
    action: &'static str,
    /// What is kept beside the settings with it.
    edit: Option<Edit>,
    /// What goes with it.
    beside: Vec<Write>,
    reply: Answer,
}

/// A change that is being written.
#[derive(Debug)]
struct Riding {
    /// Its place in the transaction.
    at: usize,
    moves: Option<Arc<[PlannedMove]>>,
    reply: Answer,
}

/// Who waits for it.
#[derive(Debug)]
enum Answer {
    /// For the whole plan.
    Plan(Reply<Plan>),
    /// For what is known of it.
    Head(Reply<PlanHead>),
    /// Nobody: the leader made it by itself.
    Nobody,
}

impl Answer {
    fn refuse(self, why: ControlError) {
        // Whoever asked may be gone; so it is with every reply here.
        match self {
            Self::Plan(reply) => drop(reply.send(Err(why))),
            Self::Head(reply) => drop(reply.send(Err(why))),
            Self::Nobody => {}
        }
    }
}

impl Plans {
    /// Takes a wish.
    pub(super) fn wish(&mut self, wish: PlanWish) {
        if self.waiting.len() >= WAITING {
            wish.refuse(ControlError::TooManyPlans);
        } else {
            self.waiting.push_back(wish);
        }
    }

    /// Returns when the planner has made something.
    pub(super) async fn made(&mut self) -> Option<Came> {
        match &mut self.job {
            Some(job) => job.made().await,
            None => std::future::pending().await,
        }
    }

    /// Takes in what the planner has made.
    pub(super) fn take(&mut self, came: Option<Came>, model: &Model, now_ms: u64) {
        let Some(Job { purpose, .. }) = self.job.take() else { return };
        let Some(came) = came else {
            tracing::error!("the planner has failed; its plan is dropped");
            if let Purpose::Empty { pods, .. } = &purpose {
                self.emptying.in_vain(pods);
            }
            return purpose.refuse(ControlError::Store);
        };
        match (purpose, came) {
            (Purpose::Make { make, by, dry_run, reply, drains }, Came::Made(made)) => {
                let subject = PlanSubject::of(&make);
                let Made { mut head, moves } = job::wire(*made, make.kind, &by);
                (head.subject, head.drains) = (subject, drains);
                if dry_run {
                    let _ = reply.send(Ok(Plan { head, moves }));
                } else {
                    self.due.push(Due::new(head, moves, by, "make-plan", Answer::Plan(reply)));
                }
            }
            (Purpose::Apply { plan, reply, .. }, Came::Stale(text)) => {
                let _ = reply.send(Err(ControlError::StalePlan { id: plan.head.id, text }));
            }
            (Purpose::Apply { plan, by, dry_run, reply }, Came::Fits) => {
                self.fits(Arc::unwrap_or_clone(plan), by, dry_run, reply, model);
            }
            (Purpose::Round { by }, Came::Made(made)) => {
                let Made { mut head, moves } = job::wire(*made, PlanKind::Rebalance, &by);
                head.state = PlanState::Applying;
                self.rounds.came_to(&head, model, now_ms);
                if !moves.is_empty() {
                    self.due.push(Due::new(head, moves, by, "apply-plan", Answer::Nobody));
                }
            }
            (Purpose::Empty { by, pods }, Came::Made(mut made)) => {
                // What else is to move has plans of its own.
                made.moves.retain(|step| step.from.as_ref().is_some_and(|from| pods.contains(from)));
                made.cost.targets = made.moves.len() as u64;
                let Made { mut head, moves } = job::wire(*made, PlanKind::Drain, &by);
                if moves.is_empty() {
                    return self.emptying.in_vain(&pods);
                }
                let pod = pods.first().filter(|_| pods.len() == 1).cloned();
                (head.state, head.subject) = (PlanState::Applying, PlanSubject { pod, ..PlanSubject::default() });
                head.drains = pods;
                self.due.push(Due::new(head, moves, by, "apply-plan", Answer::Nobody));
            }
            (purpose, _) => purpose.refuse(ControlError::Store),
        }
    }

    /// Returns the pods whose drains wait until it is planned where their targets go.
    pub(super) fn awaited(&self) -> &BTreeSet<PodId> {
        self.emptying.waiting()
    }

    /// Does what is wished, as far as the planner is free for it.
    pub(super) fn go_on(&mut self, shape: &Shape<'_>, moves: &Moves) {
        self.emptying.look(shape, moves);
        if self.job.is_none() && self.due.is_empty() {
            let pods = self.emptying.due(shape.now);
            if !pods.is_empty() {
                let subject = PlanSubject::default();
                let policy = shape.policy(PlanKind::Drain, &subject);
                let (draft, by) = (shape.with(PlanKind::Drain, &subject, &pods), emptying::by(&pods));
                self.job = Some(Job::start(Purpose::Empty { by, pods }, draft, policy, shape.now_ms));
            }
        }
        // What is due is written first: whether a plan may be applied is told by what is written.
        while self.job.is_none() && self.due.is_empty() {
            let Some(wish) = self.waiting.pop_front() else { break };
            self.begin(wish, shape, moves);
        }
    }

    /// Looks by itself for an even share.
    pub(super) fn round(&mut self, shape: &Shape<'_>, moves: &Moves, stand: &Stand) {
        let free = self.job.is_none() && self.waiting.is_empty() && self.due.is_empty() && self.riding.is_empty();
        if let Some(by) = self.rounds.due(shape, moves, stand, free) {
            let policy = shape.policy(PlanKind::Rebalance, &PlanSubject::default());
            self.job = Some(Job::start(Purpose::Round { by }, shape.draft(), policy, shape.now_ms));
        }
    }

    fn begin(&mut self, wish: PlanWish, shape: &Shape<'_>, moves: &Moves) {
        match wish {
            PlanWish::Make { make, by, dry_run, reply } => match shape.asked(&make) {
                Ok((draft, drains)) => {
                    let policy = shape.policy(make.kind, &PlanSubject::of(&make));
                    let purpose = Purpose::Make { make, by, dry_run, reply, drains };
                    self.job = Some(Job::start(purpose, draft, policy, shape.now_ms));
                }
                Err(why) => drop(reply.send(Err(why))),
            },
            PlanWish::Apply { plan, revision, by, dry_run, reply } => {
                if let Err(why) = self.may_apply(&plan.head, revision, moves) {
                    drop(reply.send(Err(why)));
                    return;
                }
                self.apply(*plan, by, dry_run, reply, shape);
            }
            PlanWish::End { id, head, by, reply } => {
                let known = self.states.get(&id).copied();
                match ask::ended(id, head.map(|head| *head), known, moves) {
                    Ok((head, expected, action)) => {
                        let beside = ask::undrained(&head, shape.model);
                        let reply = Answer::Head(reply);
                        let (moves, expected, edit) = (None, Some(expected), None);
                        self.due.push(Due { head, moves, expected, by, action, edit, beside, reply });
                    }
                    Err(why) => drop(reply.send(Err(why))),
                }
            }
        }
    }

    fn may_apply(&self, head: &PlanHead, revision: Revision, moves: &Moves) -> Result<(), ControlError> {
        let state = self.states.get(&head.id).copied().unwrap_or(head.state);
        if state != PlanState::Proposed {
            return Err(ControlError::PlanDecided { id: head.id, state });
        }
        if head.revision != revision {
            return Err(ControlError::PlanRevision { id: head.id, seen: revision, known: head.revision });
        }
        let in_the_way = moves.plans().find(|running| running.drains.is_empty() && head.drains.is_empty());
        in_the_way.map_or(Ok(()), |running| Err(ControlError::PlanRunning(running.id)))
    }

    fn apply(&mut self, plan: Plan, by: By, dry_run: bool, reply: Reply<PlanHead>, shape: &Shape<'_>) {
        let (model, kind) = (shape.model, plan.head.kind);
        if let Some(absent) = plan.moves.iter().map(|step| &step.to).find(|to| model.pod(to).is_none()) {
            drop(reply.send(Err(ControlError::UnknownPod(absent.clone()))));
            return;
        }
        let draft = match shape.again(&plan.head) {
            Ok(draft) => draft,
            Err(why) => return drop(reply.send(Err(why))),
        };
        let policy = shape.policy(kind, &plan.head.subject);
        let purpose = Purpose::Apply { plan: Arc::new(plan), by, dry_run, reply };
        self.job = Some(Job::start(purpose, draft, policy, shape.now_ms));
    }

    /// A plan that is to be applied is as it would be made now.
    fn fits(&mut self, plan: Plan, by: By, dry_run: bool, reply: Reply<PlanHead>, model: &Model) {
        let Plan { head, moves } = plan;
        // The canary may have ended while it was looked at.
        if head.kind == PlanKind::Canary
            && let Err(why) = canary::check(&head.subject, model)
        {
            return drop(reply.send(Err(why)));
        }
        let head = PlanHead { state: PlanState::Applying, ..head };
        if dry_run {
            drop(reply.send(Ok(head)));
            return;
        }
        let mut beside: Vec<_> = head.drains.iter().filter_map(|pod| drained(model, pod)).collect();
        if let Some((target, pod)) = head.subject.target.as_ref().zip(head.subject.pod.as_ref()) {
            let pin = Pin {
                pod: pod.clone(),
                until_ms: head.subject.until_ms,
                actor: by.actor.clone(),
                reason: by.reason.clone(),
            };
            let hold = model.hold(target).cloned().unwrap_or_default();
            beside.push(Write::Hold { target: target.clone(), hold: Hold { pin: Some(pin), ..hold } });
        }
        let mut edit = None;
        if head.kind == PlanKind::Canary {
            let (kept, named) = canary::kept(&head, model, &by);
            (edit, beside) = (Some(kept), named);
        }
        let (moves, reply) = (Some(moves.into()), Answer::Head(reply));
        let expected = Some(PlanState::Proposed);
        self.due.push(Due { head, moves, expected, by, action: "apply-plan", edit, beside, reply });
    }

    /// A transaction is put together: adds what is due.
    pub(super) fn board(&mut self, batch: &mut Batch) {
        for due in std::mem::take(&mut self.due) {
            let Due { head, moves, expected, by, action, edit, beside, reply } = due;
            if batch.writes.len() + beside.len() >= Batch::MAX_WRITES {
                self.due.push(Due { head, moves, expected, by, action, edit, beside, reply });
                continue;
            }
            let subject = match expected {
                Some(_) => format!("plan/{}", head.id),
                None => format!("plan/{}", head.kind.as_str()),
            };
            batch.audits.push(by.audit(action, subject));
            batch.kept.extend(by.keep(&head));
            let written = moves.clone().filter(|_| expected.is_none());
            self.riding.push(Riding { at: batch.writes.len(), moves, reply });
            batch.writes.push(Write::Plan { head: Box::new(head), moves: written, expected });
            batch.writes.extend(beside);
            batch.edits.extend(edit);
        }
    }

    /// The transaction is committed: answers. Returns plans that are to be carried out from now on.
    pub(super) fn committed(&mut self, changes: &[Change], now: Mono) -> Vec<(PlanHead, Arc<[PlannedMove]>)> {
        let mut begun = Vec::new();
        for change in changes {
            if let Change::Plan { head } = change {
                self.states.insert(head.id, head.state);
                // One may begin and end between two looks of the leader.
                if head.applied_ms.is_some() {
                    self.rounds.moved(now);
                }
            }
        }
        // As many as anybody could still have read in an older state.
        while self.states.len() > 10_000 {
            self.states.pop_first();
        }
        for Riding { at, moves, reply } in std::mem::take(&mut self.riding) {
            let Some(Change::Plan { head }) = changes.get(at) else {
                reply.refuse(ControlError::Store);
                continue;
            };
            match reply {
                Answer::Plan(reply) => {
                    let moves = moves.as_deref().unwrap_or_default().to_vec();
                    let _ = reply.send(Ok(Plan { head: PlanHead::clone(head), moves }));
                }
                Answer::Head(reply) => drop(reply.send(Ok(PlanHead::clone(head)))),
                Answer::Nobody if head.drains.is_empty() => self.rounds.began(head),
                Answer::Nobody => {
                    let (id, targets) = (head.id, head.cost.targets);
                    tracing::info!(plan = %id, targets, reason = head.reason, "where drained targets go is planned");
                }
            }
            if head.state == PlanState::Applying {
                begun.extend(moves.map(|moves| (PlanHead::clone(head), moves)));
            }
        }
        begun
    }

    /// The transaction is not committed, as far as is known: answers that.
    pub(super) fn failed(&mut self) {
        std::mem::take(&mut self.riding).into_iter().for_each(|riding| riding.reply.refuse(ControlError::Store));
    }

    /// Answers all that waits with an error.
    pub(super) fn turn_away(&mut self, why: &ControlError) {
        self.waiting.drain(..).for_each(|wish| wish.refuse(why.clone()));
        self.due.drain(..).for_each(|due| due.reply.refuse(why.clone()));
    }
}

impl Due {
    fn new(head: PlanHead, moves: Vec<PlannedMove>, by: By, action: &'static str, reply: Answer) -> Self {
        Self { head, moves: Some(moves.into()), expected: None, by, action, edit: None, beside: Vec::new(), reply }
    }
}

/// The write that has a pod drained, unless it is.
fn drained(model: &Model, pod: &shared::PodId) -> Option<Write> {
    let marks = model.pod(pod)?.marks;
    (!marks.draining).then(|| Write::Mark { pod: pod.clone(), marks: Marks { draining: true, ..marks } })
}

/// The write that ends a target's pin; none when it has none.
pub(super) fn unpinned(model: &Model, target: &TargetId) -> Option<Write> {
    let hold = model.hold(target).filter(|hold| hold.pin.is_some())?;
    Some(Write::Hold { target: target.clone(), hold: Hold { pin: None, ..hold.clone() } })
}

impl Control {
    /// Makes a plan.
    pub(crate) async fn make_plan(
        &self,
        make: shared::wire::admin::MakePlan,
        by: By,
        dry_run: bool,
    ) -> Result<Plan, ControlError> {
        self.ask(|reply| super::Command::Plan(PlanWish::Make { make, by, dry_run, reply })).await
    }

    /// Applies a plan, as somebody has seen it at `revision`.
    pub(crate) async fn apply_plan(
        &self,
        id: PlanId,
        revision: Revision,
        by: By,
        dry_run: bool,
    ) -> Result<PlanHead, ControlError> {
        let plan = Box::new(self.plan(id).await?);
        self.ask(|reply| super::Command::Plan(PlanWish::Apply { plan, revision, by, dry_run, reply })).await
    }

    /// Ends a plan: one that runs is called off, one that was never applied is discarded.
    pub(crate) async fn end_plan(&self, id: PlanId, by: By) -> Result<PlanHead, ControlError> {
        let head = Some(Box::new(self.plan(id).await?.head));
        self.ask(|reply| super::Command::Plan(PlanWish::End { id, head, by, reply })).await
    }

    /// Reads a plan; one that runs with how far it is.
    pub(crate) async fn plan(&self, id: PlanId) -> Result<Plan, ControlError> {
        let mut plan = self.store.plan(id).await.map_err(super::unread)?.ok_or(ControlError::UnknownPlan(id))?;
        if plan.head.state.runs()
            && let Ok(running) = self.read(|view| view.plans()).await
        {
            running.into_iter().filter(|head| head.id == id).for_each(|head| plan.head = head);
        }
        Ok(plan)
    }

    /// Reads plans without their moves, newest first.
    pub(crate) async fn plans(&self, wanted: PlanFilter, limit: usize) -> Result<Vec<PlanHead>, ControlError> {
        let mut plans = self.store.plans(wanted, limit).await.map_err(super::unread)?;
        if plans.iter().any(|head| head.state.runs())
            && let Ok(running) = self.read(|view| view.plans()).await
        {
            for newer in running {
                plans.iter_mut().filter(|head| head.id == newer.id).for_each(|head| *head = newer.clone());
            }
        }
        Ok(plans)
    }
}

/// Returns when the next look is due, for whoever shows it.
pub(super) fn in_ms(at: Option<Mono>, now: Mono) -> Option<u64> {
    at.map(|at| u64::try_from(at.since(now).as_millis()).unwrap_or(u64::MAX))
}
