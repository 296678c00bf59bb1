//! One event to its owner and the owner's answer back: the way of webhooks through the HTTP tier, and of what a pod hears
//! on a connection of its own. The deciding part is `journey`; this file carries out its steps against the table
//! ([`routes`]), the placer and the links ([`forward`]), and keeps what waits within bounds. Knows no platform's signatures.

pub mod forward;
mod journey;
mod meters;
mod parking;
pub mod routes;
pub mod testing;

pub use meters::{RouteMeters, Snapshot};
pub use parking::{Parking, Slot};

use crate::event::{Answer, Event};
use crate::platform;
use crate::router::forward::{Lost, NoShare, Upstream};
use crate::router::routes::{Located, Placer, Routes, Whereabouts};
use crate::telemetry::trace::{Span, SpanKind, TraceContext, Tracer};
use crate::wire::control::Beside;
use crate::wire::link::{Outcome, Request, request_len};
use journey::{Input, Journey, Step};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// What the sender is told, and the word it is counted by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routed {
    /// The answer.
    pub answer: Answer,
    /// `committed`, `duplicate`, or why not.
    pub verdict: &'static str,
}

/// Routes events.
#[derive(Debug)]
pub struct Router<U> {
    /// Who owns what.
    pub routes: Routes,
    /// Who gives a home to what has none.
    pub placer: Placer,
    /// The ways to the pods.
    pub upstream: U,
    /// Who may wait.
    pub parking: Parking,
    /// What is counted.
    pub meters: RouteMeters,
    /// How long a Telegram update is parked.
    pub park_telegram: Duration,
    /// What makes the spans of forwarding.
    pub tracer: Tracer,
}

/// One event on its way.
struct Trip<'r, U> {
    router: &'r Router<U>,
    event: Event,
    beside: Option<Beside>,
    deadline: Instant,
    slot: Option<Slot>,
}

impl<U: Upstream> Router<U> {
    /// Takes an event that arrived at `arrived` to its owner. Returns when the owner has committed it, or when it is time
    /// to tell the sender that nobody has.
    pub async fn route(&self, event: Event, arrived: Instant) -> Routed {
        self.route_beside(event, arrived, None).await
    }

    /// The same, for an event whose target would best be where `beside` says, should it have no home yet.
    pub async fn route_beside(&self, event: Event, arrived: Instant, beside: Option<Beside>) -> Routed {
        let kind = event.kind;
        let budget = platform::park(kind, self.park_telegram);
        let mut trip = Trip { router: self, event, beside, deadline: arrived + budget, slot: None };
        let mut journey = Journey::new(budget);
        let first = trip.locate();
        self.meters.lookup(match first {
            Whereabouts::At(_) => "hit",
            Whereabouts::Unknown => "unknown",
            Whereabouts::NotLoaded => "not_loaded",
        });
        let mut input = Input::Located(first);
        loop {
            let step = journey.next(input, arrived.elapsed());
            input = match step {
                Step::Forward(to) => trip.forward(to).await,
                Step::Place => trip.place().await,
                Step::Wait { most, link } => trip.wait(most, link.as_ref()).await,
                Step::Answer { answer, duplicate } => {
                    return Routed { answer, verdict: if duplicate { "duplicate" } else { "committed" } };
                }
                Step::GiveUp { verdict, unsure: true } => {
                    return Routed { answer: platform::unsure(kind, &trip.event.body), verdict };
                }
                Step::GiveUp { verdict, unsure: false } => {
                    return Routed { answer: platform::refusal(kind, &trip.event.body), verdict };
                }
            };
        }
    }
}

/// The word by which a span knows what became of a request.
const fn word(input: &Input) -> &'static str {
    match input {
        Input::Outcome(outcome) => outcome.word(),
        Input::Hinted(_) => "not-owner",
        Input::TooLarge => "too-large",
        Input::Expired { .. } => "expired",
        Input::NoRoom => "no-room",
        _ => "link-lost",
    }
}

