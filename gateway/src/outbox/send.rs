//! Makes one call: claims its row, sends it while the lease lasts, and writes down what became of it.

use super::{
    bot::Bot,
    discord::{Heard, Ticket, nonce},
    lanes::Queued,
    policy::{Allowed, Refused},
    resolve::Checked,
    span,
    verdict::{Attempt, verdict},
};
use crate::{
    dispatch::{Command, Commands},
    engine::EngineError,
    meters::Meters,
    ownership::{Act, Denied, Guard, Ownership, What},
    store::{Claimed, Settled},
};
use reqwest::{Client, Method, header};
use shared::{
    Mono, TargetId,
    lease::Use,
    telemetry::trace::{SpanKind, TraceContext, Tracer},
};
use std::{error::Error, sync::Arc, time::Duration};
use tokio::sync::oneshot;

/// A call starts only with this much of the lease left.
const START_FLOOR: Duration = Duration::from_secs(1);
/// How long to wait when the lease, or the disk, does not allow to go on.
const PAUSE: Duration = Duration::from_millis(200);
/// Most bytes of an answer that are read, so that its connection can be used again.
const DRAIN: usize = 64 << 10;
/// How long an idle connection is kept. Short: the other side closes idle ones too, and a call that crosses with that is
/// of unknown outcome.
const IDLE: Duration = Duration::from_secs(5);

/// What becomes of a call in its lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// It has come to its end.
    Over,
    /// It is to be made again.
    Again(Mono),
    /// It has not been touched: the lease, or the disk, did not allow it.
    Waits(Mono),
}

/// Makes calls.
#[derive(Debug)]
pub(super) struct Sender {
    client: Client,
    allowed: Arc<Allowed>,
    ownership: Ownership,
    commands: Commands,
    give_up: Duration,
    meters: Meters,
    tracer: Tracer,
    /// Whether calls tell the outside which trace they belong to.
    tell_trace: bool,
    bot: Option<Arc<Bot>>,
}

