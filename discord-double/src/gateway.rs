//! The gateway's rules: who may log in, which session gets which event, what a client that comes back is given again.
//! Pure: what clients say and the time come in, what is to be sent goes out as [`Effect`]s. Knows no sockets.

mod control;
mod login;
mod payload;
mod session;
mod starts;

use crate::{
    guilds::Guilds,
    ids::{Now, shard_of},
    limits::{Left, Window},
    record::{self, Asked},
    settings::Settings,
};
use payload::{Said, code};
use session::Session;
use shared::clock::Mono;
use starts::Starts;
use std::{collections::BTreeMap, sync::Arc};

/// A connection.
pub(crate) type WireId = u64;

/// What is to be done with a connection, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Send this.
    Say(WireId, Arc<str>),
    /// Send these bytes as they are, whatever was agreed on.
    Blurt(WireId, Arc<[u8]>),
    /// From here on compress each payload by itself.
    Pack(WireId),
    /// Close it with a code.
    Close(WireId, u16),
    /// End it without a word.
    Cut(WireId),
}

/// How a client connected.
#[derive(Debug, Clone, Default)]
pub(crate) struct Entrance {
    pub(crate) by_resume_url: bool,
    pub(crate) version: Option<String>,
    pub(crate) encoding: Option<String>,
    pub(crate) compress: Option<String>,
}

/// An event for all who may have it.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) name: &'static str,
    /// The guild it is of; without one it goes to shard 0.
    pub(crate) guild: Option<u64>,
    /// The intent it needs; zero for none.
    pub(crate) intent: u64,
    pub(crate) data: Arc<str>,
    /// What those get who may not read messages.
    pub(crate) bare: Option<Arc<str>>,
}

#[derive(Debug)]
struct Wire {
    by_resume_url: bool,
    session: Option<String>,
    /// The number of the shard that logged in over it.
    shard: Option<u32>,
    sends: Window,
    beat: Mono,
    /// It hears nothing and says nothing; unless it has ended too, the client does not know.
    dead: bool,
    ended: bool,
}

/// The gateway.
#[derive(Debug)]
pub(crate) struct Gateway {
    settings: Settings,
    /// Where clients connect, and where those that resume do.
    url: String,
    starts: Starts,
    sessions: BTreeMap<String, Session>,
    wires: BTreeMap<WireId, Wire>,
    next: u64,
    /// Too many IDENTIFYs: the token is no longer one.
    reset: bool,
    /// New connections are not greeted.
    silent: bool,
    pub(crate) asked: Asked,
    pub(crate) effects: Vec<Effect>,
}

impl Gateway {
    pub(crate) fn new(settings: Settings, url: String) -> Self {
        Self {
            settings,
            url,
            starts: Starts::default(),
            sessions: BTreeMap::new(),
            wires: BTreeMap::new(),
            next: 0,
            reset: false,
            silent: false,
            asked: Asked::default(),
            effects: Vec::new(),
        }
    }

    /// Returns whether this is the bot's token, with or without the word before it.
    pub(crate) fn knows(&self, token: &str) -> bool {
        !self.reset && token.strip_prefix("Bot ").unwrap_or(token) == self.settings.token
    }

    /// What is left of today's IDENTIFYs.
    pub(crate) fn starts_left(&self, now: Now) -> Left {
        self.starts.left(&self.settings, now.mono)
    }

    /// Greets a new connection.
    pub(crate) fn connect(&mut self, entrance: Entrance, now: Now) -> WireId {
        self.next += 1;
        let id = self.next;
        let by_resume_url = entrance.by_resume_url;
        let wire = Wire {
            by_resume_url,
            session: None,
            shard: None,
            sends: Window::default(),
            beat: now.mono,
            dead: self.silent,
            ended: false,
        };
        self.wires.insert(id, wire);
        if !self.silent {
            self.say(id, payload::hello(self.settings.heartbeat.as_millis()));
            let speaks = |given: &Option<String>, known| given.as_deref().is_some_and(|given| given == known);
            if !speaks(&entrance.version, "10") {
                self.close(id, code::INVALID_VERSION, now);
            } else if entrance.encoding.is_some() && !speaks(&entrance.encoding, "json") {
                self.close(id, code::DECODE, now);
            }
        }
        self.asked.connected.push(record::Connected { at: now.mono, by_resume_url, compress: entrance.compress });
        id
    }

