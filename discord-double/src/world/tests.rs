use super::*;
use crate::gateway::{Entrance, WireId};
use shared::clock::Mono;
use std::time::Duration;

const GUILD: u64 = 5 << 22;

fn scene() -> (World, Now, u64, WireId) {
    let now = Now { mono: Mono::from_nanos(1), wall_ms: 1_800_000_000_000 };
    let mut world = World::new(Settings { pace: Duration::ZERO, ..Settings::default() }, "ws://double".to_owned(), now);
    let channel = world.add_guild(GUILD, "a guild", now);
    let wire = login(&mut world, intents::GUILDS | intents::GUILD_MESSAGES | intents::DIRECT_MESSAGES, now);
    (world, now, channel, wire)
}

fn login(world: &mut World, intents: u64, now: Now) -> WireId {
    let wire = world.gateway.connect(Entrance { version: Some("10".to_owned()), ..Entrance::default() }, now);
    let token = Settings::default().token;
    let identify = json!({"op": 2, "d": {"token": token, "intents": intents, "properties": {}}}).to_string();
    world.gateway.receive(&world.guilds, wire, identify.as_bytes(), now);
    world.take_effects();
    wire
}

fn told(world: &mut World) -> Vec<(String, Value)> {
    let said = world.take_effects().into_iter().filter_map(|effect| match effect {
        Effect::Say(_, text) => serde_json::from_str::<Value>(&text).ok(),
        _ => None,
    });
    said.map(|told| (told["t"].as_str().unwrap_or_default().to_owned(), told["d"].clone())).collect()
}

#[test]
fn a_guild_comes_has_an_outage_and_goes() {
    let (mut world, now, ..) = scene();
    let id = GUILD + (1 << 22);
    world.add_guild(id, "another", now);
    world.outage(id, true);
    world.outage(id, false);
    world.remove_guild(id);
    world.remove_guild(id);
    let told = told(&mut world);
    let names: Vec<_> = told.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["GUILD_CREATE", "GUILD_DELETE", "GUILD_CREATE", "GUILD_DELETE"]);
    assert_eq!(told[1].1, json!({"id": id.to_string(), "unavailable": true}), "an outage is no removal");
    assert_eq!(told[3].1, json!({"id": id.to_string()}));
}

#[test]
fn a_guild_in_an_outage_is_listed_to_whoever_logs_in_and_not_told_of() {
    let (mut world, now, ..) = scene();
    world.outage(GUILD, true);
    let wire = world.gateway.connect(Entrance { version: Some("10".to_owned()), ..Entrance::default() }, now);
    let token = Settings::default().token;
    let identify = json!({"op": 2, "d": {"token": token, "intents": 1, "properties": {}}}).to_string();
    world.take_effects();
    world.gateway.receive(&world.guilds, wire, identify.as_bytes(), now);
    let told = told(&mut world);
    assert_eq!(told.len(), 1, "READY alone: {told:?}");
    assert_eq!(told[0].1["guilds"], json!([{"id": GUILD.to_string(), "unavailable": true}]));
}

#[test]
fn words_of_others_are_hidden_and_the_bots_own_are_not() {
    let (mut world, now, channel, _) = scene();
    let user = User::new(7, "ann");
    world.say(channel, &user, "hello", now).expect("a channel");
    let place = world.guilds.place(channel).expect("a channel");
    let bot = world.guilds.bot().json(true);
    world.write(place, bot, &json!({"content": "hi"}), now);
    let direct = world.direct(&user, now);
    assert_eq!(direct, world.direct(&user, now), "there is one channel between two");
    world.say(direct, &user, "psst", now).expect("a channel");
    let told = told(&mut world);
    let heard: Vec<_> = told.iter().map(|(_, data)| data["content"].as_str().expect("a text")).collect();
    assert_eq!(heard, ["", "hi", "psst"]);
    assert_eq!(told[0].1["guild_id"], json!(GUILD.to_string()));
    assert!(told[2].1.get("guild_id").is_none());
    assert!(world.say(1, &user, "nowhere", now).is_none());
}

#[test]
fn a_command_says_where_and_by_whom_it_was_called() {
    let (mut world, now, channel, _) = scene();
    let user = User::new(7, "ann");
    let called = world.interact(&Deed::Command(channel, "roll", &json!([])), &user, now).expect("a channel");
    let direct = world.direct(&user, now);
    world.interact(&Deed::Command(direct, "roll", &json!([])), &user, now).expect("a channel");
    let told = told(&mut world);
    assert_eq!(told[0].0, "INTERACTION_CREATE");
    assert_eq!(told[0].1, called.payload);
    assert_eq!(told[0].1["authorizing_integration_owners"], json!({"0": GUILD.to_string()}));
    assert_eq!(told[0].1["member"]["user"]["id"], "7");
    assert!(told[1].1.get("guild_id").is_none() && told[1].1["user"]["id"] == "7");
    assert!(told[1].1["authorizing_integration_owners"].get("0").is_none(), "no guild has installed it");
}

#[test]
fn ids_grow_and_tell_their_time() {
    let (mut world, now, ..) = scene();
    let ids = [world.next_id(now), world.next_id(now), world.next_id(now)];
    assert!(ids.is_sorted_by(|one, next| one < next));
    assert_eq!((ids[2] >> 22) + 1_420_070_400_000, now.wall_ms);
}
