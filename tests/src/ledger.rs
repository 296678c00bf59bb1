//! What every story about data ends with: each event that was acknowledged is in its owner's journal, once and in order, and has
//! changed the state once; each call has left once. Read with plain SQL, beside Berth, from gateways that have stopped.

use crate::{copied::Copied, double::PlatformDouble, pod_data, senders::Keys, senders::standard, workload::Planned};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// Ids of events by target, in their order.
pub type ByTarget = BTreeMap<String, Vec<String>>;

/// Stops the gateways and holds what they have against what was acknowledged. `late` names events whose place among the others is
/// not that of their acknowledgement: they came to their owner behind others, in an order of their own. Returns the owners'
/// journals.
///
/// # Panics
/// When something is lost, doubled or out of order.
pub async fn reckon(copied: &mut Copied, taken: &ByTarget, late: &ByTarget) -> ByTarget {
    copied.all_served().await;
    let mut owners = BTreeMap::new();
    for found in copied.cluster.targets().await {
        owners.insert(found.target.to_string(), found.pod.to_string());
    }
    copied.stop_gateways().await;
    let mut journals = ByTarget::new();
    let mut wrong = Vec::new();
    for (pod, of_pod) in owners.values().collect::<BTreeSet<_>>().into_iter().map(|pod| (pod, read(copied, pod))) {
        for (target, book) in of_pod.into_iter().filter(|(target, _)| owners.get(target) == Some(pod)) {
            let none = Vec::new();
            let late = late.get(&target).unwrap_or(&none);
            let taken = taken.get(&target).unwrap_or(&none);
            wrong.extend(judged(&book, taken, late).into_iter().map(|what| format!("{target} on {pod}: {what}")));
            journals.insert(target, book.journal);
        }
    }
    let gone: Vec<_> = taken.keys().filter(|target| !journals.contains_key(*target)).collect();
    assert!(gone.is_empty(), "nobody has these targets: {gone:?} of {owners:?}");
    assert!(wrong.is_empty(), "{} things are wrong: {wrong:#?}", wrong.len());
    journals
}

fn read(copied: &Copied, pod: &str) -> BTreeMap<String, pod_data::Book> {
    pod_data::owned(&copied.cluster.pod_folder(pod))
}

/// Returns what is wrong with one target.
fn judged(book: &pod_data::Book, taken: &[String], late: &[String]) -> Vec<String> {
    let mut wrong = Vec::new();
    let there: BTreeSet<_> = book.journal.iter().collect();
    if there.len() < book.journal.len() {
        wrong.push(format!("an event is there twice: {:?}", book.journal));
    }
    let lost: Vec<_> = taken.iter().chain(late).filter(|id| !there.contains(id)).collect();
    if !lost.is_empty() {
        wrong.push(format!("lost: {lost:?} of {:?}", book.journal));
    }
    let in_time: Vec<_> = taken.iter().filter(|id| !late.contains(id)).collect();
    for (of, wanted) in [("those in time", in_time), ("the late ones", late.iter().collect())] {
        let found: Vec<_> = book.journal.iter().filter(|id| wanted.contains(id)).collect();
        if found != wanted && lost.is_empty() {
            wrong.push(format!("{of} are out of order: {found:?}, and were sent as {wanted:?}"));
        }
    }
    let events = book.journal.len() as u64;
    if book.applied != events {
        wrong.push(format!("{events} events, {} of them applied", book.applied));
    }
    if book.handled.is_some_and(|handled| handled != events) {
        wrong.push(format!("{events} events, and the handler has counted {:?}", book.handled));
    }
    wrong
}

/// Makes the `n`th event of the `i`th target for the bot of the stories: every third one asks for a call to `outside`, that may be
/// made twice or, every sixth, must not.
pub fn with_calls(outside: &PlatformDouble) -> impl Fn(&Keys, u64, u64) -> Planned + Clone + Send + Sync + 'static {
    let host = outside.host();
    move |keys: &Keys, i: u64, n: u64| {
        let id = format!("msg-{i}-{n}");
        let told = match n % 6 {
            0 => "call",
            3 => "call-once",
            _ => "nothing",
        };
        let call = json!({"id": id, "method": "POST", "url": format!("http://{host}/{id}"), "body": "x"});
        let body = json!({"target": format!("k{i}"), "do": told, "call": call}).to_string();
        Planned { target: format!("webhook:key:shop.k{i}"), delivery: standard::signed(keys, &id, body.as_bytes()), id }
    }
}

/// Returns whether [`with_calls`] has the event of this id ask for a call.
///
/// # Panics
/// When it is not one of its ids.
pub fn calls(id: &str) -> bool {
    number(id).is_multiple_of(3)
}

/// Returns whether that call must not be made twice.
///
/// # Panics
/// When it is not one of its ids.
pub fn calls_once(id: &str) -> bool {
    number(id) % 6 == 3
}

fn number(id: &str) -> u64 {
    id.rsplit('-').next().and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("{id} is none of these events"))
}

/// Returns how often each call has arrived, by the id of its event.
pub fn arrived(outside: &PlatformDouble) -> BTreeMap<String, usize> {
    let mut all = BTreeMap::new();
    for call in outside.calls() {
        *all.entry(call.path.trim_matches('/').to_owned()).or_default() += 1;
    }
    all
}

#[cfg(test)]
mod tests;
