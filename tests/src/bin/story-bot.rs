//! The bot of the stories: does what an event's body tells it to. It shows what a bot author's own binary does, and goes
//! wrong on request. A body is a JSON object; `do` is one of
//!
//! ```text
//! note    keep `text` under `key`
//! call    ask for the outgoing call `call`, idempotent
//! call-once  the same, not idempotent
//! retry   fail until the wall clock has reached `until_ms`, or until the file `until` is there
//! give-up fail for good
//! panic   break
//! sql     answer with what `statement` finds
//! count   count in memory, and answer with how far it has come
//! ```
//!
//! Of a guild on Discord it keeps how that stands (`guild`), and what it was told when its pod began to serve it (`acquired`).

use gateway::{
    Handler, HandlerError, Reply, Target,
    handlers::{Acquired, Event, EventExt, OutboxCall, TargetId},
};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    path::Path,
    sync::{Mutex, PoisonError},
};

#[derive(Default)]
struct StoryBot {
    counted: Mutex<HashMap<TargetId, u64>>,
    acquired: Mutex<HashMap<TargetId, Value>>,
}

impl StoryBot {
    fn counted<T>(&self, look: impl FnOnce(&mut HashMap<TargetId, u64>) -> T) -> T {
        look(&mut self.counted.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Handler for StoryBot {
    fn handle(&self, event: &Event, target: &mut Target<'_>) -> Result<Reply, HandlerError> {
        let told: Value = serde_json::from_slice(&event.body).unwrap_or_default();
        let handled = target.kv().get::<u64>("handled")?.unwrap_or(0) + 1;
        target.kv().set("handled", &handled)?;
        if let Some(standing) = event.guild() {
            target.kv().set("guild", standing.as_str())?;
        }
        let acquired = self.acquired.lock().unwrap_or_else(PoisonError::into_inner).get(target.id()).cloned();
        if let Some(acquired) = acquired {
            target.kv().set("acquired", &acquired)?;
        }
        match told["do"].as_str().unwrap_or("nothing") {
            "note" => target.kv().set(told["key"].as_str().unwrap_or("note"), &told["text"])?,
            how @ ("call" | "call-once") => {
                let call: OutboxCall = serde_json::from_value(told["call"].clone())
                    .map_err(|why| HandlerError::Permanent(why.to_string()))?;
                let mut outbox = target.outbox();
                if how == "call" { outbox.call_idempotent(&call)? } else { outbox.call(&call)? }
            }
            "retry" if target.now_ms() < told["until_ms"].as_u64().unwrap_or(0) => {
                return Err(HandlerError::Retry("told to fail for a while".to_owned()));
            }
            "retry" if told["until"].as_str().is_some_and(|file| !Path::new(file).exists()) => {
                return Err(HandlerError::Retry("told to fail for a while".to_owned()));
            }
            "give-up" => return Err(HandlerError::Permanent("told to fail for good".to_owned())),
            "panic" => panic!("told to panic"),
            "sql" => {
                let found = target.sql().query(told["statement"].as_str().unwrap_or_default(), ())?;
                return Ok(Reply::json(200, &json!(found.rows)));
            }
            "count" => {
                let counted = self.counted(|counted| {
                    let count = counted.entry(target.id().clone()).or_default();
                    *count += 1;
                    *count
                });
                return Ok(Reply::json(200, &json!({"counted": counted})));
            }
            _ => {}
        }
        Ok(Reply::json(200, &json!({"handled": handled})))
    }

    #[expect(clippy::disallowed_methods, reason = "a bot is not told which pod it runs on; its stories ask")]
    fn on_acquire(&self, acquired: &Acquired<'_>) {
        let Ok(Some(guild)) = acquired.guild() else { return };
        let data: Value = guild.read().ok().flatten().unwrap_or_default();
        let told = json!({
            "standing": guild.standing,
            "as_of_ms": guild.as_of_ms,
            "name": data["name"],
            "pod": std::env::var("BERTH_POD").unwrap_or_default(),
        });
        self.acquired.lock().unwrap_or_else(PoisonError::into_inner).insert(acquired.target().clone(), told);
    }

    fn export_volatile(&self, target: &TargetId) -> Option<Vec<u8>> {
        Some(self.counted(|counted| counted.remove(target))?.to_be_bytes().to_vec())
    }

    fn import_volatile(&self, target: &TargetId, state: &[u8]) {
        if let Ok(count) = state.try_into() {
            self.counted(|counted| counted.insert(target.clone(), u64::from_be_bytes(count)));
        }
    }
}

fn main() -> std::process::ExitCode {
    gateway::run(StoryBot::default())
}
