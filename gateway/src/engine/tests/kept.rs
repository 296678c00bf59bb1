//! What the engine does with targets that are taken away, and with a life of the folder that is over.

use super::*;
use crate::ownership::{Acquired, Changes, Denied};
use shared::wire::control::{Assignment, AssignmentState, DataAt, Watch};
use shared::{LeaseId, Revision, lease::Lease};

fn follow(bench: &Bench, changes: Changes) -> Vec<TargetId> {
    bench.block_on(bench.engine().follow(changes, None)).expect("followed")
}

#[test]
fn a_target_that_was_taken_away_is_not_served_when_it_comes_back_without_its_data() {
    let bench = Bench::new(Bot(log));
    let target = bench.own(A, 1);
    bench.send(say(&bench, A, "one"));
    bench.let_go(&target);
    assert!(bench.metrics().contains("berth_pod_quarantined_targets 1"));
    let back = Changes { acquired: vec![Acquired::new(target.clone(), Epoch(3))], released: vec![] };
    assert_eq!(follow(&bench, back.clone()).as_slice(), std::slice::from_ref(&target), "these rows are not the newest");
    assert_eq!(follow(&bench, back).as_slice(), std::slice::from_ref(&target), "asked again, refused again");
    assert!(matches!(bench.send(say(&bench, A, "two")), Outcome::NotServing { .. }));
    let kept = Changes {
        acquired: vec![Acquired { target: target.clone(), epoch: Epoch(4), kept: Some(Epoch(1)) }],
        released: vec![],
    };
    assert!(follow(&bench, kept).is_empty());
    assert!(bench.metrics().contains("berth_pod_quarantined_targets 0"));
    assert_eq!(read(&bench, A), "one");
}

#[test]
fn a_target_whose_loss_was_accepted_begins_empty_beside_older_rows() {
    let mut bench = Bench::new(Bot(log));
    let target = bench.own(A, 1);
    bench.send(say(&bench, A, "one"));
    bench.let_go(&target);
    let anew = Changes {
        acquired: vec![Acquired { target: target.clone(), epoch: Epoch(5), kept: Some(Epoch(0)) }],
        released: vec![],
    };
    assert!(follow(&bench, anew.clone()).is_empty());
    bench.own(A, 5);
    assert_eq!(read(&bench, A), "");
    bench.send(say(&bench, A, "two"));
    assert!(bench.metrics().contains("berth_pod_quarantined_targets 1"), "the older rows are kept, and counted");
    bench.forget();
    bench.renew_lease();
    assert!(follow(&bench, anew).is_empty(), "told again after a restart");
    assert_eq!(read(&bench, A), "two", "what began goes on");
}

#[test]
fn a_restart_takes_up_what_the_pod_owned_and_serves_it_once_it_has_its_lease_back() {
    let mut bench = Bench::new(Bot(log));
    bench.own(A, 5);
    bench.own("slack:guild:B", 7);
    bench.send(say(&bench, A, "one"));
    bench.block_on(async {
        let released = vec!["slack:guild:B".parse().expect("valid")];
        bench.engine().follow(Changes { acquired: vec![], released }, None).await.expect("followed")
    });
    bench.forget();
    assert_eq!(bench.ownership().targets(), [(A.parse().expect("valid"), Epoch(5))], "and not what was taken away");
    assert!(matches!(bench.send(say(&bench, A, "two")), Outcome::NotServing { .. }), "it holds no lease yet");
    let valid_until = bench.clock().now().after(60 * SECOND);
    bench.ownership().hold(Lease { id: LeaseId(1), valid_until }, None);
    assert!(matches!(bench.send(say(&bench, A, "two")), Outcome::Committed { .. }));
    assert_eq!(read(&bench, A), "one two");
}

#[test]
fn a_life_that_is_over_serves_nothing_and_the_next_one_only_what_is_given_back() {
    let bench = Bench::new(Bot(log));
    let target = bench.own(A, 1);
    bench.send(say(&bench, A, "one"));
    let before = bench.engine().incarnation();
    let after = bench.block_on(bench.engine().begin_anew()).expect("begun");
    assert_ne!(after, before);
    assert_eq!(bench.engine().incarnation(), after);
    assert!(bench.ownership().targets().is_empty());
    bench.renew_lease();
    assert_eq!(bench.ownership().guard(&target), Err(Denied::Quarantined), "its own still, as far as it has heard");
    let kept = bench.block_on(bench.engine().kept(true, None, 10)).expect("read");
    assert_eq!(kept.len(), 1);
    let tell = |epoch, state, data| {
        let assignment = Assignment {
            target: target.clone(),
            pod: bench.ownership().pod().clone(),
            epoch: Epoch(epoch),
            revision: Revision(epoch),
            parent: None,
            reason: "failover".to_owned(),
            since_ms: 0,
            state,
            data,
        };
        let revision = Revision(epoch);
        bench.ownership().apply(Watch::Delta { revision, pods: vec![], assignments: vec![assignment], moves: vec![] })
    };
    assert!(tell(2, AssignmentState::Quarantined, None).is_empty());
    assert_eq!(bench.ownership().guard(&target), Err(Denied::Quarantined));
    let data = DataAt::new(bench.ownership().pod().clone(), before, Epoch(1));
    let changes = tell(3, AssignmentState::Serving, Some(data));
    assert!(follow(&bench, changes).is_empty());
    assert_eq!(read(&bench, A), "one");
}

