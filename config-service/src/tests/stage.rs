//! Pods played by hand that do their part of every move at once, and what plans do with them.

use super::harness::*;
use http::Method;
use serde_json::{Value, json};
use shared::wire::admin::{MoveList, Plan, PlanHead, PodStatus, TargetList};
use shared::wire::control::{Register, Track};
use shared::wire::handoff::{Move, MoveReport, Reports, Said};
use std::{collections::BTreeMap, time::Duration};
use tempfile::TempDir;

/// Nobody but the plans of the story moves anything.
pub(super) const BY_HAND: &[&str] = &["--rebalance-interval=0s"];

pub(super) fn target(n: usize) -> String {
    format!("discord:guild:{n}")
}

/// Pods, and what they own.
pub(super) struct Stage {
    folder: TempDir,
    pub(super) node: Node,
    pub(super) pods: Vec<Pod>,
}

impl Stage {
    /// So many pods with so many targets, which are placed while there are no more of them.
    pub(super) async fn of(pods: usize, targets: usize, extra: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let node = Node::start_with(&folder, extra).await;
        let mut stage = Self { folder, node, pods: Vec::new() };
        for _ in 0..pods {
            stage.join().await;
        }
        let names: Vec<_> = (0..targets).map(target).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        stage.node.place(&names).await.expect("placed");
        stage
    }

    pub(super) async fn join(&mut self) {
        self.join_as(Track::Stable).await;
    }

    pub(super) async fn join_as(&mut self, track: Track) {
        let n = self.pods.len();
        let register = Register { track, ..register(&format!("gateway-{n}"), u8::try_from(n).expect("few")) };
        self.pods.push(self.node.admitted(register).await);
    }

    /// Another leader takes over.
    pub(super) async fn restart(self, extra: &[&str]) -> Self {
        let Self { folder, node, pods } = self;
        node.stop().await;
        let node = Node::start_with(&folder, extra).await;
        let stage = Self { folder, node, pods };
        stage.beat().await;
        stage
    }

    pub(super) async fn beat(&self) {
        for pod in &self.pods {
            pod.beat(&self.node).await.expect("granted");
        }
    }

    pub(super) async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> T {
        self.node.admin().get(path).await.unwrap_or_else(|why| panic!("{path}: {why}"))
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Answer {
        self.node.call(Some("admin"), Method::POST, path, &body).await
    }

    pub(super) async fn made(&self, body: Value) -> Plan {
        let answer = self.post("/v1/plans", body).await;
        assert_eq!(answer.status, 201, "{}", answer.json);
        serde_json::from_value(answer.json).expect("a plan")
    }

    pub(super) async fn rebalance(&self) -> Plan {
        self.made(json!({ "kind": "rebalance", "reason": "a story" })).await
    }

    pub(super) async fn apply(&self, plan: &Plan) -> Answer {
        let body = json!({ "revision": plan.head.revision, "reason": "a story" });
        self.post(&format!("/v1/plans/{}/apply", plan.head.id), body).await
    }

    pub(super) async fn applied(&self, plan: &Plan) {
        let answer = self.apply(plan).await;
        assert_eq!((answer.status, answer.json["state"].as_str()), (202, Some("applying")), "{}", answer.json);
    }

    pub(super) async fn head(&self, plan: &Plan) -> PlanHead {
        self.get::<Plan>(&format!("/v1/plans/{}", plan.head.id)).await.head
    }

    pub(super) async fn owners(&self) -> BTreeMap<String, String> {
        let list: TargetList = self.get("/v1/targets?limit=1000").await;
        list.targets.iter().map(|found| (found.target.to_string(), found.pod.to_string())).collect()
    }

    pub(super) async fn counts(&self) -> Vec<u64> {
        let mut counts = Vec::new();
        for pod in &self.pods {
            counts.push(self.get::<PodStatus>(&format!("/v1/pods/{}", pod.pod)).await.targets);
        }
        counts
    }

    pub(super) async fn moves(&self) -> Vec<Move> {
        self.get::<MoveList>("/v1/moves?limit=1000").await.moves
    }

    pub(super) async fn say(&self, pod: &shared::PodId, id: shared::MoveId, said: Said) {
        let pod = self.pods.iter().find(|known| known.pod == *pod).expect("one of them");
        let reports = vec![MoveReport { id, said }];
        let said = Reports { pod: pod.pod.clone(), incarnation: pod.incarnation.clone(), reports };
        let _ = self.node.service().post::<Value>("/v1/moves/reports", &said).await;
    }

    /// The pods do their part of every move that is under way.
    pub(super) async fn play(&self) {
        self.play_with(7).await;
    }

    /// The same; each target takes no event for so long.
    pub(super) async fn play_with(&self, pause_ms: u64) {
        for of in self.moves().await.iter().filter(|of| !of.state.is_over()) {
            self.say(&of.from, of.id, Said::Frozen { epoch: of.epoch }).await;
            self.say(&of.to, of.id, Said::Imported { epoch: of.epoch, rows: 1, bytes: 10 }).await;
            self.say(&of.to, of.id, Said::Serving { pause_ms }).await;
        }
    }

    /// The pods play until the plan is over.
    pub(super) async fn over(&self, plan: &Plan) -> PlanHead {
        let mut over = None;
        eventually("the plan is over", async || {
            self.play().await;
            over = Some(self.head(plan).await).filter(|head| head.state.is_over());
            over.is_some()
        })
        .await;
        over.expect("just looked")
    }

    /// Time passes, a second at a time, and pods keep their leases.
    pub(super) async fn pass(&self, seconds: u64) {
        for _ in 0..seconds {
            self.node.clock.advance(Duration::from_secs(1));
            self.beat().await;
        }
    }
}
