//! What a pod has asked its witnesses, and what they have promised it, for one lease (OWNERSHIP.md, Leases 3). Decides whom
//! to ask now and from when an extension counts; not whether one is needed.

use super::super::quorum;
#[cfg(feature = "plant")]
use crate::plant::{self, Bug};
use crate::wire::control::{Peer, Witnesses};
use crate::{Mono, PodId};
use std::{collections::BTreeMap, time::Duration};

/// Questions and promises.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Promises {
    /// The newest question to each, while it is not answered.
    asked: BTreeMap<PodId, Asked>,
    /// When the newest question that each has answered with a promise was sent.
    promised: BTreeMap<PodId, Mono>,
    /// Nobody is asked before this.
    pub(super) ask_at: Mono,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Asked {
    nonce: u64,
    sent: Mono,
}

impl Promises {
    /// Returns whom to ask at `now`: those who have neither promised nor been asked within a heartbeat. The next round is
    /// half a heartbeat later.
    pub(super) fn round(&mut self, now: Mono, witnesses: &Witnesses, heartbeat: Duration) -> Vec<Peer> {
        self.ask_at = now.after(heartbeat / 2);
        let young = |sent: Mono| now < sent.after(heartbeat);
        let fresh = |pod: &PodId| {
            self.promised.get(pod).is_some_and(|sent| young(*sent))
                || self.asked.get(pod).is_some_and(|asked| young(asked.sent))
        };
        witnesses.pods.iter().filter(|peer| !fresh(&peer.pod)).cloned().collect()
    }

    /// Notes that a question is sent at `now`.
    pub(super) fn asked(&mut self, to: PodId, nonce: u64, now: Mono) {
        self.asked.insert(to, Asked { nonce, sent: now });
    }

    /// Takes the question with this nonce as answered. Returns when it was sent; none when it is not the newest.
    pub(super) fn answered(&mut self, by: &PodId, nonce: u64) -> Option<Mono> {
        let asked = self.asked.get(by).filter(|asked| asked.nonce == nonce)?;
        let sent = asked.sent;
        self.asked.remove(by);
        Some(sent)
    }

    /// Notes a promise that answers a question of `sent`.
    pub(super) fn promised(&mut self, by: PodId, sent: Mono) {
        let newest = self.promised.entry(by).or_default();
        *newest = sent.max(*newest);
    }

    /// Returns from when an extension counts: when the oldest of the QE newest promises was asked for. None without QE
    /// promises. A pod without witnesses needs none: its extension counts from `now`.
    pub(super) fn since(&self, now: Mono, witnesses: &Witnesses) -> Option<Mono> {
        let needed = quorum::extends(witnesses.pods.len());
        let Some(last) = needed.checked_sub(1) else { return Some(now) };
        let mut sent: Vec<Mono> =
            witnesses.pods.iter().filter_map(|peer| self.promised.get(&peer.pod)).copied().collect();
        sent.sort_unstable_by(|a, b| b.cmp(a));
        #[cfg(feature = "plant")]
        if plant::on(Bug::ExtensionFromNewest) {
            return sent.get(last).and(sent.first()).copied();
        }
        sent.get(last).copied()
    }
}