/// A clock that the handler moves, as a machine that was paused finds it moved.
#[test]
fn an_event_whose_handler_outlasts_the_lease_by_the_clock_alone_is_neither_kept_nor_acknowledged() {
    let clock: Arc<OnceLock<ManualClock>> = Arc::default();
    let moved = Arc::clone(&clock);
    let handler = move |event: &Event, target: &mut Target<'_>| {
        let reply = log(event, target);
        if body(event) == "pause" {
            moved.get().expect("set").advance(5 * SECOND);
        }
        reply
    };
    // The handler may take as long as it likes: only the lease ends here.
    let bench = Bench::with(Bot(handler), |options| options.handler_timeout = 3_600 * SECOND);
    clock.set(bench.clock().clone()).expect("once");
    bench.own(A, 1);
    bench.send(say(&bench, A, "one"));
    bench.ownership().drop_lease();
    let valid_until = bench.clock().now().after(5 * SECOND);
    bench.ownership().hold(Lease { id: LeaseId(2), valid_until }, None);
    let outcome = bench.send(say(&bench, A, "pause"));
    assert!(!matches!(outcome, Outcome::Committed { .. }), "{outcome:?}");
    assert!(!matches!(bench.send(say(&bench, A, "after")), Outcome::Committed { .. }), "the door is shut too");
    bench.ownership().drop_lease();
    bench.renew_lease();
    assert_eq!(read(&bench, A), "one");
}

/// A clock that jumps past the end of the lease at some look at it after the handler has been asked.
#[derive(Debug)]
struct Jumping {
    clock: ManualClock,
    /// How many looks are left until then; it does not jump below 1.
    left: Arc<AtomicI64>,
}

impl Clock for Jumping {
    fn now(&self) -> Mono {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.clock.advance(5 * SECOND);
        }
        self.clock.now()
    }

    fn wall_ms(&self) -> u64 {
        self.clock.wall_ms()
    }
}

#[test]
fn wherever_the_lease_ends_on_an_event_s_way_it_is_acknowledged_only_when_that_was_before() {
    let left = Arc::new(AtomicI64::new(0));
    let (jumps, armed, at) = (Arc::clone(&left), Arc::clone(&left), Arc::new(AtomicI64::new(0)));
    let look = Arc::clone(&at);
    let handler = move |event: &Event, target: &mut Target<'_>| {
        let reply = log(event, target);
        if body(event).starts_with("pause") {
            armed.store(look.swap(0, Ordering::SeqCst), Ordering::SeqCst);
        }
        reply
    };
    let bench = Bench::reading(
        Bot(handler),
        |options| options.handler_timeout = 3_600 * SECOND,
        |clock| Arc::new(Jumping { clock, left: jumps }),
    );
    bench.own(A, 1);
    let (mut unsaid, mut undone) = (0, 0);
    for n in 1..=40 {
        bench.ownership().drop_lease();
        let valid_until = bench.clock().now().after(5 * SECOND);
        bench.ownership().hold(Lease { id: LeaseId(1), valid_until }, None);
        at.store(n, Ordering::SeqCst);
        let text = format!("pause{n}");
        let outcome = bench.send(say(&bench, A, &text));
        let jumped = left.swap(0, Ordering::SeqCst) < 1;
        bench.ownership().drop_lease();
        bench.renew_lease();
        let kept = read(&bench, A).split_whitespace().any(|word| word == text);
        match outcome {
            Outcome::Committed { .. } => assert!(kept, "what was acknowledged is kept"),
            // It stands there, and nobody was told: whoever sent it sends it again.
            Outcome::Late => {
                assert!(jumped && kept, "{n}");
                unsaid += 1;
            }
            other => {
                assert!(jumped && !kept, "{n}: {other:?}");
                undone += 1;
            }
        }
    }
    assert!(undone > 0, "the lease has ended before the commit");
    assert!(unsaid > 0, "the lease has ended between the commit and the acknowledgement");
}

#[test]
fn the_ownership_log_says_who_acted_for_what_under_which_epoch_and_where_in_the_journal() {
    let bench = Bench::new(Bot(log));
    let (pod, target) = (bench.ownership().pod().clone(), A.parse::<TargetId>().expect("valid"));
    let file = bench.folder().join("owned.jsonl");
    let log = crate::ownership::OwnershipLog::open(&file, pod, bench.engine().incarnation()).expect("opened");
    bench.ownership().write_log(log);
    let known = Some(crate::dispatch::Known { revision: Revision(1), generation: 0 });
    let acquired = vec![Acquired::new(target.clone(), Epoch(5))];
    bench.block_on(bench.engine().follow(Changes { acquired, released: vec![] }, known)).expect("followed");
    bench.own(A, 5);
    let one = say(&bench, A, "one");
    bench.send(one.clone());
    bench.send(say(&bench, A, "two"));
    bench.send(one);
    bench.let_go(&target);
    let lines = || {
        let text = std::fs::read_to_string(&file).expect("there");
        let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("whole lines"));
        lines.collect::<Vec<_>>()
    };
    bench.until("all is written", |_| lines().len() == 8);
    let lines = lines();
    let said: Vec<_> =
        lines.iter().map(|line| (line["what"].as_str().expect("a word"), line["seqs"].clone())).collect();
    let (first, second, none) = (serde_json::json!([1, 1]), serde_json::json!([2, 2]), serde_json::Value::Null);
    assert_eq!(
        said,
        [
            ("acquire", none.clone()),
            ("apply", first.clone()),
            ("ack", first),
            ("apply", second.clone()),
            ("ack", second),
            ("apply", none.clone()),
            ("ack", none.clone()),
            ("release", none),
        ]
    );
    assert!(lines.iter().all(|line| line["epoch"] == 5 && line["target"] == A && line["pod"] == "gateway-0"));
    assert!(lines.windows(2).all(|pair| pair[0]["at_ns"].as_u64() <= pair[1]["at_ns"].as_u64()));
}
