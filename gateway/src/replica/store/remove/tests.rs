use super::*;
use crate::replica::{Base, Begun, ReplicaArgs, Seal};
use shared::{Epoch, PodId};
use std::path::PathBuf;

const LIFE: &str = "0190163d-8694-739b-aea5-966c26f8ad91";

/// A store with one lineage: begun, sealed, drilled, with files of several levels.
async fn filled(folder: &std::path::Path) -> (ReplicaStore, Lineage) {
    let args = ReplicaArgs {
        replica: Some(Base::Folder(folder.to_owned())),
        ..ReplicaArgs::for_tests(PathBuf::from("litestream"))
    };
    let store = ReplicaStore::open(&args).expect("open");
    let pod: PodId = "gateway-0".parse().expect("valid");
    let lineage = Lineage { generation: 1, pod: pod.clone(), incarnation: LIFE.parse().expect("valid") };
    store.begin(&Begun::of(&lineage, None, 1)).await.expect("begun");
    store.seal(&lineage, &Seal { epoch: Epoch(1), by: pod, at_ms: 2 }).await.expect("sealed");
    store.drilled(&lineage, 3).await.expect("noted");
    let files = ["0/0000000000000001-0000000000000001", "0/0000000000000002-0000000000000002"];
    let later = ["1/0000000000000001-0000000000000002", "9/0000000000000001-0000000000000002", "0/unfinished"];
    for name in files.into_iter().chain(later) {
        let file = folder.join(lineage.path()).join("ltx").join(format!("{name}.ltx"));
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        std::fs::write(file, b"four").expect("written");
    }
    (store, lineage)
}

#[tokio::test]
async fn the_notes_go_last_and_the_seal_last_of_them() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, lineage) = filled(dir.path()).await;
    let own = store.at(&lineage.path());
    let mut files = store.all(&own).await.expect("listed");
    files.sort_by_cached_key(|file| turn(&own, file));
    let names: Vec<_> =
        files.iter().map(|file| file.location.as_ref().rsplit_once("-aea5-").expect("below").1).collect();
    let at = |ending: &str| names.iter().position(|name| name.ends_with(ending)).expect(ending);
    for first in [
        "ltx/0/0000000000000001-0000000000000001.ltx",
        "ltx/1/0000000000000001-0000000000000002.ltx",
        "ltx/9/0000000000000001-0000000000000002.ltx",
    ] {
        assert!(at(first) < 3, "what a restore begins with goes first: {names:?}");
    }
    assert_eq!((at("drilled.json"), at("begun.json"), at("SEALED")), (5, 6, 7), "{names:?}");
}

#[tokio::test]
async fn one_that_is_removed_in_part_is_found_by_nobody_and_its_removal_ends() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, lineage) = filled(dir.path()).await;
    // Cut off right after the mark.
    let mark = dir.path().join(lineage.path()).join("berth/REMOVING");
    std::fs::write(&mark, b"{}").expect("written");
    let found = store.find(&lineage.pod, &lineage.incarnation).await;
    assert!(matches!(&found, Err(ReplicaError::Removing(_))), "{found:?}");
    assert!(store.stock(&lineage).await.removing);
    // Cut off before the seal.
    let folder = dir.path().join(lineage.path());
    std::fs::remove_dir_all(folder.join("ltx")).expect("removed");
    std::fs::remove_file(folder.join("berth/begun.json")).expect("removed");
    assert!(store.sealed(&lineage).await.expect("read").is_some());
    assert!(store.find(&lineage.pod, &lineage.incarnation).await.is_err());
    assert_eq!(store.lineages().await.expect("listed"), std::slice::from_ref(&lineage), "who cleans up finds it");
    assert_eq!(store.remove(&lineage).await.expect("removed").files, 2);
    assert!(store.lineages().await.expect("listed").is_empty());
    assert_eq!(store.remove(&lineage).await.expect("nothing to remove"), Removed::default());
    assert!(store.lineages().await.expect("listed").is_empty(), "no mark is left where nothing was");
}

#[tokio::test]
async fn the_store_says_what_there_is_and_what_time_it_is() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, lineage) = filled(dir.path()).await;
    let stock = store.stock(&lineage).await;
    assert_eq!((stock.files, stock.good, stock.removing, stock.unread.clone()), (4, true, false, None), "{stock:?}");
    assert!(stock.bytes > 20 && stock.begun_ms.is_some() && stock.last_ms >= stock.begun_ms, "{stock:?}");
    let now_ms = store.now_ms(&lineage.pod).await.expect("it has a clock");
    assert!(now_ms >= stock.last_ms.expect("written"));
    // The clock's file is no lineage.
    assert_eq!(store.lineages().await.expect("listed").len(), 1);
    // A note of a drill does not make an old lineage young, and one that is damaged makes it unreadable.
    std::fs::write(dir.path().join(lineage.path()).join("berth/drilled.json"), b"?").expect("written");
    assert!(store.stock(&lineage).await.unread.is_some());
}
