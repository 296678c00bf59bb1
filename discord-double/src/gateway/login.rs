//! IDENTIFY and RESUME: who gets a session, who gets its own back, and who is refused with which code.

use super::{
    Effect, Gateway, WireId,
    payload::{self, Identifies, Resumes, code},
    session::{Lost, Session},
    starts::Start,
};
use crate::{
    guilds::Guilds,
    ids::Now,
    intents, objects,
    record::{self, Answer},
};
use serde_json::json;

impl Gateway {
    pub(super) fn identify(&mut self, guilds: &Guilds, from: WireId, wish: &Identifies, now: Now) {
        let shard = wish.shard.unwrap_or((0, 1));
        let answer = match self.refusal(guilds, from, wish, shard) {
            Some(code) => {
                self.close(from, code, now);
                Answer::Closed(code)
            }
            None => match self.starts.take(&self.settings, shard.0, now.mono) {
                Start::Granted => {
                    self.start(guilds, from, wish, shard, now);
                    Answer::Accepted
                }
                Start::TooSoon => {
                    self.say(from, payload::invalid_session(false));
                    Answer::Invalid
                }
                Start::Spent => {
                    self.reset_token(from, now);
                    Answer::Closed(code::AUTHENTICATION_FAILED)
                }
            },
        };
        let identify = record::Identify { at: now.mono, shard, intents: wish.intents, answer };
        self.asked.identifies.push(identify);
    }

    fn refusal(&self, guilds: &Guilds, from: WireId, wish: &Identifies, shard: (u32, u32)) -> Option<u16> {
        if self.shard_of_wire(from).is_some() {
            Some(code::ALREADY_AUTHENTICATED)
        } else if !self.knows(&wish.token) {
            Some(code::AUTHENTICATION_FAILED)
        } else if shard.0 >= shard.1 {
            Some(code::INVALID_SHARD)
        } else if wish.intents & !intents::ALL != 0 {
            Some(code::INVALID_INTENTS)
        } else if wish.intents & intents::PRIVILEGED & !self.settings.privileged != 0 {
            Some(code::DISALLOWED_INTENTS)
        } else if guilds.of_shard(shard).count() > self.settings.guilds_per_shard {
            Some(code::SHARDING_REQUIRED)
        } else {
            None
        }
    }

    /// A new session. Another one of the same shard goes on beside it.
    fn start(&mut self, guilds: &Guilds, from: WireId, wish: &Identifies, shard: (u32, u32), now: Now) {
        self.next += 1;
        let id = format!("{:016x}{:016x}", now.wall_ms, self.next);
        let mut session = Session::new(shard, wish.intents, from);
        if wish.compress == Some(true) {
            self.effects.push(Effect::Pack(from));
        }
        let of_shard: Vec<_> = guilds.of_shard(shard).collect();
        let listed: Vec<_> = of_shard.iter().map(|id| json!({"id": id.to_string(), "unavailable": true})).collect();
        let ready = json!({
            "v": 10, "user": objects::current_user(guilds.bot()), "guilds": listed, "session_id": id,
            "session_type": "normal", "resume_gateway_url": format!("{}/resume", self.url),
            "shard": [shard.0, shard.1], "application": {"id": self.settings.application.to_string(), "flags": 0},
            "private_channels": [], "presences": [], "relationships": [], "user_settings": {}, "_trace": ["double"],
        });
        let mut told = vec![session.once("READY", &ready.to_string())];
        if wish.intents & intents::GUILDS != 0 {
            let created = of_shard.iter().filter_map(|guild| guilds.created(*guild));
            told.extend(created.map(|data| session.event("GUILD_CREATE", &data.to_string(), self.settings.replay)));
        }
        self.effects.extend(told.into_iter().map(|text| Effect::Say(from, text)));
        self.join(from, &id, shard.0);
        self.sessions.insert(id, session);
    }

    /// What Discord does to a bot that identifies too often: every session ends and the token is worth nothing.
    fn reset_token(&mut self, from: WireId, now: Now) {
        self.reset = true;
        let all = self.sessions.values().filter_map(|session| session.wire).chain([from]);
        for wire in all.collect::<Vec<_>>() {
            self.close(wire, code::AUTHENTICATION_FAILED, now);
        }
        self.sessions.clear();
    }

    pub(super) fn resume(&mut self, from: WireId, wish: Resumes, now: Now) {
        let shard = self.sessions.get(&wish.session_id).map(|session| session.shard);
        let by_resume_url = self.wires.get(&from).is_some_and(|wire| wire.by_resume_url);
        let (answer, replayed) = self.resumed(from, &wish, now);
        let (session, seq) = (wish.session_id, wish.seq);
        let at = now.mono;
        self.asked.resumes.push(record::Resume { at, session, shard, seq, by_resume_url, replayed, answer });
    }

    fn resumed(&mut self, from: WireId, wish: &Resumes, now: Now) -> (Answer, usize) {
        let refused = if self.shard_of_wire(from).is_some() {
            Some(code::ALREADY_AUTHENTICATED)
        } else if !self.knows(&wish.token) {
            Some(code::AUTHENTICATION_FAILED)
        } else {
            None
        };
        if let Some(code) = refused {
            self.close(from, code, now);
            return (Answer::Closed(code), 0);
        }
        let life = self.settings.session_life;
        let found = self.sessions.get_mut(&wish.session_id).filter(|session| !session.is_over(life, now.mono));
        let missed = match found.map(|session| session.missed(wish.seq)) {
            Some(Ok(missed)) => missed,
            Some(Err(Lost::Future)) => {
                self.sessions.remove(&wish.session_id);
                self.close(from, code::INVALID_SEQ, now);
                return (Answer::Closed(code::INVALID_SEQ), 0);
            }
            Some(Err(Lost::Forgotten)) | None => {
                self.sessions.remove(&wish.session_id);
                self.say(from, payload::invalid_session(false));
                return (Answer::Invalid, 0);
            }
        };
        // Whoever comes last has the session.
        if let Some(before) = self.sessions.get(&wish.session_id).and_then(|session| session.wire) {
            self.close(before, code::UNKNOWN_ERROR, now);
        }
        let replayed = missed.len();
        self.effects.extend(missed.into_iter().map(|text| Effect::Say(from, text)));
        if let Some(session) = self.sessions.get_mut(&wish.session_id) {
            session.wire = Some(from);
            let (text, shard) = (session.once("RESUMED", r#"{"_trace":["double"]}"#), session.shard.0);
            self.effects.push(Effect::Say(from, text));
            self.join(from, &wish.session_id, shard);
        }
        (Answer::Accepted, replayed)
    }
}
