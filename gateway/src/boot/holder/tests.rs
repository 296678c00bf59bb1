use super::*;
use std::process::{Command, Stdio};

fn locked(folder: &Path) -> File {
    let file = File::create(folder.join(LOCK)).expect("made");
    flock(&file, FlockOperation::NonBlockingLockExclusive).expect("free");
    file
}

#[tokio::test]
async fn who_has_the_lock_as_standard_input_is_ended_and_who_only_has_it_open_is_waited_for() {
    let dir = tempfile::tempdir().expect("a folder");
    let lock = locked(dir.path());
    let mut orphan = Command::new("sleep").arg("600").stdin(Stdio::from(lock)).spawn().expect("sleeps");
    let taken = take(dir.path()).await.expect("taken");
    assert!(!orphan.wait().expect("ended").success());

    let waiting = shared::shutdown::spawn({
        let folder = dir.path().to_owned();
        async move { take(&folder).await.map(drop) }
    });
    sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished(), "this process holds it, and is not ended");
    drop(taken);
    waiting.await.expect("no panic").expect("taken");
}
