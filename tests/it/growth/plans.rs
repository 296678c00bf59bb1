//! Plans, pins and drains as an operator has them with `berth`, against real pods under load.

use super::{
    operator::{begun, berth, done, refused, under_load},
    *,
};
use berth_tests::process::Process;
use rustix::process::Signal;
use shared::wire::admin::{PlanHead, PlanState, PodStatus};

const TARGETS: usize = 60;

/// Three pods whose targets have had an event each.
async fn fed() -> (Cluster, u64) {
    let cluster = setup("0s").start().await;
    let round = load(&cluster, TARGETS, 1, &AtomicBool::new(true)).await;
    (cluster, round)
}

async fn made(cluster: &Cluster, line: &[&str]) -> Plan {
    let line = [["plan"].as_slice(), line, &["--reason", "a story", "-o", "json"]].concat();
    serde_json::from_str(&done(cluster, &line).await).expect("a plan")
}

async fn shown(cluster: &Cluster, plan: &Plan) -> PlanHead {
    let id = plan.head.id.to_string();
    let shown: Plan = serde_json::from_str(&done(cluster, &["plan", "show", &id, "-o", "json"]).await).expect("a plan");
    shown.head
}

async fn pod(cluster: &Cluster, pod: &str) -> PodStatus {
    serde_json::from_str(&done(cluster, &["pod", "get", pod, "-o", "json"]).await).expect("a pod")
}

/// Whether a process has something of its own to do on SIGINT.
fn catches_interrupts(process: &Process) -> bool {
    let path = format!("/proc/{}/status", process.pid().as_raw_nonzero());
    let status = std::fs::read_to_string(path).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    caught & 1 << (Signal::INT.as_raw() - 1) != 0
}

