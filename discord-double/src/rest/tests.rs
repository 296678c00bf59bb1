use super::*;
use crate::{
    objects::User,
    settings::{Rate, Settings},
    world::Deed,
};
use std::time::Duration;

const GUILD: u64 = 5 << 22;

struct Scene {
    world: World,
    now: Now,
    channel: u64,
}

impl Scene {
    fn new(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings { route: Rate::of(1000, Duration::from_secs(5)), ..Settings::default() };
        change(&mut settings);
        let now = Now { mono: Mono::from_nanos(1), wall_ms: 1_800_000_000_000 };
        let mut world = World::new(settings, "ws://double".to_owned(), now);
        let channel = world.add_guild(GUILD, "a guild", now);
        Self { world, now, channel }
    }

    fn later(&mut self, by: Duration) -> &mut Self {
        self.now.mono = self.now.mono.after(by);
        self
    }

    fn call(&mut self, method: &str, path: &str, body: &Value) -> Reply {
        let authorization = Some(format!("Bot {}", Settings::default().token));
        self.call_as(authorization, method, path, body)
    }

    fn call_as(&mut self, authorization: Option<String>, method: &str, path: &str, body: &Value) -> Reply {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let (method, path, query) = (method.to_owned(), format!("/v10{path}"), query.to_owned());
        self.world.rest(&Request { method, path, query, authorization, body }, self.now)
    }

    fn messages(&self) -> String {
        format!("/channels/{}/messages", self.channel)
    }

    fn done(&mut self, what: &Deed<'_>) -> Interaction {
        self.world.interact(what, &User::new(7, "ann"), self.now).expect("a place")
    }

    fn command(&mut self) -> Interaction {
        self.done(&Deed::Command(self.channel, "roll", &json!([])))
    }
}

fn header<'a>(reply: &'a Reply, name: &str) -> &'a str {
    reply.headers.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
}

fn hello() -> Value {
    json!({"content": "hello"})
}

#[test]
fn a_bot_is_told_where_the_gateway_is_and_what_it_may_start() {
    let mut scene = Scene::new(|settings| (settings.shards, settings.concurrency) = (16, 4));
    assert_eq!(scene.call("GET", "/gateway", &Value::Null).body, json!({"url": "ws://double"}));
    let limit = json!({"total": 1000, "remaining": 1000, "reset_after": 86_400_000, "max_concurrency": 4});
    let expected = json!({"url": "ws://double", "shards": 16, "session_start_limit": limit});
    assert_eq!(scene.call("GET", "/gateway/bot", &Value::Null).body, expected);
}

#[test]
fn what_is_wrong_with_a_request_is_said_as_discord_says_it() {
    let mut scene = Scene::new(|_| {});
    let forbidden = scene.world.add_channel(GUILD, "closed", scene.now).expect("the guild is there");
    scene.world.rest.forbidden.insert(forbidden);
    let messages = scene.messages();
    let long = json!({"content": "x".repeat(2001)});
    for (method, path, body, status, code) in [
        ("POST", "/channels/1/messages".to_owned(), hello(), 404, 10003),
        ("POST", format!("/channels/{forbidden}/messages"), hello(), 403, 50013),
        ("POST", messages.clone(), json!({}), 400, 50006),
        ("POST", messages.clone(), long, 400, 50035),
        ("PATCH", format!("{messages}/1"), hello(), 404, 10008),
        ("GET", "/nothing/here".to_owned(), Value::Null, 404, 0),
        ("PUT", messages, Value::Null, 404, 0),
        ("POST", "/webhooks/1/none".to_owned(), hello(), 404, 10015),
        ("POST", "/interactions/1/none/callback".to_owned(), json!({"type": 4}), 404, 10062),
    ] {
        let reply = scene.call(method, &path, &body);
        assert_eq!((reply.status, reply.body["code"].as_u64()), (status, Some(code)), "{method} {path}");
    }
    for authorization in [None, Some("Bot another".to_owned()), Some(Settings::default().token)] {
        assert_eq!(scene.call_as(authorization, "GET", "/gateway/bot", &Value::Null).status, 401);
    }
    // What was forbidden, and three without the right token; what is not there does not count.
    assert_eq!(scene.world.rest.limits.invalid_requests, 4);
}

