//! Decides whether a pod may register, and as what (OWNERSHIP.md, Leases 11 and 12). Pure.
//!
//! The same incarnation gets a new lease id at once: the lock on its data folder proves that the process before it is
//! gone. So does the next incarnation of the same folder, and any once the one before was buried: those report what they
//! hold before they are given anything. Any other incarnation under the same name waits until no lease of the old one can
//! be valid, and then takes the name over only if no target would be served from an empty folder because of it, or an
//! operator has accepted that.

use super::{ControlError, fleet::Fleet};
use crate::domain::{Base, Model, PodRecord, Write};
use shared::wire::{Hello, control::PodInfo, control::Register};
use shared::{LeaseId, Mono, Revision};
use std::time::Duration;

/// The longest name of a place for replicas, in bytes.
const MAX_REPLICA: usize = 1_000;
/// The longest address, zone or version a pod may register, in bytes.
const MAX_TEXT: usize = 255;

/// Returns what is to be written for a registration.
///
/// # Errors
/// Why the pod may not register (now).
pub(super) fn admit(model: &Model, fleet: &Fleet, register: &Register, now: Mono) -> Result<Write, ControlError> {
    check(register)?;
    Hello::CURRENT.agree(register.hello).ok_or(ControlError::Version)?;
    let (pod, generation) = (&register.pod, model.epoch().generation());
    if register.highest_epoch.generation() > generation {
        return Err(ControlError::GenerationAhead { pod: pod.clone(), seen: register.highest_epoch, generation });
    }
    let known = model.pod(pod);
    let (previous, report) = match known {
        None => (None, !model.is_settled()),
        Some(record) if record.info.incarnation == register.incarnation => {
            if record.buried {
                return Err(ControlError::Buried(pod.clone()));
            }
            (record.previous.clone(), record.report)
        }
        Some(record) => {
            let comes_back = succeeds(model, fleet, record, register, now)?;
            (record.last_served().cloned(), comes_back || record.report)
        }
    };
    let expected = known.map(|record| record.lease_id);
    let newest = expected.unwrap_or_default().0.max(Base::of(generation).counter);
    let record = PodRecord {
        info: PodInfo {
            pod: pod.clone(),
            address: register.address.clone(),
            incarnation: register.incarnation.clone(),
            zone: register.zone.clone(),
            capacity: register.capacity,
            revision: Revision(0),
        },
        lease_id: LeaseId(newest + 1),
        schema: register.schema,
        version: register.version.clone(),
        loss_accepted: false,
        buried: false,
        previous,
        report,
        bot: register.bot.clone(),
        replica: register.replica.clone(),
        track: register.track,
        marks: known.map(|record| record.marks).unwrap_or_default(),
    };
    Ok(Write::Pod { record, expected, floor: register.highest_epoch })
}

/// Says whether another life of a pod may take its name over, and if so whether it has to report what it holds.
fn succeeds(
    model: &Model,
    fleet: &Fleet,
    record: &PodRecord,
    register: &Register,
    now: Mono,
) -> Result<bool, ControlError> {
    let pod = &register.pod;
    // Dead for good, or the folder's lock proves that it has ended: its targets' data may be just here.
    if record.buried {
        fleet.readmits(pod, &register.incarnation)?;
        return Ok(true);
    }
    if register.previous.as_ref() == Some(&record.info.incarnation) {
        return Ok(true);
    }
    let remaining = fleet.may_act_for(pod, now);
    if !remaining.is_zero() {
        return Err(ControlError::LeaseHeld { pod: pod.clone(), remaining });
    }
    if record.loss_accepted {
        return Ok(false);
    }
    if model.targets_of(pod) > 0 {
        return Err(ControlError::WrongIncarnation(pod.clone()));
    }
    // Its witnesses may still extend its lease: it is dead once it is fenced, which takes some seconds (Leases 5).
    if model.pods().any(|other| other.info.pod != *pod && !other.buried) {
        return Err(ControlError::LeaseHeld { pod: pod.clone(), remaining: Duration::ZERO });
    }
    Ok(false)
}

fn check(register: &Register) -> Result<(), ControlError> {
    let invalid = |text: &str| Err(ControlError::Invalid(text.to_owned()));
    if !(register.capacity.is_finite() && (0.0..=1_000_000.0).contains(&register.capacity)) {
        return invalid("capacity is a number from 0 to 1000000");
    }
    let printable = |text: &str| text.len() <= MAX_TEXT && text.bytes().all(|b| b.is_ascii_graphic());
    if !printable(&register.address) || register.address.parse::<http::uri::Authority>().is_err() {
        return invalid("address is host:port");
    }
    // A path may have spaces, and letters of any language.
    let name = |text: &str| text.len() <= MAX_REPLICA && !text.chars().any(char::is_control);
    if !register.replica.as_deref().is_none_or(name) {
        return invalid("replica has at most 1000 characters, none of them a control character");
    }
    if !printable(&register.version) || !register.zone.as_deref().is_none_or(printable) {
        return invalid("zone and version have at most 255 printable characters");
    }
    Ok(())
}
