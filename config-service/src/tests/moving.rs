//! Planned moves as operators and pods see them, with pods played by hand: they say what they have done, and no row travels.

use super::{harness::*, stores::Flaky};
use http::Method;
use serde_json::{Value, json};
use shared::http::ClientError;
use shared::wire::admin::{History, MoveList, PodMarked, PodStatus, Reason};
use shared::wire::control::{Assignment, AssignmentState, PlaceTarget, PodState, Watch};
use shared::wire::control::{Place, Placed};
use shared::wire::handoff::{Move, MoveReport, MoveState, Reported, Reports, Said};
use shared::{Epoch, MoveId, TargetId};
use std::time::Duration;

const TARGET: &str = "discord:guild:1";

/// Says something of a move, as one of its pods.
async fn say(node: &Node, pod: &Pod, id: MoveId, said: Said) -> Result<Option<Move>, ClientError> {
    Ok(say_all(node, pod, vec![MoveReport { id, said }]).await?.pop())
}

async fn say_all(node: &Node, pod: &Pod, reports: Vec<MoveReport>) -> Result<Vec<Move>, ClientError> {
    let said = Reports { pod: pod.pod.clone(), incarnation: pod.incarnation.clone(), reports };
    let answer: Reported = node.service().post("/v1/moves/reports", &said).await?;
    Ok(answer.moves)
}

/// Says it until config-service takes it: what pods do when it does not answer.
async fn insist(node: &Node, pod: &Pod, id: MoveId, said: &Said) -> Move {
    let mut taken = None;
    eventually("the report is taken", async || {
        taken = say(node, pod, id, said.clone()).await.ok().flatten();
        taken.is_some()
    })
    .await;
    taken.expect("just looked")
}

fn imported(epoch: Epoch) -> Said {
    Said::Imported { epoch, rows: 12, bytes: 3_400 }
}

async fn state_of(node: &Node, id: MoveId) -> MoveState {
    node.admin().get::<Move>(&format!("/v1/moves/{id}")).await.expect("known").state
}

async fn owner(node: &Node, target: &str) -> Assignment {
    node.admin().get(&format!("/v1/targets/{target}")).await.expect("owned")
}

/// A source with the targets, and a destination.
async fn two_pods(node: &Node, targets: &[&str]) -> (Pod, Pod) {
    let from = node.ready("gateway-0", 0).await;
    node.place(targets).await.expect("placed");
    (from, node.ready("gateway-1", 1).await)
}

async fn begin(node: &Node, target: &str, to: &str) -> Answer {
    let body = json!({ "to": to, "reason": "a story" });
    node.call(Some("admin"), Method::POST, &format!("/v1/targets/{target}/move"), &body).await
}

async fn begun(node: &Node, target: &str, to: &str) -> Move {
    let answer = begin(node, target, to).await;
    assert_eq!(answer.status, 202, "{}", answer.json);
    serde_json::from_value(answer.json).expect("a move")
}

async fn mark(node: &Node, pod: &str, what: &str) -> PodMarked {
    let reason = Reason { reason: "a story".into() };
    node.admin().post(&format!("/v1/pods/{pod}/{what}"), &reason).await.expect("done")
}

async fn pod(node: &Node, pod: &str) -> PodStatus {
    node.admin().get(&format!("/v1/pods/{pod}")).await.expect("known")
}