#[test]
fn a_message_is_written_edited_and_deleted() {
    let mut scene = Scene::new(|_| {});
    let messages = scene.messages();
    let written = scene.call("POST", &messages, &hello());
    assert_eq!((written.status, &written.body["content"]), (200, &json!("hello")));
    let one = format!("{messages}/{}", written.body["id"].as_str().expect("an id"));
    let edited = scene.call("PATCH", &one, &json!({"content": "bye"}));
    assert_eq!(edited.body["content"], "bye");
    assert!(edited.body["edited_timestamp"].is_string());
    assert_eq!(scene.call("GET", &one, &Value::Null).body, edited.body);
    assert_eq!(scene.call("DELETE", &one, &Value::Null).status, 204);
    assert_eq!(scene.call("DELETE", &one, &Value::Null).status, 404);
    let theirs = scene.world.say(scene.channel, &User::new(7, "ann"), "mine", scene.now).expect("a channel");
    assert_eq!(scene.call("PATCH", &format!("{messages}/{theirs}"), &hello()).status, 403);
}

#[test]
fn a_nonce_that_is_enforced_makes_one_message_of_two_requests() {
    let mut scene = Scene::new(|_| {});
    let messages = scene.messages();
    let said = json!({"content": "once", "nonce": "n1", "enforce_nonce": true});
    let first = scene.call("POST", &messages, &said).body;
    assert_eq!(first["nonce"], "n1");
    assert_eq!(scene.call("POST", &messages, &said).body["id"], first["id"]);
    let other = json!({"content": "once", "nonce": "n2", "enforce_nonce": true});
    assert_ne!(scene.call("POST", &messages, &other).body["id"], first["id"]);
    let lax = json!({"content": "once", "nonce": "n1"});
    assert_ne!(scene.call("POST", &messages, &lax).body["id"], first["id"], "not enforced");
    scene.later(Duration::from_secs(300));
    assert_ne!(scene.call("POST", &messages, &said).body["id"], first["id"], "forgotten");
}

#[test]
fn a_bucket_tells_what_is_left_and_refuses_the_next() {
    let mut scene = Scene::new(|settings| settings.route = Rate::of(2, Duration::from_secs(5)));
    let messages = scene.messages();
    for left in ["1", "0"] {
        let reply = scene.call("POST", &messages, &hello());
        let told = ["limit", "remaining", "reset", "reset-after", "bucket"]
            .map(|name| header(&reply, &format!("x-ratelimit-{name}")).to_owned());
        assert_eq!(told, ["2", left, "1800000005.000", "5.000", "double-message-create"]);
    }
    let refused = scene.later(Duration::from_millis(1_500)).call("POST", &messages, &hello());
    assert_eq!(refused.status, 429);
    assert_eq!((&refused.body["retry_after"], &refused.body["global"]), (&json!(3.5), &json!(false)));
    assert_eq!((header(&refused, "retry-after"), header(&refused, "x-ratelimit-scope")), ("4", "user"));
    let other = scene.world.add_channel(GUILD, "other", scene.now).expect("the guild is there");
    assert_eq!(
        scene.call("POST", &format!("/channels/{other}/messages"), &hello()).status,
        200,
        "a bucket per channel"
    );
    scene.later(Duration::from_millis(3_500));
    assert_eq!(scene.call("POST", &messages, &hello()).status, 200);
}

#[test]
fn the_bot_has_a_limit_over_all_and_interactions_are_not_in_it() {
    let mut scene = Scene::new(|_| {});
    let called = scene.command();
    let messages = scene.messages();
    for _ in 0..50 {
        assert_eq!(scene.call("POST", &messages, &hello()).status, 200);
    }
    let refused = scene.call("GET", "/users/@me", &Value::Null);
    assert_eq!((refused.status, &refused.body["global"]), (429, &json!(true)));
    assert_eq!((header(&refused, "x-ratelimit-global"), header(&refused, "x-ratelimit-scope")), ("true", "global"));
    let path = format!("/interactions/{}/{}/callback", called.id, called.token);
    assert_eq!(scene.call_as(None, "POST", &path, &json!({"type": 4, "data": hello()})).status, 204);
    scene.later(Duration::from_secs(1));
    assert_eq!(scene.call("GET", "/users/@me", &Value::Null).status, 200);
}

