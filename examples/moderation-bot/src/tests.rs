use super::ModerationBot;
use gateway::testing::Bench;
use std::time::Duration;

const EVERYWHERE: [&str; 3] = ["discord:guild:1", "telegram:channel:-1", "slack:guild:T1"];

#[test]
fn a_warning_is_written_down_on_every_platform() {
    let bench = Bench::new(ModerationBot);
    for target in EVERYWHERE {
        let said = bench.command(target, "alice", "/warn @bob too loud");
        assert_eq!(said, "bob has been warned: too loud (1 warning)", "{target}");
        bench.command(target, "alice", "/warn bob again");
        let said = bench.command(target, "carol", "/warnings bob");
        assert_eq!(said, "bob has 2 warnings.\n- warned by alice: too loud\n- warned by alice: again", "{target}");
    }
}

#[test]
fn a_mute_is_lifted_when_its_time_is_over() {
    let bench = Bench::new(ModerationBot);
    let target = "discord:guild:1";
    assert_eq!(bench.command(target, "alice", "/mute bob 10"), "bob is muted for 10 minutes.");
    bench.advance(Duration::from_secs(9 * 60));
    assert!(bench.command(target, "alice", "/warnings bob").ends_with("Muted for another 1 minute."));
    bench.advance(Duration::from_secs(60));
    bench.until("the mute is lifted", |bench| bench.command(target, "alice", "/stats").contains("(1 lifted)"));
    assert!(bench.command(target, "alice", "/warnings bob").ends_with("- the mute was lifted"));
}

#[test]
fn messages_are_counted_by_user() {
    let bench = Bench::new(ModerationBot);
    for user in ["bob", "alice", "bob"] {
        bench.say("telegram:channel:-1", user, "hello");
    }
    let said = bench.command("telegram:channel:-1", "alice", "/stats");
    assert_eq!(said, "3 messages, 0 warnings, 0 mutes (0 lifted). Busiest: bob 2, alice 1.");
}

#[test]
fn who_asks_for_something_else_is_told_what_there_is() {
    let bench = Bench::new(ModerationBot);
    for (asked, told) in [
        ("/dance", "I don't know /dance."),
        ("/warn bob", "/warn USER reason"),
        ("/mute bob soon", "/mute USER minutes"),
        ("/mute bob 0", "/mute USER minutes"),
        ("/warnings", "/warnings USER"),
    ] {
        let said = bench.command("slack:guild:T1", "alice", asked);
        assert!(said.contains(told), "{asked}: {said}");
    }
}

#[test]
fn a_word_that_is_too_long_for_a_name_is_refused_with_the_help() {
    let bench = Bench::new(ModerationBot);
    let said = bench.command("slack:guild:T1", "alice", &format!("/warn {} because", "x".repeat(1_000)));
    assert!(said.contains("/warn USER reason"), "{said}");
}
