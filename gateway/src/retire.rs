//! A pod whose process has ended: its supervisor makes sure of that, and that no process goes on under its lease, before it
//! tells anybody (OWNERSHIP.md, Leases 9 and 12). Knows no network.

use crate::folder::Folder;
use anyhow::Context;
use shared::PodId;
use std::path::Path;

/// The data folder of a pod whose process has ended, kept from all others until this is dropped.
#[derive(Debug)]
pub struct Retired(#[expect(dead_code, reason = "held for its lock alone")] Folder);

/// Takes the data folder of a pod away from whoever might use it, which proves that nobody does, and takes the lease away
/// that is kept in it: whoever comes next in it registers anew.
///
/// # Errors
/// When a process uses the folder, when it is another pod's, or when the lease may still be in it.
pub fn retire(data: &Path, pod: &PodId) -> anyhow::Result<Retired> {
    let folder = Folder::take(data, pod, None)?;
    folder.kept().drop_lease().with_context(|| format!("cannot take the lease out of {}", data.display()))?;
    Ok(Retired(folder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::protocol::holder::Remembered;
    use shared::wire::control::Witnesses;
    use shared::{LeaseId, Term};

    #[test]
    fn a_pod_is_retired_only_when_its_process_has_ended_and_leaves_no_lease_behind() {
        let dir = tempfile::tempdir().expect("a folder");
        let pod: PodId = "gateway-0".parse().expect("valid");
        let used = Folder::take(dir.path(), &pod, None).expect("free");
        let incarnation = "0190163d-8694-739b-aea5-966c26f8ad91".parse().expect("valid");
        let remembered = Remembered { lease_id: LeaseId(7), incarnation, witnesses: Witnesses::default() };
        used.kept().keep_lease(&remembered, 1, Term(3)).expect("kept");
        assert!(retire(dir.path(), &pod).is_err(), "somebody uses it");
        assert!(used.kept().remembered(1).is_some());
        drop(used);
        let retired = retire(dir.path(), &pod).expect("nobody uses it");
        assert!(Folder::take(dir.path(), &pod, None).is_err(), "nobody may while it is retired");
        drop(retired);
        let next = Folder::take(dir.path(), &pod, None).expect("free again");
        assert_eq!(next.kept().remembered(1), None, "whoever comes next registers");
    }
}
