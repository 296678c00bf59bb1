//! Interactions: answered once, in time and in a way that fits what was done, then edited and followed up while their token
//! lives.

use super::{Reply, messages, route::Verb};
use crate::{ids::Now, objects::Place, world::World};
use serde_json::{Value, json};
use shared::clock::Mono;

/// A command that a user called, and what came of it.
#[derive(Debug, Clone)]
pub struct Interaction {
    /// Its id.
    pub id: u64,
    /// The token that answers it.
    pub token: String,
    /// What INTERACTION_CREATE said of it, as a webhook would have it.
    pub payload: Value,
    /// When it began.
    pub at: Mono,
    /// The type of the first answer; none so far.
    pub answered: Option<u64>,
    /// The first answer's message, once there is one.
    pub original: Option<u64>,
    /// The messages after it.
    pub followups: Vec<u64>,
    place: Place,
    /// The message it was done to.
    source: Option<u64>,
}

impl Interaction {
    pub(crate) fn new(id: u64, token: String, place: Place, payload: Value, source: Option<u64>, at: Mono) -> Self {
        Self { id, token, payload, at, answered: None, original: None, followups: Vec::new(), place, source }
    }

    /// Whether this type of answer fits what was done. Of what was done to a message nothing else can be updated, and a
    /// wish for completion can only be answered with choices.
    fn may_be_answered(&self, kind: u64) -> bool {
        match (self.payload["type"].as_u64(), kind) {
            (Some(done::COMPLETE), kind) => kind == answer::CHOICES,
            (Some(done::PRESS), kind) => kind != answer::CHOICES && (answer::MESSAGE..=answer::MODAL).contains(&kind),
            (_, kind) => matches!(kind, answer::MESSAGE | answer::DEFERRED | answer::MODAL),
        }
    }
}

/// The types of interactions that have rules of their own.
mod done {
    pub(super) const PRESS: u64 = 3;
    pub(super) const COMPLETE: u64 = 4;
}

/// The first answers that there are.
mod answer {
    pub(super) const MESSAGE: u64 = 4;
    pub(super) const DEFERRED: u64 = 5;
    pub(super) const DEFERRED_UPDATE: u64 = 6;
    pub(super) const UPDATE: u64 = 7;
    pub(super) const CHOICES: u64 = 8;
    pub(super) const MODAL: u64 = 9;
}

fn unknown_interaction() -> Reply {
    Reply::error(404, 10062, "Unknown interaction")
}

impl World {
    pub(super) fn callback(&mut self, id: u64, token: &str, body: &Value, tell: bool, now: Now) -> Reply {
        let Some(found) = self.rest.interactions.get(token).filter(|found| found.id == id) else {
            return unknown_interaction();
        };
        if found.answered.is_some() {
            return Reply::error(400, 40060, "Interaction has already been acknowledged.");
        }
        if now.mono.since(found.at) >= self.settings.callback {
            return unknown_interaction();
        }
        let kind = body["type"].as_u64().unwrap_or_default();
        if !found.may_be_answered(kind) {
            return Reply::error(400, 50035, "Invalid Form Body");
        }
        if kind == answer::MESSAGE
            && let Some(refusal) = messages::unsayable(&body["data"])
        {
            return refusal;
        }
        let (place, source, done) = (found.place, found.source, found.payload["type"].clone());
        let written = match kind {
            answer::MESSAGE => Some(self.speak(place, &body["data"], now)),
            answer::UPDATE | answer::DEFERRED_UPDATE => source,
            _ => None,
        };
        if let Some(id) = source.filter(|_| kind == answer::UPDATE) {
            let changed = self.rewrite(id, &body["data"], now);
            if changed.status != 200 {
                return changed;
            }
        }
        if let Some(found) = self.rest.interactions.get_mut(token) {
            (found.answered, found.original) = (Some(kind), written);
        }
        if !tell {
            return Reply::nothing();
        }
        let message = written.and_then(|id| self.rest.messages.get(&id)).map(|(_, message)| message.clone());
        Reply::ok(json!({
            "interaction": {"id": id.to_string(), "type": done, "response_message_id": written.map(|id| id.to_string())},
            "resource": {"type": kind, "message": message},
        }))
    }

    /// A message through the token: the first one fills in what was deferred.
    pub(super) fn followup(&mut self, application: u64, token: &str, said: &Value, now: Now) -> Reply {
        let place = match self.live(application, token, now) {
            Ok(found) => found.place,
            Err(refusal) => return refusal,
        };
        if let Some(refusal) = messages::unsayable(said) {
            return refusal;
        }
        let id = self.speak(place, said, now);
        if let Some(found) = self.rest.interactions.get_mut(token) {
            if found.answered == Some(answer::DEFERRED) && found.original.is_none() {
                found.original = Some(id);
            } else {
                found.followups.push(id);
            }
        }
        self.read(place.channel, id)
    }

    pub(super) fn of_webhook(
        &mut self,
        what: &Verb,
        application: u64,
        token: &str,
        id: Option<u64>,
        said: &Value,
        now: Now,
    ) -> Reply {
        let found = match self.live(application, token, now) {
            Ok(found) => found,
            Err(refusal) => return refusal,
        };
        let place = found.place;
        let known = match id {
            Some(id) => Some(id).filter(|id| found.original == Some(*id) || found.followups.contains(id)),
            None => found.original,
        };
        let deferred = id.is_none() && found.original.is_none() && found.answered == Some(answer::DEFERRED);
        match (what, known) {
            (Verb::Edit, None) if deferred => self.followup(application, token, said, now),
            (_, None) => messages::unknown_message(),
            (Verb::Read, Some(id)) => self.read(place.channel, id),
            (Verb::Edit, Some(id)) => self.rewrite(id, said, now),
            (Verb::Delete, Some(id)) => self.erase(id),
        }
    }

    /// An interaction that was answered and whose token still lives.
    fn live(&self, application: u64, token: &str, now: Now) -> Result<&Interaction, Reply> {
        let found = self.rest.interactions.get(token).filter(|found| found.answered.is_some());
        match found.filter(|_| application == self.settings.application) {
            None => Err(Reply::error(404, 10015, "Unknown Webhook")),
            Some(found) if now.mono.since(found.at) >= self.settings.followup => {
                Err(Reply::error(401, 50027, "Invalid Webhook Token"))
            }
            Some(found) => Ok(found),
        }
    }

    fn speak(&mut self, place: Place, said: &Value, now: Now) -> u64 {
        let author = self.guilds.bot().json(true);
        self.write(place, author, said, now)
    }
}
