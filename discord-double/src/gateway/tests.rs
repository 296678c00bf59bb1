use super::*;
use crate::{intents, objects::User, record::Answer, settings::Rate};
use serde_json::{Value, json};
use std::time::Duration;

/// The first guild of shard 0, and of shard 1, of two.
const EVEN: u64 = 2 << 22;
const ODD: u64 = 3 << 22;

struct Scene {
    gateway: Gateway,
    guilds: Guilds,
    now: Now,
}

impl Scene {
    fn new(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings { pace: Duration::ZERO, ..Settings::default() };
        change(&mut settings);
        let mut guilds = Guilds::new(User::new(settings.application, "bot"), 1_800_000_000_000);
        for guild in [EVEN, ODD] {
            guilds.add(guild, "a guild");
        }
        let now = Now { mono: Mono::from_nanos(1), wall_ms: 1_800_000_000_000 };
        Self { gateway: Gateway::new(settings, "ws://double".to_owned()), guilds, now }
    }

    fn later(&mut self, by: Duration) -> &mut Self {
        self.now.mono = self.now.mono.after(by);
        self
    }

    fn connect(&mut self) -> WireId {
        let entrance = Entrance { version: Some("10".to_owned()), ..Entrance::default() };
        self.gateway.connect(entrance, self.now)
    }

    fn send(&mut self, wire: WireId, payload: &Value) {
        self.gateway.receive(&self.guilds, wire, payload.to_string().as_bytes(), self.now);
    }

    /// A connection that has identified; what it was told is forgotten.
    fn login(&mut self, shard: (u32, u32)) -> (WireId, String) {
        let wire = self.connect();
        self.send(wire, &identify(shard));
        let told = self.told();
        let ready = told.iter().find(|(to, told)| *to == wire && told["t"] == "READY").expect("READY");
        (wire, ready.1["d"]["session_id"].as_str().expect("an id").to_owned())
    }

    /// Takes what was said since the last time.
    fn told(&mut self) -> Vec<(WireId, Value)> {
        let effects = std::mem::take(&mut self.gateway.effects);
        let said = effects.into_iter().filter_map(|effect| match effect {
            Effect::Say(wire, text) => Some((wire, serde_json::from_str(&text).expect("JSON"))),
            _ => None,
        });
        said.collect()
    }

    fn closed(&mut self, wire: WireId) -> Option<u16> {
        std::mem::take(&mut self.gateway.effects).into_iter().find_map(|effect| match effect {
            Effect::Close(closed, code) if closed == wire => Some(code),
            _ => None,
        })
    }

    fn event(&mut self, guild: Option<u64>, text: &str) {
        let data = json!({"text": text}).to_string().into();
        let bare = Some(json!({"text": ""}).to_string().into());
        self.gateway.dispatch(&Event { name: "MESSAGE_CREATE", guild, intent: intents::GUILD_MESSAGES, data, bare });
    }
}

fn identify(shard: (u32, u32)) -> Value {
    let intents = intents::GUILDS | intents::GUILD_MESSAGES | intents::MESSAGE_CONTENT;
    json!({"op": 2, "d": {"token": Settings::default().token, "intents": intents, "properties": {}, "shard": [shard.0, shard.1]}})
}

fn with(mut payload: Value, field: &str, value: Value) -> Value {
    payload["d"][field] = value;
    payload
}

fn resume(session: &str, seq: u64) -> Value {
    json!({"op": 6, "d": {"token": Settings::default().token, "session_id": session, "seq": seq}})
}

fn names(told: &[(WireId, Value)], wire: WireId) -> Vec<String> {
    let of = told.iter().filter(|(to, _)| *to == wire);
    of.map(|(_, told)| told["t"].as_str().map_or_else(|| format!("op {}", told["op"]), ToOwned::to_owned)).collect()
}

