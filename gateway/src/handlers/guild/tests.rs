use super::*;
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::json;

fn told(name: &str, data: &str, at_ms: u64) -> Event {
    Event {
        target: "discord:guild:5".parse().expect("a target"),
        parent: None,
        platform: shared::Platform::Discord,
        kind: EventKind::DiscordDispatch,
        source: "discord-gateway".to_owned(),
        id: format!("s:{at_ms}"),
        received_at: at_ms,
        headers: Vec::new(),
        body: Bytes::from(format!("{{\"t\":\"{name}\",\"d\":{data}}}")),
    }
}

/// A guild's rows, and what events make of them.
#[derive(Default)]
struct Rows([Option<String>; 2]);

impl Rows {
    /// Applies an event. Returns whether it changed the guild's row, and the one of how it stands.
    fn hear(&mut self, event: &Event, most: usize) -> (bool, bool) {
        let rows = || Ok::<_, std::convert::Infallible>(self.0.clone());
        let Ok(Changes { guild, standing }) = changes(event, most, rows);
        let changed = (guild.is_some(), standing.is_some());
        self.0[0] = guild.or(self.0[0].take());
        self.0[1] = standing.or(self.0[1].take());
        changed
    }

    fn guild(&self) -> Option<Guild> {
        Guild::of_rows(self.0[0].as_deref(), self.0[1].as_deref())
    }
}

const ROOM: usize = 10_000;

