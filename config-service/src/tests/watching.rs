use super::harness::*;
use shared::Revision;
use shared::wire::control::Watch;

fn targets(message: &Watch) -> Vec<String> {
    match message {
        Watch::Snapshot { assignments, .. } | Watch::Delta { assignments, .. } => {
            assignments.iter().map(|assignment| assignment.target.to_string()).collect()
        }
        Watch::Bookmark { .. } | Watch::Resync { .. } => vec![],
    }
}

#[tokio::test]
async fn a_watch_begins_with_everything_and_goes_on_with_what_changes() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    node.ready("gateway-0", 0).await;
    node.place(&["discord:guild:1"]).await.expect("placed");
    let mut watcher = node.watch("/v1/watch", None).await;
    let snapshot = watcher.next().await.expect("a snapshot");
    assert!(
        matches!(&snapshot, Watch::Snapshot { first: true, more: false, pods, revision: Revision(3), .. } if pods.len() == 1)
    );
    assert_eq!(targets(&snapshot), ["discord:guild:1"]);
    assert_eq!(watcher.next().await, Some(Watch::Bookmark { revision: Revision(3) }));

    node.place(&["discord:guild:2", "discord:guild:3"]).await.expect("placed");
    let delta = watcher.news().await;
    assert_eq!((targets(&delta).len(), delta.completes()), (2, Some(Revision(5))));

    let mut resumed = node.watch("/v1/watch", Some(4)).await;
    assert_eq!(targets(&resumed.next().await.expect("a delta")), ["discord:guild:3"]);
    drop(resumed);
    node.stop().await;
    while let Some(message) = watcher.next().await {
        assert!(matches!(message, Watch::Bookmark { .. }), "the stream ends with the service");
    }
}

#[tokio::test]
async fn a_snapshot_comes_in_parts_and_is_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    node.ready("gateway-0", 0).await;
    let names: Vec<_> = (0..2_500).map(|n| format!("slack:guild:T{n:04}")).collect();
    node.place(&names.iter().map(String::as_str).collect::<Vec<_>>()).await.expect("placed");
    let mut watcher = node.watch("/v1/watch?pod=gateway-0", None).await;
    let mut seen = Vec::new();
    for (first, more, size) in [(true, true, 1_000), (false, true, 1_000), (false, false, 500)] {
        let part = watcher.next().await.expect("a part");
        assert!(matches!(&part, Watch::Snapshot { first: f, more: m, .. } if (*f, *m) == (first, more)));
        assert_eq!(targets(&part).len(), size);
        seen.extend(targets(&part));
    }
    assert_eq!(seen, names);
    node.stop().await;
}

#[tokio::test]
async fn a_pod_hears_of_its_own_targets_and_of_every_revision() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    node.ready("gateway-0", 0).await;
    let mut other = node.watch("/v1/watch?pod=gateway-1", None).await;
    other.next().await.expect("a snapshot");
    node.place(&["discord:guild:1"]).await.expect("placed");
    let mut revision = Revision(0);
    while revision < Revision(2) {
        let message = other.next().await.expect("the stream goes on");
        assert!(targets(&message).is_empty());
        revision = message.completes().expect("complete");
    }
    node.registered("gateway-1", 1).await.expect("registers");
    assert!(matches!(other.news().await, Watch::Delta { pods, .. } if pods.len() == 1), "pods are for everybody");
    node.stop().await;
}

#[tokio::test]
async fn a_position_survives_a_restart_and_an_impossible_one_starts_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    node.ready("gateway-0", 0).await;
    let names: Vec<_> = (0..1_500).map(|n| format!("slack:guild:T{n:04}")).collect();
    node.place(&names.iter().map(String::as_str).collect::<Vec<_>>()).await.expect("placed");
    node.stop().await;

    let node = Node::start(&folder).await;
    let mut watcher = node.watch("/v1/watch", Some(1)).await;
    let mut seen = targets(&watcher.next().await.expect("from the log"));
    seen.extend(targets(&watcher.next().await.expect("from the log")));
    assert_eq!(seen, names);
    node.place(&[]).await.expect("nothing asked");
    node.registered("gateway-1", 1).await.expect("registers");
    assert_eq!(watcher.news().await.completes(), Some(Revision(1_503)), "and then live");

    let mut ahead = node.watch("/v1/watch", Some(9_999)).await;
    assert!(matches!(ahead.next().await, Some(Watch::Resync { .. })));
    assert_eq!(ahead.next().await, None, "the stream ends there");
    let garbage = node.service().stream("/v1/watch", &[("last-event-id", "x")]).await;
    assert_eq!(code(garbage), "bad-request");
    node.stop().await;
}

#[tokio::test]
async fn a_position_that_was_trimmed_away_starts_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start_with(&folder, &["--change-keep=10", "--watch-backlog=10"]).await;
    node.ready("gateway-0", 0).await;
    let names: Vec<_> = (0..1_200).map(|n| format!("slack:guild:T{n:04}")).collect();
    node.place(&names.iter().map(String::as_str).collect::<Vec<_>>()).await.expect("placed");
    eventually("the log is trimmed", async || {
        let mut watcher = node.watch("/v1/watch", Some(1)).await;
        matches!(watcher.next().await, Some(Watch::Resync { .. }))
    })
    .await;
    let mut recent = node.watch("/v1/watch", Some(1_195)).await;
    assert_eq!(recent.next().await.and_then(|message| message.completes()), Some(Revision(1_202)));
    node.stop().await;
}

#[tokio::test]
async fn watchers_are_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start_with(&folder, &["--max-watchers=1"]).await;
    let first = node.watch("/v1/watch", None).await;
    assert_eq!(code(node.service().stream("/v1/watch", &[]).await), "too-many-watchers");
    drop(first);
    eventually("the seat is free", async || node.service().stream("/v1/watch", &[]).await.is_ok()).await;
    node.stop().await;
}
