//! How the control plane's refusals read on the wire: the one place that gives them a status, a code and a remedy, and the
//! list of all codes there are.

use crate::control::ControlError;
use crate::{identify::IdentifyError, rest::RestError};
use http::StatusCode;
use shared::Problem;

/// A code with its status, and when it is answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Code {
    /// The word.
    pub(super) code: &'static str,
    /// The status it comes with.
    pub(super) status: u16,
    /// When it is answered: a sentence.
    pub(super) when: &'static str,
}

const fn code(status: u16, code: &'static str, when: &'static str) -> Code {
    Code { code, status, when }
}

/// All codes, by status.
pub(super) const CODES: &[Code] = &[
    code(400, "bad-request", "Path, query, header or body do not have the form they should have."),
    code(401, "unauthorized", "No token, or one that is not known, was revoked or has ended."),
    code(403, "forbidden", "The token's role does not do this."),
    code(404, "not-found", "There is no such thing, or no such path."),
    code(404, "unknown-pod", "No pod of this name has registered."),
    code(405, "method-not-allowed", "The path takes other methods; `Allow` names them."),
    code(408, "body-too-slow", "The body did not arrive in time."),
    code(409, "cloned", "Two processes go on as one pod: a machine or a data folder was copied."),
    code(409, "generation-ahead", "The pod has seen epochs of a newer database than this one."),
    code(409, "idempotency-in-use", "A request with this Idempotency-Key is under way."),
    code(409, "incarnation-buried", "This life of the pod was failed over; it begins a new one in the same folder."),
    code(409, "incarnation-mismatch", "The pod's targets are in another data folder."),
    code(409, "lease-held", "A lease of the pod may still be valid; try again later."),
    code(409, "lease-superseded", "The pod has registered again since."),
    code(409, "move-decided", "The move has its outcome: it is committed or over."),
    code(409, "move-running", "A move of the target is under way."),
    code(409, "no-bot", "config-service has no token of a bot on Discord."),
    code(409, "no-destination", "The target cannot go to that pod, or to none."),
    code(409, "no-home", "Nothing is known that starts and stops pods, or it cannot be asked."),
    code(409, "not-quarantined", "The target's owner has its data; there is no loss to accept."),
    code(409, "nothing-to-recover", "No target waits for data of the pod."),
    code(409, "not-pinned", "The target is not pinned."),
    code(409, "no-canary", "No canary is under way."),
    code(409, "plan-decided", "The plan is past that: it runs, or it is over."),
    code(409, "plan-running", "Another plan is carried out."),
    code(409, "pod-not-ready", "The target's pod is not ready, so it cannot give the target away."),
    code(409, "read-only", "An operator has made the cluster read-only."),
    code(409, "stale-plan", "What the plan names is not as it was; `detail` says how a plan made now differs."),
    code(
        409,
        "still-needed",
        "Something of these rows may be nowhere else, or it is too early; `i_know` passes over it.",
    ),
    code(409, "target-quarantined", "Nobody reachable has the target's data."),
    code(409, "token-refused", "Discord refuses the bot's token, and nothing is known of its budget."),
    code(409, "token-exists", "A token of this name is in force."),
    code(409, "too-many-tokens", "As many tokens are in force as there may be."),
    code(409, "version-mismatch", "No version of the protocol in common."),
    code(413, "body-too-large", "The body is larger than the limit."),
    code(415, "unsupported-media-type", "The body says that it is not JSON."),
    code(422, "bad-cursor", "The cursor is none of this list."),
    code(422, "bad-value", "The value does not fit the setting."),
    code(
        422,
        "invalid",
        "Everything has its form, but not together: an address that is none, a parent that cannot be one.",
    ),
    code(422, "idempotency-mismatch", "The Idempotency-Key was used for another request."),
    code(422, "not-confirmed", "`confirm` is not the target's name, or `i_know` is not true; nothing was done."),
    code(429, "identify-braked", "The shard identified again and again; `Retry-After` says when it may next."),
    code(429, "identify-later", "Its bucket is not free in time; `Retry-After` says when it is."),
    code(
        429,
        "identify-spent",
        "What is left of the budget is kept for recovery; `Retry-After` says when it is whole again.",
    ),
    code(500, "internal", "An error of Berth; the log has the cause."),
    code(503, "budget-unknown", "Discord has not said yet how often the bot may identify; try again."),
    code(503, "generation-unsettled", "A new cluster generation: not every pod has reported yet what it holds."),
    code(503, "leader-unreachable", "The leader did not answer what was passed on to it; look whether it was done."),
    code(503, "mailbox-full", "As many events wait for the target as may; try again later."),
    code(503, "not-committed", "The pod could not commit it; look whether it was done, then try again."),
    code(503, "not-leader", "This config-service does not lead; `detail` says who does, if known."),
    code(503, "not-serving", "The pod does not serve the target at the moment; try again."),
    code(503, "owner-unreachable", "The target's pod does not answer."),
    code(503, "place-queue-full", "Too many first contacts wait; try again in a moment."),
    code(503, "report-first", "The pod has to report what it holds before it is granted anything."),
    code(
        503,
        "revision-ahead",
        "A pod has seen a revision or a term that this database has not reached: it is an older copy.",
    ),
    code(503, "store-unavailable", "The database does not answer; nothing was promised."),
    code(
        503,
        "suspended",
        "The pod was declared dead or was copied, or its name stands for a life before this one; it waits.",
    ),
    code(503, "too-many-exports", "The pod writes as many exports as it may; try again later."),
    code(503, "too-many-moves", "As many moves are under way as may be; try again in a moment."),
    code(503, "too-many-passed-on", "As many requests as may be wait for the leader; try again."),
    code(503, "too-many-plans", "Too many plans wait to be made; try again in a moment."),
    code(503, "too-many-waiting", "As many shards as may wait for a permit; try again later."),
    code(503, "too-many-watchers", "No more watchers are taken."),
];