#[tokio::test]
async fn a_move_changes_the_owner_in_the_transaction_that_commits_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let (from, to) = two_pods(&node, &[TARGET]).await;
    let before = owner(&node, TARGET).await;
    let mut source = node.watch("/v1/watch?pod=gateway-0", None).await;
    let mut router = node.watch("/v1/watch", None).await;
    let (_, _) = (source.news().await, router.news().await);

    let entry = begun(&node, TARGET, "gateway-1").await;
    assert_eq!((entry.from.as_str(), entry.to.as_str(), entry.epoch), ("gateway-0", "gateway-1", before.epoch));
    let mut destination = node.watch("/v1/watch?pod=gateway-1", None).await;
    let Watch::Snapshot { moves, .. } = destination.news().await else { panic!("a snapshot first") };
    assert_eq!(moves, std::slice::from_ref(&entry), "whoever connects later hears of it too");
    let Watch::Delta { moves, .. } = source.news().await else { panic!("a delta") };
    assert_eq!(moves, std::slice::from_ref(&entry));

    let progress = Said::Progress { rows: 5, bytes: 50 };
    let told = say(&node, &from, entry.id, progress).await.expect("taken").expect("known");
    assert_eq!((told.state, told.rows, told.bytes), (MoveState::Copying, 5, 50));
    let frozen =
        say(&node, &from, entry.id, Said::Frozen { epoch: before.epoch }).await.expect("taken").expect("known");
    assert!(frozen.state == MoveState::Frozen && frozen.frozen_ms.is_some());
    assert_eq!(owner(&node, TARGET).await, before, "nobody else owns it yet");

    let committed = say(&node, &to, entry.id, imported(before.epoch)).await.expect("taken").expect("known");
    assert_eq!((committed.state, committed.rows), (MoveState::Committed, 12));
    let after = owner(&node, TARGET).await;
    assert!(after.pod == to.pod && after.epoch > before.epoch && after.reason == "manual", "{after:?}");

    let Watch::Delta { moves, .. } = source.news().await else { panic!("a delta") };
    assert_eq!(moves, [frozen]);
    let Watch::Delta { moves, assignments, .. } = source.news().await else { panic!("a delta") };
    assert_eq!((moves, assignments), (vec![committed.clone()], vec![after.clone()]), "both at once");
    let Watch::Delta { moves, assignments, .. } = router.news().await else { panic!("a delta") };
    assert_eq!((moves, assignments), (vec![], vec![after]), "a router hears of owners only");

    let cleaned = say(&node, &to, entry.id, Said::Serving { pause_ms: 17 }).await.expect("taken").expect("known");
    assert_eq!((cleaned.state, cleaned.pause_ms, cleaned.ended_ms), (MoveState::Cleaned, Some(17), committed.ended_ms));
    let again = say(&node, &from, entry.id, Said::Frozen { epoch: before.epoch }).await.expect("taken").expect("known");
    assert_eq!(again, cleaned, "whoever reports late hears how it ended");
    let history: History = node.admin().get(&format!("/v1/targets/{TARGET}/history")).await.expect("kept");
    assert_eq!(history.ownerships.len(), 2);
    node.stop().await;
}

#[tokio::test]
async fn a_new_leader_goes_on_from_every_step() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut node = Node::start(&folder).await;
    let (from, to) = two_pods(&node, &[TARGET]).await;
    let epoch = owner(&node, TARGET).await.epoch;
    let entry = begun(&node, TARGET, "gateway-1").await;
    for (by, said, expected) in [
        (&from, Said::Frozen { epoch }, MoveState::Frozen),
        (&to, imported(epoch), MoveState::Committed),
        (&to, Said::Serving { pause_ms: 3 }, MoveState::Cleaned),
    ] {
        node.stop().await;
        node = Node::start(&folder).await;
        assert_eq!(insist(&node, by, entry.id, &said).await.state, expected);
    }
    node.stop().await;
    let node = Node::start(&folder).await;
    let over = insist(&node, &from, entry.id, &Said::Frozen { epoch }).await;
    assert_eq!((over.state, over.pause_ms), (MoveState::Cleaned, Some(3)), "read from the database");
    let gone = say(&node, &from, MoveId(1_000_000), Said::Frozen { epoch }).await.expect("taken");
    assert_eq!(gone, None, "nobody knows it");
    node.stop().await;
}

