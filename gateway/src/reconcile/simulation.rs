//! The door through which the simulation asks from where on a returned pod sends the end of its journal. Exists only with the
//! feature `plant`; decides nothing itself.

use super::owner::{self, newest};
use shared::{Epoch, Incarnation, wire::control::Life};

/// A copy that a target's rows have come through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Whose copy it was.
    pub life: Life,
    /// The last epoch that the target was owned under in it.
    pub epoch: Epoch,
    /// Up to which journal row it went.
    pub journal_seq: u64,
}

/// Returns up to which journal row the owner's rows have what `me` had, in one of the lives of its folder, under `epoch`; none when
/// they come from no copy of it.
pub fn had(origins: &[Origin], me: &Life, past: &[Incarnation], epoch: Epoch) -> Option<u64> {
    let known = |Origin { life, epoch, journal_seq }: &Origin| owner::Origin {
        epoch: *epoch,
        pod: life.pod.clone(),
        incarnation: life.incarnation.clone(),
        journal_seq: *journal_seq,
    };
    let origins: Vec<_> = origins.iter().map(known).collect();
    newest(&origins, &me.pod, past, epoch).map(|origin| origin.journal_seq)
}
