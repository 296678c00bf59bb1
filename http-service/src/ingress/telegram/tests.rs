use super::super::tests::{event, found, ignored, refused};
use super::super::{Ignored, Reason, Source};
use shared::event::EventKind;

fn bot() -> Source {
    Source::Telegram("guard".to_owned())
}

fn target(part: &str) -> String {
    found(&bot(), &format!(r#"{{"update_id":7,{part}}}"#)).0
}

#[test]
fn every_kind_of_update_finds_its_chat_its_user_or_its_poll() {
    let chat = r#"{"chat":{"id":-1001234567890},"from":{"id":5},"user":{"id":6}}"#;
    for kind in [
        "message",
        "edited_message",
        "channel_post",
        "edited_channel_post",
        "business_message",
        "edited_business_message",
        "deleted_business_messages",
        "message_reaction",
        "message_reaction_count",
        "my_chat_member",
        "chat_member",
        "chat_join_request",
        "chat_boost",
        "removed_chat_boost",
    ] {
        assert_eq!(target(&format!(r#""{kind}":{chat}"#)), "telegram:channel:-1001234567890", "{kind}");
    }
    for kind in ["inline_query", "chosen_inline_result", "shipping_query", "pre_checkout_query", "purchased_paid_media"]
    {
        assert_eq!(target(&format!(r#""{kind}":{{"id":"x","from":{{"id":5}}}}"#)), "telegram:user:5", "{kind}");
    }
    for (part, expected) in [
        (r#""business_connection":{"id":"b","user":{"id":6},"user_chat_id":6}"#, "user:6"),
        (r#""callback_query":{"id":"1","from":{"id":5},"message":{"chat":{"id":-42}}}"#, "channel:-42"),
        (r#""callback_query":{"id":"1","from":{"id":5},"inline_message_id":"x"}"#, "user:5"),
        (r#""poll":{"id":"5368324170671202286"}"#, "key:poll.5368324170671202286"),
        (r#""poll_answer":{"poll_id":"5","user":{"id":6}}"#, "key:poll.5"),
        (r#""poll_answer":{"user":{"id":6}}"#, "user:6"),
        (r#""message":{"from":{"id":5}}"#, "user:5"),
        (r#""message":{"chat":{"id":"-1009007199254740993"}}"#, "channel:-1009007199254740993"),
    ] {
        assert_eq!(target(part), format!("telegram:{expected}"), "{part}");
    }
}

#[test]
fn the_bot_and_the_update_id_tell_updates_apart() {
    let sent = event(&bot(), r#"{"update_id":7,"message":{"chat":{"id":1}}}"#);
    assert_eq!((sent.source.as_str(), sent.id.as_str(), sent.kind), ("telegram/guard", "7", EventKind::TelegramUpdate));
}

#[test]
fn what_belongs_to_nobody_is_acknowledged_so_that_it_does_not_block_the_chat() {
    assert_eq!(ignored(&bot(), r#"{"update_id":7}"#), (Ignored::UnknownKind, 200));
    assert_eq!(ignored(&bot(), r#"{"update_id":7,"brand_new_kind":{"chat":{"id":1}}}"#), (Ignored::UnknownKind, 200));
    assert_eq!(ignored(&bot(), r#"{"update_id":7,"message":null}"#), (Ignored::UnknownKind, 200));
    assert_eq!(ignored(&bot(), r#"{"update_id":7,"message":{}}"#), (Ignored::NoTarget, 200));
}

#[test]
fn an_update_that_can_be_read_two_ways_is_refused() {
    let chat = r#"{"chat":{"id":1}}"#;
    for body in [
        format!(r#"{{"update_id":7,"message":{chat},"edited_message":{chat}}}"#),
        format!(r#"{{"update_id":7,"message":{chat},"message":{chat}}}"#),
        format!(r#"{{"update_id":7,"update_id":8,"message":{chat}}}"#),
        r#"{"update_id":7,"message":{"chat":{"id":1},"chat":{"id":2}}}"#.to_owned(),
        r#"{"update_id":"7","message":{}}"#.to_owned(),
        "[]".to_owned(),
    ] {
        assert_eq!(refused(&bot(), &body), Reason::MalformedBody, "{body}");
    }
    assert_eq!(refused(&bot(), &format!(r#"{{"message":{chat}}}"#)), Reason::MissingId);
}
