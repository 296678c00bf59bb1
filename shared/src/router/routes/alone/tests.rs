use super::*;
use crate::http::{Probes, ServeLimits, bind, serve};
use crate::router::routes::{Keeper, Whereabouts};
use crate::router::testing::*;
use crate::wire::control::Watch;
use crate::{Epoch, PodId};
use axum::{Router, routing::get};

const GUILD: &str = "slack:guild:T1";

/// A gateway that lists `lines`, and says whether that is all.
async fn gateway(lines: Vec<Assignment>, whole: bool) -> String {
    let bound = bind("127.0.0.1:0".parse().expect("an address"), "").await.expect("a port");
    let address = bound.address.to_string();
    let mut text: String = lines.iter().map(|line| serde_json::to_string(line).expect("plain") + "\n").collect();
    if whole {
        text.push_str("{\"end\":true}\n");
    }
    let router = Router::new().route("/v1/local/owned", get(async move || text));
    crate::shutdown::spawn(serve(bound, router, ServeLimits::default(), Shutdown::new()));
    address
}

struct Story {
    routes: Routes,
    probes: Probes,
    stop: Shutdown,
}

fn begin(gateways: Vec<String>, file: Option<PathBuf>) -> Story {
    let (routes, probes, stop, (links, _)) = (Routes::new(), Probes::new(), Shutdown::new(), links(SOON));
    let latch = probes.latch("table", "no table yet");
    let token = Secret::new("token");
    let alone = Alone { routes: routes.clone(), links, latch, file, gateways, token, patience: SOON };
    crate::shutdown::spawn(alone.run(stop.clone()));
    Story { routes, probes, stop }
}

fn owner(routes: &Routes) -> Option<(PodId, Epoch)> {
    match routes.locate(&target(GUILD), None) {
        Whereabouts::At(found) => Some((found.pod, found.epoch)),
        _ => None,
    }
}

async fn until(story: &Story, wanted: (&str, u64)) {
    let mut changes = story.routes.changes();
    while owner(&story.routes) != Some((pod(wanted.0), Epoch(wanted.1))) {
        timeout(SOON, changes.changed()).await.expect("soon").expect("lives");
    }
}

#[tokio::test]
async fn a_router_without_config_service_asks_the_gateways_and_the_highest_epoch_wins() {
    let old =
        gateway(vec![assignment(GUILD, "gateway-0", 3, 5), assignment("slack:guild:T2", "gateway-0", 1, 5)], true);
    let new = gateway(vec![assignment(GUILD, "gateway-1", 4, 6)], true);
    let (old, new) = (old.await, new.await);
    let story = begin(vec![new.clone(), old, "127.0.0.1:1".to_owned()], None);
    assert_eq!(story.routes.locate(&target(GUILD), None), Whereabouts::NotLoaded);
    until(&story, ("gateway-1", 4)).await;
    assert_eq!(story.routes.address(&pod("gateway-1")), Some(new), "it is where it was asked");
    assert!(!story.probes.closed().contains_key("table"), "known targets can be served");
    assert_eq!(story.routes.locate(&target("slack:guild:new"), None), Whereabouts::Unknown);
    // What config-service says replaces it all, older or not; nobody else is believed then.
    let snapshot = Watch::Snapshot {
        revision: Revision(9),
        first: true,
        more: false,
        pods: vec![pod_info("gateway-0", "127.0.0.1:9", 1)],
        assignments: vec![assignment(GUILD, "gateway-0", 3, 5)],
        moves: vec![],
    };
    assert_eq!(story.routes.resume_at(), None, "a watch begins with a snapshot");
    story.routes.apply(snapshot, Instant::now());
    assert_eq!(owner(&story.routes), Some((pod("gateway-0"), Epoch(3))));
    let late = (target(GUILD), Route { pod: pod("gateway-1"), epoch: Epoch(9) });
    assert!(!story.routes.adopt(vec![], vec![late]));
    story.stop.cancel();
}

#[tokio::test]
async fn a_list_that_breaks_off_is_not_taken() {
    let cut = gateway(vec![assignment(GUILD, "gateway-0", 3, 5)], false).await;
    let story = begin(vec![], None);
    let (links, _) = links(SOON);
    let latch = story.probes.latch("other", "");
    let (routes, token) = (story.routes.clone(), Secret::new("token"));
    let alone = Alone { routes, links, latch, file: None, gateways: vec![], token, patience: SOON };
    let answer = alone.ask(cut.parse().expect("an address")).await;
    assert!(matches!(answer, Err(Unlisted::Cut)), "{answer:?}");
}

#[tokio::test]
async fn a_table_that_was_kept_is_begun_with_and_a_damaged_one_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("table.json");
    let (routes, stop) = (Routes::new(), Shutdown::new());
    let keeper = Keeper { routes: routes.clone(), file: file.clone(), every: Duration::from_secs(3_600) };
    let keeping = crate::shutdown::spawn(keeper.run(stop.clone()));
    let snapshot = Watch::Snapshot {
        revision: Revision(9),
        first: true,
        more: false,
        pods: vec![pod_info("gateway-0", "127.0.0.1:9", 1)],
        assignments: vec![assignment(GUILD, "gateway-0", 3, 5)],
        moves: vec![],
    };
    routes.apply(snapshot, Instant::now());
    stop.cancel();
    keeping.await.expect("written at the end");

    let story = begin(vec![], Some(file.clone()));
    until(&story, ("gateway-0", 3)).await;
    assert_eq!(story.routes.address(&pod("gateway-0")), Some("127.0.0.1:9".to_owned()));
    // Whoever answers knows better where it is.
    let moved = PodInfo { address: "127.0.0.1:10".to_owned(), ..pod_info("gateway-0", "", 0) };
    assert!(story.routes.adopt(vec![moved], vec![]));
    assert_eq!(story.routes.address(&pod("gateway-0")), Some("127.0.0.1:10".to_owned()));

    let text = std::fs::read_to_string(&file).expect("written");
    for bad in [text[..text.len() / 2].to_owned(), text.replace("\"version\":1", "\"version\":9")] {
        std::fs::write(&file, bad).expect("written");
        assert!(Kept::read(&file).is_err());
    }
}