/// 409 with the given code.
pub(super) fn conflict(code: &str, detail: &str) -> Problem {
    Problem::conflict(code, detail)
}

/// 422 with the given code: well formed, but it cannot be.
pub(super) fn unprocessable(code: &str, detail: &str) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
}

impl From<ControlError> for Problem {
    fn from(why: ControlError) -> Self {
        use ControlError as E;
        let text = why.to_string();
        match why {
            E::NotLeader { leader: None } => Self::unavailable("not-leader", format!("{text}; try again")),
            E::NotLeader { leader: Some(address) } => {
                Self::unavailable("not-leader", format!("{text}; {address} does"))
            }
            E::Store => Self::unavailable("store-unavailable", format!("{text}; nothing was promised, try again")),
            E::UnknownPod(_) => {
                Self::new(StatusCode::NOT_FOUND, "unknown-pod", format!("{text}: no pod of this name has registered"))
            }
            E::UnknownTarget(_) | E::UnknownToken(_) | E::UnknownMove(_) | E::UnknownPlan(_) => Self::not_found(text),
            E::PlanDecided { .. } => {
                Self::conflict("plan-decided", format!("{text}; make another with POST /v1/plans"))
            }
            E::PlanRevision { .. } => {
                Self::conflict("stale-plan", format!("{text}; look at it again, then apply that"))
            }
            E::StalePlan { .. } => Self::conflict("stale-plan", format!("{text}; make it anew with POST /v1/plans")),
            E::PlanRunning(id) => Self::conflict(
                "plan-running",
                format!("{text}; wait for its end, or call it off with POST /v1/plans/{id}/cancel"),
            ),
            E::TooManyPlans => Self::unavailable("too-many-plans", format!("{text}; try again in a moment")),
            E::NotPinned(_) => Self::conflict("not-pinned", text),
            E::NoCanary => Self::conflict("no-canary", "no canary is under way: berth canary start begins one"),
            E::MoveRunning { .. } => Self::conflict(
                "move-running",
                format!("{text}; wait for its end, or call it off with POST /v1/moves/ID/cancel"),
            ),
            E::MoveDecided { .. } => Self::conflict(
                "move-decided",
                format!("{text}: it cannot be called off any more; move the target back"),
            ),
            E::TargetNotQuarantined(_) => {
                Self::conflict("not-quarantined", format!("{text}; to empty it, erase it with berth target erase"))
            }
            E::TargetQuarantined(_) => {
                Self::conflict("target-quarantined", format!("{text}; bring that back, or accept its loss, first"))
            }
            E::NothingToRecover(_) => Self::conflict(
                "nothing-to-recover",
                format!("{text}: what a dead pod had is restored once it was failed over"),
            ),
            E::PodNotReady(_) => Self::conflict(
                "pod-not-ready",
                format!("{text}: only its owner gives a target away; try again when it is"),
            ),
            E::NoDestination(_) => {
                Self::conflict("no-destination", format!("{text}; name another pod, or uncordon one"))
            }
            E::TooManyMoves(_) => Self::unavailable("too-many-moves", format!("{text}; try again in a moment")),
            E::TokenExists(_) => {
                Self::conflict("token-exists", format!("{text}; revoke it first, or choose another name"))
            }
            E::TooManyTokens(_) => {
                Self::conflict("too-many-tokens", format!("{text}; revoke one, or raise --max-tokens"))
            }
            E::WrongIncarnation(pod) => Self::conflict(
                "incarnation-mismatch",
                format!(
                    "{text}: its targets' data is in another data folder; put that folder back, or accept the loss with \
                     POST /v1/pods/{pod}/accept-data-loss"
                ),
            ),
            E::Buried(_) => Self::conflict(
                "incarnation-buried",
                format!("{text}; begin a new incarnation in the same folder, register it, and report what it holds"),
            ),
            E::Cloned(_) => {
                Self::conflict("cloned", format!("{text}; stop one of the two, and register the other anew"))
            }
            E::Suspended(_) => Self::unavailable("suspended", format!("{text}; try again in a moment")),
            E::ConfigAhead(_) => Self::unavailable(
                "revision-ahead",
                format!(
                    "{text}: this is an older copy; bring back the newest one, or begin a new generation with berth generation new"
                ),
            ),
            E::ReportFirst(pod) => {
                Self::unavailable("report-first", format!("{text}; send it to /v1/pods/{pod}/holdings"))
            }
            E::Unsettled(_) => Self::unavailable(
                "generation-unsettled",
                format!("{text}; start those that are missing, or say that they are gone with berth pod declare-dead"),
            ),
            E::LeaseHeld { .. } => Self::conflict("lease-held", format!("{text}; try again then")),
            E::LeaseSuperseded(_) => Self::conflict("lease-superseded", format!("{text}; register anew")),
            E::GenerationAhead { .. } => Self::conflict(
                "generation-ahead",
                format!(
                    "{text}: this is an older copy of the database; bring back the newest one, or begin a new generation with berth generation new"
                ),
            ),
            // No pod gives its lease up because of it: it goes on by what the others promise.
            E::RevisionAhead { .. } | E::TermAhead { .. } => Self::unavailable(
                "revision-ahead",
                format!(
                    "{text}: this is an older copy of the database, or another one; bring back the newest one, or begin a \
                     new generation with berth generation new"
                ),
            ),
            E::Version => Self::conflict("version-mismatch", format!("{text}; update the older side first")),
            E::Invalid(_) => unprocessable("invalid", &text),
            E::PlaceQueueFull => Self::unavailable("place-queue-full", format!("{text}; try again in a moment")),
            E::TooManyWatchers => Self::unavailable("too-many-watchers", format!("{text}; raise --max-watchers")),
        }
    }
}

