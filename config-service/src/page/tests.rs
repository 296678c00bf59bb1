use super::{words::*, *};
use crate::domain::{Model, Snapshot};
use maud::Render;
use proptest::prelude::*;
use shared::wire::control::Assignment;
use shared::{Epoch, Revision};

fn model(names: &[&str]) -> Model {
    let assignment = |name: &&str| Assignment {
        target: name.parse().expect("valid"),
        pod: "gateway-0".parse().expect("valid"),
        epoch: Epoch(1),
        revision: Revision(1),
        parent: None,
        reason: "first-contact".to_owned(),
        since_ms: 0,
        state: Default::default(),
        data: None,
    };
    Model::new(Snapshot { assignments: names.iter().map(assignment).collect(), ..Snapshot::default() })
}

fn frame() -> Frame {
    Frame { now_ms: 1_700_000_000_000, here: "/".to_owned(), session: Session::None }
}

#[test]
fn numbers_and_times_read_as_people_write_them() {
    for (n, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
        assert_eq!(count(n), text);
    }
    for (ms, text) in [
        (0, "0.0 s"),
        (950, "0.9 s"),
        (59_999, "59 s"),
        (60_000, "1 min"),
        (3_725_000, "1 h 2 min"),
        (90_000_000, "1 d 1 h"),
    ] {
        assert_eq!(span(ms), text);
    }
    for (bytes, text) in [(0, "0 B"), (4_096, "4.1 kB"), (999_600, "1.0 MB"), (250_000_000, "250 MB")] {
        assert_eq!(size(bytes), text);
    }
    assert_eq!((share(1, 3), share(0, 0), share(1, 100_000)), ("33 %".into(), "0 %".into(), "< 0.1 %".into()));
    assert!(moment(u64::MAX).0.contains("9999-12-31 23:59:59 UTC"));
    assert_eq!((ago(5_000, 1_000), ago(1_000, 5_000)), ("4.0 s ago".to_owned(), String::new()));
}

#[test]
fn text_that_turns_itself_around_is_shown_as_marks() {
    let shown = Foreign("abc\u{202e}cba\u{0}\u{200b}<b>").render().0;
    assert_eq!(shown, "<bdi>abc\u{fffd}cba\u{fffd}\u{fffd}&lt;b&gt;</bdi>");
}

#[test]
fn a_bare_id_finds_every_platform_s_target_and_the_exact_ones_first() {
    let model = model(&["discord:guild:12", "discord:guild:123", "slack:channel:T1.C2", "telegram:channel:12"]);
    let names = |list: &[Assignment]| list.iter().map(|hit| hit.target.to_string()).collect::<Vec<_>>();
    let found = find(&model, " 12 ").expect("asked");
    assert_eq!(names(&found.exact), ["discord:guild:12", "telegram:channel:12"]);
    assert_eq!(names(&found.similar), ["discord:guild:123"]);
    assert_eq!(names(&find(&model, "sl").expect("asked").similar), ["slack:channel:T1.C2"]);
    assert_eq!(names(&find(&model, "discord:guild:12").expect("asked").exact), ["discord:guild:12"]);
    assert_eq!(find(&model, "   "), None);
    assert!(find(&model, &"ä".repeat(200)).expect("asked").too_long);
}

#[test]
fn what_an_id_may_not_hold_is_looked_for_as_names_hold_it() {
    let model = model(&["webhook:key:shop.a~20b"]);
    assert_eq!(find(&model, "shop.a b").expect("asked").exact.len(), 1);
    assert_eq!(find(&model, "shop.a~20b").expect("asked").exact.len(), 1);
}

#[test]
fn a_search_shows_at_most_twenty_and_says_that_there_are_more() {
    let names: Vec<_> = (0..50).map(|n| format!("discord:guild:{n:04}")).collect();
    let found = find(&model(&names.iter().map(String::as_str).collect::<Vec<_>>()), "00").expect("asked");
    assert_eq!((found.similar.len(), found.more), (20, true));
}

#[test]
fn a_follower_says_who_leads_and_a_service_without_a_leader_why() {
    let page =
        overview(&frame(), &Standing::Following { leader: "10.0.0.7:3001".into() }, &Ok(Vec::new()), &Ok(Vec::new())).0;
    assert!(page.contains("href=\"http://10.0.0.7:3001/\"") && page.contains("10.0.0.7:3001 leads."), "{page}");
    let page = overview(
        &frame(),
        &Standing::Leaderless { why: "the store cannot be reached".into() },
        &Ok(Vec::new()),
        &Ok(Vec::new()),
    )
    .0;
    assert!(page.contains("<title>No leader") && page.contains("Nobody leads: the store cannot be reached."), "{page}");
}

#[test]
fn the_policy_names_the_style_sheet_that_is_sent() {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use sha2::{Digest, Sha256};
    let page = notice(&frame(), "a", "b").0;
    let style = page.split("<style>").nth(1).and_then(|rest| rest.split("</style>").next()).expect("a style sheet");
    assert!(content_security_policy().contains(&format!("'sha256-{}'", STANDARD.encode(Sha256::digest(style)))));
}

proptest! {
    #[test]
    fn no_text_leaves_its_place(text in "[<>&\"'a-z/= ]{0,60}") {
        let page = notice(&frame(), "heading", &text).0;
        let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
        let expected = format!("<bdi>{escaped}</bdi>");
        prop_assert!(page.contains(&expected), "{}", page);
    }
}
