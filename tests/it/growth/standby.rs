//! A config-service that stands by goes on with a plan in whose middle the leader was killed, and did not start it.

use super::*;
use shared::wire::admin::PlanState;

const TARGETS: usize = 60;

/// Waits until another one leads than the one counted `but`.
async fn another_leads(cluster: &Cluster, but: Option<usize>) -> usize {
    eventually("another one leads", MOST, async || cluster.leader_but(but).await.map(|(leader, _)| leader)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_makes_the_rest_of_the_moves_and_none_of_them_twice() {
    // One move at a time: whoever is killed early on is killed in the middle.
    let setup = setup("0s").with("BERTH_PLAN_MOVES_IN_FLIGHT", "1").config_services(2);
    let mut cluster = setup.start().await;
    if another_leads(&cluster, None).await == 0 {
        cluster.config.kill().await;
        assert_eq!(another_leads(&cluster, Some(0)).await, 1);
        cluster.config.start_again();
        cluster.config.ready().await;
    }
    let round = load(&cluster, TARGETS, 1, &AtomicBool::new(true)).await;
    for n in 3..5 {
        let role = Role::start(cluster.gateway_recipe(&format!("gateway-{n}")));
        cluster.gateways.push(role);
    }
    cluster.all_ready().await;
    let plan = applied(&cluster, json!({"kind": "rebalance", "reason": "a story"})).await;
    assert!(plan.moves.len() >= 20, "{:?}", plan.head);
    let begun = eventually("it has begun", MOST, async || Some(moves(&cluster).await.len()).filter(|n| *n > 0)).await;
    assert!(begun < plan.moves.len(), "{begun} of {}", plan.moves.len());
    cluster.config_service(1).kill().await;
    assert_eq!(another_leads(&cluster, Some(1)).await, 0);

    let stop = AtomicBool::new(false);
    let waiting = async {
        let path = format!("/v1/plans/{}", plan.head.id);
        let over = eventually("the plan is over", MOST, async || {
            let plan: Plan = get(&cluster, &path).await?;
            plan.head.state.is_over().then_some(plan.head)
        })
        .await;
        stop.store(true, Ordering::Relaxed);
        over
    };
    let (round, over) = tokio::join!(load(&cluster, TARGETS, round + 1, &stop), waiting);
    assert_eq!((over.state, over.progress.moved), (PlanState::Done, plan.moves.len() as u64), "{over:?}");
    let all = moves(&cluster).await;
    let made = made_since(&all, 0);
    assert!(made.iter().all(|of| of.plan == Some(plan.head.id)), "{made:?}");
    assert_eq!((targets(&made).len(), made.len()), (plan.moves.len(), plan.moves.len()), "each of them once");
    for i in 0..TARGETS {
        assert_eq!(cluster.state(&name(i)).await.map(|state| state.applied), Some(round), "target {i}");
    }
}
