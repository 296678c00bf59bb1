//! How the control plane's refusals read on the wire: the one place that gives them a status, a code and a remedy.

use crate::control::ControlError;
use shared::Problem;

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
            E::UnknownPod(_) => Self::new(http::StatusCode::NOT_FOUND, "unknown-pod", format!("{text}; register it")),
            E::UnknownTarget(_) => Self::not_found(text),
            E::WrongIncarnation(pod) => Self::conflict(
                "incarnation-mismatch",
                format!(
                    "{text}: its targets' data is in another data folder; put that folder back, or accept the loss with \
                     POST /v1/pods/{pod}/accept-data-loss"
                ),
            ),
            E::LeaseHeld { .. } => Self::conflict("lease-held", format!("{text}; try again then")),
            E::LeaseSuperseded(_) => Self::conflict("lease-superseded", format!("{text}; register anew")),
            E::GenerationAhead { .. } => Self::conflict(
                "generation-ahead",
                format!("{text}: this is an older copy of the database; bring back the newest one"),
            ),
            E::RevisionAhead { .. } => Self::conflict(
                "revision-ahead",
                format!("{text}: this is an older copy of the database, or another one; bring back the newest one"),
            ),
            E::Version => Self::conflict("version-mismatch", format!("{text}; update the older side first")),
            E::Invalid(_) => Self::bad_request(text),
            E::PlaceQueueFull => Self::unavailable("place-queue-full", format!("{text}; try again in a moment")),
            E::TooManyWatchers => Self::unavailable("too-many-watchers", format!("{text}; raise --max-watchers")),
        }
    }
}
