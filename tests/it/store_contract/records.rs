//! Tokens, settings, audits and first answers, as both stores keep them.

use super::world::*;
use config_service::domain::{Batch, Edit, Kept, Model, SettingRecord, TokenRecord};
use config_service::store::{EventFilter, StoreError};
use shared::Revision;
use shared::wire::admin::Role;

fn token(id: &str, name: &str) -> Edit {
    let (id, name, hash) = (id.to_owned(), name.to_owned(), format!("hash of {id}"));
    let created_by = "admin".to_owned();
    let token = TokenRecord {
        id,
        name,
        role: Role::Operator,
        hash,
        created_ms: 0,
        created_by,
        expires_ms: Some(9),
        used_ms: None,
    };
    Edit::AddToken(token)
}

fn setting(name: &str, value: &str) -> Edit {
    let (actor, reason) = ("admin".to_owned(), "why not \u{1F5FF}".to_owned());
    Edit::Set(SettingRecord { name: name.to_owned(), value: value.to_owned(), actor, reason, at_ms: 0 })
}

fn edits(edits: Vec<Edit>) -> Batch {
    Batch { edits, ..Batch::default() }
}

pub(super) async fn tokens_and_settings_are_read_back_as_they_were_last_edited(world: World) {
    let (store, term) = world.leading().await;
    let before = store.load(term).await.expect("read");
    let first = vec![token("t_1", "deploy"), token("t_2", "watch"), setting("a", "1"), setting("b", "true")];
    let touch = Edit::TouchToken { id: "t_2".into(), used_ms: 77 };
    let second = vec![Edit::RemoveToken("t_1".into()), touch, setting("a", "2"), Edit::Clear("b".into())];
    let mut model = Model::new(before.clone());
    for batch in [first, second] {
        let committed = store.commit(term, edits(batch)).await.expect("committed");
        assert_eq!((committed.revision, committed.changes.len()), (before.revision, 0), "watchers hear nothing");
        committed.edits.into_iter().for_each(|edit| model.edit(edit));
    }
    let read = world.store().await.load(term).await.expect("read");
    assert_eq!(read.tokens, model.tokens().cloned().collect::<Vec<_>>());
    assert_eq!(read.settings, model.settings().cloned().collect::<Vec<_>>());
    assert_eq!((read.tokens.len(), read.tokens[0].used_ms, read.settings[0].value.as_str()), (1, Some(77), "2"));
    assert!(read.tokens[0].created_ms > 1_600_000_000_000, "stamped by the database's clock");
    let twice = store.commit(term, edits(vec![token("t_3", "watch")])).await;
    assert!(matches!(twice, Err(StoreError::Conflict(_))), "{twice:?}");
}

pub(super) async fn the_audit_is_read_newest_first_and_by_what_is_asked(world: World) {
    let (store, term) = world.leading().await;
    for n in 0..5_u64 {
        let mut entry = audit(&format!("gateway-{}", n % 2), &format!("it's \"{n}\""));
        entry.actor = if n == 3 { "deploy".to_owned() } else { entry.actor };
        store.commit(term, Batch { audits: vec![entry], ..Batch::default() }).await.expect("committed");
    }
    let reasons = async |wanted: EventFilter, limit| {
        let events = store.events(wanted, limit).await.expect("read");
        assert!(events.iter().all(|event| event.request_id == "r-1" && event.revision == Revision(3)));
        assert!(events.is_sorted_by(|a, b| a.id > b.id));
        (
            events.iter().map(|event| event.reason.clone()).collect::<Vec<_>>().join(" "),
            events.last().map(|event| event.id),
        )
    };
    let all = EventFilter::default;
    let (newest, last) = reasons(all(), 2).await;
    assert_eq!(newest, "it's \"4\" it's \"3\"");
    assert_eq!(reasons(EventFilter { before: last, ..all() }, 2).await.0, "it's \"2\" it's \"1\"");
    assert_eq!(reasons(EventFilter { subject: Some("gateway-1".into()), ..all() }, 9).await.0, "it's \"3\" it's \"1\"");
    assert_eq!(reasons(EventFilter { actor: Some("deploy".into()), ..all() }, 9).await.0, "it's \"3\"");
    assert_eq!(reasons(EventFilter { action: Some("other".into()), ..all() }, 9).await.0, "");
    for part in ["gateway-1/events/2", "gateway-10", "gateway-10/calls/1", "x/gateway-1/y", "gateway_1/z"] {
        store.commit(term, Batch { audits: vec![audit(part, part)], ..Batch::default() }).await.expect("committed");
    }
    let found = reasons(EventFilter { subject: Some("gateway-1".into()), ..all() }, 9).await.0;
    assert_eq!(found, "gateway-1/events/2 it's \"3\" it's \"1\"", "a part belongs to its whole");
    assert_eq!(reasons(EventFilter { subject: Some("gateway_1".into()), ..all() }, 9).await.0, "gateway_1/z");
}

pub(super) fn answer(actor: &str, key: &str, body: &str) -> Kept {
    let [actor, key, body] = [actor, key, body].map(str::to_owned);
    Kept { actor, key, fingerprint: "f".into(), body }
}

pub(super) async fn the_first_answer_under_a_key_stays(world: World) {
    let (store, term) = world.leading().await;
    for kept in [answer("a", "k", "1"), answer("a", "k", "2"), answer("b", "k", "3")] {
        store.commit(term, Batch { kept: vec![kept], ..Batch::default() }).await.expect("committed");
    }
    let read = async |actor: &str, key: &str| {
        store
            .kept(actor.into(), key.into())
            .await
            .expect("read")
            .map(|kept| (kept.body, kept.fingerprint, kept.revision))
    };
    assert_eq!(read("a", "k").await, Some(("1".into(), "f".into(), Revision(3))));
    assert_eq!(read("b", "k").await.map(|kept| kept.0), Some("3".into()));
    assert_eq!(read("a", "other").await, None);
}