/// Each commit of a move is lost, or committed without an answer: whoever leads then brings the move to one end.
#[tokio::test]
async fn a_commit_whose_outcome_is_unknown_leaves_one_owner() {
    for applied in [true, false] {
        for at in 0..4 {
            let folder = tempfile::tempdir().expect("a folder");
            let flaky = Flaky::open(&folder);
            let node = Node::on(flaky.clone(), &[]).await;
            let (from, to) = two_pods(&node, &[TARGET]).await;
            let epoch = owner(&node, TARGET).await.epoch;
            flaky.fail_commit(at, applied);
            let mut id = None;
            eventually("the move begins", async || {
                // A new leader has to hear of both pods before it begins a move.
                let (_, _) = (from.beat(&node).await, to.beat(&node).await);
                let answer = begin(&node, TARGET, "gateway-1").await;
                // Begun without an answer, it is found under way.
                let list = node.admin().get::<MoveList>(&format!("/v1/moves?target={TARGET}")).await;
                id = list.ok().and_then(|list| list.moves.first().map(|entry| entry.id));
                ["ok", "move-running"].contains(&answer.code()) && id.is_some()
            })
            .await;
            let id = id.expect("just looked");
            for (by, said) in
                [(&from, Said::Frozen { epoch }), (&to, imported(epoch)), (&to, Said::Serving { pause_ms: 3 })]
            {
                insist(&node, by, id, &said).await;
            }
            eventually("it is over", async || {
                let _ = say(&node, &to, id, Said::Serving { pause_ms: 3 }).await;
                let found = node.admin().get::<Move>(&format!("/v1/moves/{id}")).await;
                found.is_ok_and(|entry| entry.state == MoveState::Cleaned)
            })
            .await;
            let list: MoveList = node.admin().get("/v1/moves").await.expect("kept");
            assert_eq!(list.moves.len(), 1, "commit {at}, applied {applied}");
            let after = owner(&node, TARGET).await;
            assert!(after.pod == to.pod && after.epoch > epoch, "commit {at}, applied {applied}: {after:?}");
            let history: History = node.admin().get(&format!("/v1/targets/{TARGET}/history")).await.expect("kept");
            assert_eq!(history.ownerships.len(), 2, "commit {at}, applied {applied}");
            assert!(flaky.failed(), "commit {at} came");
            node.stop().await;
        }
    }
}

#[tokio::test]
async fn a_freeze_that_lasts_too_long_is_aborted_and_the_source_stays_the_owner() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let (from, to) = two_pods(&node, &[TARGET]).await;
    let before = owner(&node, TARGET).await;
    let entry = begun(&node, TARGET, "gateway-1").await;
    say(&node, &from, entry.id, Said::Frozen { epoch: before.epoch }).await.expect("taken");
    node.clock.advance(Duration::from_millis(1_900));
    assert_eq!(state_of(&node, entry.id).await, MoveState::Frozen);
    node.clock.advance(Duration::from_millis(200));
    eventually("it is aborted", async || state_of(&node, entry.id).await == MoveState::Aborted).await;
    let late = say(&node, &to, entry.id, imported(before.epoch)).await.expect("taken").expect("known");
    assert_eq!(late.state, MoveState::Aborted, "what comes too late changes nothing");
    assert!(late.detail.is_some_and(|why| why.contains("frozen")));
    assert_eq!(owner(&node, TARGET).await, before);
    node.stop().await;
}

#[tokio::test]
async fn a_copy_without_progress_is_aborted_and_one_with_progress_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let (from, _to) = two_pods(&node, &[TARGET, "discord:guild:2"]).await;
    let (slow, stuck) = (begun(&node, TARGET, "gateway-1").await, begun(&node, "discord:guild:2", "gateway-1").await);
    for step in 1..3 {
        node.clock.advance(Duration::from_secs(35));
        let progress = Said::Progress { rows: step, bytes: 10 * step };
        say(&node, &from, slow.id, progress).await.expect("taken");
    }
    eventually("it is aborted", async || state_of(&node, stuck.id).await == MoveState::Aborted).await;
    assert_eq!(state_of(&node, slow.id).await, MoveState::Copying);
    node.stop().await;
}

