use super::*;
use shared::LeaseId;
use shared::clock::ManualClock;
use shared::wire::control::{Assignment, AssignmentState, DataAt};

fn pod() -> (Ownership, ManualClock) {
    let clock = ManualClock::new(1_700_000_000_000);
    let ownership = Ownership::new("gateway-0".parse().expect("valid"), Arc::new(clock.clone()), LeaseTerms::default());
    (ownership, clock)
}

fn assignment(target: &str, pod: &str, epoch: u64) -> Assignment {
    Assignment {
        target: target.parse().expect("valid"),
        pod: pod.parse().expect("valid"),
        epoch: Epoch(epoch),
        revision: Revision(0),
        parent: None,
        reason: "first-contact".into(),
        since_ms: 0,
        state: Default::default(),
        data: None,
    }
}

fn delta(revision: u64, assignments: Vec<Assignment>) -> Watch {
    Watch::Delta { revision: Revision(revision), pods: vec![], assignments, moves: vec![] }
}

fn target(text: &str) -> TargetId {
    text.parse().expect("valid")
}

fn hold(ownership: &Ownership, id: u64, not_before: u64) {
    let valid_until = ownership.terms().valid_until(ownership.clock().now());
    ownership.hold(Lease { id: LeaseId(id), valid_until }, Some(Revision(not_before)));
}

#[test]
fn without_a_lease_no_guard_is_given() {
    let (ownership, _) = pod();
    ownership.apply(delta(1, vec![assignment("slack:guild:A", "gateway-0", 5)]));
    assert!(matches!(ownership.guard(&target("slack:guild:A")), Err(Denied::NotServing(_))));
    hold(&ownership, 1, 0);
    assert_eq!(ownership.guard(&target("slack:guild:A")).expect("owned").epoch(), Epoch(5));
    assert_eq!(ownership.guard(&target("slack:guild:B")), Err(Denied::NotOwner { epoch: Epoch(0) }));
}

#[test]
fn an_expired_lease_stops_new_work_first_and_everything_soon_after() {
    let (ownership, clock) = pod();
    ownership.apply(delta(1, vec![assignment("slack:guild:A", "gateway-0", 5)]));
    hold(&ownership, 1, 0);
    let guard = ownership.guard(&target("slack:guild:A")).expect("owned");
    clock.advance(Duration::from_millis(5_200));
    assert!(ownership.guard(&target("slack:guild:A")).is_err());
    assert!(ownership.check(&guard, Use::Act).is_ok());
    clock.advance(Duration::from_millis(400));
    assert!(ownership.check(&guard, Use::Act).is_err());
    hold(&ownership, 1, 0);
    assert!(ownership.check(&guard, Use::Act).is_ok());
}

#[test]
fn a_pod_that_was_away_waits_for_its_assignments() {
    let (ownership, _) = pod();
    ownership.apply(delta(3, vec![assignment("slack:guild:A", "gateway-0", 5)]));
    hold(&ownership, 2, 9);
    assert!(matches!(ownership.guard(&target("slack:guild:A")), Err(Denied::NotServing(_))));
    let changes = ownership.apply(delta(9, vec![assignment("slack:guild:A", "gateway-1", 6)]));
    assert_eq!(changes.released, [target("slack:guild:A")]);
    assert_eq!(ownership.guard(&target("slack:guild:A")), Err(Denied::NotOwner { epoch: Epoch(6) }));
}

#[test]
fn a_guard_of_an_older_epoch_no_longer_holds() {
    let (ownership, _) = pod();
    hold(&ownership, 1, 0);
    ownership.apply(delta(1, vec![assignment("slack:guild:A", "gateway-0", 5)]));
    let guard = ownership.guard(&target("slack:guild:A")).expect("owned");
    ownership.apply(delta(2, vec![assignment("slack:guild:A", "gateway-0", 7)]));
    assert_eq!(ownership.check(&guard, Use::Act), Err(Denied::NotOwner { epoch: Epoch(7) }));
    assert!(ownership.apply(delta(3, vec![assignment("slack:guild:A", "gateway-1", 6)])).is_empty());
}

