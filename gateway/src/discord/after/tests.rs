use super::*;

#[test]
fn every_end_has_what_follows_it() {
    let closed = |code| after(&End::Closed(Some(code)));
    for code in [4000, 4001, 4002, 4003, 4005, 4008, 1006, 1011, 1012, 4900] {
        assert_eq!(closed(code), After::Resume, "{code}");
    }
    for code in [1000, 1001, 4007, 4009] {
        assert_eq!(closed(code), After::Identify, "{code}");
    }
    for code in [4004, 4010, 4011, 4012, 4013, 4014] {
        assert!(matches!(closed(code), After::Refused { code: said, .. } if said == code), "{code}");
    }
    assert_eq!(after(&End::Invalid { resumable: true }), After::Resume);
    assert_eq!(after(&End::Invalid { resumable: false }), After::Identify);
    assert_eq!(after(&End::Closed(None)), After::Resume);
    assert_eq!(after(&End::Broken("reset".to_owned())), After::Resume);
}
