//! Who has how many slots of one bot (docs/adr/0032). A slot is given to nobody while another may still use it: a pod gives back by its
//! own word, what it was lent for a term is free when the term is over, and what it keeps is free when its life is. Pure: who lives and
//! what time it is comes in; within one leader only the boot clock counts.

use crate::domain::SliceRecord;
use shared::{
    Incarnation, Mono, PodId,
    wire::rest::{RestAsk, RestPod, RestSlice},
};
use std::{collections::BTreeMap, time::Duration};

/// The bounds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// How many slots there are.
    pub(super) slots: u32,
    /// For how long they are lent.
    pub(super) term: Duration,
    /// How many invalid requests the cluster may make.
    pub(super) invalid: u32,
}

/// What one pod may use.
#[derive(Debug, Clone)]
struct Share {
    version: u64,
    slots: u32,
    floor: u32,
    /// Until when the slots beyond the floor are lent.
    until: Mono,
    /// What the pod said last, and when.
    said: Option<(RestAsk, Mono)>,
}

/// One bot's shares.
#[derive(Debug, Clone, Default)]
pub(super) struct Shares {
    pods: BTreeMap<(PodId, Incarnation), Share>,
    /// Until when the bot pauses.
    paused: Mono,
}

impl Shares {
    /// Goes on with what a leader before has kept. It may have lent until a moment ago, to pods that asked a moment before that: what
    /// it lent is taken for lent for two terms.
    pub(super) fn restore(kept: Vec<SliceRecord>, rules: &Rules, now: Mono) -> Self {
        let until = now.after(rules.term * 2);
        let share = |record: SliceRecord| {
            let SliceRecord { pod, incarnation, version, slots, floor } = record;
            ((pod, incarnation), Share { version, slots, floor, until, said: None })
        };
        Self { pods: kept.into_iter().map(share).collect(), paused: Mono::ZERO }
    }

    /// Returns it as it is kept.
    pub(super) fn record(&self) -> Vec<SliceRecord> {
        let record = |((pod, incarnation), share): (&(PodId, Incarnation), &Share)| SliceRecord {
            pod: pod.clone(),
            incarnation: incarnation.clone(),
            version: share.version,
            slots: share.slots,
            floor: share.floor,
        };
        self.pods.iter().map(record).collect()
    }

    /// Takes back what is over: what was lent for a term that has ended, and what was kept by a life that has.
    pub(super) fn expire(&mut self, lives: impl Fn(&PodId, &Incarnation) -> bool, now: Mono) {
        self.pods.retain(|(pod, incarnation), share| now < share.until || lives(pod, incarnation));
        self.pods.values_mut().filter(|share| now >= share.until).for_each(|share| share.slots = share.floor);
    }

    /// Gives a pod its slice. Returns it with whether anything of it is to be written before the pod hears of it.
    pub(super) fn give(&mut self, ask: RestAsk, rules: &Rules, now: Mono) -> (RestSlice, bool) {
        let key = (ask.pod.clone(), ask.incarnation.clone());
        self.paused = self.paused.max(now.after(Duration::from_millis(ask.paused_ms).min(LONGEST_PAUSE)));
        let before = self.pods.get(&key).cloned();
        let mut share = before.clone().unwrap_or(Share { version: 0, slots: 0, floor: 0, until: now, said: None });
        let (version, said) = (ask.version, (ask.slots, ask.floor.min(ask.slots)));
        // Only who has heard the last word gives anything back: an older one may be a request that was long on its way.
        (share.slots, share.floor) = match version == share.version {
            true => said,
            false => (share.slots.max(said.0), share.floor.max(said.1)),
        };
        (share.said, share.until) = (Some((ask, now)), now.after(rules.term));
        self.pods.insert(key.clone(), share.clone());
        let of_others: u32 = self.pods.iter().filter(|(other, _)| **other != key).map(|(_, share)| share.slots).sum();
        let (fair, floor) = self.fair(&key, rules, now);
        let slots = fair.min(rules.slots.saturating_sub(of_others));
        let floor = floor.min(slots);
        // What it had it may be using still.
        (share.slots, share.floor) = (share.slots.max(slots), share.floor.max(floor));
        if version != share.version || said != (slots, floor) {
            share.version += 1;
        }
        let slice = RestSlice {
            version: share.version,
            slots,
            floor,
            term_ms: millis(rules.term),
            paused_ms: millis(self.paused.since(now)),
            invalid: rules.invalid / u32::try_from(self.pods.len()).unwrap_or(u32::MAX).max(1),
        };
        let kept = |share: &Share| (share.version, share.slots, share.floor);
        let unwritten = before.is_none_or(|before| kept(&before) != kept(&share));
        self.pods.insert(key, share);
        (slice, unwritten)
    }

    /// Returns a pod's fair part: as much as it wants, when that is not more than what others want less leaves over; and which part of it
    /// it may keep without an answer. Half of all slots are shared out evenly for that.
    fn fair(&self, key: &(PodId, Incarnation), rules: &Rules, now: Mono) -> (u32, u32) {
        let count = u32::try_from(self.pods.len()).unwrap_or(u32::MAX).max(1);
        let floor = if count > rules.slots { 0 } else { (rules.slots / 2 / count).max(1) };
        // Who has been silent for a term wants no more than it keeps.
        let said = |share: &Share| share.said.as_ref().filter(|_| now < share.until).map(|(ask, _)| ask.wants);
        let wish = |share: &Share| said(share).unwrap_or(share.slots).max(floor);
        let mut wishes: Vec<_> = self.pods.iter().map(|(key, share)| (wish(share), key)).collect();
        wishes.sort_unstable();
        let (mut left, mut others) = (rules.slots, count);
        for (wish, of) in wishes {
            // What does not divide goes to those who want most.
            let part = wish.min(left / others.max(1));
            if of == key {
                return (part, floor);
            }
            (left, others) = (left - part, others - 1);
        }
        (0, floor)
    }

    /// Whether nobody has any.
    pub(super) fn is_empty(&self) -> bool {
        self.pods.is_empty()
    }

    /// Returns how long the bot pauses.
    pub(super) fn paused(&self, now: Mono) -> Duration {
        self.paused.since(now)
    }

    /// Returns how many slots may be in use.
    pub(super) fn given(&self) -> u32 {
        self.pods.values().map(|share| share.slots).sum()
    }

    /// Returns the pods as they stand.
    pub(super) fn pods(&self, now: Mono) -> Vec<RestPod> {
        let shown = |((pod, _), share): (&(PodId, Incarnation), &Share)| {
            let said = share.said.as_ref().map(|(ask, _)| ask);
            RestPod {
                pod: pod.clone(),
                slots: share.slots,
                floor: share.floor,
                wants: said.map_or(0, |ask| ask.wants),
                invalid: said.map_or(0, |ask| ask.invalid),
                braked: said.is_some_and(|ask| ask.braked),
                refused: said.is_some_and(|ask| ask.refused),
                asked_ms: share.said.as_ref().map(|(_, at)| millis(now.since(*at))),
            }
        };
        self.pods.iter().map(shown).collect()
    }
}

/// The longest pause that a pod's word may bring.
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
