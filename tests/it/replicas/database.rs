//! What PostgreSQL does to its config-services: restarts, cut connections, a failover, a COMMIT whose outcome nobody knows.

use super::{SECOND, another_leads, chat, place, read, three};
use berth_tests::{
    Setup,
    cut_proxy::{Cut, CutProxy},
    eventually,
    postgres::Postgres,
    process::{Process, command},
    wait::holds_for,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_outcome_is_unknown_is_read_anew_and_nothing_is_doubled_or_lost() {
    let postgres = Postgres::start().await;
    let direct = postgres.database().await;
    let proxy = CutProxy::start(postgres.socket());
    // The leader sees the database through the proxy only.
    let store = Some(proxy.url(&direct, &postgres.socket()));
    let cluster = Setup { gateways: 2, routers: 0, store, ..Setup::default() }.start().await;
    assert_eq!(place(&cluster, 0, &chat(-1)).await, 200);
    let mut expected = vec![chat(-1)];
    for round in 0..6 {
        let target = chat(-100 - round);
        let cut = if round % 2 == 0 { Cut::AfterCommit } else { Cut::BeforeCommit };
        let ready = "there is a pod to place it on";
        eventually(ready, 120 * SECOND, async || {
            let (_, pods) = read(&cluster, 0, "/v1/pods").await;
            (pods["pods"].as_array()?.iter().any(|pod| pod["state"] == "ready")).then_some(())
        })
        .await;
        let cuts = proxy.cuts();
        proxy.arm(&target, cut);
        let first = place(&cluster, 0, &target).await;
        assert_eq!((first, proxy.cuts()), (503, cuts + 1), "nobody claims what nobody knows ({cut:?})");
        eventually("it is placed", 120 * SECOND, async || (place(&cluster, 0, &target).await == 200).then_some(()))
            .await;
        let (_, history) = read(&cluster, 0, &format!("/v1/targets/{target}/history")).await;
        assert_eq!(history["ownerships"].as_array().map(Vec::len), Some(1), "{cut:?}: {history}");
        assert_eq!(history["ownerships"][0]["reason"], "first-contact");
        expected.insert(0, target);
    }
    assert!(cluster.config.logged("reading everything anew"));
    expected.sort();
    let mut listed: Vec<_> = cluster.targets().await.into_iter().map(|found| found.target.to_string()).collect();
    listed.sort();
    assert_eq!(listed, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_the_database_and_cut_connections_are_survived() {
    let mut cluster = three().start().await;
    another_leads(&cluster, None).await;
    assert_eq!(place(&cluster, 0, &chat(-1)).await, 200);
    let postgres = cluster.postgres.as_mut().expect("its own PostgreSQL");
    for _ in 0..3 {
        postgres
            .execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'berth-config-service'")
            .await;
    }
    eventually("placed after the cuts", 120 * SECOND, async || {
        (place(&cluster, 1, &chat(-2)).await == 200).then_some(())
    })
    .await;
    let postgres = cluster.postgres.as_mut().expect("its own PostgreSQL");
    postgres.halt();
    let refused = place(&cluster, 0, &chat(-3)).await;
    assert!(matches!(refused, 0 | 503), "{refused}");
    cluster.postgres.as_mut().expect("its own PostgreSQL").resume().await;
    let mut at = 0;
    eventually("placed after the restart", 120 * SECOND, async || {
        at += 1;
        (place(&cluster, at % 3, &chat(-3)).await == 200).then_some(())
    })
    .await;
    for at in 0..3 {
        eventually("every replica is up to date", 120 * SECOND, async || {
            (read(&cluster, at, &format!("/v1/targets/{}", chat(-3))).await.0 == 200).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_becomes_read_only_is_left_and_its_word_does_not_count() {
    let mut cluster = three().start().await;
    another_leads(&cluster, None).await;
    assert_eq!(place(&cluster, 0, &chat(-1)).await, 200);
    let postgres = cluster.postgres.as_ref().expect("its own PostgreSQL");
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'berth-config-service'";
    postgres.execute("ALTER SYSTEM SET default_transaction_read_only = on").await;
    postgres.execute("SELECT pg_reload_conf()").await;
    postgres.execute(cut).await;
    eventually("it is said what is wrong", 120 * SECOND, async || {
        (0..3).any(|at| cluster.config_service(at).logged("it is not the primary")).then_some(())
    })
    .await;
    holds_for(2 * SECOND, async || match place(&cluster, 0, &chat(-2)).await {
        200 => Err("placed by a database that takes no changes".to_owned()),
        _ => Ok(()),
    })
    .await;
    let postgres = cluster.postgres.as_ref().expect("its own PostgreSQL");
    postgres.execute("ALTER SYSTEM RESET default_transaction_read_only").await;
    postgres.execute("SELECT pg_reload_conf()").await;
    let mut at = 0;
    eventually("placed when there is a primary again", 120 * SECOND, async || {
        at += 1;
        (place(&cluster, at % 3, &chat(-2)).await == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_cannot_fit_are_refused_at_the_start() {
    let postgres = Postgres::start().await;
    let mut start = command();
    start.args(["config-service", "--exit-with-parent", "--listen", "127.0.0.1:0", "--store-connections", "30"]);
    start.args(["--service-tokens", "s", "--admin-tokens", "a", "--store", &postgres.database().await]);
    let mut refused = Process::start("config-service", start);
    assert!(!refused.end(120 * SECOND).await.success());
    let said = refused.stderr.tail(5);
    assert!(said.contains("take 90") && said.contains("max_connections"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_a_free_connection_is_waited_for_and_said() {
    let postgres = Postgres::start().await;
    let store = postgres.database().await;
    // All but the superuser's last few are taken; the config-service comes as somebody else.
    postgres.execute("CREATE ROLE plain LOGIN SUPERUSER CONNECTION LIMIT -1").await;
    postgres.execute("ALTER ROLE plain NOSUPERUSER").await;
    postgres.execute("ALTER DATABASE berth_0 OWNER TO plain").await;
    let mut held = Vec::new();
    while let Ok(connection) = postgres.hold("berth_0", "plain").await {
        held.push(connection);
    }
    let store = store.replace("berth@", "plain@");
    let setup = Setup { gateways: 0, routers: 0, store: Some(store), ..Setup::default() };
    let mut cluster = setup.with("BERTH_STORE_TIMEOUT", "1s").prepare();
    eventually("it says what is missing", 120 * SECOND, async || {
        cluster.config.logged("max_connections").then_some(())
    })
    .await;
    drop(held);
    cluster.config.ready().await;
}
