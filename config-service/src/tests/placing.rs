use super::harness::*;
use shared::TargetId;
use shared::wire::admin::{Health, TargetList};
use shared::wire::control::{Assignment, Beside, Place, PlaceTarget, Placed};
use std::collections::{BTreeMap, BTreeSet};

#[tokio::test]
async fn twenty_first_contacts_of_one_target_find_one_owner() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    for n in 0..3 {
        node.ready(&format!("gateway-{n}"), n).await;
    }
    let contacts = (0..20).map(|_| node.place(&["discord:guild:1"]));
    let answers = futures_util::future::join_all(contacts).await;
    let owners: BTreeSet<_> = answers
        .into_iter()
        .map(|answer| answer.expect("placed").assignments.remove(0))
        .map(|assignment| (assignment.pod, assignment.epoch, assignment.revision))
        .collect();
    assert_eq!(owners.len(), 1, "{owners:?}");
    node.stop().await;
}

#[tokio::test]
async fn many_targets_are_placed_evenly_and_found_again_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    for n in 0..3 {
        node.ready(&format!("gateway-{n}"), n).await;
    }
    let names: Vec<_> = (0..300).map(|n| format!("slack:guild:T{n:03}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let placed = node.place(&names).await.expect("placed");
    let mut counts: BTreeMap<_, u32> = BTreeMap::new();
    for assignment in &placed.assignments {
        *counts.entry(assignment.pod.clone()).or_default() += 1;
    }
    assert_eq!(counts.values().copied().collect::<Vec<_>>(), [100, 100, 100]);
    let epochs: BTreeSet<_> = placed.assignments.iter().map(|assignment| assignment.epoch).collect();
    assert_eq!(epochs.len(), 300, "every ownership has its own epoch");
    node.stop().await;

    let node = Node::start(&folder).await;
    let (mut found, mut cursor) = (Vec::<Assignment>::new(), String::new());
    loop {
        let page: TargetList = node.admin().get(&format!("/v1/targets?limit=70{cursor}")).await.expect("a page");
        found.extend(page.targets);
        let Some(next) = page.next else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(found, placed.assignments, "all of them, in order, unchanged");
    let mine: TargetList = node.admin().get("/v1/targets?pod=gateway-1&platform=slack").await.expect("a page");
    assert!(mine.targets.len() == 100 && mine.next.is_none());
    let health: Health = node.admin().get("/health").await.expect("health");
    assert_eq!((health.status.as_str(), health.targets, health.pods), ("degraded", 300, 3), "nobody was heard yet");
    node.stop().await;
}

#[tokio::test]
async fn nothing_is_placed_on_a_pod_that_nobody_heard_of() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let refused = async |why: &str| {
        let placed = node.place(&["discord:guild:1"]).await.expect("an answer");
        assert_eq!(placed.refused.first().map(|refused| refused.code.as_str()), Some("no-ready-pod"), "{why}");
    };
    refused("no pod at all").await;
    let pod = node.registered("gateway-0", 0).await.expect("registers");
    refused("registered only").await;
    pod.beat(&node).await.expect("granted");
    node.clock.advance(std::time::Duration::from_millis(3_001));
    refused("silent for more than three heartbeats").await;
    pod.beat(&node).await.expect("granted");
    assert_eq!(node.place(&["discord:guild:1"]).await.expect("placed").assignments.len(), 1);
    node.stop().await;
}

#[tokio::test]
async fn a_channel_gets_the_pod_of_its_guild() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    for n in 0..3 {
        node.ready(&format!("gateway-{n}"), n).await;
    }
    let guild: TargetId = "discord:guild:7".parse().expect("valid");
    let place = |target: &str, parent| Place {
        targets: vec![PlaceTarget { target: target.parse().expect("valid"), parent: Some(parent), beside: None }],
    };
    for n in 0..5 {
        let channel = place(&format!("discord:channel:{n}"), guild.clone());
        let placed: Placed = node.service().post("/v1/targets/place", &channel).await.expect("placed");
        assert_eq!(placed.assignments[0].parent.as_ref(), Some(&guild));
        let home = node.place(&["discord:guild:7"]).await.expect("placed").assignments.remove(0);
        assert_eq!(placed.assignments[0].pod, home.pod);
    }
    let wrong = place("discord:channel:9", "slack:guild:T1".parse().expect("valid"));
    assert_eq!(code(node.service().post::<Placed>("/v1/targets/place", &wrong).await), "invalid");
    node.stop().await;
}

