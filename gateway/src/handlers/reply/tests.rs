use super::*;
use crate::handlers::sample::event;
use serde_json::json;

#[test]
fn telegram_is_told_the_chat_and_the_message_it_answers() {
    let body = r#"{"update_id":1,"message":{"message_id":7,"chat":{"id":-100},"text":"/stats"}}"#;
    let sent = event("telegram:channel:-100", EventKind::TelegramUpdate, body);
    let said: Value = serde_json::from_slice(&Reply::text("hi").render(&sent).body).expect("json");
    assert_eq!((&said["chat_id"], &said["text"]), (&json!(-100), &json!("hi")));
    assert_eq!(said["reply_parameters"]["message_id"], json!(7));
    let silent = event("telegram:key:poll.1", EventKind::TelegramUpdate, r#"{"update_id":1,"poll":{"id":"1"}}"#);
    assert_eq!(Reply::text("hi").render(&silent), Answer::empty(200));
}

#[test]
fn a_private_answer_is_seen_only_by_the_sender() {
    let sent = event("discord:guild:1", EventKind::DiscordCommand, "{}");
    let said: Value = serde_json::from_slice(&Reply::private("hi").render(&sent).body).expect("json");
    assert_eq!(said["data"]["flags"], json!(64));
    assert_eq!(Reply::none().render(&sent), platform::acknowledged(EventKind::DiscordCommand));
}

#[test]
fn a_reply_is_let_through_up_to_its_bound_and_beyond_it_told_why_not() {
    let answer = Answer { status: 200, headers: vec![("a".into(), "bcd".into())], body: vec![b'x'; 80].into() };
    assert_eq!(bounded(answer.clone(), 100), Ok(answer.clone()));
    let why = "the reply has 100 bytes, --max-reply (BERTH_MAX_REPLY) allows 99";
    assert_eq!(bounded(answer, 99), Err(HandlerError::Refused(why.into())));
}