    /// Hears what a client said.
    pub(crate) fn receive(&mut self, guilds: &Guilds, from: WireId, bytes: &[u8], now: Now) {
        let Some(wire) = self.wires.get_mut(&from).filter(|wire| !wire.dead) else { return };
        if bytes.len() > self.settings.payload {
            return self.close(from, code::DECODE, now);
        }
        if wire.sends.take(self.settings.sends, now.mono).is_err() {
            return self.close(from, code::RATE_LIMITED, now);
        }
        match payload::read(bytes) {
            Ok(Said::Heartbeat) => {
                wire.beat = now.mono;
                self.asked.beats += 1;
                self.say(from, payload::acknowledged());
            }
            Ok(Said::Identify(wish)) => self.identify(guilds, from, &wish, now),
            Ok(Said::Resume(wish)) => self.resume(from, wish, now),
            Ok(Said::Other(op, data)) => match self.shard_of_wire(from) {
                Some(shard) => self.asked.sent.push(record::Sent { at: now.mono, shard, op, data }),
                None => self.close(from, code::NOT_AUTHENTICATED, now),
            },
            Err(code) => self.close(from, code, now),
        }
    }

    /// Hears that a connection has ended: with the client's code, or just so.
    pub(crate) fn gone(&mut self, wire: WireId, code: Option<u16>, now: Now) {
        if let Some(shard) = self.shard_of_wire(wire) {
            self.asked.closed.push(record::Closed { at: now.mono, shard, code });
        }
        self.part(wire, code, now);
        self.wires.remove(&wire);
    }

    /// Looks whether a connection still beats, and which sessions nobody will come back to.
    pub(crate) fn tick(&mut self, wire: WireId, now: Now) {
        let most = self.settings.heartbeat * self.settings.missed_beats;
        if self.wires.get(&wire).is_some_and(|wire| !wire.dead && now.mono.since(wire.beat) > most) {
            self.close(wire, code::TIMED_OUT, now);
        }
        self.sessions.retain(|_, session| !session.is_over(self.settings.session_life, now.mono));
    }

    /// Gives an event to every session that may have it.
    pub(crate) fn dispatch(&mut self, event: &Event) {
        for session in self.sessions.values_mut() {
            let shard = event.guild.map_or(0, |guild| shard_of(guild, session.shard.1));
            let wanted = event.intent == 0 || session.intents & event.intent != 0;
            if shard != session.shard.0 || !wanted {
                continue;
            }
            let reads = event.guild.is_none() || session.intents & crate::intents::MESSAGE_CONTENT != 0;
            let data = event.bare.as_ref().filter(|_| !reads).unwrap_or(&event.data);
            let text = session.event(event.name, data, self.settings.replay);
            self.effects.extend(session.wire.map(|wire| Effect::Say(wire, text)));
        }
    }

    /// The sessions as they are now.
    pub(crate) fn sessions(&self) -> Vec<record::Session> {
        let shown = |(id, session): (&String, &Session)| record::Session {
            id: id.clone(),
            shard: session.shard,
            seq: session.seq(),
            connected: session.wire.is_some(),
        };
        self.sessions.iter().map(shown).collect()
    }

    fn say(&mut self, to: WireId, text: Arc<str>) {
        if self.wires.get(&to).is_some_and(|wire| !wire.dead) {
            self.effects.push(Effect::Say(to, text));
        }
    }

    /// Closes a connection; what becomes of its session depends on the code. Nothing is heard from it any more.
    fn close(&mut self, wire: WireId, code: u16, now: Now) {
        self.part(wire, Some(code), now);
        self.end(wire);
        self.effects.push(Effect::Close(wire, code));
    }

    /// Nothing comes of a connection any more.
    fn end(&mut self, wire: WireId) {
        if let Some(wire) = self.wires.get_mut(&wire) {
            (wire.dead, wire.ended) = (true, true);
        }
    }

    /// A connection has a session from now on.
    fn join(&mut self, wire: WireId, session: &str, shard: u32) {
        if let Some(wire) = self.wires.get_mut(&wire) {
            (wire.session, wire.shard) = (Some(session.to_owned()), Some(shard));
        }
    }

    /// Takes a connection and its session apart.
    fn part(&mut self, wire: WireId, code: Option<u16>, now: Now) {
        let Some(id) = self.wires.get_mut(&wire).and_then(|wire| wire.session.take()) else { return };
        if code.is_some_and(code::ends_session) {
            self.sessions.remove(&id);
        } else if let Some(session) = self.sessions.get_mut(&id).filter(|session| session.wire == Some(wire)) {
            session.leave(now.mono);
        }
    }

    fn shard_of_wire(&self, wire: WireId) -> Option<(u32, u32)> {
        let session = self.wires.get(&wire)?.session.as_ref()?;
        self.sessions.get(session).map(|session| session.shard)
    }
}

#[cfg(test)]
mod tests;
