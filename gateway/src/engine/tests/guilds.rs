//! What Discord's gateway tells of a guild is in its rows when its event is committed, and whoever begins to serve it is told.

use crate::{
    Bot,
    handlers::{
        Acquired, AsyncHandler, BoxFuture, Call, Event, EventExt, EventKind, Handler, HandlerError, Reply, Said,
        Target, contract,
    },
    testing::Bench,
};
use serde_json::{Value, json};
use shared::wire::link::Outcome;
use std::sync::{Arc, Mutex};

const GUILD: &str = "discord:guild:5";

/// Notes what it is told.
#[derive(Debug, Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().expect("whole").push(what.into());
    }

    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("whole"))
    }
}

impl Handler for Notes {
    fn handle(&self, event: &Event, target: &mut Target<'_>) -> Result<Reply, HandlerError> {
        let guild = target.guild()?;
        let name = guild.as_ref().map(|guild| guild.read::<Value>()).transpose()?.flatten();
        self.note(format!("{} {}", event.guild().map_or("-", |now| now.as_str()), name.unwrap_or_default()["name"]));
        match &event.body[..] {
            b"own" => target.kv().set("berth/discord-guild", "mine").map(|()| Reply::none()),
            b"gone" => target.kv().delete("berth/discord-guild").map(|_| Reply::none()),
            b"scan" => {
                target.kv().set("settings", &1)?;
                let keys: Vec<(String, Value)> = target.kv().scan("", 10)?;
                let own: Vec<(String, Value)> = target.kv().scan("berth/", 10)?;
                self.note(format!("{} {}", keys.len(), own.len()));
                Ok(Reply::none())
            }
            text if text.ends_with(b"broken\"}}") => Err(HandlerError::Permanent("it cannot read that".to_owned())),
            _ => Ok(Reply::none()),
        }
    }

    fn on_acquire(&self, acquired: &Acquired<'_>) {
        match acquired.guild().expect("it can be read") {
            None => self.note("nothing is known"),
            Some(guild) => self.note(format!("{} {}", guild.standing.as_str(), guild.json().unwrap_or("nothing"))),
        }
    }
}

fn tell(bench: &Bench, name: &str, data: &Value) {
    let body = format!(r#"{{"t":"{name}","d":{data}}}"#);
    let outcome = bench.send(bench.event(GUILD, EventKind::DiscordDispatch, &body));
    assert!(matches!(outcome, Outcome::Committed { .. }), "{outcome:?}");
}

#[test]
fn whoever_begins_to_serve_a_guild_is_told_what_it_is_and_how_it_stands() {
    let notes = Notes::default();
    let mut bench = Bench::new(notes.clone());
    let target = bench.own(GUILD, 1);
    assert_eq!(notes.taken(), ["nothing is known"]);
    tell(&bench, "GUILD_CREATE", &json!({"id": "5", "name": "x", "members": [1]}));
    tell(&bench, "MESSAGE_CREATE", &json!({"id": "9", "guild_id": "5"}));
    assert_eq!(notes.taken(), ["available null", "- \"x\""]);
    bench.let_go(&target);
    bench.give_back(&target, 1);
    assert_eq!(notes.taken(), [r#"available {"id":"5","name":"x"}"#]);
    tell(&bench, "GUILD_DELETE", &json!({"id": "5", "unavailable": true}));
    assert_eq!(notes.taken(), ["outage \"x\""]);
    bench.crash();
    assert_eq!(notes.taken(), [r#"outage {"id":"5","name":"x"}"#]);
    tell(&bench, "GUILD_DELETE", &json!({"id": "5"}));
    assert_eq!(notes.taken(), ["removed \"x\""]);
    bench.restart();
    assert_eq!(notes.taken(), [r#"removed {"id":"5","name":"x"}"#], "nothing of it is erased");
}

#[test]
fn a_guild_is_kept_whatever_its_handler_makes_of_it() {
    let notes = Notes::default();
    let mut bench = Bench::new(notes.clone());
    tell(&bench, "GUILD_CREATE", &json!({"id": "5", "name": "broken"}));
    notes.taken();
    bench.crash();
    assert_eq!(notes.taken(), [r#"available {"id":"5","name":"broken"}"#]);
}

#[test]
fn keys_of_berths_own_are_not_the_bots() {
    let notes = Notes::default();
    let bench = Bench::new(notes.clone());
    tell(&bench, "GUILD_CREATE", &json!({"id": "5", "name": "x"}));
    for refused in ["own", "gone"] {
        bench.send(bench.event(GUILD, EventKind::SlackEvent, refused));
    }
    notes.taken();
    bench.send(bench.event(GUILD, EventKind::SlackEvent, "scan"));
    assert_eq!(notes.taken(), ["- \"x\"", "1 1"], "it is there still, and not among the bot's");
}

/// Notes what it is sent over HTTP, and cannot do the first thing that it is asked.
#[derive(Clone, Default)]
struct Distant(Notes);

impl AsyncHandler for Distant {
    fn handle<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<Said, HandlerError>> {
        let sent = contract::ask(call, None).expect("it can be sent");
        let sent: Value = serde_json::from_slice(&sent).expect("JSON");
        self.0.note(json!([sent["event"]["guild"], sent["acquired"], sent["guild"]]).to_string());
        let broken = call.attempt == 1 && call.event.body.starts_with(b"once");
        let said = if broken { Err(HandlerError::Retry("not now".to_owned())) } else { Ok(Said::nothing()) };
        Box::pin(std::future::ready(said))
    }
}

#[test]
fn an_asynchronous_handler_is_told_with_its_first_call_until_it_has_answered_one() {
    let distant = Distant::default();
    let mut bench = Bench::new(Bot::asynchronous(distant.clone()));
    tell(&bench, "GUILD_CREATE", &json!({"id": "5", "name": "x"}));
    tell(&bench, "GUILD_DELETE", &json!({"id": "5"}));
    assert_eq!(distant.0.taken(), [r#"["available",true,null]"#, r#"["removed",null,null]"#]);
    bench.crash();
    let sent = bench.post(bench.event(GUILD, EventKind::TelegramUpdate, "once"));
    bench.until("it was asked", |_| !distant.0.0.lock().expect("whole").is_empty());
    bench.advance(std::time::Duration::from_secs(5));
    assert!(matches!(sent.outcome(&bench), Outcome::Committed { .. }));
    bench.send(bench.event(GUILD, EventKind::TelegramUpdate, "later"));
    let told = distant.0.taken();
    assert!(told.len() >= 3, "{told:?}");
    let (last, first) = told.split_last().expect("several");
    assert_eq!(last, "[null,null,null]");
    for told in first {
        let told: Value = serde_json::from_str(told).expect("JSON");
        assert_eq!(
            (&told[1], &told[2]["standing"], &told[2]["data"]["name"]),
            (&json!(true), &json!("removed"), &json!("x"))
        );
        assert!(told[2]["as_of_ms"].is_u64() && told[2]["since_ms"].is_u64() && told[2]["left_out"] == json!([]));
    }
}
