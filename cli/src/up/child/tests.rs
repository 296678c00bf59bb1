use super::*;

fn shell(script: &str, dir: &Path) -> Spec {
    Spec {
        name: "child".into(),
        args: vec!["-c".into(), script.into()],
        env: vec![("GREETING", "hello".into())],
        hidden: vec!["PATH".into()],
        log: dir.join("child.log"),
        before: None,
        after: None,
    }
}

fn ground(grace: Duration) -> (Ground, mpsc::Receiver<Death>) {
    let (notices, deaths) = mpsc::channel(8);
    let (_, ever_ready) = watch::channel(true);
    (Ground { program: "/bin/sh".into(), notices, ever_ready, hopeless: 3, grace }, deaths)
}

/// Waits until a child has written `line`, so that it is known to have come that far.
async fn written(log: &Path, line: &str) {
    let wait = async {
        while !fs::read_to_string(log).is_ok_and(|text| text.lines().any(|found| found == line)) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(60), wait).await.expect("the child wrote its line");
}

#[tokio::test]
async fn a_dead_child_is_shown_with_its_last_lines_and_started_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let (ground, mut deaths) = ground(Duration::from_secs(5));
    let child = Child::start(shell("echo $GREETING ${PATH:-hidden}; exit 3", dir.path()), ground);
    for wait in [0, 1] {
        let death = timeout(Duration::from_secs(60), deaths.recv()).await.expect("in time").expect("a death");
        assert_eq!((death.name.as_str(), death.how.as_str()), ("child", "exited with status 3"));
        assert_eq!(death.next, Next::After(Duration::from_secs(wait)));
        assert_eq!(death.lines.first().map(|line| line.starts_with("hello")), Some(true), "{:?}", death.lines);
    }
    child.ask_to_end();
    assert_eq!(child.ended().await, Ended::InOrder);
}

#[tokio::test]
async fn a_child_that_ignores_sigterm_is_killed_after_the_grace() {
    let dir = tempfile::tempdir().expect("a folder");
    let (ground, _deaths) = ground(Duration::from_millis(50));
    let spec = shell("trap '' TERM; echo up; while :; do read x || exec sleep 60; done", dir.path());
    let log = spec.log.clone();
    let child = Child::start(Spec { hidden: Vec::new(), ..spec }, ground);
    written(&log, "up").await;
    child.ask_to_end();
    assert_eq!(child.ended().await, Ended::Killed);
}

#[tokio::test]
async fn a_child_that_obeys_ends_in_order_and_its_lifeline_stays_open_until_then() {
    let dir = tempfile::tempdir().expect("a folder");
    let (ground, mut deaths) = ground(Duration::from_secs(60));
    let spec = shell("trap 'echo asked; exit 0' TERM; echo up; while :; do sleep 0.01; done", dir.path());
    let log = spec.log.clone();
    let child = Child::start(Spec { hidden: Vec::new(), ..spec }, ground);
    written(&log, "up").await;
    child.ask_to_end();
    assert_eq!(child.ended().await, Ended::InOrder);
    written(&log, "asked").await;
    assert!(deaths.try_recv().is_err());
}

#[tokio::test]
async fn a_missing_binary_is_a_death_with_its_cause() {
    let dir = tempfile::tempdir().expect("a folder");
    let (mut ground, mut deaths) = ground(Duration::from_secs(1));
    ground.program = dir.path().join("none");
    let child = Child::start(shell("", dir.path()), ground);
    let death = timeout(Duration::from_secs(60), deaths.recv()).await.expect("in time").expect("a death");
    assert!(death.how.starts_with("could not be started"), "{}", death.how);
    child.ask_to_end();
    child.ended().await;
}

#[test]
fn a_large_log_is_set_aside() {
    let dir = tempfile::tempdir().expect("a folder");
    let log = dir.path().join("x.log");
    assert_eq!(set_aside(&log), 0);
    fs::write(&log, "abc").expect("written");
    assert_eq!(set_aside(&log), 3);
    File::options().write(true).open(&log).and_then(|file| file.set_len(LOG_LIMIT + 1)).expect("grown");
    assert_eq!(set_aside(&log), 0);
    assert!(dir.path().join("x.log.1").exists() && !log.exists());
}
