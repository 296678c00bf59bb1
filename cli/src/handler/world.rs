//! What the played pod holds of its targets: keys, values and sessions in memory, and the tokens of the calls that run.
//! It applies what a handler answered, as far as later events can see it. Pure; the listener is another's.

use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};

/// The state of all played targets.
#[derive(Debug, Default)]
pub(super) struct World {
    kv: HashMap<String, BTreeMap<String, Value>>,
    sessions: HashMap<(String, String), Value>,
    /// Tokens of calls in flight, with the target each is good for.
    tokens: HashMap<String, String>,
    /// Reads so far that were as they should be.
    pub(super) reads: usize,
    /// Reads that a pod would have refused, in words.
    pub(super) refused: Vec<String>,
    /// Statements that were asked for; nothing here can run them.
    pub(super) queries: usize,
}

/// A read of a handler while it works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Read {
    /// One value.
    Key(String),
    /// Values whose keys begin with a prefix, at most so many.
    Scan(String, usize),
    /// A session.
    Session(String),
    /// Rows of the handler's own tables.
    Query,
}

impl World {
    /// Opens a call: its token reads the target from now on.
    pub(super) fn open(&mut self, token: &str, target: &str) {
        self.tokens.insert(token.to_owned(), target.to_owned());
    }

    /// Ends a call: its token reads nothing any more.
    pub(super) fn close(&mut self, token: &str) {
        self.tokens.remove(token);
    }

    /// Returns what travels with an event of `target`: the keys that the description asks for, as far as they are set.
    pub(super) fn preloaded(&self, target: &str, preload: &[String]) -> Map<String, Value> {
        let wanted = |key: &str| {
            preload.iter().any(|want| want.strip_suffix('*').map_or(want == key, |prefix| key.starts_with(prefix)))
        };
        let all = self.kv.get(target).into_iter().flatten();
        all.filter(|(key, _)| wanted(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// Applies what an answer that was judged well does to keys and sessions.
    pub(super) fn apply(&mut self, target: &str, answer: &Value) {
        let kv = self.kv.entry(target.to_owned()).or_default();
        for (key, value) in answer["kv"]["set"].as_object().into_iter().flatten() {
            kv.insert(key.clone(), value.clone());
        }
        for key in answer["kv"]["delete"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            kv.remove(key);
        }
        for session in answer["sessions"].as_array().into_iter().flatten() {
            let key = (target.to_owned(), session["id"].as_str().unwrap_or_default().to_owned());
            if let Some(value) = session.get("set") {
                self.sessions.insert(key, value.clone());
            } else if session["delete"] == true {
                self.sessions.remove(&key);
            }
        }
    }

    /// Answers a read: a status and a body.
    pub(super) fn read(&mut self, token: Option<&str>, target: &str, read: &Read) -> (u16, Value) {
        let good_for = token.and_then(|token| self.tokens.get(token));
        if good_for.is_none_or(|good_for| good_for != target) {
            let why = match (token, good_for) {
                (None, _) => "without the token of the call".to_owned(),
                (_, None) => "with a token of no call that runs".to_owned(),
                (_, Some(other)) => format!("with the token of {other}"),
            };
            self.refused.push(format!("{target} was read {why}"));
            return (401, json!({"code": "unauthorized", "detail": "the token is good for its call only"}));
        }
        self.reads += 1;
        let kv = self.kv.get(target);
        let found = match read {
            Read::Key(key) => kv.and_then(|kv| kv.get(key)).map(|value| json!({"value": value})),
            Read::Session(id) => {
                let key = (target.to_owned(), id.clone());
                self.sessions.get(&key).map(|value| json!({"value": value}))
            }
            Read::Scan(prefix, limit) => {
                let mut found = kv.into_iter().flatten().filter(|(key, _)| key.starts_with(prefix));
                let entries: Vec<_> =
                    found.by_ref().take(*limit).map(|(key, value)| json!({"key": key, "value": value})).collect();
                Some(json!({"entries": entries, "more": found.next().is_some()}))
            }
            Read::Query => {
                self.queries += 1;
                Some(json!({"columns": [], "rows": []}))
            }
        };
        found.map_or_else(
            || (404, json!({"code": "not-found", "detail": "there is no such value"})),
            |found| (200, found),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_its_target_while_its_call_runs() {
        let mut world = World::default();
        world.apply("a", &json!({"kv": {"set": {"x/1": 1, "x/2": 2, "y": 3}}, "sessions": [{"id": "s", "set": 4}]}));
        world.open("t", "a");
        assert_eq!(world.read(Some("t"), "a", &Read::Key("y".into())), (200, json!({"value": 3})));
        let scanned = world.read(Some("t"), "a", &Read::Scan("x/".into(), 1));
        assert_eq!(scanned, (200, json!({"entries": [{"key": "x/1", "value": 1}], "more": true})));
        assert_eq!(world.read(Some("t"), "a", &Read::Session("s".into())).1, json!({"value": 4}));
        assert_eq!(world.read(Some("t"), "a", &Read::Key("none".into())).0, 404);
        assert_eq!((world.reads, world.refused.len()), (4, 0));
        assert_eq!(world.read(Some("t"), "b", &Read::Key("y".into())).0, 401);
        assert_eq!(world.read(None, "a", &Read::Key("y".into())).0, 401);
        world.close("t");
        assert_eq!(world.read(Some("t"), "a", &Read::Key("y".into())).0, 401);
        assert_eq!(world.refused.len(), 3, "{:?}", world.refused);
    }

    #[test]
    fn what_was_asked_for_travels_with_the_event() {
        let mut world = World::default();
        world.apply("a", &json!({"kv": {"set": {"settings": 1, "w:bob": 2, "w:amy": 3, "other": 4}}}));
        world.apply("a", &json!({"kv": {"delete": ["w:amy"]}}));
        let preload = ["settings".to_owned(), "w:*".to_owned(), "absent".to_owned()];
        assert_eq!(Value::Object(world.preloaded("a", &preload)), json!({"settings": 1, "w:bob": 2}));
    }
}
