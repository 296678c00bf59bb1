use super::*;
use shared::Epoch;

fn limits(copying: usize, frozen: usize, together: usize) -> Limits {
    Limits { copying, frozen, taking: 1, small: 0, together, reach: Duration::ZERO }
}

fn pod(name: &str) -> PodId {
    name.parse().expect("valid")
}

fn ids(from: u64, to: u64) -> Vec<MoveId> {
    (from..to).map(MoveId).collect()
}

fn cargo(id: u64, now: Instant) -> Cargo {
    let target = "discord:guild:1".parse().expect("valid");
    Cargo { id: MoveId(id), target, epoch: Epoch(1), attempt: 1, frozen_at: now }
}

fn all(turns: &mut Turns, now: Instant) -> Vec<String> {
    let turn = |turn| match turn {
        Turn::Look(to, ids) => format!("look {to} {}", ids.len()),
        Turn::Copy(id) => format!("copy {id}"),
        Turn::Freeze(id) => format!("freeze {id}"),
        Turn::Carry(to, cargo) => format!("carry {to} {}", cargo.len()),
    };
    std::iter::from_fn(|| turns.next(now)).map(turn).collect()
}

#[tokio::test]
async fn a_destination_is_asked_about_many_at_once_and_one_question_at_a_time() {
    let (mut turns, now) = (Turns::new(limits(1, 1, 3)), Instant::now());
    ids(0, 5).into_iter().for_each(|id| turns.await_look(&pod("a"), id));
    turns.await_look(&pod("b"), MoveId(9));
    turns.await_look(&pod("b"), MoveId(9));
    assert_eq!(all(&mut turns, now), ["look a 3", "look b 1"]);
    turns.looked(&pod("a"));
    turns.looked(&pod("b"));
    assert_eq!(all(&mut turns, now), ["look a 2"]);
}

#[tokio::test]
async fn places_are_given_again_when_they_are_free() {
    let (mut turns, now) = (Turns::new(limits(1, 2, 9)), Instant::now());
    for id in ids(0, 3) {
        turns.await_copy(id);
        turns.await_freeze(id);
    }
    assert_eq!(all(&mut turns, now), ["copy 0", "freeze 0", "freeze 1"]);
    turns.thawed(MoveId(1));
    turns.copied(MoveId(0));
    assert_eq!(turns.waiting(), ids(1, 3).into_iter().collect());
    assert_eq!(all(&mut turns, now), ["copy 1", "freeze 2"]);
    turns.over(MoveId(2));
    assert_eq!(turns.waiting(), BTreeSet::new(), "what is over waits for nothing");
    turns.over(MoveId(1));
    assert_eq!(all(&mut turns, now), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_frozen_travels_with_what_is_being_frozen_but_does_not_wait_for_long() {
    let (mut turns, now) = (Turns::new(limits(1, 1, 2)), Instant::now());
    ids(0, 3).into_iter().for_each(|id| turns.await_freeze_small(id));
    assert_eq!(all(&mut turns, now), ["freeze 0", "freeze 1"]);
    turns.froze(MoveId(0));
    turns.await_carry(&pod("a"), cargo(0, now), now);
    assert_eq!(all(&mut turns, now), Vec::<String>::new(), "it waits for the other");
    assert_eq!(turns.carries_in(now), Some(COMPANY));
    turns.froze(MoveId(1));
    turns.await_carry(&pod("a"), cargo(1, now), now);
    assert_eq!(all(&mut turns, now), ["carry a 2"]);
    turns.await_carry(&pod("a"), cargo(0, now), now);
    assert_eq!(all(&mut turns, now), Vec::<String>::new(), "one body at a time");
    turns.carried(&pod("a"));
    turns.thawed(MoveId(1));
    assert_eq!(all(&mut turns, now), ["freeze 2"]);
    assert_eq!(all(&mut turns, now + COMPANY), ["carry a 1"], "not for ever");
}
