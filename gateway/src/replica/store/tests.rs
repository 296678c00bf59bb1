use super::*;
use crate::replica::{Base, Replication};
use shared::Epoch;
use std::path::PathBuf;

const LIFE: &str = "0190163d-8694-739b-aea5-966c26f8ad91";

fn args(folder: &std::path::Path) -> ReplicaArgs {
    ReplicaArgs {
        replica: Some(Base::Folder(folder.to_owned())),
        ..ReplicaArgs::for_tests(PathBuf::from("litestream"))
    }
}

fn lineage(generation: u32, pod: &str) -> Lineage {
    Lineage { generation, pod: pod.parse().expect("valid"), incarnation: LIFE.parse().expect("valid") }
}

fn seal(epoch: u64) -> Seal {
    Seal { epoch: Epoch(epoch), by: "gateway-1".parse().expect("valid"), at_ms: 5 }
}

#[tokio::test]
async fn the_first_seal_stays_and_so_does_the_first_note_of_a_beginning() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = ReplicaStore::open(&args(dir.path())).expect("open");
    let (first, second) = (lineage(1, "gateway-0"), lineage(2, "gateway-0"));
    assert_eq!(store.sealed(&first).await.expect("read"), None);
    assert_eq!(store.seal(&first, &seal(7)).await.expect("sealed"), seal(7));
    assert_eq!(store.seal(&first, &seal(9)).await.expect("sealed twice is fine"), seal(7));
    assert_eq!(store.sealed(&first).await.expect("read"), Some(seal(7)));

    store.begin(&Begun::of(&second, Some(&first), 3)).await.expect("begun");
    store.begin(&Begun::of(&second, None, 4)).await.expect("again is fine");
    let begun = store.begun(&second).await.expect("read").expect("there");
    assert_eq!((begun.previous, begun.at_ms), (Some(first.clone()), 3));
    assert_eq!(store.begun(&first).await.expect("read"), None);
}

#[tokio::test]
async fn a_life_is_found_in_whatever_generation_it_began() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = ReplicaStore::open(&args(dir.path())).expect("open");
    assert!(store.lineages().await.expect("an empty store").is_empty());
    let all = [lineage(2, "gateway-0"), lineage(2, "gateway-1"), lineage(11, "gateway-1")];
    for lineage in &all[..2] {
        store.begin(&Begun::of(lineage, None, 1)).await.expect("begun");
    }
    // Sealed, but never begun: a stray, listed and not found.
    store.seal(&all[2], &seal(1)).await.expect("sealed");
    std::fs::create_dir_all(dir.path().join("lost+found/x")).expect("a stranger's folder");
    assert_eq!(store.lineages().await.expect("listed"), all);
    assert_eq!(store.lineages_of(&all[1].pod).await.expect("listed"), all[1..]);
    let found = store.find(&all[1].pod, &all[1].incarnation).await.expect("looked for");
    assert_eq!(found.as_ref(), Some(&all[1]));
    let other = "0190163d-8694-739b-aea5-966c26f8ad92".parse().expect("valid");
    assert_eq!(store.find(&all[1].pod, &other).await.expect("looked for"), None);
}

#[tokio::test]
async fn a_list_says_how_far_the_copies_go_and_a_removal_leaves_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = ReplicaStore::open(&args(dir.path())).expect("open");
    let (gone, kept) = (lineage(1, "gateway-0"), lineage(1, "gateway-1"));
    for lineage in [&gone, &kept] {
        store.begin(&Begun::of(lineage, None, 1)).await.expect("begun");
        assert_eq!(store.list(lineage).await.expect("listed"), Listing::default(), "Berth's notes are not copies");
        let ltx = dir.path().join(lineage.path()).join("ltx");
        for (level, name) in [("0", "000000000000000f-000000000000001a"), ("9", "0000000000000001-0000000000000009")] {
            std::fs::create_dir_all(ltx.join(level)).expect("a level");
            std::fs::write(ltx.join(level).join(format!("{name}.ltx")), b"four").expect("a file");
            std::fs::write(ltx.join(level).join(format!("{name}.ltx.tmp")), b"unfinished").expect("a file");
        }
    }
    let listing = store.list(&gone).await.expect("listed");
    assert_eq!((listing.files, listing.bytes, listing.last_txid), (2, 8, Some(0x1a)));
    assert!(listing.oldest_ms <= listing.newest_ms && listing.oldest_ms > Some(1_600_000_000_000));

    assert_eq!(store.remove(&gone).await.expect("removed").files, 5);
    assert_eq!(store.lineages().await.expect("listed"), std::slice::from_ref(&kept));
    assert_eq!(store.list(&kept).await.expect("listed").files, 2);
}

#[tokio::test]
async fn a_seal_that_cannot_be_read_is_not_taken_for_none() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = ReplicaStore::open(&args(dir.path())).expect("open");
    let lineage = lineage(1, "gateway-0");
    let file = dir.path().join(lineage.path()).join("berth/SEALED");
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
    std::fs::write(&file, b"").expect("written");
    assert!(matches!(store.sealed(&lineage).await, Err(ReplicaError::Damaged { .. })));
}

#[test]
fn without_a_place_there_is_no_store() {
    let args = ReplicaArgs { replication: Replication::Litestream, ..ReplicaArgs::for_tests("litestream".into()) };
    assert!(matches!(ReplicaStore::open(&args), Err(ReplicaError::NotSet)));
}
