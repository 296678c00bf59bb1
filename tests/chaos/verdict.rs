//! Judges a run: what was acknowledged against what is left (OWNERSHIP.md, I1 to I6). Pure; it can be shown made-up evidence,
//! and its own tests do: a judge that finds nothing proves nothing.

use crate::{
    evidence::{Evidence, Holding},
    load::{self, Effect},
    owned::Owned,
};
use std::collections::{BTreeMap, BTreeSet};

/// What is wrong. Each list has a sentence per finding.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Acknowledged events and wanted effects that are not there.
    pub(crate) lost: Vec<String>,
    /// Events that changed state twice, and effects that happened twice.
    pub(crate) doubled: Vec<String>,
    /// Targets whose events lie in another order than they were accepted in.
    pub(crate) disordered: Vec<String>,
    /// Moments with two owners, and other broken promises about owners.
    pub(crate) overlapping: Vec<String>,
    /// Calls whose outcome nobody knows: counted, not wrong.
    pub(crate) uncertain: usize,
    /// Lines of the gateways' ownership logs that were compared.
    pub(crate) compared: u64,
    /// How often a target got another owner.
    pub(crate) changed_hands: usize,
}

impl Verdict {
    /// Whether all promises were kept.
    pub(crate) fn is_clean(&self) -> bool {
        self.lost.is_empty() && self.doubled.is_empty() && self.disordered.is_empty() && self.overlapping.is_empty()
    }

    /// All findings, each with what it is; the first hundred of each.
    pub(crate) fn findings(&self) -> Vec<String> {
        let all = [
            ("lost", &self.lost),
            ("doubled", &self.doubled),
            ("owners", &self.overlapping),
            ("order", &self.disordered),
        ];
        let said = |(what, found): (&str, &Vec<String>)| -> Vec<String> {
            found.iter().take(100).map(|finding| format!("{what}: {finding}")).collect()
        };
        all.into_iter().flat_map(said).collect()
    }

    /// Adds what the ownership logs say.
    pub(crate) fn owned(&mut self, owned: Owned) {
        self.compared = owned.lines;
        self.changed_hands = owned.changed_hands;
        self.overlapping = owned.broken;
    }

    /// Adds what is wrong with the targets; `promised` says how many events of each were acknowledged, one after the other.
    pub(crate) fn judge(&mut self, promised: &[u64], evidence: &Evidence) {
        let calls = Calls::new(evidence);
        for (i, count) in promised.iter().enumerate() {
            let name = load::target(i);
            let owner = evidence.owners.get(&name);
            let held = evidence.holdings.get(&name).into_iter().flatten();
            let mut served = held.clone().filter(|holding| holding.state == "owned");
            let own = served.clone().find(|holding| Some(&holding.pod) == owner);
            let Some(own) = own.or_else(|| served.next()) else {
                if *count > 0 {
                    let held: Vec<_> = held.map(|held| format!("{} on {}", held.state, held.pod)).collect();
                    let said =
                        format!("{name}: nobody serves it; {count} events are out of reach: {}", held.join(", "));
                    self.lost.push(said);
                }
                continue;
            };
            self.judge_target(i, *count, own);
            self.judge_calls(i, *count, own, &calls);
        }
    }

    fn judge_target(&mut self, i: usize, count: u64, own: &Holding) {
        let name = load::target(i);
        let there: BTreeSet<&str> = own.journal.iter().map(String::as_str).collect();
        for n in 0..count {
            let id = load::event_id(i, n);
            if !there.contains(id.as_str()) {
                self.lost.push(format!("{name}: {id} was acknowledged and is not on {}", own.pod));
            }
        }
        if there.len() < own.journal.len() {
            self.doubled.push(format!("{name}: {} entries for {} events", own.journal.len(), there.len()));
        }
        for id in &own.undone {
            self.lost.push(format!("{name}: {id} was acknowledged and is not done on {}", own.pod));
        }
        let done = there.len().saturating_sub(own.undone.len()) as u64;
        if own.handled > done {
            self.doubled.push(format!("{name}: {done} events changed its state {} times", own.handled));
        } else if own.handled < done {
            self.lost.push(format!("{name}: {done} events changed its state only {} times", own.handled));
        }
        let order: Vec<u64> = own.journal.iter().filter_map(|id| id.rsplit('-').next()?.parse().ok()).collect();
        if !order.is_sorted() {
            self.disordered.push(format!("{name}: its events on {} are not in order", own.pod));
        }
    }

    fn judge_calls(&mut self, i: usize, count: u64, own: &Holding, calls: &Calls<'_>) {
        for n in 0..count {
            let (wanted, id) = (load::effect(n), load::event_id(i, n));
            if wanted == Effect::None {
                continue;
            }
            let (keys, times) = calls.of(&id);
            let uncertain = own.uncertain.contains(&id);
            self.uncertain += usize::from(uncertain);
            if times == 0 && !uncertain {
                self.lost.push(format!("the call of {id} never arrived"));
            }
            // What carries the same key is one call to whoever gets it.
            let happened = if wanted == Effect::Call { keys } else { times };
            if happened > 1 {
                self.doubled.push(format!("the call of {id} happened {happened} times"));
            }
        }
    }
}

/// The calls that arrived, by event: under how many keys, and how often.
struct Calls<'a>(BTreeMap<&'a str, (BTreeSet<Option<&'a str>>, usize)>);

impl<'a> Calls<'a> {
    fn new(evidence: &'a Evidence) -> Self {
        let mut all: BTreeMap<&str, (BTreeSet<_>, usize)> = BTreeMap::new();
        for call in &evidence.calls {
            let entry = all.entry(&call.event).or_default();
            entry.0.insert(call.key.as_deref());
            entry.1 += 1;
        }
        Self(all)
    }

    fn of(&self, event: &str) -> (usize, usize) {
        self.0.get(event).map_or((0, 0), |(keys, times)| (keys.len(), *times))
    }
}

#[cfg(test)]
mod tests;
