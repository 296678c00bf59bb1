use super::*;

fn pod(name: &str) -> PodId {
    name.parse().expect("valid")
}

#[test]
fn a_folder_has_one_process_at_a_time_and_names_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let held = Folder::take(dir.path(), &pod("gateway-0"), None).expect("free");
    let refused = Folder::take(dir.path(), &pod("gateway-0"), None).expect_err("held").to_string();
    assert!(refused.contains(&format!("process {} (gateway-0)", std::process::id())), "{refused}");
    drop(held);
    assert!(Folder::take(dir.path(), &pod("gateway-0"), None).is_ok());
}

#[test]
fn a_folder_keeps_its_pods_name_for_life() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("a/b");
    drop(Folder::take(&path, &pod("gateway-0"), None).expect("made"));
    let refused = Folder::take(&path, &pod("gateway-1"), None).expect_err("another pod's");
    assert!(matches!(refused, FolderError::OtherPod { ref owner, .. } if *owner == pod("gateway-0")), "{refused}");
    assert!(Folder::take(&path, &pod("gateway-0"), None).is_ok());
}

#[test]
fn a_restart_under_the_same_boot_is_told_from_a_first_start() {
    let dir = tempfile::tempdir().expect("a folder");
    assert!(!Folder::take(dir.path(), &pod("gateway-0"), None).expect("made").same_boot());
    assert_eq!(Folder::take(dir.path(), &pod("gateway-0"), None).expect("free").same_boot(), !boot_id().is_empty());
    fs::write(dir.path().join(OWNER), r#"{"pod":"gateway-0","boot_id":"another"}"#).expect("written");
    assert!(!Folder::take(dir.path(), &pod("gateway-0"), None).expect("free").same_boot());
}

#[test]
fn a_damaged_note_is_refused_and_not_overwritten() {
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join(OWNER), "{").expect("written");
    let refused = Folder::take(dir.path(), &pod("gateway-0"), None).expect_err("damaged");
    assert!(refused.to_string().contains("pod.json is damaged"), "{refused}");
    assert_eq!(fs::read(dir.path().join(OWNER)).expect("there"), b"{");
}

#[test]
fn the_room_of_a_folders_disk_is_known_and_that_of_no_folder_is_not() {
    let dir = tempfile::tempdir().expect("a folder");
    let space = space::of(dir.path()).expect("it is there");
    assert!(space.free > 0 && space.free <= space.size, "{space:?}");
    assert!(space::of(&dir.path().join("none")).is_err());
}