#[tokio::test]
async fn only_the_present_life_of_the_right_pod_has_a_say_in_a_move() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let (from, mut to) = two_pods(&node, &[TARGET]).await;
    let stranger = node.ready("gateway-2", 2).await;
    let epoch = owner(&node, TARGET).await.epoch;
    let entry = begun(&node, TARGET, "gateway-1").await;
    for (by, said) in [
        (&stranger, imported(epoch)),
        (&stranger, Said::Failed { detail: "no".into() }),
        (&from, imported(epoch)),
        (&to, imported(Epoch(epoch.0 - 1))),
        (&to, Said::Frozen { epoch }),
        (&to, Said::Serving { pause_ms: 1 }),
    ] {
        let told = say(&node, by, entry.id, said.clone()).await.expect("taken").expect("known");
        assert_eq!(told.state, MoveState::Copying, "{said:?} by {}", by.pod);
    }
    to.incarnation = incarnation(9);
    assert_eq!(code(say(&node, &to, entry.id, imported(epoch)).await), "incarnation-mismatch");
    to.pod = "gateway-9".parse().expect("valid");
    assert_eq!(code(say(&node, &to, entry.id, imported(epoch)).await), "unknown-pod");
    assert_eq!(owner(&node, TARGET).await.pod, from.pod);
    node.stop().await;
}

#[tokio::test]
async fn a_move_that_cannot_be_is_refused_with_its_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let (from, to) = two_pods(&node, &[TARGET, "discord:guild:2"]).await;
    node.registered("gateway-2", 2).await.expect("joins, and is not ready");
    mark(&node, "gateway-1", "cordon").await;
    for (target, pod, refusal) in [
        ("discord:guild:9", "gateway-1", "not-found"),
        (TARGET, "gateway-0", "no-destination"),
        (TARGET, "gateway-1", "no-destination"),
        (TARGET, "gateway-2", "no-destination"),
        (TARGET, "gateway-9", "no-destination"),
    ] {
        assert_eq!(begin(&node, target, pod).await.code(), refusal, "{target} to {pod}");
    }
    let anywhere = json!({ "reason": "a story" });
    let path = format!("/v1/targets/{TARGET}/move");
    assert_eq!(node.call(Some("admin"), Method::POST, &path, &anywhere).await.code(), "no-destination");
    mark(&node, "gateway-1", "uncordon").await;
    let would = node.call(Some("admin"), Method::POST, &format!("{path}?dry_run=true"), &anywhere).await;
    assert_eq!((would.status, would.json["to"].as_str()), (202, Some("gateway-1")));
    assert!(node.admin().get::<MoveList>("/v1/moves").await.expect("read").moves.is_empty(), "nothing has begun");

    let first = begun(&node, TARGET, "gateway-1").await;
    assert_eq!(begin(&node, TARGET, "gateway-1").await.code(), "move-running");
    let cancel = async |id: MoveId| {
        let path = format!("/v1/moves/{id}/cancel");
        node.call(Some("admin"), Method::POST, &path, &json!({ "reason": "not now" })).await
    };
    assert_eq!(cancel(first.id).await.json["state"], "aborted");
    assert_eq!(cancel(first.id).await.code(), "move-decided");
    assert_eq!(cancel(MoveId(77_777)).await.code(), "not-found");
    let second = begun(&node, TARGET, "gateway-1").await;
    say(&node, &to, second.id, imported(second.epoch)).await.expect("taken");
    assert_eq!(cancel(second.id).await.code(), "move-decided", "the destination is the owner");

    node.clock.advance(Duration::from_secs(7));
    to.beat(&node).await.expect("granted");
    assert_eq!(begin(&node, "discord:guild:2", "gateway-1").await.code(), "pod-not-ready", "the source is silent");
    from.beat(&node).await.expect("granted");
    begun(&node, "discord:guild:2", "gateway-1").await;
    node.stop().await;
}

#[tokio::test]
async fn a_move_asked_for_again_under_its_key_is_the_same_move() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let (_from, to) = two_pods(&node, &[TARGET]).await;
    let path = format!("/v1/targets/{TARGET}/move");
    let body = json!({ "to": "gateway-1", "reason": "a story" });
    let ask = async || node.call_with(Some("admin"), Method::POST, &path, &[("idempotency-key", "k")], &body).await;
    let first: Move = serde_json::from_value(ask().await.json).expect("a move");
    say(&node, &to, first.id, imported(first.epoch)).await.expect("taken");
    let again = ask().await;
    assert!(again.headers.contains_key("idempotency-replayed"));
    let again: Move = serde_json::from_value(again.json).expect("a move");
    assert_eq!((again.id, again.state), (first.id, MoveState::Committed), "as it stands now");
    node.stop().await;
}

