use super::*;
use std::fs;

fn identity(uid: &str, boot_id: &str) -> Identity {
    Identity { pod: "gateway-0".parse().expect("valid"), uid: Some(uid.to_owned()), boot_id: boot_id.to_owned() }
}

fn remembered(lease_id: u64) -> Remembered {
    Remembered {
        lease_id: LeaseId(lease_id),
        incarnation: "0190163d-8694-739b-aea5-966c26f8ad91".parse().expect("valid"),
        witnesses: Witnesses { version: 3, pods: vec![] },
    }
}

fn mark(lease_id: u64) -> Mark {
    Mark { pod: "gateway-1".parse().expect("valid"), lease_id: LeaseId(lease_id) }
}

#[test]
fn a_process_goes_on_only_where_the_same_pod_stopped_under_the_same_uid_and_boot() {
    let dir = tempfile::tempdir().expect("a folder");
    let kept = Kept::new(dir.path(), identity("u1", "b1"));
    assert_eq!((kept.remembered(0), kept.marks()), (None, None), "a new folder");
    kept.keep_lease(&remembered(7), 2, Term(9)).expect("kept");
    kept.keep_marks(vec![mark(4)]).expect("kept");
    let again = Kept::new(dir.path(), identity("u1", "b1"));
    assert_eq!((again.remembered(2), again.marks()), (Some(remembered(7)), Some(vec![mark(4)])));
    assert_eq!(again.term(), Term(9), "what was heard of leaders outlives a process");
    assert_eq!(again.remembered(1), None, "its assignments are of another generation");
    for other in [identity("u2", "b1"), identity("u1", "b2"), Identity { uid: None, ..identity("", "b1") }] {
        let other = Kept::new(dir.path(), other);
        assert_eq!((other.remembered(2), other.marks()), (None, None));
    }
    again.drop_lease().expect("dropped");
    again.drop_lease().expect("nothing to drop");
    assert_eq!(again.remembered(2), None);
}

#[test]
fn a_machine_that_cannot_tell_its_boots_apart_goes_on_with_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let kept = Kept::new(dir.path(), identity("u1", ""));
    kept.keep_lease(&remembered(7), 0, Term(9)).expect("kept");
    kept.keep_marks(vec![mark(4)]).expect("kept");
    assert_eq!((kept.remembered(0), kept.marks()), (None, None));
}

#[test]
fn a_note_that_is_cut_off_or_changed_is_taken_for_lost() {
    let dir = tempfile::tempdir().expect("a folder");
    let kept = Kept::new(dir.path(), identity("u1", "b1"));
    kept.keep_marks(vec![mark(4)]).expect("kept");
    let file = dir.path().join(MARKS);
    let whole = fs::read_to_string(&file).expect("there");
    let lowered = whole.replace("\"lease_id\":4", "\"lease_id\":3");
    assert_ne!(lowered, whole);
    for damaged in [&whole[..whole.len() / 2], "", "{}", &lowered] {
        fs::write(&file, damaged).expect("written");
        assert_eq!(kept.marks(), None, "{damaged:?}");
    }
    fs::write(&file, &whole).expect("written");
    assert_eq!(kept.marks(), Some(vec![mark(4)]));
}
