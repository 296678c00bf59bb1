use super::*;
use crate::domain::PodRecord;
use crate::store::Sqlite;
use shared::shutdown::Shutdown;

fn change(revision: u64) -> Change {
    let mut record = PodRecord::sample("gateway-0", "0190163d-8694-739b-aea5-966c26f8ad91");
    record.info.revision = Revision(revision);
    Change::Pod(record)
}

fn feed(hub: &Hub, folder: &tempfile::TempDir, after: u64) -> Feed {
    let store = Arc::new(Sqlite::open(&folder.path().join("config.db"), 4).expect("opens"));
    let seat = hub.seat().expect("free");
    Feed::new(hub.clone(), store, seat, Start::After(Revision(after)), None, Duration::from_secs(3_600))
}

#[tokio::test]
async fn a_watcher_that_reads_too_slowly_is_told_to_start_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let hub = Hub::new(Revision(0), 3, 1, Shutdown::new());
    let mut feed = feed(&hub, &folder, 0);
    hub.publish([change(1)]);
    assert_eq!(feed.next().await.and_then(|message| message.completes()), Some(Revision(1)));
    hub.publish((2..=4).map(change));
    assert_eq!(feed.next().await.and_then(|message| message.completes()), Some(Revision(4)), "as far as the ring goes");
    hub.publish((5..=8).map(change));
    assert!(matches!(feed.next().await, Some(Watch::Resync { .. })));
    assert_eq!(feed.next().await, None);
}

#[tokio::test]
async fn what_is_published_between_two_looks_is_not_missed() {
    let folder = tempfile::tempdir().expect("a folder");
    let hub = Hub::new(Revision(0), 1_000, 1, Shutdown::new());
    let mut feed = feed(&hub, &folder, 0);
    let publisher = shared::shutdown::spawn({
        let hub = hub.clone();
        async move {
            for revision in 1..=500 {
                hub.publish([change(revision)]);
                if revision % 7 == 0 {
                    tokio::task::yield_now().await;
                }
            }
        }
    });
    let mut at = Revision(0);
    while at < Revision(500) {
        let message = tokio::time::timeout(Duration::from_secs(60), feed.next()).await.expect("woken").expect("open");
        let to = message.completes().expect("complete");
        assert!(matches!(message, Watch::Delta { pods, .. } if pods.len() as u64 == to.0 - at.0), "no gap, no repeat");
        at = to;
    }
    publisher.await.expect("no panic");
}

#[tokio::test]
async fn a_watch_ends_with_the_term() {
    let folder = tempfile::tempdir().expect("a folder");
    let closed = Shutdown::new();
    let hub = Hub::new(Revision(0), 3, 1, closed.clone());
    let mut feed = feed(&hub, &folder, 0);
    closed.cancel();
    assert_eq!(feed.next().await, None);
    assert!(hub.seat().is_none());
    drop(feed);
    assert!(hub.seat().is_some());
}
