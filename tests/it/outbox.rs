//! What leaves Berth: after the commit, at least once, in order. The platform's API is a double that records.

use berth_tests::{Setup, double::PlatformDouble, eventually, senders::discord};
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mute_is_lifted_by_its_timer_once_even_when_its_pod_is_killed_meanwhile() {
    let discord = PlatformDouble::start().await;
    let mut cluster = Setup { gateways: 1, ..Setup::default() }
        .with("BERTH_DISCORD_API", &format!("http://{}", discord.host()))
        .with("BERTH_OUTBOX_HOSTS", &discord.host())
        .with("BERTH_OUTBOX_PRIVATE", "true")
        .start()
        .await;
    let options = json!([{"name": "user", "type": 6, "value": "555"}, {"name": "minutes", "type": 4, "value": 1}]);
    let body = discord::command("77", "1001", "mute", &options).to_string();
    let delivery = discord::signed(&cluster.keys, discord::INTERACTIONS, body.as_bytes());
    let reply = cluster.post(&delivery).await.expect("an answer");
    assert_eq!(reply.status, 200, "{}", reply.text());
    cluster.gateways[0].kill().await;
    cluster.gateways[0].start_again();
    cluster.gateways[0].ready().await;
    eventually("the mute is lifted", Duration::from_secs(90), async || {
        let state = cluster.state("discord:guild:77").await?;
        (state.applied >= 2).then_some(())
    })
    .await;
}
