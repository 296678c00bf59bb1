//! What the gateway can be told to do to those who are logged in. A shard's number means every connection over which a
//! shard of that number logged in, zombies among them.

use super::{Effect, Gateway, WireId, payload};
use crate::ids::Now;
use std::sync::Arc;

impl Gateway {
    /// Closes with a code; says how many there were, as all of these do.
    pub(crate) fn close_shard(&mut self, shard: u32, code: u16, now: Now) -> usize {
        self.each(shard, |gateway, wire| gateway.close(wire, code, now))
    }

    /// Ends connections without a word.
    pub(crate) fn cut(&mut self, shard: u32, now: Now) -> usize {
        self.each(shard, |gateway, wire| {
            gateway.part(wire, None, now);
            gateway.end(wire);
            gateway.effects.push(Effect::Cut(wire));
        })
    }

    /// Asks clients to reconnect (op 7).
    pub(crate) fn ask_to_reconnect(&mut self, shard: u32) -> usize {
        self.each(shard, |gateway, wire| gateway.say(wire, payload::reconnect()))
    }

    /// Asks clients for a heartbeat (op 1).
    pub(crate) fn ask_for_beat(&mut self, shard: u32) -> usize {
        self.each(shard, |gateway, wire| gateway.say(wire, payload::beat()))
    }

    /// Says that sessions are invalid (op 9). A client may log in again over the same connection.
    pub(crate) fn invalidate(&mut self, shard: u32, resumable: bool, now: Now) -> usize {
        self.each(shard, |gateway, wire| {
            let over = if resumable { None } else { Some(payload::code::INVALID_SEQ) };
            gateway.part(wire, over, now);
            gateway.say(wire, payload::invalid_session(resumable));
            if let Some(wire) = gateway.wires.get_mut(&wire) {
                wire.shard = None;
            }
        })
    }

    /// Makes zombies of connections: open, but nothing comes and nothing is heard. Events wait for the session to resume.
    pub(crate) fn zombify(&mut self, shard: u32, now: Now) -> usize {
        self.each(shard, |gateway, wire| {
            gateway.part(wire, None, now);
            if let Some(wire) = gateway.wires.get_mut(&wire) {
                wire.dead = true;
            }
        })
    }

    /// Sends these very characters.
    pub(crate) fn raw(&mut self, shard: u32, text: &Arc<str>) -> usize {
        self.each(shard, |gateway, wire| gateway.say(wire, Arc::clone(text)))
    }

    /// Sends these very bytes, past any compression.
    pub(crate) fn blurt(&mut self, shard: u32, bytes: &Arc<[u8]>) -> usize {
        self.each(shard, |gateway, wire| gateway.effects.push(Effect::Blurt(wire, Arc::clone(bytes))))
    }

    /// Sends an event, numbered and kept as any other, to sessions of a shard, connected or not.
    pub(crate) fn event(&mut self, shard: u32, name: &str, data: &str) -> usize {
        let mut count = 0;
        for session in self.sessions.values_mut().filter(|session| session.shard.0 == shard) {
            count += 1;
            let text = session.event(name, data, self.settings.replay);
            self.effects.extend(session.wire.map(|wire| Effect::Say(wire, text)));
        }
        count
    }

    /// From now on greets new connections, or does not.
    pub(crate) fn set_silent(&mut self, silent: bool) {
        self.silent = silent;
    }

    /// Forgets all sessions, as after a failure of the whole gateway: every connection breaks, no session can be resumed.
    pub(crate) fn forget(&mut self) {
        self.sessions.clear();
        let all: Vec<_> = self.wires.keys().copied().collect();
        for wire in all {
            self.end(wire);
            self.effects.push(Effect::Cut(wire));
        }
    }

    fn each(&mut self, shard: u32, mut act: impl FnMut(&mut Self, WireId)) -> usize {
        let of_shard = self.wires.iter().filter(|(_, wire)| wire.shard == Some(shard) && !wire.ended);
        let wires: Vec<_> = of_shard.map(|(id, _)| *id).collect();
        for wire in &wires {
            act(self, *wire);
        }
        wires.len()
    }
}
