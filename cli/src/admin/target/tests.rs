use super::*;
use crate::args::{Cli, Command};
use clap::Parser;

fn listed(line: &[&str]) -> List {
    let cli = Cli::try_parse_from([&["berth", "target", "list"], line].concat()).expect("a valid line");
    match cli.command {
        Command::Target(verb) => match *verb {
            Verb::List(list) => list,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn assignment() -> Assignment {
    Assignment {
        target: "discord:guild:123".parse().expect("valid"),
        pod: "gateway-1".parse().expect("valid"),
        epoch: shared::Epoch(7),
        revision: shared::Revision(3),
        parent: None,
        reason: "first-contact".into(),
        since_ms: 1_000,
        state: Default::default(),
        data: None,
    }
}

#[test]
fn a_cursor_reaches_the_server_as_it_came() {
    let list = listed(&["--platform", "discord", "--pod", "gateway-1"]);
    let path = page_path(&list, 50, Some("discord:guild:1&x=é"));
    assert_eq!(path, "/v1/targets?limit=50&platform=discord&pod=gateway-1&cursor=discord%3Aguild%3A1%26x%3D%C3%A9");
}

#[test]
fn words_that_are_no_target_or_platform_are_usage_errors() {
    for line in [
        ["berth", "target", "get", "discord:123"].as_slice(),
        &["berth", "target", "list", "--platform", "irc"],
        &["berth", "target", "list", "--limit", "0"],
        &["berth", "pod", "get", "No Pod"],
    ] {
        assert_eq!(Cli::try_parse_from(line).expect_err("refused").exit_code(), 2, "{line:?}");
    }
}

#[test]
fn an_owner_that_cannot_be_asked_leaves_the_rest_readable() {
    let shown = Shown { assignment: assignment(), state: None, state_error: Some("gateway-1 is\ngone".into()) };
    let text = sheet(&shown, 61_000);
    assert!(text.contains("pod       gateway-1\n"), "{text}");
    assert!(text.contains("since     1m0s ago\n"), "{text}");
    assert!(text.contains("unknown: gateway-1 is\\u{a}gone"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&output::json(&shown)).expect("JSON");
    assert_eq!(
        (&json["target"], &json["pod"], &json["epoch"]),
        (&"discord:guild:123".into(), &"gateway-1".into(), &7.into())
    );
}
