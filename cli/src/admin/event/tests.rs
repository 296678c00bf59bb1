use super::*;
use crate::args::Cli;
use clap::Parser;

#[test]
fn a_letter_reads_as_it_was_printed() {
    for text in ["discord:guild:123/events/7", "telegram:channel:-100/calls/1"] {
        assert_eq!(text.parse::<Letter>().expect("a letter").to_string(), text);
    }
    for text in [
        "",
        "discord:guild:1",
        "discord:guild:1/events",
        "discord:guild:1/mails/1",
        "discord:guild:1/calls/x",
        "x/calls/1",
    ] {
        assert!(text.parse::<Letter>().is_err(), "{text}");
    }
}

#[test]
fn listing_says_what_it_lists_and_deciding_says_why() {
    for line in [
        ["event", "list"].as_slice(),
        &["event", "list", "--target", "discord:guild:1", "--kind", "call"],
        &["event", "retry", "discord:guild:1/events/1"],
        &["event", "drop", "discord:guild:1", "--reason", "x"],
    ] {
        let whole = [&["berth"], line].concat();
        assert_eq!(Cli::try_parse_from(&whole).expect_err("refused").exit_code(), 2, "{line:?}");
    }
    Cli::try_parse_from(["berth", "event", "list", "--dead", "--kind", "call"]).expect("a valid line");
}

#[test]
fn a_hostile_id_or_reason_stays_in_its_cell() {
    let letter = DeadLetter {
        pod: "gateway-0".parse().expect("valid"),
        target: "discord:guild:1".parse().expect("valid"),
        kind: LetterKind::Event,
        seq: 3,
        id: "\u{1b}]0;x\u{7}".into(),
        source: None,
        state: "dead".into(),
        attempts: 8,
        reason: "line\nfeed\u{202e}".into(),
        at_ms: 0,
    };
    let mut table = output::Table::new(&DEAD_HEAD);
    table.row(dead_cells(&letter, 1_000));
    let text = table.render();
    assert!(text.contains("discord:guild:1/events/3  dead"), "{text}");
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}') && !text.contains('\u{7}'), "{text}");
}
