use super::super::event::event;
use super::*;
use proptest::prelude::*;

fn own(text: &str) -> TargetId {
    text.parse().expect("a target")
}

/// What is told of a guild, in a session of a shard of its own.
fn told(shard: &str, seq: u64, guild: u64, says: &str) -> (Event, Mark) {
    let data = format!(r#"{{"guild_id":"{guild}","says":"{says}"}}"#);
    let dispatch = Dispatch { seq, name: "X".to_owned(), data };
    let event = event(&own(shard), shard, &dispatch, 0).expect("an event");
    let mark = mark(&own(shard), &event, &dispatch);
    (event, mark)
}

#[test]
fn a_new_shard_goes_on_behind_what_the_old_ones_brought_in_each_guild() {
    let now = Instant::now();
    let (mut tail, mut ring) = (Tail::default(), Ring::default());
    tail.begin(now);
    let old = [(1, "a"), (1, "b"), (2, "x"), (1, "c")];
    let new = [(1, "b"), (2, "x"), (1, "c"), (1, "d"), (2, "x"), (3, "new")];
    for (guild, says) in old {
        tail.push(now, told("discord:shard:0-1", 1, guild, says).1, false);
    }
    for ((guild, says), seq) in new.into_iter().zip(10..) {
        let (event, mark) = told("discord:shard:0-2", seq, guild, says);
        ring.push(now, seq, event, mark);
    }
    let tails = [tail.told("0-1".parse().expect("a shard"))];
    let taken: Vec<_> = ring.take(&tails).into_iter().map(|(one, is_new)| (one.seq, is_new)).collect();
    assert_eq!(taken, [(10, false), (11, false), (12, false), (13, true), (14, true), (15, true)]);
    assert_eq!(ring.len(), 0);
}

#[test]
fn what_is_old_is_forgotten_and_what_is_to_be_kept_is_not() {
    let now = Instant::now();
    let later = now + TAIL + Duration::from_secs(1);
    let (event, mark) = told("discord:shard:0-1", 1, 1, "a");
    let mut ring = Ring::default();
    ring.push(now, 7, event.clone(), mark.clone());
    ring.push(later, 8, event, mark.clone());
    assert_eq!(ring.forget(later, 10), [7]);
    assert_eq!(ring.forget(later, 0), [8]);
    let mut tail = Tail::default();
    tail.push(now, mark.clone(), false);
    assert!(!tail.records() && tail.told("0-1".parse().expect("a shard")).events.is_empty());
    tail.begin(now);
    tail.push(now, mark.clone(), false);
    tail.push(later, mark.clone(), true);
    assert_eq!(tail.seen.len(), 2, "all is kept while the others wait");
    tail.push(later, mark, false);
    assert_eq!((tail.seen.len(), tail.covers(now), tail.covers(later)), (2, false, true));
}

#[test]
fn what_a_session_begins_with_is_no_obstacle_and_what_may_be_chance_is_no_place() {
    const ONCE: u64 = 7;
    for (brought, came, passed) in [
        (vec![2, ONCE, 4], vec![88, ONCE, 4, 6], 3),
        (vec![2, 4, 6], vec![88, 2, 4, 6, 8], 4),
        (vec![2, 4], vec![88, 4, 6], 0),
        (vec![2, 4], vec![4, 6], 1),
        (vec![ONCE], vec![88, ONCE, 4], 2),
        (vec![], vec![2, 4], 0),
        (vec![2, 4], vec![], 0),
        (vec![2, 2], vec![2, 2, 2], 2),
    ] {
        assert_eq!(overlap(&brought, &came), passed, "{brought:?} {came:?}");
    }
}

proptest! {
    #[test]
    fn wherever_the_old_one_stops_and_the_new_one_begins_each_is_brought_once(
        says in proptest::collection::vec(0..3_u64, 1..40), from in 0..40_usize, began in 0..40_usize, until in 0..40_usize
    ) {
        // Each is known from all others by what comes before it, as messages are by their ids.
        let all: Vec<u64> = says.iter().enumerate()
            .map(|(n, says)| if n % 2 == 0 { 101 + 2 * n as u64 } else { 2 * says }).collect();
        let until = until.min(all.len());
        let (from, began) = (from.min(until), began.min(until));
        let passed = overlap(&all[from..until], &all[began..]);
        prop_assert!(began + passed <= until, "what only the new one was told is passed over");
        if from <= began {
            prop_assert_eq!(began + passed, until, "what the old one has brought is brought again");
        }
    }
}
