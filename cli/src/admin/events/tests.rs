use super::*;

#[test]
fn the_name_of_an_entry_is_its_id_and_no_age() {
    let event = Event {
        id: 42,
        at_ms: 0,
        actor: "admin".into(),
        action: "erase-target".into(),
        subject: "discord:guild:1".into(),
        reason: "asked for".into(),
        request_id: "r-1".into(),
        revision: shared::Revision(7),
    };
    assert_eq!(cells(&event, Format::Name, 61_000), ["42"]);
    assert_eq!(cells(&event, Format::Table, 61_000)[..2], ["1m1s", "admin"]);
}