async fn handled_once(cluster: &Cluster, round: u64) {
    for i in 0..TARGETS {
        assert_eq!(cluster.state(&name(i)).await.map(|state| state.applied), Some(round), "target {i}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_is_made_shown_refused_when_it_is_stale_discarded_and_applied_with_berth() {
    let (mut cluster, round) = fed().await;
    let role = Role::start(cluster.gateway_recipe("gateway-3"));
    cluster.gateways.push(role);
    cluster.all_ready().await;
    let plan = made(&cluster, &["rebalance"]).await;
    assert!(plan.moves.len() >= 10, "{:?}", plan.head);
    let id = plan.head.id.to_string();
    let text = done(&cluster, &["plan", "show", &id]).await;
    assert!(text.contains("moved ÷ bound") && text.contains("gateway-3") && text.contains("proposed"), "{text}");

    done(&cluster, &["pod", "cordon", "gateway-3", "--reason", "a story"]).await;
    let apply = ["plan", "apply", &id, "--reason", "a story", "--wait"];
    let (code, said) = refused(&cluster, &apply).await;
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("other moves") && said.contains("less"), "it says what would differ: {said}");
    assert!(moves(&cluster).await.is_empty(), "nothing moves by a plan that is stale");
    let (code, said) = refused(&cluster, &["plan", "cancel", &id, "--reason", "a story"]).await;
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("berth plan discard"), "{said}");
    done(&cluster, &["pod", "uncordon", "gateway-3", "--reason", "a story"]).await;

    let round = under_load(&cluster, TARGETS, round + 1, &apply).await;
    let over = shown(&cluster, &plan).await;
    assert_eq!((over.state, over.progress.moved), (PlanState::Done, plan.moves.len() as u64), "{over:?}");
    assert!(over.verdict.as_ref().is_some_and(|verdict| verdict.skew < 1.3), "{over:?}");
    let (code, said) = refused(&cluster, &apply).await;
    assert_eq!(code, Some(4), "{said}");

    let other = made(&cluster, &["scale", "2"]).await.head.id.to_string();
    done(&cluster, &["plan", "discard", &other, "--reason", "a story"]).await;
    let list = done(&cluster, &["plan", "list"]).await;
    assert!(list.contains("discarded") && list.contains("done"), "{list}");
    handled_once(&cluster, round).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pinned_target_and_a_paused_rebalancer_are_had_with_berth() {
    let (cluster, round) = fed().await;
    let target = name(0);
    let from = cluster.owner(&target).await;
    let to = if from == "gateway-0" { "gateway-1" } else { "gateway-0" };
    let pin = ["target", "pin", &target, "--to", to, "--for", "1h", "--reason", "a story"];
    let tried = done(&cluster, &[pin.as_slice(), &["--dry-run"]].concat()).await;
    assert!(tried.contains("pin") && cluster.owner(&target).await == from, "{tried}");
    done(&cluster, &pin).await;
    eventually("it is there", MOST, async || (cluster.owner(&target).await == to).then_some(())).await;
    let why = done(&cluster, &["target", "explain", &target]).await;
    assert!(why.contains("pinned") && why.contains("a story"), "{why}");
    done(&cluster, &["target", "unpin", &target, "--reason", "a story"]).await;
    let (code, said) = refused(&cluster, &["target", "unpin", &target, "--reason", "a story"]).await;
    assert_eq!(code, Some(4), "{said}");

    done(&cluster, &["rebalance", "pause", "--reason", "a big event"]).await;
    let status = done(&cluster, &["rebalance", "status"]).await;
    assert!(status.contains("why not"), "{status}");
    done(&cluster, &["rebalance", "resume", "--reason", "it is over"]).await;
    let round = load(&cluster, TARGETS, round + 1, &AtomicBool::new(true)).await;
    handled_once(&cluster, round).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_leader_goes_on_with_a_plan_whose_leader_was_killed_in_the_middle() {
    let (mut cluster, round) = fed().await;
    for n in 3..5 {
        let role = Role::start(cluster.gateway_recipe(&format!("gateway-{n}")));
        cluster.gateways.push(role);
    }
    cluster.all_ready().await;
    let plan = made(&cluster, &["rebalance"]).await;
    let id = plan.head.id.to_string();
    done(&cluster, &["plan", "apply", &id, "--reason", "a story"]).await;
    eventually("it has begun", MINUTE, async || (!moves(&cluster).await.is_empty()).then_some(())).await;
    cluster.config.kill().await;
    cluster.config.start_again();
    cluster.config.ready().await;
    let round = load(&cluster, TARGETS, round + 1, &AtomicBool::new(true)).await;
    let over =
        eventually("it is over", MOST, async || Some(shown(&cluster, &plan).await).filter(|head| head.state.is_over()))
            .await;
    assert_eq!(over.state, PlanState::Done, "{over:?}");
    let mut moved: Vec<_> = moves(&cluster).await.into_iter().filter(|of| of.state != MoveState::Aborted).collect();
    assert!(moved.iter().all(|of| of.plan == Some(plan.head.id)));
    moved.sort_by(|a, b| a.target.cmp(&b.target));
    moved.dedup_by(|a, b| a.target == b.target);
    assert_eq!(moved.len(), plan.moves.len(), "each of them once");
    handled_once(&cluster, round).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_stops_watching_a_drain_stops_nothing_and_is_told_so() {
    let (cluster, round) = fed().await;
    // Nobody takes anything: the drain is certainly not over when somebody stops watching.
    for pod in ["gateway-0", "gateway-1"] {
        done(&cluster, &["pod", "cordon", pod, "--reason", "a story"]).await;
    }
    let drain = ["pod", "drain", "gateway-2", "--reason", "a story", "--wait"];
    let (code, said) = refused(&cluster, &[drain.as_slice(), &["--deadline", "1s"]].concat()).await;
    assert_eq!(code, Some(9), "{said}");
    assert!(said.contains("goes on"), "{said}");

    let mut watching = begun(&cluster, &drain);
    eventually("it listens for Ctrl-C", MINUTE, async || catches_interrupts(&watching).then_some(())).await;
    watching.signal(Signal::INT);
    assert_eq!(watching.end(MINUTE).await.code(), Some(130));
    let said = watching.stderr.tail(3);
    assert!(said.contains("the drain of gateway-2 goes on") && said.contains("berth pod undrain"), "{said}");
    assert_eq!(pod(&cluster, "gateway-2").await.state.as_str(), "draining");

    for pod in ["gateway-0", "gateway-1"] {
        done(&cluster, &["pod", "uncordon", pod, "--reason", "a story"]).await;
    }
    let output = berth(&cluster, &drain).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("safe to remove"));
    let sheet = done(&cluster, &["pod", "get", "gateway-2"]).await;
    assert!(sheet.contains("safe to remove"), "{sheet}");
    let round = load(&cluster, TARGETS, round + 1, &AtomicBool::new(true)).await;
    handled_once(&cluster, round).await;
}
