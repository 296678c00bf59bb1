use super::super::{answer::Told, route::Api};
use super::*;

const TOKEN: &str = "Bot ODEzODQ3.x.y";

fn at(ms: u64) -> Mono {
    Mono::ZERO.after(Duration::from_millis(100_000 + ms))
}

fn route(method: &str, path: &str) -> Route {
    let url = format!("https://discord.com/api/v10{path}");
    Api::new("https://discord.com/api/v10").route(method, &url, Some(TOKEN)).expect("Discord's")
}

fn message(channel: u32) -> Route {
    route("POST", &format!("/channels/{channel}/messages"))
}

fn limits(slots: u32) -> Limits {
    let mut limits = Limits::new(Mono::ZERO);
    limits.share();
    limits.know("813847");
    let slice = RestSlice { version: 1, slots, floor: slots, term_ms: 60_000, paused_ms: 0, invalid: 10 };
    limits.hear("813847", &slice, (at(0), at(0)), Duration::ZERO);
    limits
}

fn ok(bucket: &str, limit: u32, remaining: u32) -> Heard {
    let told = Told { bucket: bucket.into(), limit, remaining, reset_after: Duration::from_secs(5) };
    Heard { status: 200, told: Some(told), hit: None }
}

fn status(status: u16) -> Heard {
    Heard { status, told: None, hit: None }
}

fn hit(scope: Scope, seconds: u64) -> Heard {
    Heard { status: 429, told: None, hit: Some((scope, Duration::from_secs(seconds))) }
}

/// Makes a call that is answered at once.
fn call(limits: &mut Limits, route: &Route, heard: &Heard, now: Mono) -> Result<(), Mono> {
    let taken = limits.admit(route, false, now).map_err(|turn| turn.at)?;
    limits.ended(route, &taken, (true, Some(heard)), now);
    Ok(())
}

#[test]
fn kinds_of_calls_learn_their_bucket_and_each_channel_has_its_own() {
    let mut limits = limits(49);
    let first = limits.admit(&message(1), false, at(0)).expect("leaves");
    assert!(limits.admit(&message(1), false, at(0)).is_err(), "nothing is known: one at a time");
    let other = limits.admit(&message(2), false, at(0)).expect("another channel");
    limits.ended(&message(1), &first, (true, Some(&ok("b", 3, 2))), at(10));
    limits.ended(&message(2), &other, (true, Some(&ok("b", 3, 0))), at(10));
    assert_eq!(limits.admit(&message(2), false, at(10)).expect_err("used up").at, at(5_010));
    for _ in 0..2 {
        limits.admit(&message(1), false, at(10)).expect("two are left");
    }
    limits.admit(&message(1), false, at(10)).expect_err("used up");
    for _ in 0..3 {
        limits.admit(&message(3), false, at(10)).expect("its kind is known");
    }
    limits.admit(&message(3), false, at(10)).expect_err("used up");
    limits.admit(&route("GET", "/channels/1"), false, at(10)).expect("another kind");
}

#[test]
fn a_bot_has_no_more_slots_than_it_was_given_and_interactions_need_none() {
    let mut limits = limits(2);
    for channel in 0..2 {
        limits.admit(&message(channel), false, at(0)).expect("a slot");
    }
    limits.admit(&message(9), false, at(0)).expect_err("no slot");
    limits.admit(&route("POST", "/interactions/1/t/callback"), false, at(0)).expect("needs none");
    limits.admit(&route("PATCH", "/webhooks/1/t/messages/@original"), false, at(0)).expect("needs none");
    let mut untold = Limits::new(Mono::ZERO);
    untold.share();
    untold.admit(&message(1), false, at(0)).expect_err("nothing was given");
    assert_eq!(untold.asking(false, at(0)), ["813847"]);
    Limits::new(Mono::ZERO).admit(&message(1), false, at(0)).expect("on a bench there is nobody to share with");
}

#[test]
fn a_call_that_does_not_leave_gives_everything_back() {
    let mut limits = limits(1);
    for _ in 0..3 {
        let taken = limits.admit(&message(1), false, at(0)).expect("free");
        limits.ended(&message(1), &taken, (false, None), at(0));
    }
}

