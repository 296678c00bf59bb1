//! Every payload that lies beside the project, signed and posted to a real cluster: its target, its answer, and that the
//! second delivery changes nothing. The expected targets are written down here, from the platforms' rules.

use berth_tests::{
    Cluster, Delivery, Setup, eventually, fixtures,
    senders::{discord, github, slack, telegram},
    workload::acknowledged,
};
use serde_json::Value;
use std::{collections::BTreeMap, time::Duration};

/// The machine may be busy with much else: nothing here is about how long something takes.
const LONG: Duration = Duration::from_secs(120);

/// What an answer must look like.
#[derive(Debug, Clone, Copy)]
enum Shape {
    /// A status without a body.
    Bare(u16),
    /// This status; the body is the handler's.
    Status(u16),
    /// A Discord response of one of these types.
    Discord(&'static [u64]),
    /// JSON with exactly this.
    Json(&'static str),
}

async fn post(cluster: &Cluster, name: &str, delivery: &Delivery, shape: Shape) {
    // Whoever is not taken in time is told so, and sends it again.
    let reply = eventually(&format!("{name} is taken"), LONG, async || {
        Some(cluster.post(delivery).await.unwrap_or_else(|why| panic!("{name}: {why}"))).filter(acknowledged)
    })
    .await;
    let (status, text) = (reply.status, reply.text());
    match shape {
        Shape::Bare(wanted) => assert_eq!((status, text.as_str()), (wanted, ""), "{name}"),
        Shape::Status(wanted) => assert_eq!(status, wanted, "{name}: {text}"),
        Shape::Discord(types) => {
            assert_eq!(status, 200, "{name}: {text}");
            assert_eq!(reply.header("content-type"), Some("application/json"), "{name}");
            let kind = reply.json()["type"].as_u64().unwrap_or_else(|| panic!("{name}: {text}"));
            assert!(types.contains(&kind), "{name}: {text}");
        }
        Shape::Json(wanted) => {
            assert_eq!(status, 200, "{name}");
            assert_eq!(text.parse::<Value>().ok(), wanted.parse().ok(), "{name}: {text}");
        }
    }
}

/// What the stories count per target.
#[derive(Default)]
struct Expected(BTreeMap<String, u64>);

impl Expected {
    /// Posts a delivery twice: the first counts for `target`, the second changes nothing and is answered alike.
    async fn twice(&mut self, cluster: &Cluster, name: &str, target: &str, delivery: &Delivery, shape: Shape) {
        post(cluster, name, delivery, shape).await;
        let count = self.0.entry(target.to_owned()).or_default();
        *count += 1;
        assert!(cluster.state(target).await.is_some(), "{name} did not make {target}");
        let before = cluster.applied(target, *count).await;
        post(cluster, name, delivery, shape).await;
        // A duplicate that comes while a handler runs is counted with the next commit.
        // And once more for each time that it had to be sent again.
        eventually(&format!("{name}, sent twice, is a duplicate"), LONG, async || {
            let after = cluster.state(target).await?;
            assert_eq!((after.applied, &after.last_event_id), (before.applied, &before.last_event_id), "{name}");
            (after.duplicates > before.duplicates).then_some(())
        })
        .await;
    }

    /// Checks that these targets exist, and no other.
    async fn are_all(&self, cluster: &Cluster) {
        let placed: Vec<_> = cluster.targets().await.into_iter().map(|row| row.target.to_string()).collect();
        let expected: Vec<_> = self.0.keys().cloned().collect();
        assert_eq!(placed, expected);
    }
}

async fn cluster() -> Option<Cluster> {
    fixtures::folder()?;
    Some(Setup { gateways: 2, ..Setup::default() }.start().await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_discord_sample_reaches_its_target_once() {
    let Some(cluster) = cluster().await else { return };
    let all = fixtures::json("discord_samples.json");
    let mut expected = Expected::default();
    let mut seen = 0;
    for (name, sample) in all["samples"].as_object().expect("samples") {
        let (path, shape) = match name.as_str() {
            // Frames of the gateway and answers of the REST API are not webhooks.
            name if name.starts_with("gw_") || name.starts_with("rest_") || name == "get_gateway_bot" => continue,
            "interaction_ping" => (discord::INTERACTIONS, Shape::Json(r#"{"type":1}"#)),
            "webhook_event_ping" => (discord::EVENTS, Shape::Bare(204)),
            name if name.starts_with("webhook_event") => (discord::EVENTS, Shape::Bare(204)),
            name if name.contains("autocomplete") => (discord::INTERACTIONS, Shape::Discord(&[8])),
            _ => (discord::INTERACTIONS, Shape::Discord(&[4, 5])),
        };
        seen += 1;
        let delivery = discord::signed(&cluster.keys, path, sample.to_string().as_bytes());
        match all["expected_target"][name].as_str() {
            Some(target) => expected.twice(&cluster, name, target, &delivery, shape).await,
            None => post(&cluster, name, &delivery, shape).await,
        }
    }
    assert_eq!(seen, 6, "a sample has come that this story does not know");
    expected.are_all(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_telegram_update_reaches_its_target_once() {
    let Some(cluster) = cluster().await else { return };
    let all = fixtures::json("telegram_updates.json");
    let mut expected = Expected::default();
    for sample in all["samples"].as_array().expect("samples") {
        let (name, update) = (sample["name"].as_str().expect("a name"), &sample["update"]);
        let oracle = &sample["python_telegram_bot"];
        // The chat; a poll's answers meet at the poll; else whoever acted.
        let target = match (oracle["effective_chat_id"].as_i64(), update["poll_answer"]["poll_id"].as_str()) {
            (Some(chat), _) => format!("telegram:channel:{chat}"),
            (None, Some(poll)) => format!("telegram:key:poll.{poll}"),
            (None, None) => format!("telegram:user:{}", oracle["effective_user_id"].as_i64().expect("a user")),
        };
        let delivery = telegram::signed(&cluster.keys, update.to_string().as_bytes());
        expected.twice(&cluster, name, &target, &delivery, Shape::Status(200)).await;
    }
    expected.are_all(&cluster).await;
}

/// The targets of Slack's payloads: the workspace the app was installed in, which in a shared channel is not the one that
/// `team_id` names. What is not listed here is `T111`.
const SLACK_TARGETS: &[(&str, Option<&str>)] = &[
    ("events_url_verification__event_body.json", None),
    // Installed for a whole organisation, by a sender too old to name `context_team_id`: the event's team counts.
    ("events__body.json", Some("T222")),
    ("events_org_apps__event_payload.json", Some("E111")),
    ("events_org_apps__event_payload_2.json", Some("E111")),
    ("events_shared_channels__app_uninstalled_body.json", Some("T_INSTALLED")),
    ("events_shared_channels__event_body.json", Some("T_INSTALLED")),
    ("events_shared_channels__join_event_body.json", Some("T_INSTALLED")),
    ("events_shared_channels__join_event_body_2.json", Some("T_INSTALLED")),
    ("events_shared_channels__left_event_body.json", Some("T_INSTALLED")),
    ("events_shared_channels__left_event_body_2.json", Some("T_INSTALLED")),
    ("events_shared_channels__tokens_revoked_body.json", Some("T_INSTALLED")),
    ("events_shared_channels__valid_event_body.json", Some("T_INSTALLED")),
    ("events_shared_channels__valid_reaction_added_body.json", Some("T_INSTALLED")),
    ("events_token_revocations__event_payload.json", Some("E111")),
    ("events_token_revocations__event_payload_2.json", Some("E111")),
    ("message_changed__event_payload.json", Some("T-auth")),
    // The view was opened by somebody of the other side of a shared channel.
    ("view_submission__connect_channel_payload.json", Some("T-other-side")),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_slack_payload_reaches_its_target_once() {
    let Some(cluster) = cluster().await else { return };
    let mut expected = Expected::default();
    for (n, (name, bytes)) in fixtures::files("slack").into_iter().enumerate() {
        // Many share one event id; each becomes an event of its own, the rest of the bytes stays.
        let text = String::from_utf8(bytes).expect("UTF-8");
        let text = ["Ev111", "111.222.valid", "111.222.xxx", "111.111.xxx"]
            .iter()
            .fold(text, |text, id| text.replace(&format!("{id}\""), &format!("{id}.{n}\"")));
        let payload: Value = text.parse().unwrap_or_default();
        let kind = payload["type"].as_str().unwrap_or("slash_command").to_owned();
        let delivery = match kind.as_str() {
            "event_callback" | "url_verification" => slack::signed(&cluster.keys, text.as_bytes()),
            "slash_command" => slack::signed_form(&cluster.keys, text.as_bytes()),
            _ => slack::signed_payload(&cluster.keys, &text),
        };
        let shape = match kind.as_str() {
            "url_verification" => {
                Shape::Json(r#"{"challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"}"#)
            }
            "event_callback" => Shape::Bare(200),
            "block_suggestion" | "dialog_suggestion" => Shape::Json(r#"{"options":[]}"#),
            _ => Shape::Status(200),
        };
        let listed = SLACK_TARGETS.iter().find(|(file, _)| *file == name).map(|(_, target)| *target);
        match listed.unwrap_or(Some("T111")) {
            Some(team) => expected.twice(&cluster, &name, &format!("slack:guild:{team}"), &delivery, shape).await,
            None => post(&cluster, &name, &delivery, shape).await,
        }
    }
    expected.are_all(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_github_delivery_reaches_its_target_once() {
    let Some(cluster) = cluster().await else { return };
    let table: BTreeMap<&str, (&str, Option<&str>)> = BTreeMap::from([
        ("installation_created.payload.json", ("installation", Some("installation.957387"))),
        ("issue_comment_created.payload.json", ("issue_comment", Some("repository.186853002"))),
        ("push_1.payload.json", ("push", Some("repository.186853002"))),
        ("ping_payload.json", ("ping", None)),
    ]);
    let mut expected = Expected::default();
    for (name, bytes) in fixtures::files("github") {
        let (event, target) = *table.get(name.as_str()).unwrap_or_else(|| panic!("{name} is not in the table"));
        let delivery = github::signed(&cluster.keys, event, &format!("delivery-{name}"), &bytes);
        match target {
            Some(id) => {
                let target = format!("github:key:{id}");
                expected.twice(&cluster, &name, &target, &delivery, Shape::Bare(202)).await;
            }
            None => post(&cluster, &name, &delivery, Shape::Bare(200)).await,
        }
    }
    expected.are_all(&cluster).await;
}