#[test]
fn a_snapshot_replaces_what_was_owned_and_tells_the_difference() {
    let (ownership, _) = pod();
    ownership.apply(delta(
        1,
        vec![assignment("slack:guild:A", "gateway-0", 1), assignment("slack:guild:B", "gateway-0", 1)],
    ));
    let part = |first, more, assignments| Watch::Snapshot {
        revision: Revision(4),
        first,
        more,
        pods: vec![],
        assignments,
        moves: vec![],
    };
    assert!(ownership.apply(part(true, true, vec![assignment("slack:guild:B", "gateway-0", 1)])).is_empty());
    let changes = ownership.apply(part(false, false, vec![assignment("slack:guild:C", "gateway-0", 2)]));
    assert_eq!(changes.acquired, [Acquired::new(target("slack:guild:C"), Epoch(2))]);
    assert_eq!(changes.released, [target("slack:guild:A")]);
}

#[test]
fn a_gained_target_is_served_only_once_it_is_admitted_and_a_lost_one_no_longer_at_once() {
    let (ownership, _) = pod();
    hold(&ownership, 1, 0);
    ownership.apply(delta(1, vec![assignment("slack:guild:A", "gateway-0", 5)]));
    let staged = ownership.stage(delta(
        2,
        vec![assignment("slack:guild:A", "gateway-1", 6), assignment("slack:guild:B", "gateway-0", 7)],
    ));
    assert_eq!(ownership.guard(&target("slack:guild:A")), Err(Denied::NotOwner { epoch: Epoch(6) }));
    assert_eq!(ownership.owner(&target("slack:guild:A")), Some("gateway-1".parse().expect("valid")));
    assert!(ownership.guard(&target("slack:guild:B")).is_err());
    assert_eq!(ownership.revision(), Revision(1));
    ownership.admit(staged, &[]);
    assert_eq!(ownership.guard(&target("slack:guild:B")).expect("owned").epoch(), Epoch(7));
    assert_eq!(ownership.revision(), Revision(2));
}

#[test]
fn a_target_given_away_is_not_taken_back_on_the_word_of_a_server_that_lags() {
    let (ownership, _) = pod();
    hold(&ownership, 1, 0);
    ownership.apply(delta(1, vec![assignment("slack:guild:A", "gateway-0", 5)]));
    ownership.apply(delta(2, vec![assignment("slack:guild:A", "gateway-1", 6)]));
    let stale = vec![assignment("slack:guild:A", "gateway-0", 5)];
    ownership.apply(delta(3, stale.clone()));
    assert!(ownership.guard(&target("slack:guild:A")).is_err());
    let old = Watch::Snapshot {
        revision: Revision(1),
        first: true,
        more: false,
        pods: vec![],
        assignments: stale,
        moves: vec![],
    };
    ownership.apply(old);
    assert!(ownership.guard(&target("slack:guild:A")).is_err());
    assert_eq!(ownership.revision(), Revision(3));
}

#[tokio::test(start_paused = true)]
async fn a_router_that_learned_of_an_epoch_first_waits_until_the_pod_has_heard_of_it() {
    let (ownership, _) = pod();
    let (a, most) = (target("slack:guild:A"), Duration::from_millis(500));
    ownership.apply(delta(4, vec![]));
    assert!(!ownership.heard_of(&a, Epoch(5), most).await);
    let (waiting, name) = (ownership.clone(), a.clone());
    let task = shared::shutdown::spawn(async move { waiting.heard_of(&name, Epoch(5), most).await });
    tokio::task::yield_now().await;
    ownership.apply(delta(5, vec![assignment("slack:guild:A", "gateway-0", 5)]));
    assert!(task.await.expect("no panic"));
}

fn quarantined(name: &str, epoch: u64) -> Assignment {
    Assignment { state: AssignmentState::Quarantined, ..assignment(name, "gateway-0", epoch) }
}

