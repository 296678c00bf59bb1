//! The platforms: they send events, and send each again under the same id until it is acknowledged, now and then also after
//! that.

use crate::agenda::{MS, Ns, SECOND};
use crate::draw::Draw;
use crate::message::{Answer, Ask};
use crate::network::{Node, ROUTERS};
use crate::world::{Happening, World};
use std::collections::BTreeMap;

/// How long a platform waits for an answer.
const PATIENCE: Ns = 3 * SECOND;
/// The longest wait before an event is sent again.
const LONGEST: Ns = 20 * SECOND;

/// The platforms.
#[derive(Debug)]
pub(crate) struct Platform {
    draw: Draw,
    next: u64,
    open: BTreeMap<u64, Sending>,
    /// Events that nobody has acknowledged yet.
    pub(crate) unacknowledged: BTreeMap<u64, usize>,
    /// How many were sent.
    pub(crate) sent: u64,
}

#[derive(Debug, Clone, Copy)]
struct Sending {
    target: usize,
    event: u64,
    wait: Ns,
}

impl Platform {
    pub(crate) fn new(draw: Draw) -> Self {
        Self { draw, next: 0, open: BTreeMap::new(), unacknowledged: BTreeMap::new(), sent: 0 }
    }
}

impl World {
    /// An event of a platform occurs; the next one is put on the agenda.
    pub(crate) fn platform_acts(&mut self) {
        let platform = &mut self.platform;
        let hot = self.profile.hot.min(self.profile.targets);
        let all = if platform.draw.chance(800) { hot } else { self.profile.targets };
        let target = platform.draw.below(all as u64) as usize;
        platform.sent += 1;
        let event = platform.sent;
        platform.unacknowledged.insert(event, target);
        let next = self.now + platform.draw.waiting(self.profile.events);
        if self.newest[target] != shared::Epoch(0) {
            self.measures.sent(event, self.now);
        }
        self.platform_sends(target, event, 500 * MS);
        // The last events come early enough to be acknowledged within the time that everything has to converge in.
        if next < self.profile.end_at - 30 * SECOND {
            self.agenda.put(next, Happening::Event);
        }
    }

    /// Sends an event to some router.
    pub(crate) fn platform_sends(&mut self, target: usize, event: u64, wait: Ns) {
        let platform = &mut self.platform;
        platform.next += 1;
        let call = platform.next;
        platform.open.insert(call, Sending { target, event, wait });
        let router = platform.draw.below(u64::from(ROUTERS)) as u8;
        self.ask(Node::Platform, Node::Router(router), call, Ask::Webhook(target, event), PATIENCE);
    }

    pub(crate) fn platform_hears(&mut self, call: u64, answer: Option<Answer>) {
        let platform = &mut self.platform;
        let Some(Sending { target, event, wait }) = platform.open.remove(&call) else { return };
        let acknowledged = matches!(answer, Some(Answer::Status(200)));
        if acknowledged {
            self.measures.acknowledged(event, self.now);
        }
        // One in fifty acknowledgements does not reach the platform.
        if acknowledged && !platform.draw.chance(20) {
            platform.unacknowledged.remove(&event);
            return;
        }
        let wait = (wait * 2).min(LONGEST);
        let at = self.now + wait / 2 + platform.draw.below(wait / 2);
        self.agenda.put(at, Happening::Redelivery { target, event, wait });
    }
}
