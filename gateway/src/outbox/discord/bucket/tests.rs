use super::super::answer::Told;
use super::*;

fn at(ms: u64) -> Mono {
    Mono::ZERO.after(Duration::from_millis(ms))
}

fn heard(remaining: u32, reset_ms: u64) -> Heard {
    let reset_after = Duration::from_millis(reset_ms);
    let told = Told { bucket: "b".into(), limit: 5, remaining, reset_after };
    Heard { status: 200, told: Some(told), hit: None }
}

/// Sends as many as leave now.
fn leaving(bucket: &mut Bucket, now: Mono) -> u32 {
    (0..100).take_while(|_| bucket.closed(now).is_none().then(|| bucket.take()).is_some()).count() as u32
}

#[test]
fn before_anything_is_known_one_is_out_at_a_time_then_as_many_as_are_left() {
    let mut bucket = Bucket::default();
    assert_eq!(leaving(&mut bucket, at(0)), 1);
    bucket.ended(Some(&heard(4, 5_000)), at(100));
    assert_eq!(leaving(&mut bucket, at(100)), 4);
    assert_eq!(bucket.closed(at(100)), Some(at(5_100)));
    for remaining in [0, 2, 1, 3] {
        bucket.ended(Some(&heard(remaining, 4_800)), at(300));
    }
    assert_eq!(leaving(&mut bucket, at(400)), 0, "an answer that was overtaken changes nothing");
    assert_eq!(leaving(&mut bucket, at(5_100)), 5);
    assert_eq!(leaving(&mut bucket, at(5_200)), 0, "nobody has said when that window ends");
    (0..5).for_each(|n| bucket.ended(Some(&heard(4 - n, 4_900)), at(5_300)));
    assert_eq!(bucket.closed(at(5_300)), Some(at(10_200)));
}

#[test]
fn what_is_out_when_a_window_ends_counts_in_the_next() {
    let mut bucket = Bucket::of(Some(5));
    assert_eq!(leaving(&mut bucket, at(0)), 5);
    bucket.ended(Some(&heard(4, 1_000)), at(100));
    bucket.ended(Some(&heard(3, 1_000)), at(100));
    assert_eq!(leaving(&mut bucket, at(1_100)), 2);
}

#[test]
fn who_is_told_to_wait_waits_and_a_request_that_did_not_leave_costs_nothing() {
    let mut bucket = Bucket::of(Some(5));
    bucket.take();
    let hit = Some((Scope::Shared, Duration::from_secs(3)));
    bucket.ended(Some(&Heard { status: 429, told: None, hit }), at(0));
    assert_eq!(bucket.closed(at(1)), Some(at(3_000)));
    assert_eq!(leaving(&mut bucket, at(3_000)), 5);
    bucket.give_back();
    assert_eq!(leaving(&mut bucket, at(3_000)), 1);
}

#[test]
fn requests_that_end_without_a_word_do_not_close_it_for_ever() {
    let mut bucket = Bucket::of(Some(5));
    assert_eq!(leaving(&mut bucket, at(0)), 5);
    (0..5).for_each(|_| bucket.ended(None, at(10)));
    assert_eq!(leaving(&mut bucket, at(100)), 5);
    let mut unknown = Bucket::default();
    unknown.take();
    unknown.ended(None, at(0));
    assert_eq!(unknown.closed(at(0)), None);
}