#[test]
fn a_limit_that_others_use_up_is_not_held_against_the_bot() {
    let mut scene = Scene::new(|_| {});
    let messages = scene.messages();
    let until = scene.now.mono.after(Duration::from_secs(10));
    scene.world.rest.limits.share(scene.channel, until);
    let refused = scene.call("POST", &messages, &hello());
    assert_eq!((refused.status, header(&refused, "x-ratelimit-scope")), (429, "shared"));
    assert_eq!(refused.body["retry_after"], json!(10.0));
    assert_eq!(scene.world.rest.limits.invalid_requests, 0);
    scene.later(Duration::from_secs(10));
    assert_eq!(scene.call("POST", &messages, &hello()).status, 200);
}

#[test]
fn a_bot_that_used_its_limit_up_elsewhere_is_told_so_everywhere_but_for_interactions() {
    let mut scene = Scene::new(|_| {});
    scene.world.rest.limits.use_up(scene.now.mono.after(Duration::from_secs(4)));
    for path in ["/gateway/bot", "/users/@me"] {
        let refused = scene.call("GET", path, &Value::Null);
        assert_eq!((refused.status, header(&refused, "x-ratelimit-scope")), (429, "global"));
        assert_eq!((&refused.body["global"], &refused.body["retry_after"]), (&json!(true), &json!(4.0)));
    }
    let called = scene.command();
    let path = format!("/interactions/{}/{}/callback", called.id, called.token);
    assert_eq!(scene.call_as(None, "POST", &path, &json!({"type": 5})).status, 204);
    assert_eq!(scene.later(Duration::from_secs(4)).call("GET", "/users/@me", &Value::Null).status, 200);
}

#[test]
fn an_answer_that_is_lost_was_done_all_the_same() {
    let mut scene = Scene::new(|_| {});
    scene.world.rest.losing = 1;
    let messages = scene.messages();
    let said = json!({"content": "once", "nonce": "n", "enforce_nonce": true});
    let (first, second) = (scene.call("POST", &messages, &said), scene.call("POST", &messages, &said));
    assert_eq!((first.lost, second.lost), (true, false));
    assert_eq!(second.body["id"], first.body["id"]);
}

#[test]
fn too_many_invalid_requests_ban_until_the_period_is_over() {
    let mut scene = Scene::new(|settings| settings.invalid = Rate::of(3, Duration::from_secs(600)));
    for _ in 0..3 {
        assert_eq!(scene.call_as(None, "GET", "/gateway/bot", &Value::Null).status, 401);
    }
    let banned = scene.call("GET", "/gateway/bot", &Value::Null);
    assert_eq!((banned.status, banned.body), (429, json!("error code: 1015")));
    scene.later(Duration::from_secs(600));
    assert_eq!(scene.call("GET", "/gateway/bot", &Value::Null).status, 200);
}

#[test]
fn an_interaction_is_answered_once_and_in_time() {
    let mut scene = Scene::new(|_| {});
    let called = scene.command();
    let path = format!("/interactions/{}/{}/callback?with_response=true", called.id, called.token);
    let answer = json!({"type": 4, "data": {"content": "six"}});
    let reply = scene.call_as(None, "POST", &path, &answer);
    assert_eq!(reply.body["resource"]["message"]["content"], "six");
    assert_eq!(scene.call_as(None, "POST", &path, &answer).body["code"], 40060);
    let late = scene.command();
    let path = format!("/interactions/{}/{}/callback", late.id, late.token);
    assert_eq!(scene.later(Duration::from_secs(3)).call_as(None, "POST", &path, &answer).body["code"], 10062);
}