impl Sender {
    pub(super) fn new(
        allowed: Arc<Allowed>,
        ownership: Ownership,
        commands: Commands,
        options: &crate::Options,
        meters: Meters,
        tracer: Tracer,
        bot: Option<Arc<Bot>>,
    ) -> Result<Self, EngineError> {
        // Whoever was first has installed the same provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(options.outbox_timeout)
            .connect_timeout(options.outbox_timeout.min(Duration::from_secs(5)))
            .pool_idle_timeout(IDLE)
            .dns_resolver(Checked(Arc::clone(&allowed)))
            .user_agent(concat!("berth/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|why| EngineError::Client(why.into()))?;
        Ok(Self {
            bot,
            client,
            allowed,
            ownership,
            commands,
            give_up: options.outbox_give_up,
            meters,
            tracer,
            tell_trace: options.outbox_trace,
        })
    }

    /// Makes a call, or finds out that it cannot be made now.
    pub(super) async fn deliver(&self, target: TargetId, queued: Queued, mut ticket: Option<Ticket>) -> Next {
        let clock = Arc::clone(self.ownership.clock());
        let Some(guard) = self.may_start(&target) else { return Next::Waits(clock.now().after(PAUSE)) };
        let message = ticket.as_ref().is_some_and(|ticket| ticket.route().message);
        if queued.interrupted && !queued.idempotent && !message {
            return self.settle(&guard, queued.seq, interrupted()).await;
        }
        let mut claimed = match self.claim(&guard, &queued).await {
            Ok(Some(claimed)) => claimed,
            Ok(None) => return Next::Over,
            Err(_) => return Next::Waits(clock.now().after(PAUSE)),
        };
        let looked = clock.now();
        let nonce = message && nonce::give(&mut claimed.call.body, &target, &claimed.call.id);
        let attempts = if queued.interrupted { u32::MAX } else { claimed.attempts };
        claimed.idempotent |= nonce && nonce::holds(attempts, claimed.created_ms, clock.wall_ms());
        let interaction = ticket.as_ref().and_then(|ticket| ticket.route().interaction);
        let over_ms = interaction.map(|interaction| interaction.over_ms(claimed.created_ms));
        let settled = if queued.interrupted && !claimed.idempotent {
            interrupted()
        } else if over_ms.is_some_and(|over_ms| over_ms <= clock.wall_ms()) {
            Settled::Dead { reason: "not sent: an interaction is answered within 15 minutes".to_owned() }
        } else if self.may_start(&target).is_some() {
            if let Some(log) = self.ownership.log() {
                let act = Act::new(looked, &target, guard.epoch(), What::Effect);
                log.note(act.with(queued.seq, queued.seq));
            }
            let attempt = tokio::select! {
                attempt = self.traced(&target, &claimed, &mut ticket) => attempt,
                () = self.lease_over(&guard) => Attempt::Unknown("the lease ended during the call".to_owned()),
            };
            in_time(verdict(attempt, &claimed, clock.wall_ms(), self.give_up), over_ms)
        } else {
            Settled::Again { next_ms: clock.wall_ms(), reason: "the lease was about to end".to_owned() }
        };
        // Whoever waits for it need not wait for the disk.
        drop(ticket);
        if let Settled::Dead { reason } | Settled::Uncertain { reason } = &settled {
            tracing::warn!(%target, call = claimed.call.id, reason, "outgoing call put aside");
        }
        self.settle(&guard, queued.seq, settled).await
    }

    /// Returns a guard when the lease is long enough for a call to begin.
    fn may_start(&self, target: &TargetId) -> Option<Guard> {
        let guard = self.ownership.guard(target).ok()?;
        self.ownership.lease().filter(|(_, left)| *left >= START_FLOOR).map(|_| guard)
    }

    async fn lease_over(&self, guard: &Guard) {
        while self.ownership.check(guard, Use::Act).is_ok() {
            let left = self.ownership.lease().map_or(Duration::ZERO, |(_, left)| left);
            let until = left.saturating_sub(self.ownership.terms().act_floor);
            tokio::time::sleep(until.clamp(Duration::from_millis(5), PAUSE)).await;
        }
    }

    /// Makes an attempt in a span of the trace that asked for the call. The path is left out of it: platforms put secrets
    /// there.
    async fn traced(&self, target: &TargetId, claimed: &Claimed, ticket: &mut Option<Ticket>) -> Attempt {
        let Some(asked) = &claimed.trace else { return self.attempt(target, claimed, None, ticket).await };
        let mut span = self.tracer.start("call", SpanKind::Client, Some(asked));
        span.describe(|live| span::begun(live, target, claimed));
        let told = span.context().filter(|_| self.tell_trace).cloned();
        let attempt = span.scope(self.attempt(target, claimed, told.as_ref(), ticket)).await;
        span.describe(|live| span::ended(live, &attempt));
        attempt
    }

    async fn attempt(
        &self,
        target: &TargetId,
        claimed: &Claimed,
        told: Option<&TraceContext>,
        ticket: &mut Option<Ticket>,
    ) -> Attempt {
        let call = &claimed.call;
        let url = match self.allowed.check_call(call) {
            Ok(url) => url,
            Err(why) => return Attempt::Refused(why.to_string()),
        };
        let Ok(method) = Method::from_bytes(call.method.to_ascii_uppercase().as_bytes()) else {
            return Attempt::Refused(Refused::Method.to_string());
        };
        let mut request = self.client.request(method, url);
        for (name, value) in &call.headers {
            request = request.header(name, value);
        }
        let own = call.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        if let Some(token) = self.bot.as_ref().filter(|_| !own).and_then(|bot| bot.token_for(&call.url)) {
            request = request.header(header::AUTHORIZATION, token);
        }
        if let Some(told) =
            told.filter(|_| !call.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("traceparent")))
        {
            request = request.header("traceparent", told.traceparent());
        }
        let key = header_safe(&format!("{target}/{}", call.id));
        ticket.iter_mut().for_each(Ticket::sent);
        let sent = request.header("idempotency-key", key).body(call.body.clone()).send().await;
        match sent {
            Ok(mut answer) => {
                let status = answer.status().as_u16();
                let retry_after = answer
                    .headers()
                    .get(header::RETRY_AFTER)
                    .and_then(|value| value.to_str().ok()?.trim().parse::<f64>().ok())
                    .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
                let headers = ticket.as_ref().map(|_| answer.headers().clone());
                let mut body = Vec::new();
                while body.len() < DRAIN
                    && let Ok(Some(chunk)) = answer.chunk().await
                {
                    body.extend_from_slice(&chunk);
                }
                match (ticket, headers) {
                    (Some(ticket), Some(headers)) => discord(ticket, (status, retry_after), &headers, &body),
                    _ => Attempt::Answered { status, retry_after },
                }
            }
            Err(why) => failed(&why),
        }
    }

    async fn claim(&self, guard: &Guard, queued: &Queued) -> Result<Option<Claimed>, EngineError> {
        let (done, claimed) = oneshot::channel();
        let (guard, seq, mode) = (guard.clone(), queued.seq, queued.mode);
        self.commands.send(Command::Claim { guard, seq, mode, done })?;
        claimed.await.map_err(|_| EngineError::Stopped)
    }

    /// Writes down what became of a call. It stays at it: the row must not stay `sending` while this pod knows better.
    async fn settle(&self, guard: &Guard, seq: u64, settled: Settled) -> Next {
        let (clock, mut guard) = (self.ownership.clock(), guard.clone());
        let next = match &settled {
            Settled::Again { next_ms, .. } => {
                Next::Again(clock.now().after(Duration::from_millis(next_ms.saturating_sub(clock.wall_ms()))))
            }
            _ => Next::Over,
        };
        loop {
            let (done, written) = oneshot::channel();
            let command = Command::Settle { guard: guard.clone(), seq, settled: settled.clone(), done };
            if self.commands.send(command).is_err() {
                return next;
            }
            if written.await.is_ok() {
                self.meters.call(&settled);
                return next;
            }
            if matches!(self.ownership.check(&guard, Use::Act), Err(Denied::NotOwner { .. })) {
                // Under a new epoch the row is this pod's still, and nobody else knows what became of the call.
                match self.ownership.finishing(guard.target()) {
                    Ok(renewed) => guard = renewed,
                    Err(Denied::NotOwner { .. }) => return Next::Over,
                    Err(_) => {}
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn interrupted() -> Settled {
    Settled::Uncertain { reason: "the pod stopped while the call was being made".to_owned() }
}

/// What cannot be sent again in time is not kept for that.
fn in_time(settled: Settled, over_ms: Option<u64>) -> Settled {
    match (settled, over_ms) {
        (Settled::Again { next_ms, reason }, Some(over_ms)) if next_ms >= over_ms => Settled::Dead {
            reason: format!("{reason}, and not sent again: an interaction is answered within 15 minutes"),
        },
        (settled, _) => settled,
    }
}

/// What Discord's answer means, beyond its status.
fn discord(
    ticket: &mut Ticket,
    (status, retry_after): (u16, Option<Duration>),
    headers: &header::HeaderMap,
    body: &[u8],
) -> Attempt {
    let heard = Heard::read(status, headers, body);
    let (hit, route) = (heard.hit, ticket.route());
    let refused = status == 401 && route.token.is_some() && route.interaction.is_none();
    ticket.heard(heard);
    match hit {
        _ if refused => Attempt::NotSent("answered 401: Discord refuses the bot's token".to_owned()),
        Some((_, after)) => Attempt::Answered { status, retry_after: Some(after) },
        None => Attempt::Answered { status, retry_after },
    }
}

/// What a failed request means. Only what failed before or while connecting was certainly not sent.
fn failed(why: &reqwest::Error) -> Attempt {
    let mut cause: Option<&(dyn Error + 'static)> = Some(why);
    let mut text = String::new();
    while let Some(error) = cause {
        if let Some(refused) = error.downcast_ref::<Refused>() {
            return Attempt::Refused(refused.to_string());
        }
        // The outermost text names the URL, whose path may hold a token.
        if !std::ptr::addr_eq(error, why as &dyn Error) {
            text = error.to_string();
        }
        cause = error.source();
    }
    if why.is_builder() {
        Attempt::Refused(format!("not a valid request: {text}"))
    } else if why.is_connect() {
        Attempt::NotSent(format!("cannot connect: {text}"))
    } else if why.is_timeout() {
        Attempt::Unknown("no answer in time".to_owned())
    } else {
        Attempt::Unknown(format!("connection failed: {text}"))
    }
}

/// Ids of calls may hold what a header may not.
fn header_safe(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_graphic() { c } else { '_' }).collect()
}