#[test]
fn a_target_whose_data_is_elsewhere_is_denied_until_its_data_is_here() {
    let (ownership, _) = pod();
    hold(&ownership, 1, 0);
    let name = target("slack:guild:A");
    assert!(ownership.apply(delta(1, vec![quarantined("slack:guild:A", 5)])).is_empty());
    assert_eq!(ownership.guard(&name), Err(Denied::Quarantined));
    assert_eq!(ownership.epoch(&name), None);
    let older = assignment("slack:guild:A", "gateway-0", 4);
    assert!(ownership.apply(delta(2, vec![older])).is_empty(), "an older word changes nothing");
    let changes = ownership.apply(delta(3, vec![assignment("slack:guild:A", "gateway-0", 5)]));
    assert_eq!(changes.acquired, [Acquired::new(name.clone(), Epoch(5))], "the same epoch, now with its data");
    assert_eq!(ownership.guard(&name).expect("served").epoch(), Epoch(5));
    let changes = ownership.apply(delta(4, vec![quarantined("slack:guild:A", 6)]));
    assert_eq!(changes.released, std::slice::from_ref(&name));
    assert_eq!(ownership.guard(&name), Err(Denied::Quarantined));
    let whole = Watch::Snapshot {
        revision: Revision(5),
        first: true,
        more: false,
        pods: vec![],
        assignments: vec![quarantined("slack:guild:A", 6), quarantined("slack:guild:B", 1)],
        moves: vec![],
    };
    assert!(ownership.apply(whole).is_empty());
    assert_eq!(ownership.guard(&target("slack:guild:B")), Err(Denied::Quarantined));
}

#[test]
fn rows_that_are_not_the_newest_are_not_served_until_they_are_given_back() {
    let (ownership, _) = pod();
    hold(&ownership, 1, 0);
    let name = target("slack:guild:A");
    let staged = ownership.stage(delta(1, vec![assignment("slack:guild:A", "gateway-0", 7)]));
    ownership.admit(staged, std::slice::from_ref(&name));
    assert_eq!(ownership.guard(&name), Err(Denied::Quarantined));
    let life = "0190163d-8694-739b-aea5-966c26f8ad91".parse().expect("valid");
    let data = DataAt::new("gateway-0".parse().expect("valid"), life, Epoch(3));
    let back = Assignment { data: Some(data), ..assignment("slack:guild:A", "gateway-0", 8) };
    let changes = ownership.apply(delta(2, vec![back]));
    assert_eq!(changes.acquired, [Acquired { target: name.clone(), epoch: Epoch(8), kept: Some(Epoch(3)) }]);
    assert_eq!(ownership.guard(&name).expect("served").epoch(), Epoch(8));
}

#[test]
fn what_was_kept_counts_at_once_under_the_lease_that_was_kept_too_and_else_not_before_it_is_confirmed() {
    let (ownership, clock) = pod();
    let name = target("slack:guild:A");
    ownership.take_up(vec![(name.clone(), Epoch(5))], Revision(9), 0);
    assert!(ownership.guard(&name).is_err(), "nothing counts without a lease");
    let lease = Lease { id: LeaseId(4), valid_until: clock.now().after(Duration::from_secs(4)) };
    ownership.hold(lease, None);
    assert_eq!(ownership.guard(&name).expect("served").epoch(), Epoch(5));
    ownership.drop_lease();
    hold(&ownership, 5, 12);
    assert!(ownership.guard(&name).is_err(), "a new lease waits for the stream");
    let whole = Watch::Snapshot {
        revision: Revision(12),
        first: true,
        more: false,
        pods: vec![],
        assignments: vec![],
        moves: vec![],
    };
    assert_eq!(ownership.apply(whole).released, std::slice::from_ref(&name));
    assert!(ownership.guard(&name).is_err());
}

#[test]
fn the_log_of_a_new_cluster_generation_begins_anew() {
    let (ownership, _) = pod();
    ownership.take_up(vec![], Revision(900), 0);
    ownership.begin_generation(0);
    assert_eq!(ownership.revision(), Revision(900));
    ownership.begin_generation(1);
    assert_eq!((ownership.revision(), ownership.generation()), (Revision(0), 1));
}
