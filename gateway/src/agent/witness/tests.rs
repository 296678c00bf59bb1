use super::*;
use crate::folder::kept::Identity;
use shared::clock::ManualClock;
use shared::{Term, protocol::witness::Input};
use std::path::Path;

fn kept(folder: &Path) -> Kept {
    let pod = "gateway-0".parse().expect("valid");
    Kept::new(folder, Identity { pod, uid: None, boot_id: "b1".to_owned() })
}

fn start(folder: &Path, clock: &ManualClock) -> (Witnessing, Shutdown) {
    let stop = Shutdown::new();
    let me = "gateway-0".parse().expect("valid");
    (Witnessing::start(me, Arc::new(clock.clone()), kept(folder), 8, stop.clone()), stop)
}

fn question(lease_id: u64) -> Extend {
    Extend {
        pod: "gateway-1".parse().expect("valid"),
        incarnation: "0190163d-8694-739b-aea5-966c26f8ad91".parse().expect("valid"),
        lease_id: LeaseId(lease_id),
        nonce: lease_id,
        extension_ms: 4_000,
    }
}

fn fence(lease_id: u64) -> Fence {
    Fence { pod: "gateway-1".parse().expect("valid"), lease_id: LeaseId(lease_id), term: Term(2), round: 1 }
}

#[tokio::test]
async fn a_lease_is_fenced_only_once_the_mark_is_on_disk_and_over_restarts() {
    let (dir, clock) = (tempfile::tempdir().expect("a folder"), ManualClock::new(0));
    let (witness, stop) = start(dir.path(), &clock);
    assert_eq!(witness.extend(question(4)).await.expect("asked"), Extended::NotReady { nonce: 4 }, "a new folder");
    witness.said(Input::MarksRead(vec![])).await;
    assert_eq!(witness.extend(question(4)).await.expect("asked"), Extended::Promised { nonce: 4 });
    let fenced = witness.fence(fence(4)).await.expect("fenced");
    let mark = Mark { pod: fenced.pod.clone(), lease_id: LeaseId(4) };
    assert_eq!(kept(dir.path()).marks(), Some(vec![mark]), "before it was said");
    assert!(fenced.remaining_ms >= 5_000, "the promise still binds: {fenced:?}");
    assert_eq!(witness.extend(question(4)).await.expect("asked"), Extended::Fenced { nonce: 4, lease_id: LeaseId(4) });
    stop.cancel();

    let (again, _stop) = start(dir.path(), &clock);
    assert_eq!(again.extend(question(4)).await.expect("asked"), Extended::Fenced { nonce: 4, lease_id: LeaseId(4) });
    assert_eq!(again.extend(question(5)).await.expect("asked"), Extended::Promised { nonce: 5 });
}

#[tokio::test]
async fn a_witness_whose_marks_are_damaged_promises_nothing_before_it_has_read_them_back() {
    let (dir, clock) = (tempfile::tempdir().expect("a folder"), ManualClock::new(0));
    let (witness, stop) = start(dir.path(), &clock);
    witness.said(Input::MarksRead(vec![])).await;
    witness.fence(fence(4)).await.expect("fenced");
    stop.cancel();
    std::fs::write(dir.path().join("marks.json"), "{").expect("damaged");
    let (witness, _stop) = start(dir.path(), &clock);
    assert_eq!(witness.extend(question(4)).await.expect("asked"), Extended::NotReady { nonce: 4 });
    let pod = "gateway-1".parse().expect("valid");
    witness.said(Input::MarksRead(vec![Mark { pod, lease_id: LeaseId(4) }])).await;
    assert_eq!(witness.extend(question(4)).await.expect("asked"), Extended::Fenced { nonce: 4, lease_id: LeaseId(4) });
}

#[tokio::test]
async fn nothing_is_said_to_be_fenced_while_the_disk_does_not_take_the_mark() {
    let (dir, clock) = (tempfile::tempdir().expect("a folder"), ManualClock::new(0));
    let folder = dir.path().join("gone");
    let (witness, _stop) = start(&folder, &clock);
    witness.said(Input::MarksRead(vec![])).await;
    let asking = witness.fence(fence(4));
    let mut asking = std::pin::pin!(asking);
    let early = tokio::time::timeout(Duration::from_millis(300), asking.as_mut()).await;
    assert!(early.is_err(), "there is no folder to write to: {early:?}");
    assert_eq!(witness.extend(question(4)).await.expect("asked"), Extended::Fenced { nonce: 4, lease_id: LeaseId(4) });
    std::fs::create_dir(&folder).expect("the disk is back");
    let fenced = tokio::time::timeout(Duration::from_secs(60), asking).await.expect("in time").expect("fenced");
    assert_eq!(fenced.lease_id, LeaseId(4));
}

#[tokio::test]
async fn a_fence_that_arrives_twice_is_answered_twice_and_marked_once() {
    let (dir, clock) = (tempfile::tempdir().expect("a folder"), ManualClock::new(0));
    let (witness, _stop) = start(dir.path(), &clock);
    witness.said(Input::MarksRead(vec![])).await;
    witness.extend(question(4)).await.expect("asked");
    let (one, other) = tokio::join!(witness.fence(fence(4)), witness.fence(fence(4)));
    let (one, other) = (one.expect("fenced"), other.expect("fenced"));
    assert_eq!(one, other);
    clock.advance(Duration::from_secs(2));
    let later = witness.fence(fence(4)).await.expect("fenced");
    assert_eq!(later.remaining_ms, one.remaining_ms - 2_000, "the promise is not made longer by being asked about");
    let mark = Mark { pod: one.pod.clone(), lease_id: LeaseId(4) };
    assert_eq!(kept(dir.path()).marks(), Some(vec![mark]));
}