impl<U: Upstream> Trip<'_, U> {
    fn locate(&self) -> Whereabouts {
        self.router.routes.locate(&self.event.target, self.event.parent.as_ref())
    }

    /// Takes a place among those who wait, unless it has one.
    fn park(&mut self) -> bool {
        if self.slot.is_none() {
            self.slot = self.router.parking.take(self.event.body.len());
        }
        self.slot.is_some()
    }

    async fn forward(&mut self, to: Located) -> Input {
        let mut span = self.router.tracer.start("forward", SpanKind::Client, TraceContext::current().as_ref());
        span.describe(|live| {
            live.set("berth.pod", to.pod.to_string()).set("berth.target", self.event.target.to_string());
        });
        let input = self.forward_in(&span, to).await;
        span.describe(|live| {
            let word = word(&input);
            live.set("berth.outcome", word);
            if !matches!(input, Input::Outcome(Outcome::Committed { .. })) {
                live.set("error.type", word).fail(word);
            }
        });
        input
    }

    async fn forward_in(&mut self, span: &Span, to: Located) -> Input {
        let Located { pod, epoch, revision } = to;
        let (event, trace) = (self.event.clone(), span.context().cloned());
        let request = Request { event, epoch, revision, deadline_ms: u32::MAX, trace };
        let (upstream, size) = (&self.router.upstream, request_len(&request));
        let share = match upstream.try_reserve(&pod, size) {
            Err(NoShare::Full) if !self.park() => return Input::NoRoom,
            Err(NoShare::Full) => match timeout_at(self.deadline, upstream.reserve(&pod, size)).await {
                Ok(share) => share,
                Err(_) => return Input::Expired { sent: false },
            },
            share => share,
        };
        let share = match share {
            Ok(share) => share,
            Err(NoShare::TooLarge) => return Input::TooLarge,
            Err(NoShare::Down | NoShare::Full) => return Input::Lost { sent: false, pod },
        };
        self.slot = None;
        let sent_at = Instant::now();
        let left = self.deadline.saturating_duration_since(sent_at);
        let request = Request { deadline_ms: u32::try_from(left.as_millis()).unwrap_or(u32::MAX), ..request };
        match timeout_at(self.deadline, upstream.call(share, request)).await {
            Ok(Ok(outcome)) => {
                self.router.meters.forward.observe(sent_at.elapsed().as_secs_f64());
                if let Outcome::NotOwner { owner, epoch: newer } = &outcome {
                    self.router.meters.lookup("stale");
                    let routes = &self.router.routes;
                    let hint = owner.as_ref().and_then(|owner| routes.hinted(&self.event.target, epoch, owner, *newer));
                    return hint.map_or(Input::Outcome(outcome), Input::Hinted);
                }
                Input::Outcome(outcome)
            }
            Ok(Err(Lost { sent })) => Input::Lost { sent, pod },
            Err(_) => Input::Expired { sent: true },
        }
    }

    async fn place(&mut self) -> Input {
        if !self.park() {
            return Input::NoRoom;
        }
        let asked = self.router.placer.place(&self.event.target, self.event.parent.as_ref(), self.beside.clone());
        match timeout_at(self.deadline, asked).await {
            Ok(Ok(())) => Input::Placed(self.locate()),
            Ok(Err(why)) => Input::Unplaced(why),
            Err(_) => Input::Expired { sent: false },
        }
    }

    /// Waits until the table says something else about the target, the link that was down is up, or `most` has passed.
    async fn wait(&mut self, most: Duration, link: Option<&crate::PodId>) -> Input {
        if !self.park() {
            return Input::NoRoom;
        }
        let mut changes = self.router.routes.changes();
        let routes = &self.router.routes;
        let before = routes.locate(&self.event.target, self.event.parent.as_ref());
        let moved = async {
            while changes.changed().await.is_ok() {
                if routes.locate(&self.event.target, self.event.parent.as_ref()) != before {
                    break;
                }
            }
        };
        let up = async {
            match link {
                Some(pod) => self.router.upstream.ready(pod).await,
                None => std::future::pending().await,
            }
        };
        let until = self.deadline.min(Instant::now() + most);
        tokio::select! {
            () = moved => {}
            () = up => {}
            () = tokio::time::sleep_until(until) => {}
        }
        Input::Located(self.locate())
    }
}

#[cfg(test)]
mod tests;