#[test]
fn what_is_hit_pauses_what_it_is_about() {
    let mut limits = limits(49);
    call(&mut limits, &message(1), &hit(Scope::User, 3), at(0)).expect("leaves");
    assert_eq!(call(&mut limits, &message(1), &status(200), at(0)), Err(at(3_000)));
    call(&mut limits, &message(2), &hit(Scope::Global, 2), at(0)).expect("another channel");
    assert_eq!(call(&mut limits, &message(3), &status(200), at(0)), Err(at(2_000)), "all of the bot's");
    let mut ask = ask();
    limits.claim(&mut ask, at(500));
    assert_eq!(ask.paused_ms, 1_500);
    call(&mut limits, &message(3), &hit(Scope::Address, 7), at(2_000)).expect("leaves");
    let interaction = route("POST", "/interactions/1/t/callback");
    assert_eq!(call(&mut limits, &interaction, &status(204), at(2_000)), Err(at(9_000)), "all of the address'");
    let said = [News::Paused("813847".into(), Duration::from_secs(2)), News::Banned(Duration::from_secs(7))];
    assert_eq!(limits.take_news(), said);
}

#[test]
fn a_pause_that_others_were_told_holds_here_too() {
    let mut limits = limits(5);
    let slice = RestSlice { version: 2, slots: 5, floor: 2, term_ms: 60_000, paused_ms: 4_000, invalid: 10 };
    limits.hear("813847", &slice, (at(0), at(100)), Duration::ZERO);
    assert_eq!(call(&mut limits, &message(1), &status(200), at(200)), Err(at(4_100)));
}

#[test]
fn a_token_that_is_refused_is_not_used_again_and_another_of_the_same_bot_is() {
    let mut limits = limits(5);
    call(&mut limits, &message(1), &status(401), at(0)).expect("leaves");
    call(&mut limits, &message(2), &status(200), at(0)).expect_err("refused");
    let api = Api::new("https://discord.com/api/v10");
    let new = api.route("GET", "https://discord.com/api/v10/users/@me", Some("Bot ODEzODQ3.new.z")).expect("Discord's");
    call(&mut limits, &new, &status(200), at(0)).expect("another token");
    assert_eq!(limits.take_news(), [News::Refused("813847".into())]);
    // An interaction's token that is over says nothing of the bot's.
    let mut limits = self::limits(5);
    call(&mut limits, &route("PATCH", "/webhooks/1/t/messages/@original"), &status(401), at(0)).expect("leaves");
    call(&mut limits, &message(2), &status(200), at(0)).expect("not refused");
}

#[test]
fn too_many_invalid_requests_brake_everything_until_they_are_long_ago() {
    let mut limits = limits(49);
    for n in 0..10 {
        let heard = if n % 2 == 0 { status(403) } else { hit(Scope::User, 0) };
        call(&mut limits, &message(n), &heard, at(u64::from(n))).expect("leaves");
    }
    let interaction = route("POST", "/interactions/1/t/callback");
    call(&mut limits, &interaction, &status(204), at(100)).expect_err("braked");
    assert_eq!(limits.take_news(), [News::Braked(10)]);
    let mut ask = ask();
    limits.claim(&mut ask, at(200));
    assert_eq!((ask.invalid, ask.braked), (10, true));
    call(&mut limits, &interaction, &status(204), at(599_000)).expect_err("braked");
    call(&mut limits, &interaction, &status(204), at(610_001)).expect("long ago");
}

#[test]
fn what_others_used_up_and_what_is_not_there_is_not_counted() {
    let mut limits = limits(49);
    for n in 0..20 {
        let heard = if n % 2 == 0 { status(404) } else { hit(Scope::Shared, 0) };
        call(&mut limits, &message(n), &heard, at(u64::from(n))).expect("leaves");
    }
    assert!(!limits.standing(at(50)).braked);
}

fn ask() -> RestAsk {
    RestAsk::new("gateway-0".parse().expect("a name"), shared::Incarnation::unknown(), "813847".to_owned())
}
