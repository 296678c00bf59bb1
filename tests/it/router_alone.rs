//! Routers without a control plane: they serve what they know, start with what the gateways and their last table say, and
//! promise nothing for targets that nobody knows.

use berth_tests::{
    Cluster, Setup, eventually,
    role::Role,
    workload::{Load, Poster},
};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(120);

async fn post(cluster: &Cluster, router: usize, chat: i64, update: u64) -> u16 {
    cluster.post_to(router, &cluster.message(chat, update)).await.map_or(0, |reply| reply.status)
}

/// All gateways' addresses.
fn gateways(cluster: &Cluster) -> String {
    cluster.gateways.iter().map(|role| format!("127.0.0.1:{}", role.port())).collect::<Vec<_>>().join(",")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_that_starts_without_config_service_serves_known_targets() {
    let mut cluster = Setup { gateways: 3, ..Setup::default() }.with("BERTH_PARK_TELEGRAM", "1s").start().await;
    let chats = [cluster.chat_on("gateway-0", -100).await, cluster.chat_on("gateway-1", -400).await];
    let table = cluster.folder().join("table.json");
    cluster.config.kill().await;

    // One asks the gateways, one has only its last table: what a router before it has kept at its end.
    let mut asks = cluster.router_recipe("asks");
    asks.settings.push(("BERTH_GATEWAYS".to_owned(), gateways(&cluster)));
    cluster.routers.push(Role::start(asks));
    cluster.routers[1].ready().await;
    for chat in chats {
        let update = 10;
        eventually("a known target is served", PATIENCE, async || {
            (post(&cluster, 1, chat, update).await == 200).then_some(())
        })
        .await;
    }
    eventually("it says what it waits for", PATIENCE, async || {
        cluster.routers[1].logged("waiting for config-service").then_some(())
    })
    .await;
    assert_eq!(post(&cluster, 1, -9_999, 1).await, 503, "nobody can give it a home");

    cluster.config.start_again();
    cluster.config.ready().await;
    let first = cluster.message(-9_999, 1);
    eventually("first contacts go on when config-service is back", PATIENCE, async || {
        cluster.post_to(1, &first).await.ok().filter(|reply| reply.status == 200)
    })
    .await;

    let mut keeps = cluster.router_recipe("keeps");
    keeps.settings.push(("BERTH_TABLE".to_owned(), table.display().to_string()));
    cluster.routers.push(Role::start(keeps.clone()));
    cluster.routers[2].ready().await;
    cluster.routers[2].stop().await;
    assert!(table.is_file(), "written at the end");
    cluster.config.kill().await;
    cluster.routers[2].start_again();
    cluster.routers[2].ready().await;
    eventually("it says what it knows", PATIENCE, async || {
        cluster.routers[2].logged("begins with the routing table kept last").then_some(())
    })
    .await;
    for chat in chats {
        eventually("a kept target is served", PATIENCE, async || {
            (post(&cluster, 2, chat, 20).await == 200).then_some(())
        })
        .await;
    }
    for chat in chats {
        // Whoever sent it, and however often: each update was applied once.
        cluster.config.start_again();
        cluster.config.ready().await;
        let state = cluster.state(&format!("telegram:channel:{chat}")).await.expect("it exists");
        assert_eq!(state.last_event_id.as_deref(), Some("20"), "{state:?}");
        cluster.config.kill().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_control_plane_and_its_database_gone_every_known_target_is_served() {
    without_a_control_plane(20 * SECOND).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "two minutes: ./test --long"]
async fn for_two_minutes_without_a_control_plane_every_known_target_is_served() {
    without_a_control_plane(120 * SECOND).await;
}

async fn without_a_control_plane(most: Duration) {
    let mut cluster = Setup { gateways: 3, routers: 2, ..Setup::default() }.config_services(2).start().await;
    let poster = Poster::new(&cluster);
    let load = Load::start(&poster, 0, 20);
    eventually("every target has its home", PATIENCE, async || {
        (load.acknowledged() >= 60 && cluster.targets().await.len() == 20).then_some(())
    })
    .await;
    // Leases with a witness config take a few heartbeats.
    cluster.leases_are_kept(3).await;
    eventually("every pod holds its lease", PATIENCE, async || {
        cluster.pods().await.iter().all(|pod| pod.is_well()).then_some(())
    })
    .await;
    let before = cluster.targets().await;

    for at in 0..2 {
        cluster.config_service(at).kill().await;
    }
    cluster.postgres.as_mut().expect("its own PostgreSQL").halt();
    let gone = tokio::time::Instant::now();
    let (mut seen, mut longest, mut last) = (load.acknowledged(), Duration::ZERO, gone);
    while gone.elapsed() < most {
        let now = load.acknowledged();
        if now > seen {
            longest = longest.max(last.elapsed());
            (seen, last) = (now, tokio::time::Instant::now());
        }
        assert!(last.elapsed() < 15 * SECOND, "nothing was acknowledged for {:?}", last.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Every single target, not only some.
    for i in 0..20 {
        let took = tokio::time::Instant::now();
        let taken = poster.insist(i, 50_000, 200).await;
        assert!(taken.is_some(), "target {i} is not served");
        longest = longest.max(took.elapsed());
    }
    eprintln!(
        "{} events in {most:?} without a control plane, longest pause {} ms",
        load.acknowledged(),
        longest.as_millis()
    );

    cluster.postgres.as_mut().expect("its own PostgreSQL").resume().await;
    for at in 0..2 {
        cluster.config_service(at).start_again();
    }
    let back = tokio::time::Instant::now();
    for at in 0..2 {
        cluster.config_service(at).ready().await;
    }
    let new = cluster.message(-4_711, 1);
    eventually("a first contact is placed", PATIENCE, async || {
        cluster.post_to(1, &new).await.ok().filter(|reply| reply.status == 200)
    })
    .await;
    eprintln!("back after {} ms", back.elapsed().as_millis());
    let taken = load.finish().await;
    let after = cluster.targets().await;
    for assignment in before {
        let now = after.iter().find(|now| now.target == assignment.target).expect("it is still there");
        assert_eq!((&now.pod, now.epoch), (&assignment.pod, assignment.epoch), "nobody failed over");
    }
    for (target, ids) in taken {
        let state = cluster.state(&target).await.expect("it exists");
        // One more came from this story itself.
        assert_eq!(state.applied, ids.len() as u64 + 1, "{target}: each acknowledged event once");
    }
}
