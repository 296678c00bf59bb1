//! A pod acts only under a valid lease, over its own data, alone.

use berth_tests::{
    Cluster, Setup,
    cluster::{ADMIN_TOKEN, SERVICE_TOKEN},
    eventually,
    process::{Process, command},
    role::free_port,
    wait::holds_for,
};
use std::time::Duration;
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(120);

/// Short leases and short parking: a story of ends takes seconds, not minutes.
fn quick() -> Setup {
    Setup { gateways: 2, ..Setup::default() }
        .with("BERTH_LEASE", "3s")
        .with("BERTH_HEARTBEAT", "500ms")
        .with("BERTH_PARK_TELEGRAM", "300ms")
}

/// Posts one message; returns the status.
async fn post(cluster: &Cluster, chat: i64, update: u64) -> u16 {
    cluster.post(&cluster.message(chat, update)).await.expect("the router answers").status
}

/// Posts messages to a chat, from `first` on, until its owner has not answered any for three seconds: a single 503 may only say
/// that the machine was slow. Returns the last one's number.
pub(super) async fn stops_serving(cluster: &Cluster, chat: i64, first: u64) -> u64 {
    let (mut update, mut since) = (first, Instant::now());
    eventually("the pod stops by itself", PATIENCE, async || {
        update += 1;
        let asked = Instant::now();
        if post(cluster, chat, update).await != 503 {
            since = Instant::now();
        }
        (asked.duration_since(since) >= 3 * SECOND).then_some(())
    })
    .await;
    update
}

