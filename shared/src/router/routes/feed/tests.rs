use super::*;
use crate::http::Probes;
use crate::router::routes::Whereabouts;
use crate::router::testing::*;
use crate::wire::control::Assignment;
use crate::{PodId, Revision};
use tokio::time::timeout;

struct Story {
    config: FakeConfig,
    routes: Routes,
    links: Links,
    probes: Probes,
}

async fn story(silence: Duration) -> Story {
    let (config, routes, (links, _), probes) =
        (FakeConfig::start().await, Routes::new(), links(Duration::from_secs(1)), Probes::new());
    let feed = Feed {
        client: config.client(),
        routes: routes.clone(),
        links: links.clone(),
        latch: probes.latch("table", "no table yet"),
        silence,
    };
    crate::shutdown::spawn(feed.run(Shutdown::new()));
    Story { config, routes, links, probes }
}

const LONG: Duration = Duration::from_secs(60);

fn snapshot(revision: u64, first: bool, more: bool, names: &[&str]) -> Watch {
    let pods = if first { vec![pod_info("gateway-0", "127.0.0.1:9", 1)] } else { vec![] };
    let assignments: Vec<Assignment> = names.iter().map(|name| assignment(name, "gateway-0", 1, revision)).collect();
    Watch::Snapshot { revision: Revision(revision), first, more, pods, assignments, moves: vec![] }
}

async fn at(story: &Story, revision: u64) {
    let mut changes = story.routes.changes();
    while story.routes.summary().revision < Revision(revision) {
        timeout(SOON, changes.changed()).await.expect("soon").expect("lives");
    }
}

fn owner(story: &Story, name: &str) -> Option<PodId> {
    match story.routes.locate(&target(name), None) {
        Whereabouts::At(found) => Some(found.pod),
        _ => None,
    }
}

#[tokio::test]
async fn the_service_is_ready_with_the_first_whole_snapshot() {
    let mut story = story(LONG).await;
    let watch = story.config.watch().await;
    assert_eq!(watch.headers["authorization"], "Bearer token");
    assert!(!watch.headers.contains_key("last-event-id"));
    watch.say(&snapshot(4, true, true, &["slack:guild:A"]));
    let mut changes = story.routes.changes();
    while *changes.borrow_and_update() < 1 {
        timeout(SOON, changes.changed()).await.expect("soon").expect("lives");
    }
    assert_eq!(story.routes.locate(&target("slack:guild:A"), None), Whereabouts::NotLoaded);
    assert!(story.probes.closed().contains_key("table"));
    watch.say(&snapshot(4, false, false, &["slack:guild:B"]));
    at(&story, 4).await;
    assert_eq!((owner(&story, "slack:guild:A"), owner(&story, "slack:guild:B")).0, Some(pod("gateway-0")));
    while story.probes.closed().contains_key("table") || story.links.count() != (0, 1) {
        tokio::task::yield_now().await;
    }
    assert_eq!(story.routes.locate(&target("slack:guild:C"), None), Whereabouts::Unknown);
}

#[tokio::test]
async fn a_watch_that_breaks_off_is_resumed_where_it_was() {
    let mut story = story(LONG).await;
    let watch = story.config.watch().await;
    watch.say(&snapshot(4, true, false, &["slack:guild:A"]));
    watch.say(&Watch::Bookmark { revision: Revision(9) });
    at(&story, 9).await;
    drop(watch);
    let watch = story.config.watch().await;
    assert_eq!(watch.headers["last-event-id"], "9");
    let assignments = vec![assignment("slack:guild:B", "gateway-0", 1, 10)];
    watch.say(&Watch::Delta { revision: Revision(10), pods: vec![], assignments, moves: vec![] });
    at(&story, 10).await;
    assert!(owner(&story, "slack:guild:A").is_some() && owner(&story, "slack:guild:B").is_some());
}

#[tokio::test]
async fn a_resync_begins_without_a_position() {
    let mut story = story(LONG).await;
    let watch = story.config.watch().await;
    watch.say(&snapshot(4, true, false, &["slack:guild:A"]));
    watch.say(&Watch::Resync { reason: "too slow".to_owned() });
    watch.closed().await;
    let watch = story.config.watch().await;
    assert!(!watch.headers.contains_key("last-event-id"));
    assert!(owner(&story, "slack:guild:A").is_some(), "the old table is in force until the new one is whole");
    watch.say(&snapshot(5, true, false, &["slack:guild:B"]));
    at(&story, 5).await;
    assert!(owner(&story, "slack:guild:A").is_none() && owner(&story, "slack:guild:B").is_some());
}

#[tokio::test]
async fn a_silent_watch_and_a_malformed_one_are_left() {
    let mut story = story(Duration::from_secs(3)).await;
    let watch = story.config.watch().await;
    watch.say(&snapshot(4, true, false, &[]));
    watch.closed().await;
    let watch = story.config.watch().await;
    assert_eq!(watch.headers["last-event-id"], "4");
    watch.raw("event: delta\ndata: {\"event\":\"delta\"}\n\n");
    watch.closed().await;
    story.config.watch().await;
}
