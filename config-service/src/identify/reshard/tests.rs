use super::*;

const TWO: Kept = Kept::settled(2);

fn wish(setting: &str, recommended: Option<u32>) -> Wish {
    Wish { setting: setting.parse().expect("a number of shards"), recommended }
}

fn shard(text: &str) -> Shard {
    text.parse().expect("a shard")
}

fn stands(standing: &mut Standing, count: u32, state: ShardState, role: ShardRole, ready: bool) {
    for id in 0..count {
        let shard = Shard::new(id, count).expect("a shard");
        let status = ShardStatus {
            shard: shard.to_string(),
            state,
            session: None,
            seq: None,
            why: None,
            role,
            since_ms: None,
            covered: ready,
        };
        standing.insert(shard, (status, ready));
    }
}

fn four(phase: ReshardPhase) -> Kept {
    Kept { shards: 2, coming: Some(4), phase }
}

#[test]
fn the_first_number_is_what_is_wanted_or_what_was_given_out_before() {
    let none = Standing::new();
    assert_eq!(step(None, wish("3", None), &[], &none), Step::Write(Kept::settled(3)));
    assert_eq!(step(None, wish("auto", Some(5)), &[], &none), Step::Write(Kept::settled(5)));
    assert_eq!(step(None, wish("4", None), &[shard("1-2")], &none), Step::Write(TWO), "two run already");
    assert!(matches!(step(None, wish("auto", None), &[], &none), Step::Stay(Some(_))));
}

#[test]
fn another_number_is_begun_and_auto_never_makes_it_less() {
    let none = Standing::new();
    assert_eq!(step(Some(TWO), wish("4", None), &[], &none), Step::Write(four(ReshardPhase::Beside)));
    assert_eq!(step(Some(TWO), wish("auto", Some(4)), &[], &none), Step::Write(four(ReshardPhase::Beside)));
    for recommended in [None, Some(1), Some(2)] {
        assert_eq!(step(Some(TWO), wish("auto", recommended), &[], &none), Step::Stay(None));
    }
    let one = Kept { coming: Some(1), ..TWO };
    assert_eq!(step(Some(TWO), wish("1", None), &[], &none), Step::Write(one), "who says it gets it");
}

#[test]
fn old_shards_close_only_when_all_new_ones_are_ready_and_forget_nothing() {
    let mut standing = Standing::new();
    let wish = wish("4", None);
    let next = |standing: &Standing, phase| step(Some(four(phase)), wish, &[], standing);
    let stays = |standing: &Standing, phase| matches!(next(standing, phase), Step::Stay(Some(_)));
    stands(&mut standing, 2, ShardState::Ready, ShardRole::Live, false);
    stands(&mut standing, 4, ShardState::Ready, ShardRole::Beside, false);
    let mut without = standing.clone();
    without.remove(&shard("3-4"));
    assert!(stays(&without, ReshardPhase::Beside), "one is not heard of");
    let mut connecting = standing.clone();
    stands(&mut connecting, 4, ShardState::Connecting, ShardRole::Beside, false);
    assert!(stays(&connecting, ReshardPhase::Beside), "they are not ready");
    assert_eq!(next(&standing, ReshardPhase::Beside), Step::Write(four(ReshardPhase::Holding)));
    assert!(stays(&standing, ReshardPhase::Holding));
    stands(&mut standing, 4, ShardState::Ready, ShardRole::Holding, false);
    assert!(stays(&standing, ReshardPhase::Holding), "the old ones do not remember enough yet");
    stands(&mut standing, 2, ShardState::Ready, ShardRole::Live, true);
    let mut lost = standing.clone();
    stands(&mut lost, 4, ShardState::Connecting, ShardRole::Holding, false);
    assert!(stays(&lost, ReshardPhase::Holding), "one that forgets nothing and hears nothing misses something");
    let mut old = standing.clone();
    stands(&mut old, 2, ShardState::Connecting, ShardRole::Live, true);
    assert!(stays(&old, ReshardPhase::Holding), "what the old ones have missed would be missed for ever");
    assert_eq!(next(&standing, ReshardPhase::Holding), Step::Write(four(ReshardPhase::Closing)));
    assert!(stays(&standing, ReshardPhase::Closing) && !all_closed(2, &standing));
    stands(&mut standing, 2, ShardState::Held, ShardRole::Closed, false);
    assert!(!all_closed(2, &standing), "it is not known what they brought");
    stands(&mut standing, 2, ShardState::Held, ShardRole::Closed, true);
    assert!(all_closed(2, &standing) && stays(&standing, ReshardPhase::Closing), "the new ones have not taken over");
    stands(&mut standing, 4, ShardState::Ready, ShardRole::Live, false);
    assert_eq!(next(&standing, ReshardPhase::Closing), Step::Write(Kept::settled(4)));
}

#[test]
fn shards_that_discord_lets_in_no_more_are_not_waited_for() {
    let mut standing = Standing::new();
    stands(&mut standing, 2, ShardState::Refused, ShardRole::Live, false);
    stands(&mut standing, 4, ShardState::Ready, ShardRole::Holding, false);
    let next = step(Some(four(ReshardPhase::Holding)), wish("4", None), &[], &standing);
    assert_eq!(next, Step::Write(four(ReshardPhase::Closing)));
    assert!(all_closed(2, &standing));
}

#[test]
fn who_changes_their_mind_is_heard_until_the_old_shards_close() {
    let none = Standing::new();
    for phase in [ReshardPhase::Beside, ReshardPhase::Holding] {
        assert_eq!(step(Some(four(phase)), wish("2", None), &[], &none), Step::Write(TWO));
        let eight = Kept { coming: Some(8), ..TWO };
        assert_eq!(step(Some(four(phase)), wish("8", None), &[], &none), Step::Write(eight));
    }
    let next = step(Some(four(ReshardPhase::Closing)), wish("2", None), &[], &none);
    assert!(matches!(next, Step::Stay(Some(_))));
}