async fn lease_is_over(cluster: &Cluster, pod: &str) {
    eventually(&format!("the lease of {pod} is over"), PATIENCE, async || {
        cluster.pods().await.iter().find(|row| row.info.pod.as_str() == pod)?.lease_remaining_ms.eq(&0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_gateway_acknowledges_nothing_before_it_has_its_lease_back() {
    let mut cluster = quick().start().await;
    let chat = cluster.chat_on("gateway-0", -100).await;
    // A pod that still believes to be alone serves for ever.
    cluster.leases_are_kept(2).await;
    // The other one is its only witness: without that one nobody fails it over, and nobody promises it anything.
    cluster.gateway("gateway-1").pause();
    cluster.gateway("gateway-0").pause();
    lease_is_over(&cluster, "gateway-0").await;
    assert_eq!(post(&cluster, chat, 2).await, 503);
    // Its witness may have promised it up to four seconds more, just before it was paused too.
    let mut update = 2;
    holds_for(5 * SECOND, async || {
        update += 1;
        match post(&cluster, chat, update).await {
            503 => Ok(()),
            other => Err(format!("answered {other} by a paused pod")),
        }
    })
    .await;
    // It wakes up, believes that no time has passed, and nobody is there to tell it otherwise.
    cluster.config.pause();
    cluster.gateway("gateway-0").resume();
    holds_for(2 * SECOND, async || {
        update += 1;
        match post(&cluster, chat, update).await {
            503 => Ok(()),
            other => Err(format!("answered {other} without a lease")),
        }
    })
    .await;
    cluster.config.resume();
    cluster.gateway("gateway-1").resume();
    cluster.post_until_taken(&cluster.message(chat, 1_000), PATIENCE).await;
    let state = cluster.state(&format!("telegram:channel:{chat}")).await.expect("the target exists");
    assert_eq!(state.last_event_id.as_deref(), Some("1000"));
    // How often that one was sent until it was answered depends on the machine; it is there once.
    assert!(state.applied >= 2, "the first one, and the one after the pause");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn known_targets_are_served_without_control_plane_and_witnesses_until_the_lease_ends() {
    let mut cluster = quick().start().await;
    let chat = cluster.chat_on("gateway-0", -200).await;
    cluster.leases_are_kept(2).await;
    cluster.gateway("gateway-1").kill().await;
    cluster.config.kill().await;
    let mut update = stops_serving(&cluster, chat, 2).await;
    holds_for(SECOND, async || {
        update += 1;
        match post(&cluster, chat, update).await {
            503 => Ok(()),
            other => Err(format!("answered {other} after the lease had ended")),
        }
    })
    .await;
    let unknown = cluster.post(&cluster.message(-999, 1)).await.expect("the router answers");
    assert_eq!(unknown.status, 503, "nobody can place it");
    assert_eq!(unknown.header("retry-after"), Some("1"));
    cluster.config.start_again();
    cluster.gateway("gateway-1").start_again();
    cluster.post_until_taken(&cluster.message(chat, 5_000), PATIENCE).await;
    assert_eq!(cluster.owner(&format!("telegram:channel:{chat}")).await, "gateway-0", "it kept its target");
    cluster.post_until_taken(&cluster.message(-999, 1), PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_on_one_data_folder_is_refused() {
    let cluster = Setup { gateways: 1, ..Setup::default() }.start().await;
    let chat = cluster.chat_on("gateway-0", -300).await;
    let recipe = cluster.gateways[0].recipe().clone();
    let mut second = command();
    second.args(["gateway", "--exit-with-parent"]).env("BERTH_GATEWAY_LISTEN", format!("127.0.0.1:{}", free_port()));
    second.envs(recipe.settings);
    let mut second = Process::start("the second gateway-0", second);
    assert!(!second.end(PATIENCE).await.success());
    assert!(second.stderr.contains("in use"), "{}", second.stderr.tail(5));
    assert_eq!(post(&cluster, chat, 2).await, 200, "the first one serves on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_with_another_data_folder_does_not_serve_its_targets_empty() {
    let mut cluster = Setup { gateways: 1, ..quick() }.start().await;
    let chat = cluster.chat_on("gateway-0", -400).await;
    let (folder, aside) = (cluster.pod_folder("gateway-0"), cluster.pod_folder("aside"));
    cluster.gateway("gateway-0").kill().await;
    std::fs::rename(&folder, &aside).expect("the folder can be put aside");
    cluster.gateway("gateway-0").start_again();
    eventually("the pod says why it is refused", PATIENCE, async || {
        cluster.gateway("gateway-0").logged("accept-data-loss").then_some(())
    })
    .await;
    assert!(!cluster.gateway("gateway-0").is_ready().await);
    assert_eq!(post(&cluster, chat, 2).await, 503);

    cluster.gateway("gateway-0").kill().await;
    std::fs::remove_dir_all(&folder).expect("the wrong folder can be removed");
    std::fs::rename(&aside, &folder).expect("the folder can be put back");
    cluster.gateway("gateway-0").start_again();
    cluster.gateway("gateway-0").ready().await;
    cluster.post_until_taken(&cluster.message(chat, 3), PATIENCE).await;
    let state = cluster.state(&format!("telegram:channel:{chat}")).await.expect("the target exists");
    assert_eq!((state.applied, state.pod.as_str()), (2, "gateway-0"), "its first message is still counted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_data_folder_is_given_up_only_when_an_operator_says_so() {
    let mut cluster = Setup { gateways: 1, ..quick() }.start().await;
    let chat = cluster.chat_on("gateway-0", -500).await;
    let target = format!("telegram:channel:{chat}");
    let before = cluster.state(&target).await.expect("the target exists");
    cluster.gateway("gateway-0").kill().await;
    std::fs::remove_dir_all(cluster.pod_folder("gateway-0")).expect("the disk dies");
    cluster.gateway("gateway-0").start_again();
    eventually("the pod says what can be done", PATIENCE, async || {
        cluster.gateway("gateway-0").logged("accept-data-loss").then_some(())
    })
    .await;
    let url = cluster.config.url("/v1/pods/gateway-0/accept-data-loss");
    let json = ("content-type".to_owned(), "application/json".to_owned());
    let body = r#"{"reason":"the disk died"}"#;
    let post = async |headers: &[(String, String)]| {
        let reply = cluster.client.call(http::Method::POST, &url, headers, body).await;
        reply.expect("the config-service answers").status
    };
    assert_eq!(post(std::slice::from_ref(&json)).await, 401, "open reads are no open writes");
    let services = ("authorization".to_owned(), format!("Bearer {SERVICE_TOKEN}"));
    assert!(matches!(post(&[json.clone(), services]).await, 401 | 403), "a service is no operator");
    assert_eq!(post(&[json, ("authorization".to_owned(), format!("Bearer {ADMIN_TOKEN}"))]).await, 200);
    cluster.gateway("gateway-0").ready().await;
    cluster.post_until_taken(&cluster.message(chat, 2), PATIENCE).await;
    let after = cluster.state(&target).await.expect("the target exists");
    assert_eq!((after.applied, after.pod.as_str()), (1, "gateway-0"), "it begins empty, where it was");
    assert!(after.epoch > before.epoch, "under a new epoch");
}
