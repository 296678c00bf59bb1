use super::*;
use shared::clock::ManualClock;
use shared::lease::{Lease, LeaseTerms};
use shared::wire::control::{Assignment, Watch};
use shared::{Clock, LeaseId, Revision};
use std::sync::Arc;

const DEADLINE: Duration = Duration::from_secs(2);

fn pod() -> (Ownership, ManualClock) {
    let clock = ManualClock::new(1_700_000_000_000);
    let ownership = Ownership::new("gateway-0".parse().expect("valid"), Arc::new(clock.clone()), LeaseTerms::default());
    let valid_until = ownership.terms().valid_until(ownership.clock().now());
    ownership.hold(Lease { id: LeaseId(1), valid_until }, Some(Revision(0)));
    (ownership, clock)
}

fn owned(ownership: &Ownership, revision: u64, owner: &str, epoch: u64) {
    ownership.apply(Watch::Delta {
        moves: vec![],
        revision: Revision(revision),
        pods: vec![],
        assignments: vec![Assignment {
            target: target(),
            pod: owner.parse().expect("valid"),
            epoch: Epoch(epoch),
            revision: Revision(revision),
            parent: None,
            reason: "first-contact".into(),
            since_ms: 0,
            state: Default::default(),
            data: None,
        }],
    });
}

fn target() -> TargetId {
    "discord:guild:1".parse().expect("valid")
}

async fn ask(ownership: &Ownership, epoch: u64) -> Result<Epoch, Outcome> {
    let admitted = admit(ownership, &target(), Epoch(epoch), DEADLINE).await;
    admitted.map(|guard| guard.epoch()).map_err(|why| refusal(ownership, &target(), why))
}

fn not_owner(owner: Option<&str>, epoch: u64) -> Outcome {
    Outcome::NotOwner { owner: owner.map(|owner| owner.parse().expect("valid")), epoch: Epoch(epoch) }
}

#[tokio::test(start_paused = true)]
async fn only_the_owner_under_the_very_epoch_lets_an_event_in() {
    let (ownership, _) = pod();
    owned(&ownership, 1, "gateway-0", 5);
    assert_eq!(ask(&ownership, 5).await, Ok(Epoch(5)));
    // An old router hears at once what is true.
    let before = tokio::time::Instant::now();
    assert_eq!(ask(&ownership, 4).await, Err(not_owner(Some("gateway-0"), 5)));
    owned(&ownership, 2, "gateway-1", 6);
    assert_eq!(ask(&ownership, 5).await, Err(not_owner(Some("gateway-1"), 6)));
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_behind_waits_for_its_stream_before_it_says_no() {
    let (ownership, _) = pod();
    let before = tokio::time::Instant::now();
    assert_eq!(ask(&ownership, 5).await, Err(not_owner(None, 0)));
    assert_eq!(before.elapsed(), CATCH_UP);
    let asking = ownership.clone();
    let asked = shared::shutdown::spawn(async move { ask(&asking, 5).await });
    tokio::task::yield_now().await;
    owned(&ownership, 1, "gateway-0", 5);
    assert_eq!(asked.await.expect("no panic"), Ok(Epoch(5)));
}

#[tokio::test(start_paused = true)]
async fn without_a_lease_nobody_comes_in_and_nobody_waits() {
    let (ownership, clock) = pod();
    owned(&ownership, 1, "gateway-0", 5);
    clock.advance(Duration::from_secs(6));
    let before = tokio::time::Instant::now();
    assert!(matches!(ask(&ownership, 5).await, Err(Outcome::NotServing { .. })));
    assert_eq!(before.elapsed(), Duration::ZERO);
    let valid_until = ownership.terms().valid_until(clock.now());
    ownership.hold(Lease { id: LeaseId(1), valid_until }, Some(Revision(0)));
    assert_eq!(ask(&ownership, 5).await, Ok(Epoch(5)));
}