#[tokio::test]
async fn channels_go_where_their_guild_goes_unless_they_were_split_off() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let (_from, to) = two_pods(&node, &[TARGET]).await;
    let channel = |n: u64| format!("discord:channel:{n}");
    let wanted = (1..4).map(|n| PlaceTarget {
        target: channel(n).parse().expect("valid"),
        parent: Some(TARGET.parse::<TargetId>().expect("valid")),
        beside: None,
    });
    let place = Place { targets: wanted.collect() };
    node.service().post::<Placed>("/v1/targets/place", &place).await.expect("placed");
    let split = begun(&node, &channel(3), "gateway-1").await;
    say(&node, &to, split.id, imported(split.epoch)).await.expect("taken");
    say(&node, &to, split.id, Said::Serving { pause_ms: 1 }).await.expect("taken");

    let guild = begun(&node, TARGET, "gateway-1").await;
    let list: MoveList = node.admin().get("/v1/moves?state=copying").await.expect("read");
    let mut moving: Vec<_> = list.moves.iter().map(|entry| entry.target.as_str()).collect();
    moving.sort_unstable();
    assert_eq!(moving, [channel(1).as_str(), channel(2).as_str(), TARGET]);
    let said = |entry: &Move| MoveReport { id: entry.id, said: imported(entry.epoch) };
    let told = say_all(&node, &to, list.moves.iter().map(said).collect()).await.expect("taken");
    assert!(told.iter().all(|entry| entry.state == MoveState::Committed), "in one go: {told:?}");
    assert!(told.iter().any(|entry| entry.id == guild.id));
    assert_eq!(owner(&node, &channel(1)).await.reason, "with-parent");
    node.stop().await;
}

/// Plays both pods of every move that is under way, until the pod is in this state.
async fn play(node: &Node, pods: &[&Pod], drained: &str, until: PodState) {
    eventually("the drain ends", async || {
        let list: MoveList = node.admin().get("/v1/moves?limit=1000").await.expect("read");
        for pod in pods {
            let mine = list.moves.iter().filter(|entry| entry.to == pod.pod);
            let said = mine.filter_map(|entry| match entry.state {
                MoveState::Copying | MoveState::Frozen => Some((entry.id, imported(entry.epoch))),
                MoveState::Committed => Some((entry.id, Said::Serving { pause_ms: 2 })),
                _ => None,
            });
            let reports: Vec<_> = said.map(|(id, said)| MoveReport { id, said }).collect();
            if !reports.is_empty() {
                say_all(node, pod, reports).await.expect("taken");
            }
        }
        pod(node, drained).await.state == until
    })
    .await;
}

#[tokio::test]
async fn a_drained_pod_has_given_everything_to_those_that_take_targets() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start_with(&folder, &["--moves-per-source=16", "--moves-in-flight=20"]).await;
    let from = node.ready("gateway-0", 0).await;
    let names: Vec<_> = (0..60).map(|n| format!("discord:guild:{n}")).collect();
    let place = Place {
        targets: names
            .iter()
            .flat_map(|name| {
                let target: TargetId = name.parse().expect("valid");
                let channel = name.replace("guild", "channel").parse().expect("valid");
                let child = PlaceTarget { target: channel, parent: Some(target.clone()), beside: None };
                [child, PlaceTarget::of(target)]
            })
            .collect(),
    };
    node.service().post::<Placed>("/v1/targets/place", &place).await.expect("placed");
    let (one, two) = (node.ready("gateway-1", 1).await, node.ready("gateway-2", 2).await);
    let closed = node.ready("gateway-3", 3).await;
    mark(&node, "gateway-3", "cordon").await;

    assert!(mark(&node, "gateway-0", "drain").await.draining);
    eventually("moves begin", async || pod(&node, "gateway-0").await.drain.is_some_and(|drain| drain.in_flight > 0))
        .await;
    let status = pod(&node, "gateway-0").await;
    assert_eq!((status.state, status.targets), (PodState::Draining, 120));
    assert!(status.drain.is_some_and(|drain| drain.in_flight <= 16), "within the bounds");
    assert!(mark(&node, "gateway-0", "drain").await.draining, "twice is once");

    play(&node, &[&one, &two], "gateway-0", PodState::Drained).await;
    let status = pod(&node, "gateway-0").await;
    let drain = status.drain.expect("still to be drained");
    assert_eq!((status.targets, drain.left, drain.in_flight, drain.moved), (0, 0, 0, 120));
    assert_eq!(pod(&node, "gateway-3").await.targets, 0, "{} is cordoned", closed.pod);
    for name in names {
        let channel = owner(&node, &name.replace("guild", "channel")).await;
        assert_eq!(channel.pod, owner(&node, &name).await.pod, "{name} and its channel");
    }
    from.beat(&node).await.expect("it may stay as long as it likes");
    let placed = node.place(&["discord:guild:new"]).await.expect("placed");
    assert!(placed.assignments[0].pod != from.pod, "it gets nothing new");
    node.stop().await;
}