#[test]
fn hello_comes_first_even_to_whoever_asks_for_what_there_is_not() {
    for (version, encoding, code) in [
        (Some("10"), Some("json"), None),
        (Some("10"), None, None),
        (Some("6"), None, Some(4012)),
        (None, None, Some(4012)),
        (Some("10"), Some("etf"), Some(4002)),
    ] {
        let mut scene = Scene::new(|_| {});
        let text = |given: Option<&str>| given.map(ToOwned::to_owned);
        let entrance = Entrance { version: text(version), encoding: text(encoding), ..Entrance::default() };
        scene.gateway.connect(entrance, scene.now);
        assert!(matches!(&scene.gateway.effects[0], Effect::Say(_, text) if text.contains(r#""op":10"#)));
        assert_eq!(scene.closed(1), code, "{version:?} {encoding:?}");
    }
}

#[test]
fn a_shard_is_told_of_its_own_guilds_and_of_no_other() {
    for (shard, guild) in [(0, EVEN), (1, ODD)] {
        let mut scene = Scene::new(|_| {});
        let wire = scene.connect();
        scene.send(wire, &identify((shard, 2)));
        let told = scene.told();
        assert_eq!(names(&told, wire), ["op 10", "READY", "GUILD_CREATE"]);
        assert_eq!(told[1].1["d"]["guilds"], json!([{"id": guild.to_string(), "unavailable": true}]));
        assert_eq!(told[2].1["d"]["id"], json!(guild.to_string()));
        scene.event(Some(EVEN), "even");
        scene.event(Some(ODD), "odd");
        scene.event(None, "direct");
        let expected = if shard == 0 { vec!["even", "direct"] } else { vec!["odd"] };
        let texts: Vec<_> = scene.told().into_iter().map(|(_, told)| told["d"]["text"].clone()).collect();
        assert_eq!(texts, expected);
    }
}

#[test]
fn an_identify_that_may_not_be_is_closed_with_its_code() {
    let unknown = json!(1_u64 << 40);
    for (payload, code) in [
        (with(identify((0, 2)), "token", json!("another")), 4004),
        (identify((2, 2)), 4010),
        (with(identify((0, 2)), "intents", unknown), 4013),
        (with(identify((0, 2)), "intents", json!(intents::GUILD_MEMBERS)), 4014),
        (with(identify((0, 2)), "properties", Value::Null), 4002),
        (json!({"op": 2, "d": {}}), 4002),
        (json!({"op": 77}), 4001),
        (json!({"op": 3, "d": {}}), 4003),
        (identify((0, 1)), 4011),
    ] {
        let mut scene = Scene::new(|settings| {
            settings.privileged = intents::MESSAGE_CONTENT;
            settings.guilds_per_shard = 1;
        });
        let wire = scene.connect();
        scene.send(wire, &payload);
        assert_eq!(scene.closed(wire), Some(code), "{payload}");
    }
    let mut scene = Scene::new(|_| {});
    let (wire, _) = scene.login((0, 1));
    scene.send(wire, &identify((0, 1)));
    assert_eq!(scene.closed(wire), Some(4005));
}

#[test]
fn whoever_comes_back_is_given_what_it_missed_once_and_in_order() {
    let mut scene = Scene::new(|_| {});
    let (wire, session) = scene.login((0, 2));
    scene.event(Some(EVEN), "seen");
    let seen = scene.told()[0].1["s"].as_u64().expect("a number");
    scene.gateway.gone(wire, Some(4200), scene.now);
    for text in ["missed", "missed too"] {
        scene.event(Some(EVEN), text);
    }
    assert!(scene.told().is_empty(), "nobody is there");
    let back = scene.connect();
    scene.send(back, &resume(&session, seen));
    let told = scene.told();
    assert_eq!(names(&told, back), ["op 10", "MESSAGE_CREATE", "MESSAGE_CREATE", "RESUMED"]);
    assert_eq!(told[1].1["d"]["text"], "missed");
    let numbers: Vec<_> = told[1..].iter().map(|(_, told)| told["s"].as_u64().expect("a number")).collect();
    assert_eq!(numbers, [seen + 1, seen + 2, seen + 3]);
    assert_eq!(scene.gateway.asked.resumes[0].replayed, 2);
    // RESUMED itself is not given again.
    scene.gateway.gone(back, None, scene.now);
    let again = scene.connect();
    scene.send(again, &resume(&session, seen + 2));
    assert_eq!(names(&scene.told(), again), ["op 10", "RESUMED"]);
}

#[test]
fn a_session_that_is_over_cannot_be_resumed() {
    for (how, end) in [
        ("closed with 1000", (|scene, wire| scene.gateway.gone(wire, Some(1000), scene.now)) as fn(&mut Scene, WireId)),
        ("left for too long", |scene, wire| {
            scene.gateway.gone(wire, None, scene.now);
            scene.later(Duration::from_secs(300));
        }),
        ("invalid", |scene, _| assert_eq!(scene.gateway.invalidate(0, false, scene.now), 1)),
        ("closed with 4009", |scene, _| assert_eq!(scene.gateway.close_shard(0, 4009, scene.now), 1)),
        ("forgotten", |scene, _| scene.gateway.forget()),
    ] {
        let mut scene = Scene::new(|_| {});
        let (wire, session) = scene.login((0, 2));
        end(&mut scene, wire);
        let back = scene.connect();
        scene.send(back, &resume(&session, 1));
        assert_eq!(scene.gateway.asked.resumes[0].answer, Answer::Invalid, "{how}");
        let told = scene.told();
        assert_eq!(told.last().expect("an answer").1, json!({"op": 9, "d": false, "s": null, "t": null}), "{how}");
        // The same connection may start anew.
        scene.send(back, &identify((0, 2)));
        assert_eq!(names(&scene.told(), back), ["READY", "GUILD_CREATE"], "{how}");
    }
}

#[test]
fn a_session_goes_on_after_what_is_only_a_connections_end() {
    for (how, end) in [
        (
            "closed with 4000",
            (|scene, _| assert_eq!(scene.gateway.close_shard(0, 4000, scene.now), 1)) as fn(&mut Scene, WireId),
        ),
        ("cut", |scene, _| assert_eq!(scene.gateway.cut(0, scene.now), 1)),
        ("a zombie", |scene, _| assert_eq!(scene.gateway.zombify(0, scene.now), 1)),
        ("a zombie that is cut", |scene, _| {
            assert_eq!(scene.gateway.zombify(0, scene.now), 1);
            assert_eq!(scene.gateway.cut(0, scene.now), 1);
        }),
        ("invalid, but resumable", |scene, _| assert_eq!(scene.gateway.invalidate(0, true, scene.now), 1)),
        ("closed by the client with 4200", |scene, wire| scene.gateway.gone(wire, Some(4200), scene.now)),
        ("still connected elsewhere", |_, _| {}),
    ] {
        let mut scene = Scene::new(|_| {});
        let (wire, session) = scene.login((0, 2));
        end(&mut scene, wire);
        let back = scene.connect();
        scene.send(back, &resume(&session, 1));
        assert_eq!(scene.gateway.asked.resumes[0].answer, Answer::Accepted, "{how}");
        scene.gateway.effects.clear();
        scene.event(Some(EVEN), "for one");
        assert_eq!(names(&scene.told(), back), ["MESSAGE_CREATE"], "{how}: one connection has the session");
    }
}

#[test]
fn a_number_that_never_was_ends_the_session_and_one_that_is_forgotten_too() {
    let mut scene = Scene::new(|settings| settings.replay = 3);
    let (wire, session) = scene.login((0, 2));
    scene.gateway.gone(wire, None, scene.now);
    let back = scene.connect();
    scene.send(back, &resume(&session, 99));
    assert_eq!(scene.closed(back), Some(4007));
    let (wire, session) = scene.login((0, 2));
    scene.gateway.gone(wire, None, scene.now);
    for number in 0..3 {
        scene.event(Some(EVEN), &number.to_string());
    }
    // READY was 1, GUILD_CREATE 2, and 3 to 5 are kept.
    for (seq, answer) in [(2, Answer::Accepted), (1, Answer::Invalid)] {
        let back = scene.connect();
        scene.send(back, &resume(&session, seq));
        assert_eq!(scene.gateway.asked.resumes.last().expect("a resume").answer, answer, "from {seq}");
        scene.gateway.gone(back, None, scene.now);
    }
}

#[test]
fn two_sessions_of_one_shard_get_the_same_events() {
    let mut scene = Scene::new(|_| {});
    let (old, _) = scene.login((0, 2));
    let (new, _) = scene.login((0, 2));
    scene.event(Some(EVEN), "for both");
    let told = scene.told();
    assert_eq!((names(&told, old).len(), names(&told, new).len()), (1, 1));
}

#[test]
fn identifies_of_one_bucket_are_paced_and_of_two_are_not() {
    let mut scene = Scene::new(|settings| (settings.concurrency, settings.pace) = (2, Duration::from_secs(5)));
    for (shard, after, answer) in [
        (0, 0, Answer::Accepted),
        (1, 0, Answer::Accepted),
        (2, 4_999, Answer::Invalid),
        (2, 1, Answer::Accepted),
        (3, 0, Answer::Accepted),
        (1, 0, Answer::Invalid),
    ] {
        let wire = scene.later(Duration::from_millis(after)).connect();
        scene.send(wire, &identify((shard, 4)));
        assert_eq!(
            scene.gateway.asked.identifies.last().expect("one").answer,
            answer,
            "shard {shard} after {after} ms"
        );
    }
}

#[test]
fn one_identify_too_many_and_the_token_is_worth_nothing() {
    let mut scene = Scene::new(|settings| settings.starts = Rate::of(2, Duration::from_secs(24 * 3600)));
    let (first, session) = scene.login((0, 2));
    scene.login((1, 2));
    assert_eq!(scene.gateway.starts_left(scene.now).uses, 0);
    let third = scene.connect();
    scene.send(third, &identify((0, 2)));
    let closed: Vec<_> = std::mem::take(&mut scene.gateway.effects)
        .into_iter()
        .filter_map(|effect| if let Effect::Close(wire, 4004) = effect { Some(wire) } else { None })
        .collect();
    assert!(closed.contains(&first) && closed.contains(&third) && closed.len() == 3, "{closed:?}");
    let back = scene.connect();
    scene.send(back, &resume(&session, 1));
    assert_eq!(scene.closed(back), Some(4004), "the token is worth nothing");
}

#[test]
fn a_client_that_says_too_much_or_too_long_things_is_closed() {
    let mut scene = Scene::new(|_| {});
    let (wire, session) = scene.login((0, 1));
    for _ in 0..119 {
        scene.send(wire, &json!({"op": 1, "d": null}));
    }
    assert_eq!(scene.closed(wire), None);
    scene.send(wire, &json!({"op": 1, "d": null}));
    assert_eq!(scene.closed(wire), Some(4008));
    scene.later(Duration::from_secs(60)).send(wire, &identify((0, 1)));
    assert_eq!(scene.gateway.asked.identifies.len(), 1, "what is closed is not heard any more");
    let back = scene.connect();
    scene.send(back, &resume(&session, 1));
    scene.send(back, &json!({"op": 3, "d": {"padding": "x".repeat(4096)}}));
    assert_eq!(scene.closed(back), Some(4002));
    let third = scene.connect();
    scene.gateway.receive(&scene.guilds, third, b"not json", scene.now);
    assert_eq!(scene.closed(third), Some(4002));
}

#[test]
fn a_client_that_does_not_beat_is_closed_and_its_session_is_over() {
    let mut scene = Scene::new(|_| {});
    let (wire, _) = scene.login((0, 1));
    let interval = Settings::default().heartbeat;
    for _ in 0..3 {
        scene.later(interval).send(wire, &json!({"op": 1, "d": 2}));
        scene.gateway.tick(wire, scene.now);
    }
    assert_eq!(names(&scene.told(), wire), ["op 11", "op 11", "op 11"]);
    let now = scene.later(interval * 2 + Duration::from_millis(1)).now;
    scene.gateway.tick(wire, now);
    assert_eq!(scene.closed(wire), Some(4009));
    assert!(scene.gateway.sessions().is_empty());
}

#[test]
fn who_did_not_ask_for_messages_gets_none_and_who_may_not_read_them_gets_no_words() {
    let mut scene = Scene::new(|_| {});
    for (intents, texts) in [
        (intents::GUILDS, vec![]),
        (intents::GUILD_MESSAGES, vec![""]),
        (intents::GUILD_MESSAGES | intents::MESSAGE_CONTENT, vec!["words"]),
    ] {
        let wire = scene.connect();
        scene.send(wire, &with(identify((0, 2)), "intents", json!(intents)));
        scene.gateway.effects.clear();
        scene.event(Some(EVEN), "words");
        let told = scene.told();
        let heard: Vec<_> = told.iter().filter(|(to, _)| *to == wire).map(|(_, told)| &told["d"]["text"]).collect();
        assert_eq!(heard, texts, "intents {intents}");
    }
}

#[test]
fn a_gateway_that_is_silent_says_nothing_and_hears_nothing() {
    let mut scene = Scene::new(|_| {});
    scene.gateway.set_silent(true);
    let wire = scene.connect();
    scene.send(wire, &identify((0, 1)));
    assert!(scene.gateway.effects.is_empty() && scene.gateway.asked.identifies.is_empty());
}
