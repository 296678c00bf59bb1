//! Who leads among the config-services, and letting another one lead.

use super::{Because, REASON};
use crate::{Revision, Term};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `GET /v1/leader`: who leads, as the config-service that answers knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeaderStatus {
    /// Where the leader is reached; none when nobody leads, as far as is known here.
    pub leader: Option<String>,
    /// The newest term known here; zero when none is.
    pub term: Term,
    /// Who answers.
    pub answered_by: String,
    /// What that one is: `leader`, `follower`, or `unready` when it knows too little to answer for the cluster.
    pub role: String,
    /// The newest revision it has.
    pub revision: Revision,
}

/// `POST /v1/leader/step-down`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepDown {
    /// Why, for the audit: 1 to 1000 characters.
    #[schemars(regex(pattern = REASON), length(max = 1000))]
    pub reason: String,
}

impl Because for StepDown {
    fn reason(&self) -> &str {
        &self.reason
    }
}

/// The answer to [`StepDown`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SteppedDown {
    /// Who led.
    pub leader: String,
    /// The term that is over.
    pub term: Term,
    /// The revision at which it was.
    pub revision: Revision,
    /// True when nothing was changed, because only what would happen was asked for.
    #[serde(default)]
    pub dry_run: bool,
}