#[tokio::test]
async fn a_drain_outlives_leader_and_pod_and_ends_when_it_is_called_off() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let (_from, _to) = two_pods(&node, &[TARGET, "discord:guild:2"]).await;
    mark(&node, "gateway-0", "drain").await;
    eventually("moves begin", async || pod(&node, "gateway-0").await.drain.is_some_and(|drain| drain.in_flight == 2))
        .await;
    node.stop().await;

    let node = Node::start(&folder).await;
    let from = node.ready("gateway-0", 0).await;
    let to = node.ready("gateway-1", 1).await;
    assert_eq!(pod(&node, "gateway-0").await.state, PodState::Draining, "it has registered anew");
    let list: MoveList = node.admin().get("/v1/moves?pod=gateway-0").await.expect("read");
    let (first, second) = (&list.moves[0], &list.moves[1]);
    say(&node, &to, first.id, imported(first.epoch)).await.expect("taken");
    mark(&node, "gateway-0", "undrain").await;
    eventually("the other is called off", async || state_of(&node, second.id).await == MoveState::Aborted).await;
    assert_eq!(state_of(&node, first.id).await, MoveState::Committed, "what is decided stays");
    say(&node, &to, first.id, Said::Serving { pause_ms: 1 }).await.expect("taken");
    let status = pod(&node, "gateway-0").await;
    assert_eq!((status.state, status.targets, status.drain), (PodState::Ready, 1, None));

    // The pod dies while it is drained: nothing more begins, and the drain says why.
    mark(&node, "gateway-0", "drain").await;
    eventually("it begins again", async || {
        pod(&node, "gateway-0").await.drain.is_some_and(|drain| drain.in_flight > 0)
    })
    .await;
    let list: MoveList = node.admin().get("/v1/moves?state=copying").await.expect("read");
    say(&node, &from, list.moves[0].id, Said::Failed { detail: "disk full".into() }).await.expect("taken");
    node.clock.advance(Duration::from_secs(8));
    to.beat(&node).await.expect("granted");
    eventually("it waits for the pod", async || {
        let drain = pod(&node, "gateway-0").await.drain.expect("drained");
        drain.aborted == 1 && drain.in_flight == 0 && drain.waiting.is_some_and(|why| why.contains("not ready"))
    })
    .await;
    node.stop().await;
}

#[tokio::test]
async fn a_drain_hands_on_what_waits_for_its_data() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let _dead = node.ready("gateway-0", 0).await;
    node.place(&[TARGET]).await.expect("placed");
    let one = node.ready("gateway-1", 1).await;
    node.clock.advance(Duration::from_secs(8));
    one.beat(&node).await.expect("granted");
    let declared = json!({ "i_know": true, "reason": "a story" });
    let path = "/v1/pods/gateway-0/declare-dead";
    assert_eq!(node.call(Some("admin"), Method::POST, path, &declared).await.code(), "ok");
    eventually("it has an heir", async || owner(&node, TARGET).await.pod == one.pod).await;
    let before = owner(&node, TARGET).await;
    assert_eq!(before.state, AssignmentState::Quarantined);

    let two = node.ready("gateway-2", 2).await;
    mark(&node, "gateway-1", "drain").await;
    eventually("it is drained", async || pod(&node, "gateway-1").await.state == PodState::Drained).await;
    let after = owner(&node, TARGET).await;
    assert_eq!((&after.pod, after.state, &after.data), (&two.pod, AssignmentState::Quarantined, &before.data));
    assert!(after.epoch > before.epoch);
    node.stop().await;
}

