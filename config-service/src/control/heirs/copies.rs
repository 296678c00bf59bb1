//! Which copy of a target counts in the folder of a pod that is back (OWNERSHIP.md, Leases 5 and 12, Data 5). What a pod served
//! stands in its folder under the epoch it served it under. A pod that died before it heard of an epoch never served under it:
//! then what lay in that folder before is the newest still, provided that it is the same folder. That it is one, its report
//! proves by the lives that it names: an older copy of the folder, or another one under the pod's name, cannot name the life
//! that was to hear of the epoch. Rows that a move has released are nobody's, but for one case: the target was given back with
//! exactly these, since its destination lost them. Pure; knows neither heirs nor transactions.

use crate::control::census::Report;
use crate::domain::{FIRST_CONTACT, Model, PodRecord};
use shared::wire::control::{Assignment, DataAt};
use shared::{Epoch, PodId, TargetId};

/// Returns the epoch of the copy that counts, 0 when the target never began; none when the report does not show it.
pub(super) fn newest(record: &PodRecord, report: &Report, target: &TargetId, data: &DataAt) -> Option<Epoch> {
    let held = report.of(target);
    // An epoch is issued once: whoever holds a target under it was its owner then.
    if held.is_some_and(|held| held.whole && held.epoch == data.epoch) {
        return Some(data.epoch);
    }
    let before = data.before.filter(|_| report.is_of(record, &data.incarnation))?;
    match held {
        None => (before == Epoch(0)).then_some(before),
        Some(held) => {
            let between = before > Epoch(0) && (before..data.epoch).contains(&held.epoch);
            // Given back with what a move had released here, it was never served since: that would have raised its epoch.
            (between && (held.whole || held.epoch == before)).then_some(held.epoch)
        }
    }
}

/// Says whether a target of the pod's own was given back to this very folder, and names the copy that it holds. That may be what
/// a move had released there.
pub(super) fn names(record: &PodRecord, report: &Report, assignment: &Assignment) -> bool {
    let Some(data) = assignment.data.as_ref().filter(|data| data.pod == record.info.pod) else { return false };
    let held = report.of(&assignment.target);
    report.is_of(record, &data.incarnation) && held.is_some_and(|held| held.epoch == data.epoch)
}

/// Says where the data is of a target that a pod had: in the folder of the last life of it that can have served, under the
/// epoch it was owned under. What lay there before that, is known where the assignment says it. A database that was restored
/// may have forgotten later owners: what it says of an older generation proves nothing (Leases 11).
pub(super) fn data_of(model: &Model, assignment: &Assignment, had: &PodRecord) -> DataAt {
    let pod = had.info.pod.clone();
    let before = match &assignment.data {
        Some(data) => (data.pod == pod).then_some(data.epoch),
        None => (assignment.reason == FIRST_CONTACT).then_some(Epoch(0)),
    };
    let same = assignment.epoch.generation() == model.epoch().generation();
    let life = had.last_served();
    let origin = assignment.data.as_ref().filter(|data| data.pod == pod).and_then(|data| data.origin.clone());
    DataAt {
        origin,
        before: before.filter(|_| same && life.is_some()),
        ..DataAt::new(pod, life.unwrap_or(&had.info.incarnation).clone(), assignment.epoch)
    }
}

/// Says that a target begins empty at a pod, whatever it holds of it.
pub(in crate::control) fn begins(model: &Model, pod: &PodId) -> Option<DataAt> {
    model.pod(pod).map(|record| DataAt::new(pod.clone(), record.info.incarnation.clone(), Epoch(0)))
}
