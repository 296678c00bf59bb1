use super::*;
use Acknowledge::{Local, Replicated};
use EventKind as K;

const FAST: Option<Duration> = Some(Duration::from_millis(20));
const SLOW: Option<Duration> = Some(Duration::from_millis(700));

fn modes(text: &str) -> Modes {
    Modes::new(text.parse::<AcknowledgeList>().expect("modes").0, Duration::from_millis(400))
}

#[test]
fn what_is_sent_again_or_never_again_waits_for_the_replica_however_slow_it_is() {
    let modes = modes("");
    for takes in [FAST, SLOW, None] {
        for (source, kind) in [
            ("telegram/mod", K::TelegramUpdate),
            ("slack", K::SlackEvent),
            ("standard/billing", K::StandardWebhook),
            ("github", K::GithubEvent),
            ("discord-events", K::DiscordEvent),
            ("timer", K::Timer),
        ] {
            assert_eq!(modes.of(source, kind, takes), Replicated, "{source} {takes:?}");
        }
    }
}

#[test]
fn a_person_waits_for_the_replica_only_while_it_is_fast() {
    let modes = modes("");
    for kind in EventKind::ALL.iter().filter(|kind| kind.is_interactive()) {
        assert_eq!(modes.of("discord", *kind, FAST), Replicated);
        assert_eq!(modes.of("discord", *kind, SLOW), Local);
        assert_eq!(modes.of("discord", *kind, None), Local, "nothing is known yet");
    }
}

#[test]
fn the_operator_decides_and_the_nearer_word_counts() {
    let modes = modes("telegram=local, telegram/bank=replicated,slack_command=replicated,slack=local,github=local");
    assert_eq!(modes.of("telegram/mod", K::TelegramUpdate, FAST), Local);
    assert_eq!(modes.of("telegram/bank", K::TelegramUpdate, FAST), Replicated);
    assert_eq!(modes.of("slack", K::SlackCommand, None), Replicated);
    assert_eq!(modes.of("slack", K::SlackEvent, FAST), Local);
    assert_eq!(modes.of("github", K::GithubEvent, FAST), Local);
    assert_eq!(modes.of("standard/x", K::StandardWebhook, None), Replicated, "not named");
}

#[test]
fn a_word_that_means_nothing_is_an_error_that_says_what_would() {
    for bad in ["telegram", "telegram=always", "telegrm=local", "=local", "x=y=z"] {
        let why = bad.parse::<AcknowledgeList>().expect_err(bad).to_string();
        assert!(why.contains(bad) && why.contains("discord-events"), "{why}");
    }
    assert_eq!("".parse(), Ok(AcknowledgeList::default()));
}