#[tokio::test]
async fn a_committed_move_whose_destination_never_returns_fails_over_and_can_be_closed() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let (from, to) = two_pods(&node, &[TARGET]).await;
    let entry = begun(&node, TARGET, "gateway-1").await;
    let committed = say(&node, &to, entry.id, imported(entry.epoch)).await.expect("taken").expect("known");
    assert_eq!(committed.state, MoveState::Committed);
    let epoch = owner(&node, TARGET).await.epoch;
    let call = async |path: String, body: Value| node.call(Some("admin"), Method::POST, &path, &body).await;
    let close = format!("/v1/moves/{}/cancel", entry.id);
    let why = json!({ "reason": "a story" });
    assert_eq!(call(close.clone(), why.clone()).await.code(), "move-decided", "its destination may come back");

    node.clock.advance(Duration::from_secs(8));
    from.beat(&node).await.expect("granted");
    let declared = json!({ "i_know": true, "reason": "a story" });
    assert_eq!(call("/v1/pods/gateway-1/declare-dead".into(), declared).await.code(), "ok");
    eventually("it fails over like any other", async || owner(&node, TARGET).await.pod == from.pod).await;
    let heir = owner(&node, TARGET).await;
    assert!(heir.state == AssignmentState::Quarantined && heir.epoch > epoch, "{heir:?}");
    assert_eq!(heir.data.map(|data| data.pod), Some(to.pod.clone()), "what it acknowledged is there");
    assert_eq!(state_of(&node, entry.id).await, MoveState::Committed);
    assert_eq!(call(close.clone(), why.clone()).await.code(), "move-decided", "its data may come back");

    let lost = call("/v1/pods/gateway-1/accept-data-loss".into(), why.clone()).await;
    assert_eq!((lost.code(), lost.json["targets"].as_u64()), ("ok", Some(1)));
    let closed = call(format!("{close}?dry_run=true"), why.clone()).await;
    assert_eq!((closed.code(), closed.json["state"].as_str()), ("ok", Some("committed")));
    let closed = call(close.clone(), why.clone()).await;
    assert_eq!((closed.code(), closed.json["state"].as_str()), ("ok", Some("cleaned")));
    assert_eq!(call(close, why).await.code(), "move-decided", "it is over");
    node.stop().await;
}

/// The leader's part of a drain, without what pods do: it must leave them most of the time.
#[tokio::test]
async fn a_thousand_targets_are_drained_in_few_transactions() {
    let folder = tempfile::tempdir().expect("a folder");
    let flaky = Flaky::open(&folder);
    let node = Node::on(flaky.clone(), &[]).await;
    let _from = node.ready("gateway-0", 0).await;
    let names: Vec<_> = (0..1_000).map(|n| format!("discord:guild:{n}")).collect();
    node.place(&names.iter().map(String::as_str).collect::<Vec<_>>()).await.expect("placed");
    let (one, two) = (node.ready("gateway-1", 1).await, node.ready("gateway-2", 2).await);
    let before = flaky.commits();
    let began = tokio::time::Instant::now();
    mark(&node, "gateway-0", "drain").await;
    play(&node, &[&one, &two], "gateway-0", PodState::Drained).await;
    let commits = flaky.commits() - before;
    println!("1000 targets drained in {commits} transactions and {:?}", began.elapsed());
    assert!(commits < 100, "{commits} transactions");
    let value: Value = node.admin().get("/v1/moves?limit=1").await.expect("read");
    assert_eq!(value["moves"][0]["state"], "cleaned");
    node.stop().await;
}
