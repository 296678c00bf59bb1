use super::*;
use crate::replica::{Base, ReplicaArgs};
use futures_util::TryStreamExt;
use std::{fs, path::PathBuf};

fn in_folder(dir: &std::path::Path) -> (ReplicaStore, Lineage, PathBuf) {
    let args = ReplicaArgs {
        replica: Some(Base::Folder(dir.to_owned())),
        ..ReplicaArgs::for_tests(PathBuf::from("litestream"))
    };
    let lineage = Lineage::parse("1/gateway-0/0190163d-8694-739b-aea5-966c26f8ad91").expect("a lineage");
    let own = dir.join(lineage.path());
    (ReplicaStore::open(&args).expect("open"), lineage, own)
}

fn put(own: &std::path::Path, name: &str, bytes: &[u8]) {
    let file = own.join(name);
    fs::create_dir_all(file.parent().expect("a folder")).expect("made");
    fs::write(file, bytes).expect("written");
}

const FIRST: &str = "0000000000000001-0000000000000001.ltx";
const LATER: &str = "0000000000000002-000000000000001f.ltx";

#[tokio::test]
async fn files_are_known_by_level_and_transactions_in_a_folder_and_in_a_bucket() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, lineage, own) = in_folder(dir.path());
    assert_eq!(store.ltx_files(&lineage).await.expect("listed"), LtxFiles::default());
    for name in ["ltx/9/", "ltx/0/", "0000/", "0009/"] {
        put(&own, &format!("{name}{LATER}"), b"12345");
    }
    put(&own, "berth/begun.json", b"{}");
    put(&own, &format!("ltx/0/{FIRST}.tmp"), b"123");
    let found = store.ltx_files(&lineage).await.expect("listed");
    assert_eq!(found.strange, None);
    let mut known: Vec<_> = found.files.iter().map(|file| (file.level, file.first, file.last, file.size)).collect();
    known.sort_unstable();
    assert_eq!(known, [(0, 2, 31, 5), (0, 2, 31, 5), (9, 2, 31, 5), (9, 2, 31, 5)]);
}

#[tokio::test]
async fn what_another_version_has_written_is_said() {
    for strange in [
        format!("ltx/10/{FIRST}"),
        format!("000a/{FIRST}"),
        FIRST.to_owned(),
        "generations/0123/snapshots/0".to_owned(),
    ] {
        let dir = tempfile::tempdir().expect("a folder");
        let (store, lineage, own) = in_folder(dir.path());
        put(&own, &format!("ltx/0/{FIRST}"), b"12345");
        put(&own, &strange, b"1");
        let found = store.ltx_files(&lineage).await.expect("listed");
        assert!(found.strange.is_some_and(|said| said.ends_with(&strange)), "{strange}");
    }
}

#[tokio::test]
async fn files_are_read_in_order_and_no_part_has_bytes_of_two() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, lineage, own) = in_folder(dir.path());
    let large: Vec<u8> = (0..PART + 5).map(|at| at as u8).collect();
    put(&own, &format!("ltx/0/{FIRST}"), b"small");
    put(&own, &format!("ltx/1/{LATER}"), &large);
    let mut files = store.ltx_files(&lineage).await.expect("listed").files;
    files.sort_by_key(|file| file.level);
    for ahead in [0, 1, 8] {
        let parts: Vec<Bytes> = store.read_ltx(files.clone(), ahead).try_collect().await.expect("read");
        let sizes: Vec<_> = parts.iter().map(Bytes::len).collect();
        assert_eq!(sizes, [5, PART as usize, 5]);
        assert_eq!(parts[1..].concat(), large);
    }
    fs::remove_file(own.join(format!("ltx/1/{LATER}"))).expect("gone");
    let gone: Result<Vec<Bytes>, _> = store.read_ltx(files, 8).try_collect().await;
    assert!(gone.is_err());
}