#[tokio::test]
async fn a_guild_gets_the_pod_of_its_shard_as_long_as_that_is_an_even_share() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    for n in 0..3 {
        node.ready(&format!("gateway-{n}"), n).await;
    }
    let shards = ["discord:shard:0-3", "discord:shard:1-3", "discord:shard:2-3"];
    let holders = node.place(&shards).await.expect("placed").assignments;
    assert_eq!(holders.iter().map(|found| &found.pod).collect::<BTreeSet<_>>().len(), 3);
    let guild = |n: u64, beside: &str| PlaceTarget {
        beside: Some(Beside { target: beside.parse().expect("valid"), of: 100 }),
        ..PlaceTarget::of(format!("discord:guild:{n}").parse().expect("valid"))
    };
    for (nth, holder) in (0_u64..).zip(&holders) {
        let targets = (0..100).map(|n| guild(nth * 1_000 + n, holder.target.as_str())).collect();
        let placed: Placed = node.service().post("/v1/targets/place", &Place { targets }).await.expect("placed");
        assert!(placed.assignments.iter().all(|found| found.pod == holder.pod), "{placed:?}");
    }
    // There are more than were said: these are nobody's before the others.
    let more = (0..90).map(|n| guild(9_000 + n, shards[0])).collect();
    let placed: Placed = node.service().post("/v1/targets/place", &Place { targets: more }).await.expect("placed");
    let there = placed.assignments.iter().filter(|found| found.pod == holders[0].pod).count();
    assert!((30..=40).contains(&there), "{there}");
    for wrong in ["discord:guild:7", "discord:channel:7"] {
        let place = Place { targets: vec![guild(1, wrong)] };
        assert_eq!(code(node.service().post::<Placed>("/v1/targets/place", &place).await), "invalid", "{wrong}");
    }
    node.stop().await;
}

#[tokio::test]
async fn a_full_queue_says_so_and_a_large_request_takes_several_transactions() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start_with(&folder, &["--place-queue=200", "--place-batch=30"]).await;
    node.ready("gateway-0", 0).await;
    let names: Vec<_> = (0..201).map(|n| format!("telegram:channel:{n}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    assert_eq!(code(node.place(&names).await), "place-queue-full");
    assert_eq!(node.place(&names[..200]).await.expect("placed").assignments.len(), 200);
    assert_eq!(node.place(&names).await.expect("only one is new").assignments.len(), 201);
    node.stop().await;
}

#[tokio::test]
async fn an_old_term_changes_nothing_and_the_service_leads_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let pod = node.ready("gateway-0", 0).await;
    let term = |health: Health| health.term;
    let before = term(node.admin().get("/health").await.expect("health"));
    // Somebody else takes the term over behind the service's back.
    let won = node.store.lead("elsewhere:1".into(), std::time::Duration::from_millis(50)).await.expect("a bid");
    assert!(matches!(won, crate::store::Bid::Won(_)));
    let beat = pod.beat(&node).await;
    assert_eq!(code(beat), "not-leader", "no lease is granted under a term that is over");
    node.leads().await;
    assert!(term(node.admin().get("/health").await.expect("health")) > before);
    pod.beat(&node).await.expect("the new term grants");
    assert_eq!(node.place(&["discord:guild:1"]).await.expect("placed").assignments.len(), 1);
    node.stop().await;
}
