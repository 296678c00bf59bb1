//! Where a target's rows come from that were restored from a dead pod's replica.

use super::control::Life;
use crate::Epoch;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One restore of a target's rows. `GET /v1/local/targets/{target}/provenance`, with a service token, lists all of them, the last
/// one last; none when the rows never were restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RestoredFrom {
    /// Whose replica it was.
    #[serde(flatten)]
    pub life: Life,
    /// The cluster generation in which that life began.
    pub generation: u32,
    /// The last epoch that the target was owned under in that copy.
    pub epoch: Epoch,
    /// How far the copy's database was, in its own commits.
    pub commit_seq: u64,
    /// The same, as Litestream counts, when it has said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub txid: Option<u64>,
    /// The target's journal was restored up to here: what that pod accepted later it has to send.
    pub journal_seq: u64,
    /// When, in milliseconds since the Unix epoch, by the clock of the pod that restored it.
    pub at_ms: u64,
}
