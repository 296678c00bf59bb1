use super::*;
use crate::handlers::sample::event;

#[test]
fn one_command_reads_the_same_on_every_platform() {
    let all = [
        event(
            "discord:guild:1",
            EventKind::DiscordCommand,
            r#"{"data":{"name":"warn","options":[{"name":"user","type":6,"value":"77"},{"name":"reason","value":"too loud"}]},"member":{"user":{"id":"5"}}}"#,
        ),
        event(
            "telegram:channel:1",
            EventKind::TelegramUpdate,
            r#"{"update_id":1,"message":{"text":"/warn@my_bot 77 too loud","from":{"id":5}}}"#,
        ),
        event("slack:guild:T", EventKind::SlackCommand, "command=%2Fwarn&text=%3C%4077%7Cbob%3E+too+loud&user_id=5"),
        event(
            "webhook:key:s",
            EventKind::StandardWebhook,
            r#"{"command":"warn","args":["@77","too","loud"],"user":5}"#,
        ),
        event(
            "github:key:repository.1",
            EventKind::GithubEvent,
            r#"{"action":"created","comment":{"body":"/warn @77 too loud"},"sender":{"login":"5"}}"#,
        ),
    ];
    for event in all {
        let command = event.command().unwrap_or_else(|| panic!("{} is a command", event.kind));
        assert_eq!((command.name.as_str(), command.user.as_str()), ("warn", "5"), "{}", event.kind);
        assert_eq!(command.first(), Some(("77", "too loud")), "{}", event.kind);
        assert_eq!(event.message(), None, "{}", event.kind);
    }
}

#[test]
fn a_subcommand_is_the_first_word() {
    let body = r#"{"data":{"name":"mod","options":[{"name":"warn","type":1,"options":[{"name":"user","value":"77"}]}]},"user":{"id":"5"}}"#;
    let command = event("discord:user:5", EventKind::DiscordCommand, body).command().expect("a command");
    assert_eq!((command.name.as_str(), command.args.as_str()), ("mod", "warn 77"));
}

#[test]
fn messages_are_told_from_commands_and_from_what_bots_say() {
    let telegram = r#"{"message":{"text":"h\u00e9llo","from":{"id":5,"username":"bob"}}}"#;
    let said = event("telegram:channel:1", EventKind::TelegramUpdate, telegram).message().expect("a message");
    assert_eq!((said.user.as_str(), said.text.as_str()), ("bob", "h\u{e9}llo"));
    let slack = |extra: &str| format!(r#"{{"event":{{"type":"message","user":"U1","text":"hi"{extra}}}}}"#);
    let read = |body: String| event("slack:guild:T", EventKind::SlackEvent, &body).message();
    assert_eq!(read(slack("")).expect("a message").user, "U1");
    assert_eq!(read(slack(r#","bot_id":"B1""#)), None);
    assert_eq!(read(slack(r#","subtype":"message_changed""#)), None);
    let dispatch = |name: &str, extra: &str| {
        format!(r#"{{"t":"{name}","d":{{"id":"9","content":"hi","author":{{"id":"5"{extra}}}}}}}"#)
    };
    let read = |body: String| event("discord:guild:1", EventKind::DiscordDispatch, &body).message();
    assert_eq!(
        read(dispatch("MESSAGE_CREATE", "")).map(|said| (said.user, said.text)),
        Some(("5".into(), "hi".into()))
    );
    assert_eq!(read(dispatch("MESSAGE_CREATE", r#","bot":true"#)), None);
    assert_eq!(read(dispatch("MESSAGE_UPDATE", "")), None);
    let typed = dispatch("MESSAGE_CREATE", "").replace("hi", "/warn bob too loud");
    let command = event("discord:guild:1", EventKind::DiscordDispatch, &typed).command().expect("a command");
    assert_eq!((command.name.as_str(), command.args.as_str(), command.user.as_str()), ("warn", "bob too loud", "5"));
    assert_eq!(read(typed), None);
}

#[test]
fn strangers_cannot_make_it_fail() {
    for body in ["", "{", "null", "[]", r#"{"data":7}"#, r#"{"message":{"text":"/"}}"#, "\u{0}", "command=%zz"] {
        for kind in EventKind::ALL {
            let sent = event("discord:guild:1", *kind, body);
            assert_eq!((sent.command(), sent.message()), (None, None), "{kind} {body:?}");
        }
    }
}