#[test]
fn a_deferred_answer_is_filled_in_and_followed_up_while_the_token_lives() {
    let mut scene = Scene::new(|_| {});
    let called = scene.command();
    let webhook = format!("/webhooks/{}/{}", Settings::default().application, called.token);
    assert_eq!(scene.call_as(None, "POST", &webhook, &hello()).body["code"], 10015, "not answered yet");
    let callback = format!("/interactions/{}/{}/callback", called.id, called.token);
    assert_eq!(scene.call_as(None, "POST", &callback, &json!({"type": 5})).status, 204);
    let original = format!("{webhook}/messages/@original");
    assert_eq!(scene.call_as(None, "GET", &original, &Value::Null).status, 404);
    assert_eq!(scene.call_as(None, "PATCH", &original, &json!({"content": "done"})).status, 200);
    for path in [original.clone(), original.replace('@', "%40")] {
        assert_eq!(scene.call_as(None, "GET", &path, &Value::Null).body["content"], "done");
    }
    let more = scene.call_as(None, "POST", &webhook, &json!({"content": "more"})).body;
    let found = scene.world.rest.interactions[&called.token].clone();
    assert_eq!((found.answered, found.followups.len()), (Some(5), 1));
    let path = format!("{webhook}/messages/{}", more["id"].as_str().expect("an id"));
    assert_eq!(scene.call_as(None, "DELETE", &path, &Value::Null).status, 204);
    assert_eq!(scene.call_as(None, "DELETE", &original, &Value::Null).status, 204);
    let late = scene.later(Duration::from_secs(15 * 60)).call_as(None, "POST", &webhook, &hello());
    assert_eq!((late.status, &late.body["code"]), (401, &json!(50027)));
}

#[test]
fn a_press_updates_its_message_and_a_completion_has_only_choices() {
    let mut scene = Scene::new(|_| {});
    let messages = scene.messages();
    let id = scene.call("POST", &messages, &hello()).body["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
    let content = |scene: &Scene| scene.world.rest.messages[&id].1["content"].clone();
    let callback = |called: &Interaction| format!("/interactions/{}/{}/callback", called.id, called.token);
    let pressed = scene.done(&Deed::Press(id, "more"));
    assert_eq!(pressed.payload["message"]["id"], json!(id.to_string()));
    let update = json!({"type": 7, "data": {"content": "updated"}});
    assert_eq!(scene.call_as(None, "POST", &callback(&pressed), &update).status, 204);
    assert_eq!(content(&scene), "updated");
    let deferred = scene.done(&Deed::Press(id, "more"));
    assert_eq!(scene.call_as(None, "POST", &callback(&deferred), &json!({"type": 6})).status, 204);
    let original = format!("/webhooks/{}/{}/messages/@original", Settings::default().application, deferred.token);
    assert_eq!(scene.call_as(None, "PATCH", &original, &json!({"content": "later"})).status, 200);
    assert_eq!(content(&scene), "later");
    let typed = scene.done(&Deed::Complete(scene.channel, "roll", &json!([])));
    let command = scene.command();
    let choices = json!({"type": 8, "data": {"choices": []}});
    assert_eq!(scene.call_as(None, "POST", &callback(&typed), &json!({"type": 5})).status, 400);
    assert_eq!(scene.call_as(None, "POST", &callback(&typed), &choices).status, 204);
    assert_eq!(scene.call_as(None, "POST", &callback(&command), &choices).status, 400);
    assert_eq!(scene.call_as(None, "POST", &callback(&command), &update).status, 400);
}

#[test]
fn what_was_asked_is_kept_with_its_answer() {
    let mut scene = Scene::new(|_| {});
    scene.world.rest.failing.extend([500, 502]);
    let messages = scene.messages();
    for _ in 0..3 {
        scene.later(Duration::from_secs(1)).call("POST", &messages, &hello());
    }
    let calls = &scene.world.rest.calls;
    let statuses: Vec<_> = calls.iter().map(|call| call.status).collect();
    assert_eq!(statuses, [500, 502, 200]);
    assert_eq!((&calls[0].path, &calls[0].body), (&messages, &hello()));
    assert_eq!(calls[2].at.since(calls[0].at), Duration::from_secs(2));
}
