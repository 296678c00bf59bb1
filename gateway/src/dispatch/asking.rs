//! Asynchronous handlers, as the writer sees them: at its turn an event is asked about and stays first in its queue; what
//! its handler says comes back as a command, waits there like the event itself, and is applied in the event's savepoint. No
//! transaction is open meanwhile. Decides which answer still counts; the asking itself is [`task`]'s.
//!
//! ```text
//! its turn ─→ asked ──── group committed ──→ question out ──→ answer ─→ its turn: applied, or failed and asked again
//!   (guard, inbox)                              │ defer timer: accepted, still out
//!                                               └ gone, released, other epoch: given up, an answer is refused
//! ```

mod task;

pub(crate) use task::{AskSettings, Order, Returned, Task};

use super::{
    apply::{Tried, timer_of},
    group::{Abort, Group},
    mailbox::{SlotNo, Stage, Waiting},
    writer::Writer,
};
use crate::{
    handlers::{HandlerError, Reply, Said, Target},
    ownership::Guard,
};
use shared::{Epoch, event::EventKind, telemetry::trace::SpanKind};
use task::Ask;
use tokio::sync::mpsc::UnboundedSender;

/// Where the question about an event stands.
#[derive(Debug)]
pub(crate) enum Asked {
    /// Its handler has to be asked; or it is a synchronous one.
    No,
    /// The handler is at work, or is about to be.
    Out(Question),
    /// The handler has answered. Kept until the event is done, so that a group that is done again asks nobody again.
    Said(Box<Answered>),
}

/// What a handler answered.
#[derive(Debug)]
pub(crate) struct Answered {
    /// The epoch it was asked under.
    epoch: Epoch,
    said: Result<Said, HandlerError>,
}

/// A question that is out. When it is dropped, nobody wants the answer any more.
#[derive(Debug)]
pub(crate) struct Question {
    no: u64,
    orders: UnboundedSender<Order>,
}

impl Drop for Question {
    fn drop(&mut self) {
        // Without the task nothing is out.
        let _ = self.orders.send(Order::GiveUp(self.no));
    }
}

impl Asked {
    /// Does what the handler said.
    pub(super) fn apply(&self, target: &mut Target<'_>) -> Result<Reply, HandlerError> {
        match self {
            Self::Said(answered) => match &answered.said {
                Ok(said) => said.apply(target),
                Err(why) => Err(why.clone()),
            },
            Self::No | Self::Out(_) => Err(HandlerError::Retry("the handler was not asked".to_owned())),
        }
    }

    fn is_answered_under(&self, epoch: Epoch) -> bool {
        matches!(self, Self::Said(answered) if answered.epoch == epoch)
    }

    fn is_out(&self, no: u64) -> bool {
        matches!(self, Self::Out(question) if question.no == no)
    }
}

/// The writer's way to the task that asks.
#[derive(Debug)]
pub(crate) struct Asking {
    orders: UnboundedSender<Order>,
    last: u64,
}

impl Asking {
    /// Makes the way to a task.
    pub(crate) const fn new(orders: UnboundedSender<Order>) -> Self {
        Self { orders, last: 0 }
    }

    fn question(&mut self) -> Question {
        self.last += 1;
        Question { no: self.last, orders: self.orders.clone() }
    }
}

impl Writer {
    /// Sees to it that the handler is asked before its answer is applied. `None` when the answer is there, or when there is
    /// nothing to ask any more.
    pub(super) fn ask_first(
        &mut self,
        group: &mut Group,
        no: SlotNo,
        waiting: &mut Waiting,
        guard: &Guard,
    ) -> Result<Option<Tried>, Abort> {
        if waiting.asked.is_answered_under(guard.epoch()) || waiting.attempts >= self.settings.attempts {
            return Ok(None);
        }
        let local = self.boxes.slot(no).local;
        if waiting.stage == Stage::Fresh {
            // What was committed before is answered from the inbox, by the way of all events.
            if waiting.event.kind != EventKind::Timer && self.store.has_seen(local, waiting.key)? {
                return Ok(None);
            }
            if let Some(timer) = timer_of(waiting)
                && !self.store.timer_stands(local, &timer.id, timer.due_ms)?
            {
                return Ok(Some(Tried::Gone));
            }
        }
        let Some(asking) = &mut self.asking else { return Ok(None) };
        waiting.asked = Asked::Out(asking.question());
        group.asks.push((no, waiting.ticket, guard.epoch()));
        Ok(Some(Tried::Asked))
    }

    /// Asks, now that everything the handler may read is committed.
    pub(super) fn ask(&mut self, asks: Vec<(SlotNo, u64, Epoch)>) {
        for (no, ticket, epoch) in asks {
            let (tracer, acquired) = (self.tracer.clone(), !self.boxes.slot(no).introduced);
            let Some(waiting) = self.find(no, ticket) else { continue };
            let Asked::Out(question) = &waiting.asked else { continue };
            let span = waiting.trace.attempt(&tracer, SpanKind::Client, &waiting.event, waiting.attempts);
            let ask = Ask {
                no: question.no,
                slot: no,
                event: waiting.event.clone(),
                timer: timer_of(waiting).filter(|_| waiting.event.kind == EventKind::Timer),
                epoch,
                acquired,
                attempt: waiting.attempts + 1,
                trace: waiting.trace.caller().cloned(),
                span,
            };
            // Without the task the pod is stopping; the event is refused with the others.
            let _ = question.orders.send(Order::Ask(Box::new(ask)));
        }
    }

    /// Asks nobody: the group that should have come first has come to nothing.
    pub(super) fn do_not_ask(&mut self, asks: &[(SlotNo, u64, Epoch)]) {
        for (no, ticket, _) in asks {
            if let Some(waiting) = self.find(*no, *ticket) {
                waiting.asked = Asked::No;
            }
            self.boxes.turn_over(*no);
        }
    }

    /// Takes an answer in. One that nobody waits for any more is refused.
    pub(super) fn returned(&mut self, returned: Returned) {
        let Returned { no, slot, epoch, said, took } = returned;
        self.meters.handler(took);
        let first = self.boxes.slot_mut(slot).queue.front_mut().filter(|first| first.asked.is_out(no));
        let Some(first) = first else {
            tracing::debug!(target = %self.boxes.slot(slot).target, "an answer came for which nobody waits");
            return;
        };
        let answered = said.is_ok();
        first.asked = Asked::Said(Box::new(Answered { epoch, said }));
        self.boxes.slot_mut(slot).introduced |= answered;
        self.boxes.turn_over(slot);
    }

    fn find(&mut self, no: SlotNo, ticket: u64) -> Option<&mut Waiting> {
        let queue = &mut self.boxes.slot_mut(no).queue;
        let i = queue.binary_search_by_key(&ticket, |waiting| waiting.ticket).ok()?;
        queue.get_mut(i)
    }
}