#[test]
fn an_outage_is_no_removal() {
    let is = |name: &str, data: &str| standing(&told(name, data, 1)).map(GuildStanding::as_str);
    assert_eq!(is("GUILD_CREATE", r#"{"id":"5","name":"x"}"#), Some("available"));
    assert_eq!(is("GUILD_CREATE", r#"{"id":"5","unavailable":false}"#), Some("available"));
    assert_eq!(is("GUILD_CREATE", r#"{"id":"5","unavailable":true}"#), Some("outage"));
    assert_eq!(is("GUILD_DELETE", r#"{"id":"5","unavailable":true}"#), Some("outage"));
    assert_eq!(is("GUILD_DELETE", r#"{"id":"5"}"#), Some("removed"));
    assert_eq!(is("GUILD_DELETE", r#"{"id":"5","unavailable":null}"#), Some("removed"));
    for other in ["GUILD_UPDATE", "GUILD_ROLE_DELETE", "MESSAGE_CREATE"] {
        assert_eq!(is(other, r#"{"id":"5","unavailable":true}"#), None, "{other}");
    }
    let webhook = Event { kind: EventKind::DiscordEvent, ..told("GUILD_DELETE", r#"{"id":"5"}"#, 1) };
    assert_eq!(standing(&webhook), None, "who verified that did not write it");
}

#[test]
fn a_guild_is_kept_as_it_came_but_for_what_ages_at_once() {
    let mut rows = Rows::default();
    let data = r#"{"id":"5","name":"x","n":1e2,"members":[1],"presences":[],"voice_states":[],"unavailable":false}"#;
    assert_eq!(rows.hear(&told("GUILD_CREATE", data, 7), ROOM), (true, false));
    let guild = rows.guild().expect("kept");
    assert_eq!(guild.json(), Some(r#"{"id":"5","n":1e2,"name":"x"}"#));
    assert_eq!(guild.left_out, ["members", "presences", "unavailable", "voice_states"]);
    assert_eq!((guild.standing, guild.since_ms, guild.as_of_ms), (GuildStanding::Available, None, Some(7)));
    let shown = serde_json::to_value(&guild).expect("JSON");
    assert_eq!((&shown["standing"], &shown["data"]["name"]), (&json!("available"), &json!("x")));
}

#[test]
fn what_is_told_again_writes_nothing_and_what_is_new_does() {
    let mut rows = Rows::default();
    rows.hear(&told("GUILD_CREATE", r#"{"id":"5","name":"x","members":[1]}"#, 7), ROOM);
    let again = told("GUILD_CREATE", r#"{"name":"x","id":"5","members":[1,2],"voice_states":null}"#, 8);
    assert_eq!(rows.hear(&again, ROOM), (true, false), "one more field was left out");
    assert_eq!(rows.hear(&Event { received_at: 9, ..again }, ROOM), (false, false));
    assert_eq!(rows.guild().and_then(|guild| guild.as_of_ms), Some(8), "when it was told so first");
    assert_eq!(rows.hear(&told("GUILD_CREATE", r#"{"id":"5","name":"y"}"#, 10), ROOM), (true, false));
    assert_eq!(rows.guild().and_then(|guild| guild.as_of_ms), Some(10));
}

#[test]
fn through_an_outage_and_a_removal_the_guild_is_kept() {
    let mut rows = Rows::default();
    rows.hear(&told("GUILD_CREATE", r#"{"id":"5","name":"x"}"#, 1), ROOM);
    let stands = |rows: &Rows| {
        let guild = rows.guild().expect("kept");
        assert_eq!(guild.json(), Some(r#"{"id":"5","name":"x"}"#));
        (guild.standing, guild.since_ms)
    };
    let outage = told("GUILD_DELETE", r#"{"id":"5","unavailable":true}"#, 2);
    assert_eq!(rows.hear(&outage, ROOM), (false, true));
    assert_eq!(rows.hear(&Event { received_at: 3, ..outage }, ROOM), (false, false));
    assert_eq!(stands(&rows), (GuildStanding::Outage, Some(2)));
    assert_eq!(rows.hear(&told("GUILD_CREATE", r#"{"id":"5","name":"x"}"#, 4), ROOM), (false, true));
    assert_eq!(stands(&rows), (GuildStanding::Available, Some(4)));
    assert_eq!(rows.hear(&told("GUILD_DELETE", r#"{"id":"5"}"#, 5), ROOM), (false, true));
    assert_eq!(stands(&rows), (GuildStanding::Removed, Some(5)));
    let unreachable = told("GUILD_CREATE", r#"{"id":"5","unavailable":true}"#, 6);
    assert_eq!(rows.hear(&unreachable, ROOM), (false, true), "what is not told of it is not forgotten");
    assert_eq!(stands(&rows), (GuildStanding::Outage, Some(6)));
}

#[test]
fn a_guild_that_is_too_large_loses_its_largest_fields_and_says_so() {
    let long = "r".repeat(400);
    let data = json!({"id": "5", "name": "x", "owner_id": "7", "member_count": 3, "roles": [long], "emojis": ["e".repeat(300)], "z": 1});
    let mut rows = Rows::default();
    rows.hear(&told("GUILD_CREATE", &data.to_string(), 1), 500);
    let guild = rows.guild().expect("kept");
    assert_eq!(guild.left_out, ["roles"]);
    assert!(guild.json().expect("data").len() <= 500);
    let mut rows = Rows::default();
    rows.hear(&told("GUILD_CREATE", &data.to_string(), 1), 1);
    let guild = rows.guild().expect("kept");
    assert_eq!(guild.left_out, ["emojis", "roles", "z"]);
    assert_eq!(
        guild.json(),
        Some(r#"{"id":"5","member_count":3,"name":"x","owner_id":"7"}"#),
        "that much is always kept"
    );
    assert_eq!(
        Rows::default().hear(&told("GUILD_CREATE", &data.to_string(), 1), 0),
        (false, false),
        "nothing is to be kept"
    );
}

#[test]
fn what_another_pod_was_told_before_it_lost_the_guild_changes_nothing() {
    let mut rows = Rows::default();
    rows.hear(&told("GUILD_CREATE", r#"{"id":"5","name":"new"}"#, 9), ROOM);
    let mut late = told("GUILD_CREATE", r#"{"id":"5","name":"old"}"#, 3);
    late.mark_late(&"gateway-1".parse().expect("a pod"));
    assert_eq!(rows.hear(&late, ROOM), (false, false));
}

proptest! {
    #[test]
    fn nothing_that_is_told_makes_it_fail(name in "(GUILD_CREATE|GUILD_DELETE|GUILD_)", data in ".{0,80}", most in 0_usize..90) {
        let mut rows = Rows::default();
        rows.hear(&told(&name, &data, 1), most);
        rows.hear(&told("GUILD_CREATE", r#"{"id":"5"}"#, 2), ROOM);
        prop_assert_eq!(rows.guild().expect("kept").standing, GuildStanding::Available);
    }
}
