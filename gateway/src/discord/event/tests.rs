use super::*;
use proptest::prelude::*;

fn own() -> TargetId {
    "discord:shard:0-2".parse().expect("a target")
}

fn of(name: &str, seq: u64, data: &str) -> Event {
    let dispatch = Dispatch { seq, name: name.to_owned(), data: data.to_owned() };
    event(&own(), "s1", &dispatch, 7).expect("an object")
}

#[test]
fn what_happens_belongs_to_its_guild_else_to_its_channel_else_to_the_shard() {
    let target = |name, data| of(name, 4, data).target.to_string();
    assert_eq!(target("MESSAGE_CREATE", r#"{"id":"9","guild_id":"5","channel_id":"6"}"#), "discord:guild:5");
    assert_eq!(target("MESSAGE_CREATE", r#"{"id":"9","channel_id":"6"}"#), "discord:channel:6");
    assert_eq!(target("GUILD_CREATE", r#"{"id":"5","name":"x"}"#), "discord:guild:5");
    assert_eq!(target("GUILD_DELETE", r#"{"id":"5","unavailable":true}"#), "discord:guild:5");
    assert_eq!(target("USER_UPDATE", r#"{"id":"77"}"#), "discord:shard:0-2");
    assert_eq!(target("NEW_THING", r#"{"guild_id":null}"#), "discord:shard:0-2");
    assert_eq!(target("MESSAGE_CREATE", r#"{"id":"9","guild_id":"../x"}"#), "discord:shard:0-2", "that is no id");
}

#[test]
fn what_comes_into_being_once_counts_by_its_own_id_in_every_session() {
    let message = r#"{"id":"9","guild_id":"5","content":"hi"}"#;
    let (first, again) = (of("MESSAGE_CREATE", 4, message), of("MESSAGE_CREATE", 11, message));
    assert_eq!(
        (first.id.as_str(), first.key(), first.payload_hash()),
        ("MESSAGE_CREATE:9", again.key(), again.payload_hash())
    );
    assert_ne!(first.key(), of("MESSAGE_DELETE", 5, message).key());
    let edited = of("MESSAGE_UPDATE", 6, message);
    assert_eq!(edited.id, "s1:6");
    assert_ne!(edited.key(), of("MESSAGE_UPDATE", 7, message).key(), "a message is edited more than once");
}

#[test]
fn a_handler_reads_the_name_and_the_data_as_they_came() {
    let event = of("MESSAGE_CREATE", 4, "{ \"id\": \"9\",\"guild_id\":\"5\",\"n\":1e2 }");
    assert_eq!(&event.body[..], br#"{"t":"MESSAGE_CREATE","d":{ "id": "9","guild_id":"5","n":1e2 }}"#);
    assert_eq!((event.kind, event.source.as_str(), event.received_at), (EventKind::DiscordDispatch, SOURCE, 7));
}

#[test]
fn what_is_no_object_is_no_event() {
    for data in ["", "7", "\"x\"", "null", "[", "{"] {
        let dispatch = Dispatch { seq: 1, name: "X".to_owned(), data: data.to_owned() };
        let made = event(&own(), "s1", &dispatch, 0);
        assert_eq!(made.err(), Some(Malformed), "{data}");
    }
}

proptest! {
    #[test]
    fn nothing_that_is_sent_makes_it_fail(name in ".{0,20}", data in ".{0,60}") {
        if let Ok(event) = event(&own(), "s", &Dispatch { seq: 1, name, data }, 0) {
            let body: serde_json::Value = serde_json::from_slice(&event.body).expect("JSON again");
            prop_assert!(body["t"].is_string());
        }
    }
}