impl From<IdentifyError> for Problem {
    fn from(why: IdentifyError) -> Self {
        use IdentifyError as E;
        let (text, many) = (why.to_string(), StatusCode::TOO_MANY_REQUESTS);
        match why {
            E::NoToken => Self::conflict(
                "no-bot",
                format!("{text}; give config-service BERTH_DISCORD_TOKEN or BERTH_DISCORD_TOKEN_FILE"),
            ),
            E::TokenRefused => Self::conflict(
                "token-refused",
                format!("{text}; give config-service a valid BERTH_DISCORD_TOKEN, and start it anew"),
            ),
            E::Unknown(_) => Self::unavailable("budget-unknown", format!("{text}; try again in a moment")),
            E::Later { .. } => Self::new(many, "identify-later", format!("{text}; ask again then, or wait longer")),
            E::Braked { .. } => Self::new(
                many,
                "identify-braked",
                format!("{text}: find out why it does not stay connected; resuming a session takes no permit"),
            ),
            E::Spent { .. } => Self::new(
                many,
                "identify-spent",
                format!("{text}: sessions go on and are resumed without it; see berth discord budget"),
            ),
            E::Full(_) => Self::unavailable("too-many-waiting", format!("{text}; raise --identify-waiting")),
            E::Control(why) => why.into(),
        }
    }
}

impl From<RestError> for Problem {
    fn from(why: RestError) -> Self {
        match why {
            RestError::TooManyBots => unprocessable(
                "invalid",
                &format!("{why}; calls with so many bots' tokens are more than one cluster keeps"),
            ),
            RestError::Control(why) => why.into(),
        }
    }
}
